//! The hosts of a cluster's latest set as one worker picks among them.
//!
//! Built when the first request asks, again after each newer set; hosts that stay keep their
//! pools. The way of a pick: the dice and the set's plan say which priority and whether its
//! healthy, degraded or (in panic) all hosts; where localities count one of those is chosen
//! ([`zones`](super::zones), [`LocalityBalancing`]); then the policy's picker over what is left.

use std::{collections::hash_map::Entry, rc::Rc, sync::Arc};

use nuncio_config::model::cluster::{Cluster as Settings, EndpointHealth, LocalityBalancing};
use nuncio_stats::templates::cluster_stats as stats;
use rustc_hash::FxHashMap;

use super::{LbContext, zones::Zones};
use crate::{
    context::Context,
    host::Host,
    host_set::{HostDescription, HostEntry, HostSet, localities::Localities, priority::HostSource},
    lb::{Hosts, Picker, SlowStart, edf::Schedule},
};

/// Hosts that a pick may be made among.
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

    fn age(&self, index: usize) -> Option<std::time::Duration> {
        self.get(index).filter(|host| host.health() == EndpointHealth::Healthy).map(|host| host.age())
    }
}

/// What is known of one priority; everything here is made when first needed.
#[derive(Default)]
struct Priority {
    /// Of all localities: healthy, degraded, all.
    whole: [Option<Candidates>; 3],
    by_locality: FxHashMap<(HostSource, usize), Candidates>,
    localities: Option<Localities>,
    /// The turns of weighted localities, for healthy and for degraded hosts.
    turns: [Option<Schedule>; 2],
}

/// The hosts of the latest set.
pub(super) struct LocalHosts {
    set: Arc<HostSet>,
    is_built: bool,
    hosts: FxHashMap<*const HostDescription, Rc<Host>>,
    priorities: Vec<Priority>,
    zones: Zones,
}

impl LocalHosts {
    pub(super) fn new(set: Arc<HostSet>) -> Self {
        Self { set, is_built: false, hosts: FxHashMap::default(), priorities: Vec::new(), zones: Zones::default() }
    }

    pub(super) fn build(&mut self, context: &Rc<Context>) {
        if std::mem::replace(&mut self.is_built, true) {
            return;
        }
        for entry in self.set.hosts() {
            if let Entry::Vacant(place) = self.hosts.entry(Arc::as_ptr(&entry.description)) {
                place.insert(Host::new(context, Arc::clone(entry)));
            }
        }
        self.priorities = self.set.priorities().iter().map(|_| Priority::default()).collect();
    }

    /// A newer set; the hosts that have to go.
    pub(super) fn replace(&mut self, set: Arc<HostSet>, settings: &Settings) -> Vec<Rc<Host>> {
        self.set = set;
        if !self.is_built {
            return Vec::new();
        }
        self.is_built = false;
        self.priorities.clear();
        self.zones = Zones::default();
        let stays: FxHashMap<_, _> =
            self.set.hosts().map(|entry| (Arc::as_ptr(&entry.description), Arc::clone(entry))).collect();
        let same = stays.len() == self.hosts.len() && self.hosts.keys().all(|known| stays.contains_key(known));
        if settings.close_connections_on_host_set_change && !same {
            return self.take();
        }
        let mut gone = Vec::new();
        self.hosts.retain(|description, host| match stays.get(description) {
            Some(entry) => {
                host.update(Arc::clone(entry));
                true
            }
            None => {
                gone.push(Rc::clone(host));
                false
            }
        });
        gone
    }

    /// All hosts, none of which stays.
    pub(super) fn take(&mut self) -> Vec<Rc<Host>> {
        std::mem::take(&mut self.hosts).into_values().collect()
    }

    /// The priority that `hash` falls to. Panic is counted once for all attempts.
    pub(super) fn hashed_priority(&self, context: &Context, hash: u64) -> usize {
        let (priority, _) = self.set.plan().pick(hash);
        if self.set.plan().0.get(priority).is_some_and(|load| load.panic) {
            context.stats.inc(stats::LB_HEALTHY_PANIC);
        }
        priority
    }

