//! What a configuration file says: places of fields, clusters as configured.

use std::sync::Arc;

use nuncio_config::{
    Source, SpanIndex,
    model::{
        Cluster,
        cluster::{EndpointHealth, LbPolicy, UpstreamProtocol},
    },
};
use nuncio_proxy::explain::{BreakerReport, BudgetReport, ClusterReport, Clusters, HostReport, Place, Places};
use nuncio_upstream::{Breaker, RoutingPriority};

/// The texts of the configuration.
pub(super) struct TextPlaces<'a> {
    pub(super) spans: &'a SpanIndex,
    pub(super) sources: &'a [Source],
}

impl Places for TextPlaces<'_> {
    fn find(&self, path: &str) -> Place {
        let Some(location) = self.spans.find(path) else { return Place::Absent };
        let file = usize::try_from(location.file).ok().and_then(|file| self.sources.get(file));
        Place::At(format!("{}:{}", file.map_or("", |source| source.name.as_str()), location.line))
    }
}

/// Clusters of a bootstrap.
pub(super) struct Configured<'a> {
    pub(super) clusters: &'a [Arc<Cluster>],
    pub(super) places: &'a TextPlaces<'a>,
}

impl Clusters for Configured<'_> {
    fn describe(&self, name: &str) -> Option<ClusterReport> {
        let (at, cluster) = self.clusters.iter().enumerate().find(|(_, cluster)| *cluster.name == *name)?;
        let hosts = cluster.endpoints.iter().flat_map(|locality| {
            locality.endpoints.iter().map(|endpoint| HostReport {
                address: endpoint.address.to_string(),
                priority: locality.priority,
                weight: endpoint.weight,
                health: health(endpoint.health).to_owned(),
                active_requests: None,
            })
        });
        Some(ClusterReport {
            hosts: hosts.collect(),
            breakers: breakers(cluster, |_, _, configured| (configured, None)),
            at: match self.places.find(&format!("static_resources.clusters[{at}]")) {
                Place::At(place) => Some(place),
                Place::Absent | Place::Unknown => None,
            },
            ..described(cluster)
        })
    }
}

/// The settings of a cluster, without hosts and breakers.
pub(super) fn described(cluster: &Cluster) -> ClusterReport {
    let lb = match &cluster.lb {
        LbPolicy::RoundRobin => "ROUND_ROBIN",
        LbPolicy::LeastRequest { .. } => "LEAST_REQUEST",
        LbPolicy::Random => "RANDOM",
        LbPolicy::RingHash(_) => "RING_HASH",
        LbPolicy::Maglev(_) => "MAGLEV",
    };
    let protocol = match cluster.protocol {
        UpstreamProtocol::Http1 => "HTTP/1.1",
        UpstreamProtocol::Http2 => "HTTP/2",
        UpstreamProtocol::SameAsDownstream => "the protocol of the client",
    };
    ClusterReport {
        discovery: discovery(cluster).to_owned(),
        lb_policy: lb.to_owned(),
        protocol: protocol.to_owned(),
        hosts: Vec::new(),
        breakers: Vec::new(),
        at: None,
    }
}

fn discovery(cluster: &Cluster) -> &'static str {
    use nuncio_config::model::cluster::Discovery;
    match cluster.discovery {
        Discovery::Static => "STATIC",
        Discovery::StrictDns => "STRICT_DNS",
        Discovery::LogicalDns => "LOGICAL_DNS",
    }
}

/// All limits; `state` gives the limit that holds and how much of it is in use.
pub(super) fn breakers(
    cluster: &Cluster,
    state: impl Fn(RoutingPriority, Breaker, u64) -> (u64, Option<u64>),
) -> Vec<BreakerReport> {
    let all = [Breaker::Connections, Breaker::Pending, Breaker::Requests, Breaker::Retries];
    let of = |priority: RoutingPriority| {
        all.map(|breaker| {
            let limits = priority.limits(cluster);
            let (limit, in_use) = state(priority, breaker, breaker.limit(limits));
            let budget = limits.retry_budget.filter(|_| breaker == Breaker::Retries);
            let retry_budget =
                budget.map(|budget| BudgetReport { percent: budget.percent, at_least: budget.min_concurrency });
            BreakerReport { priority: priority.as_str(), name: breaker.as_str(), limit, retry_budget, in_use }
        })
    };
    RoutingPriority::BOTH.into_iter().flat_map(of).collect()
}

/// As `/clusters` writes it.
pub(super) fn health(health: EndpointHealth) -> &'static str {
    match health {
        EndpointHealth::Healthy => "healthy",
        EndpointHealth::Degraded => "/degraded_eds_health",
        EndpointHealth::Unhealthy => "/failed_eds_health",
    }
}
