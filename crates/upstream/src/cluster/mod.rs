//! A cluster as one worker sees it: settings, stats, and the choice of a host.
//!
//! Hosts and pickers are built from the latest [`HostSet`] when the first request asks for one, so
//! a cluster that is never used costs a map entry. A new host set keeps the [`Host`]s that stay,
//! with their pools; the others drain. The way of a pick: priority and health by the set's plan,
//! then the policy's picker over those hosts, then again if the caller rejects the host (retry
//! predicates) as often as it allows.

#[cfg(test)]
mod tests;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use nuncio_config::model::cluster::{Cluster as Settings, EndpointHealth};
use nuncio_stats::{Shard, templates::cluster_stats as stats};
use rustc_hash::FxHashMap;

use crate::{
    context::{Context, Environment, RetryPermit},
    host::Host,
    host_set::{HostDescription, HostEntry, HostSet, PreviousPriorities, priority::HostSource},
    lb::{Hosts, Picker},
    pool::{Acquire, AcquireOptions},
    shared::RoutingPriority,
    tracked::TrackedStats,
};

/// What a request tells the load balancer.
#[derive(Clone, Copy, Default)]
pub struct LbContext<'a> {
    /// Hash of the route's `hash_policy`; without one policies that pick by hash pick at random.
    pub hash: Option<u64>,
    /// Hosts not wanted (`retry_host_predicate`). Envoy asks for retries only.
    pub rejects: Option<&'a dyn Fn(&Host) -> bool>,
    /// Picks after a rejected one (`host_selection_retry_max_attempts`); the last one is taken.
    pub max_attempts: u32,
    /// Where attempts went before (`retry_priority`).
    pub previous_priorities: Option<&'a PreviousPriorities>,
}

/// Hosts of one priority that a pick may be made among.
struct Candidates {
    hosts: Vec<Rc<Host>>,
    picker: Picker,
}

impl Hosts for [Rc<Host>] {
    fn len(&self) -> usize {
        <[Rc<Host>]>::len(self)
    }

    fn weight(&self, index: usize) -> u32 {
        self.get(index).map_or(1, |host| host.weight())
    }

    fn active(&self, index: usize) -> u32 {
        self.get(index).map_or(0, |host| host.rq_active())
    }
}

#[derive(Default)]
struct Priority {
    healthy: Option<Candidates>,
    degraded: Option<Candidates>,
    all: Option<Candidates>,
}

/// The hosts of the latest set, built when first needed.
struct LocalHosts {
    set: Arc<HostSet>,
    is_built: bool,
    hosts: FxHashMap<*const HostDescription, Rc<Host>>,
    priorities: Vec<Priority>,
}

/// One cluster on one worker.
pub struct Cluster {
    context: Rc<Context>,
    hosts: RefCell<LocalHosts>,
}

impl Cluster {
    pub(crate) fn new(
        settings: Arc<Settings>,
        set: Arc<HostSet>,
        environment: &Environment,
        rng: fastrand::Rng,
    ) -> Rc<Self> {
        let context = Context::new(settings, Arc::clone(set.shared()), environment, rng);
        let hosts = LocalHosts { set, is_built: false, hosts: FxHashMap::default(), priorities: Vec::new() };
        Rc::new(Self { context, hosts: RefCell::new(hosts) })
    }

    /// The settings.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.context.settings
    }

    /// This worker's view of `cluster.<name>.`.
    pub fn stats(&self) -> &Shard {
        &self.context.stats
    }

    /// This worker's view of the cluster's optional stats.
    pub fn tracked(&self) -> &TrackedStats {
        &self.context.tracked
    }

    /// The host for one request; `None` when no healthy host is there (`no_healthy_upstream`).
    pub fn choose_host(&self, lb: &LbContext<'_>) -> Option<Rc<Host>> {
        let mut hosts = self.hosts.borrow_mut();
        hosts.build(&self.context);
        if self.context.settings.lb.is_hashing() {
            let hash = lb.hash.unwrap_or_else(|| self.context.roll());
            let priority = hosts.hashed_priority(&self.context, hash);
            return accepted(lb, |attempt| hosts.choose_hashed(&self.context, priority, hash, attempt));
        }
        accepted(lb, |_| hosts.choose(&self.context, lb))
    }

    /// Asks for a stream to `host`: at once on an idle connection, else when one is there.
    pub fn acquire(&self, host: &Rc<Host>, options: AcquireOptions) -> Acquire {
        Acquire::start(host, options)
    }

    /// This worker's view of `zone.<local>.<host's>.`; `None` unless both zones have a name.
    pub fn zone_stats(&self, host: &Host) -> Option<Rc<Shard>> {
        self.context.zone_stats(&host.locality().zone)
    }

    /// One of `max_retries` or of the retry budget, or `None` when that many retries are active
    /// already (`upstream_rq_retry_overflow`, counted here).
    pub fn try_retry(&self, high_priority: bool) -> Option<RetryPermit> {
        let priority = if high_priority { RoutingPriority::High } else { RoutingPriority::Default };
        self.context.retry_permit(priority)
    }

    /// A newer host set. Hosts that are not in it drain.
    pub(crate) fn set_hosts(&self, set: Arc<HostSet>) {
        let mut hosts = self.hosts.borrow_mut();
        hosts.set = set;
        if !hosts.is_built {
            return;
        }
        hosts.is_built = false;
        hosts.priorities.clear();
        let stays: FxHashMap<_, _> =
            hosts.set.hosts().map(|entry| (Arc::as_ptr(&entry.description), Arc::clone(entry))).collect();
        let mut gone = Vec::new();
        hosts.hosts.retain(|description, host| match stays.get(description) {
            Some(entry) => {
                host.update(Arc::clone(entry));
                true
            }
            None => {
                gone.push(Rc::clone(host));
                false
            }
        });
        drop(hosts);
        for host in gone {
            host.drain();
        }
    }

    /// The cluster is gone: what is in use finishes, the rest closes.
    pub(crate) fn drain(&self) {
        let hosts = std::mem::take(&mut self.hosts.borrow_mut().hosts);
        for host in hosts.into_values() {
            host.drain();
        }
    }
}