    /// The host at the place of `hash` in the table of a priority.
    pub(super) fn choose_hashed(
        &self,
        context: &Context,
        priority: usize,
        hash: u64,
        attempt: u32,
    ) -> Option<Rc<Host>> {
        let active = || context.stats.group().gauge(stats::UPSTREAM_RQ_ACTIVE);
        let entry = self.set.hash_table(priority)?.choose(hash, attempt, active)?;
        self.hosts.get(&Arc::as_ptr(&entry.description)).map(Rc::clone)
    }

    pub(super) fn choose(&mut self, context: &Context, lb: &LbContext<'_>) -> Option<Rc<Host>> {
        let (index, source) = self.roll(context, lb);
        if source == HostSource::Panic {
            context.stats.inc(stats::LB_HEALTHY_PANIC);
        }
        let locality = self.locality(context, index, source)?;
        let Self { set, hosts, priorities, .. } = self;
        let priority = priorities.get_mut(index)?;
        let entries = set.priorities().get(index)?;
        let mut rng = context.rng.borrow_mut();
        let mut made = |entries: &mut dyn Iterator<Item = &Arc<HostEntry>>| {
            let hosts = candidates(hosts, entries, source);
            let slow_start = context.settings.slow_start.map(SlowStart);
            let picker = Picker::new(&context.settings.lb, slow_start, hosts.as_slice(), &mut rng);
            Candidates { hosts, picker }
        };
        let candidates = match (locality, &priority.localities) {
            (Some(locality), Some(localities)) => {
                let members = localities.hosts(locality);
                let mut entries = members.iter().filter_map(|at| entries.get(*at));
                priority.by_locality.entry((source, locality)).or_insert_with(|| made(&mut entries))
            }
            _ => {
                let slot = priority.whole.get_mut(source.index())?;
                slot.get_or_insert_with(|| made(&mut entries.iter()))
            }
        };
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

    /// The locality to pick in, where that counts; `None` when the request is not to be served.
    fn locality(&mut self, context: &Context, index: usize, source: HostSource) -> Option<Option<usize>> {
        match context.settings.localities {
            LocalityBalancing::Weighted if source != HostSource::Panic => Some(self.turn(context, index, source)),
            LocalityBalancing::Weighted => Some(None),
            LocalityBalancing::ZoneAware(zones) if source == HostSource::Panic => {
                (!zones.fail_traffic_on_panic).then_some(None)
            }
            LocalityBalancing::ZoneAware(zones) => {
                let Some(local) = context.local_cluster.set().filter(|_| index == 0) else { return Some(None) };
                let entries = self.set.priorities().first()?;
                let localities = &mut self.priorities.first_mut()?.localities;
                let localities = localities.get_or_insert_with(|| Localities::new(entries, &context.local));
                self.zones.pick(context, &zones, &local, localities)
            }
        }
    }

    /// The next locality by weight; `None` when no locality has any.
    fn turn(&mut self, context: &Context, index: usize, source: HostSource) -> Option<usize> {
        let entries = self.set.priorities().get(index)?;
        let priority = self.priorities.get_mut(index)?;
        let localities = priority.localities.get_or_insert_with(|| Localities::new(entries, &context.local));
        let factor = context.settings.overprovisioning_factor;
        let weight = |locality| localities.effective_weight(locality, index, source, &context.settings, factor);
        let turns = priority.turns.get_mut(source.index())?;
        let turns = turns.get_or_insert_with(|| {
            let weights = (0..localities.len()).map(weight);
            let mut turns = Schedule::of_weighted(weights);
            for _ in 0..context.rng.borrow_mut().usize(0..localities.len().max(1)) {
                turns.pick(weight);
            }
            turns
        });
        turns.pick(weight)
    }
}

fn candidates(
    hosts: &FxHashMap<*const HostDescription, Rc<Host>>,
    entries: &mut dyn Iterator<Item = &Arc<HostEntry>>,
    source: HostSource,
) -> Vec<Rc<Host>> {
    let wanted = |entry: &&Arc<HostEntry>| match source {
        HostSource::Healthy => entry.health == EndpointHealth::Healthy,
        HostSource::Degraded => entry.health == EndpointHealth::Degraded,
        HostSource::Panic => true,
    };
    let found = entries.filter(wanted);
    found.filter_map(|entry| hosts.get(&Arc::as_ptr(&entry.description)).map(Rc::clone)).collect()
}
