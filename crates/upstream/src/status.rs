//! What the admin endpoint shows of a cluster (`/clusters`), gathered over all workers.

use std::sync::Arc;

use nuncio_config::model::cluster::{Cluster as Settings, EndpointHealth};

use crate::{
    host_set::{HostEntry, HostSet},
    shared::{Breaker, RoutingPriority},
    tally::HostStat,
};

/// One cluster.
#[derive(Debug)]
pub struct ClusterStatus {
    /// Its settings: name, breakers, whether it came by xDS.
    pub settings: Arc<Settings>,
    /// In use: connections, pending requests, requests, retries, for each priority.
    pub in_use: [(RoutingPriority, [(Breaker, u64); 4]); 2],
    /// Its hosts, by priority and then in config order.
    pub hosts: Vec<HostStatus>,
}

/// One host.
#[derive(Debug)]
pub struct HostStatus {
    /// Address, hostname, locality, weight, priority, canary, health.
    pub host: Arc<HostEntry>,
    /// Numbers in the order of [`HostStat::ALL`].
    pub stats: [(HostStat, u64); 9],
}

impl ClusterStatus {
    pub(crate) fn new(settings: &Arc<Settings>, hosts: &HostSet) -> Self {
        let breakers = [Breaker::Connections, Breaker::Pending, Breaker::Requests, Breaker::Retries];
        let shared = hosts.shared();
        Self {
            settings: Arc::clone(settings),
            in_use: RoutingPriority::BOTH
                .map(|priority| (priority, breakers.map(|breaker| (breaker, shared.in_use(priority, breaker))))),
            hosts: hosts.hosts().map(HostStatus::new).collect(),
        }
    }
}

impl HostStatus {
    fn new(host: &Arc<HostEntry>) -> Self {
        Self { host: Arc::clone(host), stats: HostStat::ALL.map(|stat| (stat, host.description.stat(stat))) }
    }

    /// `health_flags` as `/clusters` spells them.
    pub fn health_flags(&self) -> &'static str {
        match self.host.health {
            EndpointHealth::Healthy => "healthy",
            EndpointHealth::Degraded => "/degraded_eds_health",
            EndpointHealth::Unhealthy => "/failed_eds_health",
        }
    }
}
