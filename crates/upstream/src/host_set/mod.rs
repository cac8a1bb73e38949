//! Host sets: immutable snapshots of the hosts of one cluster.
//!
//! The main thread makes one from static endpoints or DNS answers and publishes it to the workers
//! behind an `Arc`. It owns addresses, weights, health and the plan of [`priority`] loads. What a
//! host keeps across snapshots (its counters) stands in the [`HostDescription`], which a new
//! snapshot shares with the old one as long as the host stays; a worker recognises it by that and
//! keeps the host's pools.

pub(crate) mod localities;
mod previous_priorities;
pub mod priority;

use std::sync::Arc;

use nuncio_config::model::{
    bootstrap::Locality,
    cluster::{Cluster as Settings, EndpointHealth, LocalityBalancing, Metadata},
};
use nuncio_net::SocketAddress;
use nuncio_stats::{Shard, templates::cluster_stats as stats};
use tokio::time::Instant;

use crate::{
    lb::hash::HashTable,
    shared::ClusterShared,
    tally::{HostStat, Tally},
};
use localities::{Localities, weight};
pub use previous_priorities::PreviousPriorities;
use priority::{Availability, HostCounts, PriorityPlan};

/// What of a host outlives a change of its address, weight or health.
#[derive(Debug)]
pub struct HostDescription {
    hostname: Option<Arc<str>>,
    /// When it came (`slow_start_config`).
    pub(crate) since: Instant,
    pub(crate) tally: Tally,
}

impl HostDescription {
    /// A host that was never used.
    pub fn new(hostname: &str, shared: &ClusterShared) -> Arc<Self> {
        let hostname = (!hostname.is_empty()).then(|| hostname.into());
        Arc::new(Self { hostname, since: Instant::now(), tally: Tally::new(shared.threads()) })
    }

    /// `hostname` of the endpoint, or the name that was resolved; empty when there is none.
    pub fn hostname(&self) -> &str {
        self.hostname.as_deref().unwrap_or_default()
    }

    /// The same to keep; `None` when there is none.
    pub fn shared_hostname(&self) -> Option<Arc<str>> {
        self.hostname.clone()
    }

    /// A number of this host, over all workers.
    pub fn stat(&self, stat: HostStat) -> u64 {
        self.tally.total(stat)
    }
}

/// One host in one snapshot.
#[derive(Clone, Debug)]
pub struct HostEntry {
    /// The host.
    pub description: Arc<HostDescription>,
    /// Where it is now.
    pub address: SocketAddress,
    /// Where it is too: all its addresses in the order of attempts, empty when there is only one.
    pub attempts: Arc<[SocketAddress]>,
    /// `load_balancing_weight`, at least 1.
    pub weight: u32,
    /// Health.
    pub health: EndpointHealth,
    /// Marked as a canary.
    pub canary: bool,
    /// Its locality.
    pub locality: Arc<Locality>,
    /// Its priority, 0 first.
    pub priority: u32,
    /// `metadata.filter_metadata`
    pub metadata: Arc<Metadata>,
}

/// Highest priority that Envoy takes.
const MAX_PRIORITY: usize = 128;

/// All hosts of a cluster at one moment.
#[derive(Debug)]
pub struct HostSet {
    shared: Arc<ClusterShared>,
    priorities: Vec<Vec<Arc<HostEntry>>>,
    availability: Availability,
    plan: PriorityPlan,
    /// For policies that have one, by priority.
    tables: Vec<HashTable>,
}

impl HostSet {
    /// A snapshot of `entries`, which keep their order within a priority.
    pub fn new(settings: &Settings, shared: Arc<ClusterShared>, entries: Vec<Arc<HostEntry>>) -> Arc<Self> {
        let mut priorities: Vec<Vec<Arc<HostEntry>>> = vec![Vec::new()];
        for entry in entries {
            let index = usize::try_from(entry.priority).unwrap_or(MAX_PRIORITY).min(MAX_PRIORITY);
            if priorities.len() <= index {
                priorities.resize_with(index + 1, Vec::new);
            }
            if let Some(hosts) = priorities.get_mut(index) {
                hosts.push(entry);
            }
        }
        let counts: Vec<_> = priorities.iter().map(|hosts| count(hosts)).collect();
        let weights: Vec<_> = match settings.weighted_priority_health {
            true => priorities.iter().map(|hosts| sum_of(hosts, |host| host.weight)).collect(),
            false => counts.clone(),
        };
        let availability = Availability::new(&weights, settings.overprovisioning_factor);
        let plan = PriorityPlan::new(&availability, &counts, settings.healthy_panic_threshold);
        let tables = hash_tables(settings, &shared, &priorities, &plan);
        Arc::new(Self { shared, priorities, availability, plan, tables })
    }

