//! Clusters of the running process: the hosts of now, what is in use.

use std::sync::Arc;

use nuncio_api::RuntimeSnapshot;
use nuncio_config::model::Cluster;
use nuncio_proxy::explain::{ClusterReport, Clusters, HostReport, Place, Places};
use nuncio_upstream::{HostSet, HostStat, breaker_key};

use super::offline::{breakers, described, health};

/// The text of the configuration is not kept.
pub(crate) struct NoPlaces;

impl Places for NoPlaces {
    fn find(&self, _: &str) -> Place {
        Place::Unknown
    }
}

/// Clusters as they are.
pub(crate) struct Running<'a> {
    pub(crate) clusters: Vec<(Arc<Cluster>, Arc<HostSet>)>,
    pub(crate) runtime: &'a RuntimeSnapshot,
}

impl Clusters for Running<'_> {
    fn describe(&self, name: &str) -> Option<ClusterReport> {
        let (cluster, set) = self.clusters.iter().find(|(cluster, _)| *cluster.name == *name)?;
        let hosts = set.hosts().map(|host| HostReport {
            address: host.address.to_string(),
            priority: host.priority,
            weight: host.weight,
            health: health(host.health).to_owned(),
            active_requests: Some(host.description.stat(HostStat::RqActive)),
        });
        let shared = set.shared();
        let state = |priority, breaker, configured| {
            let limit = self.runtime.u64(&breaker_key(&cluster.name, priority, breaker), configured);
            (limit, Some(shared.in_use(priority, breaker)))
        };
        Some(ClusterReport { hosts: hosts.collect(), breakers: breakers(cluster, state), ..described(cluster) })
    }
}
