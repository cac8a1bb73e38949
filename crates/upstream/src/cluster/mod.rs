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
    host_set::{HostDescription, HostEntry, HostSet, priority::HostSource},
    lb::{Hosts, Picker},
    pool::{Acquire, AcquireOptions},
    shared::RoutingPriority,
};

/// What a request tells the load balancer.
#[derive(Clone, Copy, Default)]
pub struct LbContext<'a> {
    /// Hosts not wanted (`retry_host_predicate`).
    pub rejects: Option<&'a dyn Fn(&Host) -> bool>,
    /// Picks after a rejected one (`host_selection_retry_max_attempts`); the last one is taken.
    pub max_attempts: u32,
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

    /// The host for one request; `None` when no healthy host is there (`no_healthy_upstream`).
    pub fn choose_host(&self, lb: &LbContext<'_>) -> Option<Rc<Host>> {
        let mut hosts = self.hosts.borrow_mut();
        hosts.build(&self.context);
        let mut chosen = hosts.choose(&self.context)?;
        if let Some(rejects) = lb.rejects {
            for _ in 0..lb.max_attempts {
                if !rejects(&chosen) {
                    break;
                }
                chosen = hosts.choose(&self.context)?;
            }
        }
        Some(chosen)
    }

    /// Asks for a stream to `host`: at once on an idle connection, else when one is there.
    pub fn acquire(&self, host: &Rc<Host>, options: AcquireOptions) -> Acquire {
        Acquire::start(host, options)
    }

    /// One of `max_retries`, or `None` when that many retries are active already.
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

    fn choose(&mut self, context: &Context) -> Option<Rc<Host>> {
        let plan = self.set.plan();
        // With one priority and nobody degraded the dice decide nothing.
        let (index, source) = match plan.0.as_slice() {
            [only] if only.degraded == 0 && !only.panic => (0, HostSource::Healthy),
            _ => plan.pick(context.roll()),
        };
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
