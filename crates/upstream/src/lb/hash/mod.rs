//! RING_HASH and MAGLEV: the same hash goes to the same host, on every worker and as in Envoy.
//!
//! A [`HashTable`] stands for the hosts of one priority that may be picked (the healthy ones, in
//! panic all) and is part of the host set, so the main thread builds it once and all workers
//! share it. Its hosts stand in it by key: `metadata["envoy.lb"]["hash_key"]`, else the hostname
//! if that is wanted, else the address; keys, hash functions and arithmetic are Envoy's, bit for
//! bit, so that a fleet can move from one to the other and keep its affinity.
//!
//! With `hash_balance_factor` a host that bears more than its part of the active requests of the
//! cluster is passed over for one of a random sequence that the hash seeds, again the same one
//! everywhere. Degraded hosts are in no table, as in Envoy.

mod maglev;
mod mersenne;
mod murmur;
mod ring;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use nuncio_config::model::cluster::{Cluster as Settings, ConsistentHashing, LbPolicy};
use nuncio_stats::{
    Group,
    templates::{maglev_stats, ring_hash_stats},
};

use crate::{host_set::HostEntry, tally::HostStat};
use mersenne::MersenneTwister;

/// A host with its part of all weights.
struct Weighted {
    host: Arc<HostEntry>,
    key: String,
    weight: f64,
}

/// Hosts by hash.
pub(crate) struct HashTable {
    hosts: Vec<Weighted>,
    places: Places,
    balance_factor: Option<u32>,
}

enum Places {
    Ring(ring::Ring),
    Maglev(maglev::Table),
}

impl std::fmt::Debug for HashTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashTable").field("hosts", &self.hosts.len()).finish_non_exhaustive()
    }
}

impl HashTable {
    /// The table of `hosts` with their parts of all weights, as the cluster's policy wants it;
    /// `None` for policies without one.
    /// Its census goes into the gauges of `group`.
    pub(crate) fn new(
        settings: &Settings,
        hosts: Vec<(Arc<HostEntry>, f64)>,
        group: Option<&Arc<Group>>,
    ) -> Option<Self> {
        let common = match &settings.lb {
            LbPolicy::RingHash(ring) => ring.common,
            LbPolicy::Maglev(maglev) => maglev.common,
            LbPolicy::RoundRobin | LbPolicy::LeastRequest { .. } | LbPolicy::Random => return None,
        };
        let weighted = |(host, weight): (Arc<HostEntry>, f64)| Weighted { key: key(&host, common), weight, host };
        let hosts: Vec<_> = hosts.into_iter().map(weighted).collect();
        let places = match &settings.lb {
            LbPolicy::RingHash(ring) => Places::Ring(ring::Ring::new(&hosts, ring)),
            LbPolicy::Maglev(maglev) => Places::Maglev(maglev::Table::new(&hosts, maglev.table_size)),
            LbPolicy::RoundRobin | LbPolicy::LeastRequest { .. } | LbPolicy::Random => return None,
        };
        if let Some(group) = group {
            publish(&places, group);
        }
        Some(Self { hosts, places, balance_factor: common.balance_factor })
    }

    /// The host for `hash`; a later `attempt` gives another place, not surely another host.
    /// `cluster_active` answers the active requests of the cluster.
    pub(crate) fn choose(
        &self,
        hash: u64,
        attempt: u32,
        cluster_active: impl FnOnce() -> u64,
    ) -> Option<&Arc<HostEntry>> {
        let chosen = match &self.places {
            Places::Ring(ring) => ring.choose(hash, attempt),
            Places::Maglev(table) => table.choose(hash, attempt),
        }?;
        let chosen = match self.balance_factor {
            None => chosen,
            Some(factor) => self.balanced(hash, chosen, total_slots(cluster_active(), factor)),
        };
        self.hosts.get(chosen).map(|weighted| &weighted.host)
    }

    /// The chosen host, or the first of the hash's sequence that has room, or the least loaded.
    fn balanced(&self, hash: u64, chosen: usize, total_slots: u32) -> usize {
        let overload = |index: usize| self.hosts.get(index).map_or(f64::INFINITY, |host| host.overload(total_slots));
        let mut best = (chosen, overload(chosen));
        if best.1 <= 1.0 {
            return chosen;
        }
        let mut random = MersenneTwister::new(hash);
        let mut order: Vec<usize> = (0..self.hosts.len()).collect();
        for at in 0..order.len() {
            let left = u32::try_from(order.len() - at).unwrap_or(u32::MAX);
            order.swap(at, at + usize::try_from(random.below(left)).unwrap_or(0));
            let Some(&other) = order.get(at) else { break };
            if other == chosen {
                continue;
            }
            let factor = overload(other);
            if factor <= 1.0 {
                return other;
            }
            if factor < best.1 {
                best = (other, factor);
            }
        }
        best.0
    }
}

impl Weighted {
    /// Active requests by those that the host may have.
    fn overload(&self, total_slots: u32) -> f64 {
        let slots = (f64::from(total_slots) * self.weight).ceil().max(1.0);
        // Active requests are far below 2^53.
        #[expect(clippy::cast_precision_loss, reason = "active requests are far below 2^53")]
        let active = self.host.description.stat(HostStat::RqActive) as f64;
        active / slots
    }
}

/// Requests that all hosts together may have, one more than now times the factor.
fn total_slots(active: u64, factor: u32) -> u32 {
    let slots = (active.saturating_add(1)).saturating_mul(factor.into()).saturating_add(99) / 100;
    u32::try_from(slots).unwrap_or(u32::MAX)
}

fn key(host: &HostEntry, common: ConsistentHashing) -> String {
    let metadata = host.metadata.get("envoy.lb").and_then(|lb| lb.get("hash_key")?.as_str());
    match metadata {
        Some(key) if !key.is_empty() => key.to_owned(),
        _ if common.use_hostname => host.description.hostname().to_owned(),
        _ => host.address.to_string(),
    }
}

/// Envoy leaves the numbers as they are when there are no hosts.
fn publish(places: &Places, group: &Arc<Group>) {
    let stats = group.shard(0);
    match places {
        Places::Ring(ring) => {
            if let Some(count) = ring.census() {
                stats.gauge_set(ring_hash_stats::SIZE, count.size);
                stats.gauge_set(ring_hash_stats::MIN_HASHES_PER_HOST, count.min_per_host);
                stats.gauge_set(ring_hash_stats::MAX_HASHES_PER_HOST, count.max_per_host);
            }
        }
        Places::Maglev(table) => {
            if let Some(count) = table.census() {
                stats.gauge_set(maglev_stats::MIN_ENTRIES_PER_HOST, count.min_per_host);
                stats.gauge_set(maglev_stats::MAX_ENTRIES_PER_HOST, count.max_per_host);
            }
        }
    }
}

/// How many places hosts have in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Census {
    size: u64,
    min_per_host: u64,
    max_per_host: u64,
}
