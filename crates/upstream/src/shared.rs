//! What all threads share of one cluster: its stats and the numbers that circuit breakers look at.
//!
//! Owns, for each worker, two cache lines with what that worker has in use (connections, pending
//! requests, requests and retries of both priorities). A worker writes its own line only, with
//! relaxed stores; admission and the admin endpoint add all lines up. So a limit holds over all
//! workers without a shared counter; workers that admit at the same instant may pass it by a few.
//!
//! Nothing is allocated before the first request of the cluster: ten thousand clusters of which a
//! hundred are used cost a hundred lines per worker.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use nuncio_config::model::cluster::{Breakers, Cluster as Settings, LbPolicy};
use nuncio_stats::{
    Gauge, Group, Shard, Store, WorkerId,
    templates::{
        circuit_breaker_remaining_stats as remaining, cluster_scope, cluster_stats as stats, maglev_stats,
        ring_hash_stats,
    },
};

use crate::{limits::LiveLimits, tracked::TrackedGroups};

/// `RoutingPriority`: which set of circuit breakers a request falls under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RoutingPriority {
    /// DEFAULT
    #[default]
    Default,
    /// HIGH
    High,
}

impl RoutingPriority {
    /// Both, the default first.
    pub const BOTH: [Self; 2] = [Self::Default, Self::High];

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Default => 0,
            Self::High => 1,
        }
    }

    /// As stats and `/clusters` spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::High => "high",
        }
    }

    /// The limits of this priority.
    pub fn limits(self, settings: &Settings) -> &Breakers {
        match self {
            Self::Default => &settings.breakers_default,
            Self::High => &settings.breakers_high,
        }
    }
}

/// What a circuit breaker limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breaker {
    /// `max_connections`
    Connections,
    /// `max_pending_requests`
    Pending,
    /// `max_requests`
    Requests,
    /// `max_retries`
    Retries,
    /// `max_connection_pools`
    Pools,
}

impl Breaker {
    pub(crate) const ALL: [Self; 5] = [Self::Connections, Self::Pending, Self::Requests, Self::Retries, Self::Pools];

    /// As the configuration spells the limit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "max_connections",
            Self::Pending => "max_pending_requests",
            Self::Requests => "max_requests",
            Self::Retries => "max_retries",
            Self::Pools => "max_connection_pools",
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Connections => 0,
            Self::Pending => 1,
            Self::Requests => 2,
            Self::Retries => 3,
            Self::Pools => 4,
        }
    }

    /// The limit that `limits` sets.
    pub fn limit(self, limits: &Breakers) -> u64 {
        match self {
            Self::Connections => limits.max_connections,
            Self::Pending => limits.max_pending_requests,
            Self::Requests => limits.max_requests,
            Self::Retries => limits.max_retries,
            Self::Pools => limits.max_connection_pools,
        }
    }
}

/// One worker's use: four numbers of each priority in one cache line, and those of pools, which
/// seldom change, in another.
#[derive(Debug, Default)]
#[repr(align(64))]
struct UsageLine([AtomicU64; 16]);

/// The part of a cluster that all threads see.
#[derive(Debug)]
pub struct ClusterShared {
    group: Arc<Group>,
    remaining: [Option<Arc<Group>>; 2],
    lb: Option<Arc<Group>>,
    tracked: TrackedGroups,
    threads: usize,
    usage: OnceLock<Box<[UsageLine]>>,
    /// A retry was asked for: from then on Envoy shows nothing left of a retry budget.
    retried: [AtomicBool; 2],
}

impl ClusterShared {
    /// Registers the cluster's stats. Give them back with [`ClusterShared::unregister`].
    pub fn register(settings: &Settings, store: &Store) -> Arc<Self> {
        let remaining = RoutingPriority::BOTH.map(|priority| {
            let scope = || cluster_scope(&settings.stat_name).part("circuit_breakers").part(priority.as_str());
            priority.limits(settings).track_remaining.then(|| store.group(&remaining::TEMPLATE, scope()))
        });
        Arc::new(Self {
            group: store.group(&stats::TEMPLATE, cluster_scope(&settings.stat_name)),
            remaining,
            lb: lb_group(settings, store),
            tracked: TrackedGroups::register(settings, store),
            threads: store.workers() + 1,
            usage: OnceLock::new(),
            retried: Default::default(),
        })
    }

    /// Takes the cluster's stats off the list once nobody else registered the same names.
    pub fn unregister(&self, store: &Store) {
        store.remove(&self.group);
        self.tracked.unregister(store);
        for group in self.remaining.iter().flatten().chain(&self.lb) {
            store.remove(group);
        }
    }

    /// The stats of `cluster.<name>.`.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// The stats of the load balancing policy, if it has any.
    pub(crate) fn lb_group(&self) -> Option<&Arc<Group>> {
        self.lb.as_ref()
    }

    pub(crate) fn tracked(&self) -> &TrackedGroups {
        &self.tracked
    }

