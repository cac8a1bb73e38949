//! STRICT_DNS and LOGICAL_DNS: asking again and again, and what an answer changes.
//!
//! Each name has a loop of its own: ask, take the answer in, sleep. A failed lookup changes
//! nothing, so the last good answer stays; an answer without addresses removes the hosts of a
//! STRICT_DNS name, as in Envoy, while LOGICAL_DNS keeps its last address. Hosts are recognised by
//! name and address, so those that stay keep their pools and counters.
//!
//! Sleep: `dns_refresh_rate`, or the answer's TTL with `respect_dns_ttl` (at least
//! `dns_min_refresh_rate`), plus up to `dns_jitter`;
//! after failures `dns_failure_refresh_rate` with back-off. Limits: [`MAX_ADDRESSES`] per name.

use std::{cell::RefCell, collections::HashSet, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use nuncio_config::model::{
    Address,
    cluster::{Discovery, Dns, Endpoint, LocalityEndpoints},
};
use nuncio_net::SocketAddress;
use nuncio_stats::templates::cluster_stats as stats;
use tokio::task::JoinSet;

use super::{ClusterSource, Resolution, Resolve, count_matches, entry, fixed_address};
use crate::host_set::{HostDescription, HostEntry, HostSet};

/// Addresses of one name that become hosts; a larger answer is cut, and said so in the log.
const MAX_ADDRESSES: usize = 4096;

/// The hosts that one configured endpoint stands for now.
type Slots = Rc<RefCell<Vec<Vec<Arc<HostEntry>>>>>;

/// One name to resolve.
struct Target {
    slot: usize,
    name: String,
    port: u16,
    endpoint: Endpoint,
    group: LocalityEndpoints,
}

pub(super) async fn strict<P: Fn(Arc<HostSet>) + 'static>(
    source: Rc<ClusterSource>,
    resolver: Rc<dyn Resolve>,
    publish: Rc<P>,
) {
    let (targets, fixed) = targets(&source);
    if targets.is_empty() {
        take_in(&source, &fixed, &*publish);
        source.set_initialized();
        return;
    }
    let open = Rc::new(RefCell::new((0..targets.len()).collect::<HashSet<_>>()));
    let mut loops = JoinSet::new();
    for (number, target) in targets.into_iter().enumerate() {
        let (source, resolver, publish) = (Rc::clone(&source), Rc::clone(&resolver), Rc::clone(&publish));
        let (slots, open) = (Rc::clone(&fixed), Rc::clone(&open));
        loops.spawn_local(async move {
            let mut pace = Pace::new(&source.settings.dns);
            loop {
                let answer = ask(&source, &*resolver, &target.name).await;
                if let Some(answer) = &answer {
                    let hosts = strict_hosts(&source, &target, &slots, &answer.addresses);
                    if let Some(slot) = slots.borrow_mut().get_mut(target.slot) {
                        *slot = hosts;
                    }
                    take_in(&source, &slots, &*publish);
                    source.publish_heaviest();
                }
                open.borrow_mut().remove(&number);
                if open.borrow().is_empty() {
                    source.set_initialized();
                }
                tokio::time::sleep(pace.next(answer.as_ref())).await;
            }
        });
    }
    // The loops never end by themselves; dropping this future ends them.
    while loops.join_next().await.is_some() {}
}

pub(super) async fn logical<P: Fn(Arc<HostSet>) + 'static>(
    source: Rc<ClusterSource>,
    resolver: Rc<dyn Resolve>,
    publish: Rc<P>,
) {
    let (targets, slots) = targets(&source);
    let Some(target) = targets.into_iter().next() else {
        take_in(&source, &slots, &*publish);
        source.set_initialized();
        return;
    };
    let description = HostDescription::new(hostname(&target), &source.shared);
    let locality = Arc::new(target.group.locality.clone());
    let mut pace = Pace::new(&source.settings.dns);
    loop {
        let answer = ask(&source, &*resolver, &target.name).await;
        if let Some(answer) = &answer {
            let addresses: Vec<_> = answer.addresses.iter().map(|ip| at(*ip, &target)).collect();
            let description = Arc::clone(&description);
            let host = entry(&source.settings, description, &addresses, &target.endpoint, &target.group, &locality);
            if let Some(slot) = slots.borrow_mut().get_mut(target.slot) {
                *slot = host.into_iter().collect();
            }
            take_in(&source, &slots, &*publish);
        }
        source.set_initialized();
        tokio::time::sleep(pace.next(answer.as_ref())).await;
    }
}

