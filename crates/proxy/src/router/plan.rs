//! What a forwarding route does with one request: a pure function of route, request and settings.

use std::{sync::Arc, time::Duration};

use nuncio_api::RequestHead;
use nuncio_config::model::{
    HttpConnectionManager,
    route::{ClusterSpecifier, Forward, WeightedCluster},
};

use super::read;

use super::timeouts::{StreamDuration, Timeouts};
use crate::reply::is_grpc_request;

/// The decision.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Where to; `None` when `cluster_header` is missing.
    pub cluster: Option<Arc<str>>,
    /// Index of the weighted cluster that was drawn.
    pub weighted: Option<usize>,
    /// Limits of the request and its tries.
    pub timeouts: Timeouts,
    /// Stream idle timeout, `None` = off.
    pub idle_timeout: Option<Duration>,
    /// Limit of the stream.
    pub duration: StreamDuration,
}

/// Plans a request. `random` draws among weighted clusters.
pub(crate) fn plan(forward: &Forward, manager: &HttpConnectionManager, request: &RequestHead, random: u64) -> Plan {
    let (cluster, weighted) = choose_cluster(&forward.cluster, request, random);
    Plan {
        cluster,
        weighted,
        timeouts: Timeouts::of(forward, &manager.router, request, is_grpc_request(&request.headers)),
        idle_timeout: match forward.idle_timeout {
            Some(Duration::ZERO) => None,
            Some(own) => Some(own),
            None => manager.stream_idle_timeout,
        },
        duration: StreamDuration::of(forward, manager, request),
    }
}

fn choose_cluster(
    specifier: &ClusterSpecifier,
    request: &RequestHead,
    random: u64,
) -> (Option<Arc<str>>, Option<usize>) {
    match specifier {
        ClusterSpecifier::Name(name) => (Some(Arc::clone(name)), None),
        ClusterSpecifier::Header(header) => (read::first(request, header).map(Arc::from), None),
        ClusterSpecifier::Weighted(clusters, _) => match draw(clusters, random) {
            Some((index, chosen)) => (name_of(chosen, request), Some(index)),
            None => (None, None),
        },
    }
}

fn name_of(chosen: &WeightedCluster, request: &RequestHead) -> Option<Arc<str>> {
    match &chosen.header {
        Some(header) => read::first(request, header).map(Arc::from),
        None => Some(Arc::clone(&chosen.name)),
    }
}

fn draw(clusters: &[WeightedCluster], random: u64) -> Option<(usize, &WeightedCluster)> {
    let total: u64 = clusters.iter().map(|c| u64::from(c.weight)).sum();
    let mut left = random.checked_rem(total)?;
    clusters.iter().enumerate().find(|(_, cluster)| {
        let weight = u64::from(cluster.weight);
        let hit = left < weight;
        left = left.saturating_sub(weight);
        hit
    })
}
