//! Where the hosts of a cluster come from. Runs on the main thread.
//!
//! A [`ClusterSource`] stands for one cluster there: it registers the stats, makes the host sets
//! (from the endpoints of a STATIC cluster at once, from DNS as answers come) and is what the
//! admin endpoint reads. [`run_discovery`] publishes host sets for as long as the cluster exists.
//! Workers never ask; they are handed `Arc`s.

mod dns;
mod resolve;
#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use nuncio_api::Runtime;
use nuncio_config::model::{
    Address,
    bootstrap::Locality,
    cluster::{Cluster as Settings, Discovery, Endpoint, LocalityEndpoints},
};
use nuncio_net::SocketAddress;
use nuncio_stats::{Shard, Store, templates::cluster_stats as stats};
use tokio::sync::Notify;

pub use resolve::{DnsResolver, Resolution, Resolve, ResolveError, Resolving};

use crate::{
    happy_eyeballs::attempt_order,
    host_set::{HostDescription, HostEntry, HostSet},
    limits::LiveLimits,
    shared::ClusterShared,
    status::ClusterStatus,
};

/// One cluster on the main thread.
pub struct ClusterSource {
    settings: Arc<Settings>,
    store: Arc<Store>,
    shared: Arc<ClusterShared>,
    stats: Shard,
    limits: OnceCell<LiveLimits>,
    current: RefCell<Arc<HostSet>>,
    is_initialized: Cell<bool>,
    initialized: Notify,
}

impl ClusterSource {
    /// Registers the cluster. A STATIC one has its hosts at once, the others have none yet.
    pub fn new(settings: Arc<Settings>, store: Arc<Store>) -> Rc<Self> {
        let shared = ClusterShared::register(&settings, &store);
        let stats = shared.group().shard(0);
        let is_static = settings.discovery == Discovery::Static;
        let entries = if is_static { static_entries(&settings, &shared) } else { Vec::new() };
        let hosts = HostSet::new(&settings, Arc::clone(&shared), entries);
        if is_static && hosts.hosts().next().is_some() {
            hosts.publish_membership(&stats, true);
            count_matches(&stats, hosts.hosts().count());
        }
        Rc::new(Self {
            settings,
            store,
            shared,
            stats,
            limits: OnceCell::new(),
            current: RefCell::new(hosts),
            is_initialized: Cell::new(is_static),
            initialized: Notify::new(),
        })
    }

    /// The settings.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The latest host set; give it to workers together with the settings.
    pub fn hosts(&self) -> Arc<HostSet> {
        Arc::clone(&self.current.borrow())
    }

    /// True once hosts are known, or finding them failed for the first time.
    pub fn is_initialized(&self) -> bool {
        self.is_initialized.get()
    }

    /// Waits until [`ClusterSource::is_initialized`], at most `limit`; answers whether it is.
    /// Cancel-safe.
    pub async fn wait_initialized(&self, limit: Duration) -> bool {
        if !self.is_initialized() {
            // Either way the answer is looked up below.
            let _ = tokio::time::timeout(limit, self.initialized.notified()).await;
        }
        self.is_initialized()
    }

    /// What `/clusters` shows, and the `circuit_breakers.*` gauges written on the way.
    pub fn status(&self) -> ClusterStatus {
        self.publish_breakers();
        ClusterStatus::new(&self.settings, &self.hosts())
    }

    /// The runtime that may override limits; to be said before the gauges are written.
    pub fn follow_runtime(&self, runtime: Runtime) {
        let _ = self.limits.set(LiveLimits::new(runtime));
    }

    /// Writes the `circuit_breakers.*` gauges; call it before stats are flushed or shown.
    pub fn publish_breakers(&self) {
        let limits = self.limits.get_or_init(LiveLimits::default);
        self.shared.publish_breakers(&self.settings, limits, &self.stats);
    }

    /// A resolver as the cluster's settings want it; clusters with the same `dns.resolver` can share
    /// one. Must be called inside a tokio runtime.
    pub fn resolver(&self) -> Result<DnsResolver, ResolveError> {
        DnsResolver::new(&self.settings.dns.resolver, &self.store)
    }

    fn set_initialized(&self) {
        if !self.is_initialized.replace(true) {
            self.initialized.notify_waiters();
        }
    }

    /// Makes `entries` the current host set; `None` when nothing about them is new.
    fn replace(&self, entries: Vec<Arc<HostEntry>>) -> Option<Arc<HostSet>> {
        let old = self.hosts();
        let (came_or_went, changed) = difference(&old, &entries);
        if !changed {
            return None;
        }
        let hosts = HostSet::new(&self.settings, Arc::clone(&self.shared), entries);
        hosts.publish_membership(&self.stats, came_or_went);
        self.current.replace(Arc::clone(&hosts));
        Some(hosts)
    }