    /// What all threads share of the cluster.
    pub fn shared(&self) -> &Arc<ClusterShared> {
        &self.shared
    }

    /// Hosts by priority.
    pub fn priorities(&self) -> &[Vec<Arc<HostEntry>>] {
        &self.priorities
    }

    /// All hosts, by priority and then in config order.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<HostEntry>> {
        self.priorities.iter().flatten()
    }

    /// How load is shared among priorities.
    pub fn plan(&self) -> &PriorityPlan {
        &self.plan
    }

    /// How much each priority could take.
    pub(crate) fn availability(&self) -> &Availability {
        &self.availability
    }

    /// The table of a priority, for policies that pick by hash.
    pub(crate) fn hash_table(&self, priority: usize) -> Option<&HashTable> {
        self.tables.get(priority)
    }

    /// Writes `membership_*`; `changed` says that a host came or went.
    pub(crate) fn publish_membership(&self, main: &Shard, changed: bool) {
        let total = self.priorities.iter().map(|hosts| count(hosts)).fold(HostCounts::default(), |a, b| HostCounts {
            total: a.total + b.total,
            healthy: a.healthy + b.healthy,
            degraded: a.degraded + b.degraded,
        });
        main.gauge_set(stats::MEMBERSHIP_TOTAL, total.total.into());
        main.gauge_set(stats::MEMBERSHIP_HEALTHY, total.healthy.into());
        main.gauge_set(stats::MEMBERSHIP_DEGRADED, total.degraded.into());
        main.gauge_set(stats::MEMBERSHIP_EXCLUDED, 0);
        if changed {
            main.inc(stats::MEMBERSHIP_CHANGE);
        }
    }
}

/// One table for each priority: of its healthy hosts, in panic of all.
fn hash_tables(
    settings: &Settings,
    shared: &ClusterShared,
    priorities: &[Vec<Arc<HostEntry>>],
    plan: &PriorityPlan,
) -> Vec<HashTable> {
    let table = |(index, (hosts, load)): (usize, (&Vec<Arc<HostEntry>>, &priority::PriorityLoad))| {
        let is_wanted = |host: &HostEntry| load.panic || host.health == EndpointHealth::Healthy;
        HashTable::new(settings, weights(settings, index, hosts, is_wanted), shared.lb_group())
    };
    if !settings.lb.is_hashing() {
        return Vec::new();
    }
    priorities.iter().zip(&plan.0).enumerate().filter_map(table).collect()
}

/// The hosts that are wanted, each with its part of all weights. Where localities have weights a
/// locality's part is shared among its hosts.
fn weights(
    settings: &Settings,
    priority: usize,
    hosts: &[Arc<HostEntry>],
    is_wanted: impl Fn(&HostEntry) -> bool,
) -> Vec<(Arc<HostEntry>, f64)> {
    let mut weighted = Vec::new();
    let mut share = |hosts: &mut dyn Iterator<Item = &Arc<HostEntry>>, part: f64| {
        let hosts: Vec<_> = hosts.filter(|host| is_wanted(host)).collect();
        let sum: u64 = hosts.iter().map(|host| u64::from(host.weight)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a sum of weights is below 2^53")]
        let sum = sum as f64;
        weighted.extend(hosts.iter().map(|host| (Arc::clone(host), f64::from(host.weight) * part / sum)));
    };
    if settings.localities != LocalityBalancing::Weighted {
        share(&mut hosts.iter(), 1.0);
        return weighted;
    }
    let localities = Localities::new(hosts, &Locality::default());
    let members = |locality| localities.hosts(locality).iter().filter_map(|at| hosts.get(*at));
    let weight = |locality| members(locality).next().map_or(0, |host| weight(settings, &host.locality, priority));
    let sum: u64 = (0..localities.len()).map(|locality| u64::from(weight(locality))).sum();
    for locality in (0..localities.len()).filter(|locality| weight(*locality) > 0) {
        #[expect(clippy::cast_precision_loss, reason = "a sum of weights is below 2^53")]
        let part = f64::from(weight(locality)) / sum as f64;
        share(&mut members(locality), part);
    }
    weighted
}

fn count(hosts: &[Arc<HostEntry>]) -> HostCounts {
    sum_of(hosts, |_| 1)
}

fn sum_of(hosts: &[Arc<HostEntry>], part: impl Fn(&HostEntry) -> u32) -> HostCounts {
    hosts.iter().fold(HostCounts::default(), |sum, host| {
        let of = |health| if host.health == health { part(host) } else { 0 };
        HostCounts {
            total: sum.total.saturating_add(part(host)),
            healthy: sum.healthy.saturating_add(of(EndpointHealth::Healthy)),
            degraded: sum.degraded.saturating_add(of(EndpointHealth::Degraded)),
        }
    })
}