/// The first pick that is not rejected, or the last one.
fn accepted(lb: &LbContext<'_>, mut pick: impl FnMut(u32) -> Option<Rc<Host>>) -> Option<Rc<Host>> {
    let mut chosen = pick(0)?;
    if let Some(rejects) = lb.rejects {
        for attempt in 1..=lb.max_attempts {
            if !rejects(&chosen) {
                break;
            }
            chosen = pick(attempt)?;
        }
    }
    Some(chosen)
}

impl LocalHosts {
    fn build(&mut self, context: &Rc<Context>) {
        if std::mem::replace(&mut self.is_built, true) {
            return;
        }
        for entry in self.set.hosts() {
            self.hosts.entry(Arc::as_ptr(&entry.description)).or_insert_with(|| Host::new(context, Arc::clone(entry)));
        }
        self.priorities = self.set.priorities().iter().map(|_| Priority::default()).collect();
    }

    /// The priority that `hash` falls to. Panic is counted once for all attempts.
    fn hashed_priority(&self, context: &Context, hash: u64) -> usize {
        let (priority, _) = self.set.plan().pick(hash);
        if self.set.plan().0.get(priority).is_some_and(|load| load.panic) {
            context.stats.inc(stats::LB_HEALTHY_PANIC);
        }
        priority
    }

    /// The host at the place of `hash` in the table of the priority that `hash` falls to.
    fn choose_hashed(&self, context: &Context, priority: usize, hash: u64, attempt: u32) -> Option<Rc<Host>> {
        let active = || context.stats.group().gauge(stats::UPSTREAM_RQ_ACTIVE);
        let entry = self.set.hash_table(priority)?.choose(hash, attempt, active)?;
        self.hosts.get(&Arc::as_ptr(&entry.description)).map(Rc::clone)
    }

    fn choose(&mut self, context: &Context, lb: &LbContext<'_>) -> Option<Rc<Host>> {
        let (index, source) = self.roll(context, lb);
        if source == HostSource::Panic {
            context.stats.inc(stats::LB_HEALTHY_PANIC);
        }
        let entries = self.set.priorities().get(index)?;
        let priority = self.priorities.get_mut(index)?;
        let slot = match source {
            HostSource::Healthy => &mut priority.healthy,
            HostSource::Degraded => &mut priority.degraded,
            HostSource::Panic => &mut priority.all,
        };
        let mut rng = context.rng.borrow_mut();
        let candidates = slot.get_or_insert_with(|| {
            let hosts = candidates(&self.hosts, entries, source);
            let picker = Picker::new(&context.settings.lb, hosts.as_slice(), &mut rng);
            Candidates { hosts, picker }
        });
        let at = candidates.picker.pick(candidates.hosts.as_slice(), &mut rng)?;
        candidates.hosts.get(at).map(Rc::clone)
    }

    /// Which hosts of which priority, by the dice.
    fn roll(&self, context: &Context, lb: &LbContext<'_>) -> (usize, HostSource) {
        let plan = self.set.plan();
        match (lb.previous_priorities, plan.0.as_slice()) {
            // With one priority and nobody degraded the dice decide nothing.
            (_, [only]) if only.degraded == 0 && !only.panic => (0, HostSource::Healthy),
            (None, _) => plan.pick(context.roll()),
            (Some(previous), _) => previous.with_plan(&self.set, |plan| plan.pick(context.roll())),
        }
    }
}

fn candidates(
    hosts: &FxHashMap<*const HostDescription, Rc<Host>>,
    entries: &[Arc<HostEntry>],
    source: HostSource,
) -> Vec<Rc<Host>> {
    let wanted = |entry: &&Arc<HostEntry>| match source {
        HostSource::Healthy => entry.health == EndpointHealth::Healthy,
        HostSource::Degraded => entry.health == EndpointHealth::Degraded,
        HostSource::Panic => true,
    };
    let found = entries.iter().filter(wanted);
    found.filter_map(|entry| hosts.get(&Arc::as_ptr(&entry.description)).map(Rc::clone)).collect()
}
