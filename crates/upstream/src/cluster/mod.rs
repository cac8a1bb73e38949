//! A cluster as one worker sees it: settings, stats, and the choice of a host.
//!
//! Hosts and pickers are built from the latest [`HostSet`] when the first request asks for one, so
//! a cluster that is never used costs a map entry. A new host set keeps the [`Host`]s that stay,
//! with their pools; the others drain, and all with `close_connections_on_host_set_change`. A pick
//! ([`local_hosts`]) is made again if the caller rejects the host (retry predicates), as often as
//! it allows.

mod local_hosts;
#[cfg(test)]
mod tests;
mod zones;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use nuncio_config::model::cluster::Cluster as Settings;
use nuncio_stats::Shard;

use crate::{
    context::{Context, Environment, RetryPermit},
    host::Host,
    host_set::{HostSet, PreviousPriorities},
    pool::{Acquire, AcquireOptions},
    shared::RoutingPriority,
    tracked::TrackedStats,
};

use local_hosts::LocalHosts;

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
        Rc::new(Self { context, hosts: RefCell::new(LocalHosts::new(set)) })
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
        // Asked for every response, and mostly there is no zone to count.
        if self.context.has_zone() { self.context.zone_stats(&host.locality().zone) } else { None }
    }

    /// One of `max_retries` or of the retry budget, or `None` when that many retries are active
    /// already (`upstream_rq_retry_overflow`, counted here).
    pub fn try_retry(&self, high_priority: bool) -> Option<RetryPermit> {
        let priority = if high_priority { RoutingPriority::High } else { RoutingPriority::Default };
        self.context.retry_permit(priority)
    }

    /// A newer host set. Hosts that are not in it drain.
    pub(crate) fn set_hosts(&self, set: Arc<HostSet>) {
        let gone = self.hosts.borrow_mut().replace(set, &self.context.settings);
        for host in gone {
            host.drain();
        }
    }

    /// The cluster is gone: what is in use finishes, the rest closes.
    pub(crate) fn drain(&self) {
        let hosts = self.hosts.borrow_mut().take();
        for host in hosts {
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