    /// Envoy writes it with each list that may change, which of those here only STRICT_DNS has.
    fn publish_heaviest(&self) {
        let heaviest = self.current.borrow().hosts().map(|host| host.weight).max().unwrap_or(1);
        self.stats.gauge_set(stats::MAX_HOST_WEIGHT, heaviest.into());
    }
}

impl Drop for ClusterSource {
    fn drop(&mut self) {
        self.shared.unregister(&self.store);
    }
}

/// Publishes host sets until dropped: the current one at once when it is complete, then each new
/// one. Must run inside a `LocalSet` or a local runtime. Cancel-safe.
pub async fn run_discovery(
    source: Rc<ClusterSource>,
    resolver: Rc<dyn Resolve>,
    publish: impl Fn(Arc<HostSet>) + 'static,
) {
    match source.settings.discovery {
        Discovery::Static => publish(source.hosts()),
        Discovery::StrictDns => dns::strict(source, resolver, Rc::new(publish)).await,
        Discovery::LogicalDns => dns::logical(source, resolver, Rc::new(publish)).await,
    }
}

fn static_entries(settings: &Settings, shared: &ClusterShared) -> Vec<Arc<HostEntry>> {
    let mut entries = Vec::new();
    for group in &settings.endpoints {
        let locality = Arc::new(group.locality.clone());
        for endpoint in &group.endpoints {
            if let Some(address) = fixed_address(&endpoint.address) {
                let description = HostDescription::new(&endpoint.hostname, shared);
                let mut all = vec![address];
                all.extend(endpoint.additional_addresses.iter().filter_map(fixed_address));
                entries.extend(entry(settings, description, &all, endpoint, group, &locality));
            }
        }
    }
    entries
}

/// Envoy finds a transport socket for every host that it makes, and makes all of them anew for
/// every DNS answer.
fn count_matches(stats_of: &Shard, hosts: usize) {
    stats_of.add(stats::DEFAULT_TOTAL_MATCH_COUNT, u64::try_from(hosts).unwrap_or(u64::MAX));
}

/// Names need DNS; a STATIC cluster cannot have one (config validation refuses it).
fn fixed_address(address: &Address) -> Option<SocketAddress> {
    match address {
        Address::Ip(address) => Some(SocketAddress::Ip(*address)),
        Address::Pipe { path, .. } => Some(SocketAddress::Pipe(path.clone())),
        Address::Name { .. } => None,
    }
}

/// A host at the first of `addresses`; the others are tried along with it.
fn entry(
    settings: &Settings,
    description: Arc<HostDescription>,
    addresses: &[SocketAddress],
    endpoint: &Endpoint,
    group: &LocalityEndpoints,
    locality: &Arc<Locality>,
) -> Option<Arc<HostEntry>> {
    let attempts = match addresses {
        [] | [_] => Vec::new(),
        several => attempt_order(several, settings.happy_eyeballs),
    };
    Some(Arc::new(HostEntry {
        description,
        address: addresses.first()?.clone(),
        attempts: attempts.into(),
        weight: endpoint.weight.max(1),
        health: endpoint.health,
        canary: endpoint.canary,
        locality: Arc::clone(locality),
        priority: group.priority,
        metadata: Arc::clone(&endpoint.metadata),
    }))
}

/// Whether hosts came or went, and whether anything at all is different.
fn difference(old: &HostSet, new: &[Arc<HostEntry>]) -> (bool, bool) {
    let mut sorted: Vec<_> = new.iter().collect();
    // A host set lists by priority, in order within each.
    sorted.sort_by_key(|entry| entry.priority);
    let before: Vec<_> = old.hosts().collect();
    let same_hosts = before.len() == sorted.len()
        && before.iter().zip(&sorted).all(|(a, b)| Arc::ptr_eq(&a.description, &b.description));
    let came_or_went = !same_hosts && {
        let known = |list: &[&Arc<HostEntry>]| {
            let mut ids: Vec<_> = list.iter().map(|entry| Arc::as_ptr(&entry.description)).collect();
            ids.sort_unstable();
            ids
        };
        known(&before) != known(&sorted)
    };
    let same_details = same_hosts
        && before.iter().zip(&sorted).all(|(a, b)| {
            a.address == b.address
                && a.attempts == b.attempts
                && a.weight == b.weight
                && a.health == b.health
                && a.priority == b.priority
        });
    (came_or_went, !same_details)
}