/// Names to resolve, and a slot for each endpoint; Unix sockets are filled in already. An address
/// is a name too that is asked for again and again, as in Envoy.
fn targets(source: &ClusterSource) -> (Vec<Target>, Slots) {
    let mut targets = Vec::new();
    let mut slots = Vec::new();
    for group in &source.settings.endpoints {
        let locality = Arc::new(group.locality.clone());
        for endpoint in &group.endpoints {
            let name = match &endpoint.address {
                Address::Name { host, port } => Some((host.clone(), *port)),
                Address::Ip(address) => Some((address.ip().to_string(), address.port())),
                Address::Pipe { .. } => None,
            };
            let is_fixed = name.is_none();
            if let Some((name, port)) = name {
                targets.push(Target {
                    slot: slots.len(),
                    name,
                    port,
                    endpoint: endpoint.clone(),
                    group: LocalityEndpoints { endpoints: Vec::new(), ..group.clone() },
                });
            }
            let fixed = fixed_address(&endpoint.address).filter(|_| is_fixed).and_then(|address| {
                let description = HostDescription::new(&endpoint.hostname, &source.shared);
                entry(&source.settings, description, &[address], endpoint, group, &locality)
            });
            slots.push(fixed.into_iter().collect());
        }
    }
    (targets, Rc::new(RefCell::new(slots)))
}

/// One lookup, counted; `None` when it failed.
async fn ask(source: &ClusterSource, resolver: &dyn Resolve, name: &str) -> Option<Resolution> {
    source.stats.inc(stats::UPDATE_ATTEMPT);
    match resolver.resolve(name, source.settings.dns.family).await {
        // A logical host stays where it is, so nothing found is a failure; a strict cluster is emptied.
        Ok(answer) if answer.addresses.is_empty() && source.settings.discovery == Discovery::LogicalDns => {
            source.stats.inc(stats::UPDATE_FAILURE);
            None
        }
        Ok(answer) => {
            source.stats.inc(stats::UPDATE_SUCCESS);
            let hosts = match source.settings.discovery {
                Discovery::LogicalDns => answer.addresses.len().min(1),
                Discovery::Static | Discovery::StrictDns => answer.addresses.iter().collect::<HashSet<_>>().len(),
            };
            count_matches(&source.stats, hosts);
            Some(answer)
        }
        Err(error) => {
            source.stats.inc(stats::UPDATE_FAILURE);
            tracing::debug!(target: "nuncio_upstream::dns", cluster = &*source.settings.name, name, %error, "DNS lookup failed");
            None
        }
    }
}

fn take_in(source: &ClusterSource, slots: &Slots, publish: &impl Fn(Arc<HostSet>)) {
    let entries = slots.borrow().iter().flatten().map(Arc::clone).collect();
    match source.replace(entries) {
        Some(hosts) => publish(hosts),
        None => source.stats.inc(stats::UPDATE_NO_REBUILD),
    }
}

/// Hosts of an answer: known addresses keep their description.
fn strict_hosts(source: &ClusterSource, target: &Target, slots: &Slots, addresses: &[IpAddr]) -> Vec<Arc<HostEntry>> {
    if addresses.len() > MAX_ADDRESSES {
        let (name, found) = (target.name.as_str(), addresses.len());
        tracing::warn!(target: "nuncio_upstream::dns", name, found, "DNS answer cut to {MAX_ADDRESSES} addresses");
    }
    let slots = slots.borrow();
    let known = slots.get(target.slot).map_or(&[][..], Vec::as_slice);
    let locality = Arc::new(target.group.locality.clone());
    let mut seen = HashSet::new();
    let unique = addresses.iter().filter(|address| seen.insert(**address)).take(MAX_ADDRESSES);
    unique
        .filter_map(|address| {
            let address = at(*address, target);
            match known.iter().find(|host| host.address == address) {
                Some(host) => Some(Arc::clone(host)),
                None => {
                    let description = HostDescription::new(hostname(target), &source.shared);
                    entry(&source.settings, description, &[address], &target.endpoint, &target.group, &locality)
                }
            }
        })
        .collect()
}

fn at(ip: IpAddr, target: &Target) -> SocketAddress {
    SocketAddress::Ip((ip, target.port).into())
}

fn hostname(target: &Target) -> &str {
    match target.endpoint.hostname.as_str() {
        "" => &target.name,
        hostname => hostname,
    }
}

/// How long to sleep between lookups of one name.
struct Pace {
    settings: Dns,
    /// Bound of the next wait after a failure.
    back_off: Duration,
}

impl Pace {
    fn new(settings: &Dns) -> Self {
        Self { back_off: settings.failure_refresh.0, settings: settings.clone() }
    }

    fn next(&mut self, answer: Option<&Resolution>) -> Duration {
        let (base, max) = self.settings.failure_refresh;
        let wait = match answer {
            Some(answer) => {
                self.back_off = base;
                let ttl = answer.ttl.filter(|ttl| self.settings.respect_ttl && !ttl.is_zero());
                let ttl = ttl.map(|ttl| ttl.max(self.settings.min_refresh));
                ttl.unwrap_or(self.settings.refresh_rate) + part_of(self.settings.jitter)
            }
            None if base >= max => base,
            None => {
                let bound = self.back_off;
                self.back_off = bound.saturating_mul(2).min(max);
                part_of(bound)
            }
        };
        // A wait of nothing would starve the thread that also serves the admin endpoint.
        wait.max(Duration::from_millis(1))
    }
}

/// A random part of `bound`.
fn part_of(bound: Duration) -> Duration {
    bound.mul_f64(fastrand::f64())
}