    /// Threads that may write: the main thread and the workers.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// How much is in use over all workers.
    pub fn in_use(&self, priority: RoutingPriority, breaker: Breaker) -> u64 {
        let slot = slot(priority, breaker);
        let lines = self.usage.get().map_or(&[][..], |lines| lines);
        lines.iter().filter_map(|line| line.0.get(slot)).fold(0, |sum, cell| sum.wrapping_add(cell.load(Relaxed)))
    }

    pub(crate) fn take(&self, worker: WorkerId, priority: RoutingPriority, breaker: Breaker) {
        self.change(worker, priority, breaker, 1);
    }

    /// A retry is asked for.
    pub(crate) fn note_retry(&self, priority: RoutingPriority) {
        if let Some(retried) = self.retried.get(priority.index()).filter(|retried| !retried.load(Relaxed)) {
            retried.store(true, Relaxed);
        }
    }

    pub(crate) fn give_back(&self, worker: WorkerId, priority: RoutingPriority, breaker: Breaker) {
        self.change(worker, priority, breaker, u64::MAX);
    }

    fn change(&self, worker: WorkerId, priority: RoutingPriority, breaker: Breaker, by: u64) {
        let lines = self.usage.get_or_init(|| (0..self.threads).map(|_| UsageLine::default()).collect());
        if let Some(cell) = lines.get(worker).and_then(|line| line.0.get(slot(priority, breaker))) {
            cell.store(cell.load(Relaxed).wrapping_add(by), Relaxed);
        }
    }

    /// Writes the `circuit_breakers.*` gauges; the main thread calls it before stats are read.
    /// The data plane never touches them.
    pub(crate) fn publish_breakers(&self, settings: &Settings, live: &LiveLimits, main: &Shard) {
        if self.usage.get().is_none() && self.remaining.iter().all(Option::is_none) {
            return;
        }
        for priority in RoutingPriority::BOTH {
            for (breaker, open, left) in gauges(priority) {
                let (used, limit) = (self.in_use(priority, breaker), live.of(settings, priority, breaker));
                // Envoy looks when something is taken: a limit of zero alone opens nothing.
                let is_open = u64::from(used > 0 && used >= limit);
                if self.group.gauge(open) != is_open {
                    main.gauge_set(open, is_open);
                }
                if let Some(Some(group)) = self.remaining.get(priority.index()) {
                    let has_budget = breaker == Breaker::Retries && live.retry_budget(settings, priority).is_some();
                    let nothing = has_budget && self.retried.get(priority.index()).is_some_and(|r| r.load(Relaxed));
                    group.shard(0).gauge_set(left, if nothing { 0 } else { limit.saturating_sub(used) });
                }
            }
        }
    }
}

fn lb_group(settings: &Settings, store: &Store) -> Option<Arc<Group>> {
    let (template, part) = match settings.lb {
        LbPolicy::RingHash(_) => (&ring_hash_stats::TEMPLATE, "ring_hash_lb"),
        LbPolicy::Maglev(_) => (&maglev_stats::TEMPLATE, "maglev_lb"),
        LbPolicy::RoundRobin | LbPolicy::LeastRequest { .. } | LbPolicy::Random => return None,
    };
    Some(store.group(template, cluster_scope(&settings.stat_name).part(part)))
}

fn slot(priority: RoutingPriority, breaker: Breaker) -> usize {
    match breaker {
        Breaker::Pools => 8 + priority.index(),
        _ => priority.index() * 4 + breaker.index(),
    }
}

fn gauges(priority: RoutingPriority) -> [(Breaker, Gauge, Gauge); 5] {
    let (cx, pending, rq, retry, pools) = match priority {
        RoutingPriority::Default => (
            stats::CIRCUIT_DEFAULT_CX_OPEN,
            stats::CIRCUIT_DEFAULT_RQ_PENDING_OPEN,
            stats::CIRCUIT_DEFAULT_RQ_OPEN,
            stats::CIRCUIT_DEFAULT_RQ_RETRY_OPEN,
            stats::CIRCUIT_DEFAULT_CX_POOL_OPEN,
        ),
        RoutingPriority::High => (
            stats::CIRCUIT_HIGH_CX_OPEN,
            stats::CIRCUIT_HIGH_RQ_PENDING_OPEN,
            stats::CIRCUIT_HIGH_RQ_OPEN,
            stats::CIRCUIT_HIGH_RQ_RETRY_OPEN,
            stats::CIRCUIT_HIGH_CX_POOL_OPEN,
        ),
    };
    [
        (Breaker::Connections, cx, remaining::REMAINING_CX),
        (Breaker::Pending, pending, remaining::REMAINING_PENDING),
        (Breaker::Requests, rq, remaining::REMAINING_RQ),
        (Breaker::Retries, retry, remaining::REMAINING_RETRIES),
        (Breaker::Pools, pools, remaining::REMAINING_CX_POOLS),
    ]
}
