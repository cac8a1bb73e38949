//! What a forwarding route does with one request: a pure function of route, request and settings.
//!
//! [`plan`] chooses the cluster (by name, header or weight, the weights as the runtime has them) and
//! how long everything may take ([`super::timeouts`]). It changes nothing; what the decision means for the
//! request's headers is in [`crate::headers`].

use std::{sync::Arc, time::Duration};

use nuncio_api::{RequestHead, Runtime};
use nuncio_config::model::{
    HttpConnectionManager,
    route::{ClusterSpecifier, Forward, RandomValue, WeightedCluster},
};

use super::{
    hash, read,
    timeouts::{StreamDuration, Timeouts},
};
use crate::stream_info::StreamInfo;

/// The decision.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Where to; `None` when `cluster_header` is missing.
    pub cluster: Option<Arc<str>>,
    /// Index of the weighted cluster that was drawn.
    pub weighted: Option<usize>,
    /// Limits on the answer.
    pub timeouts: Timeouts,
    /// Stream idle timeout, `None` = off.
    pub idle_timeout: Option<Duration>,
    /// Idle timeout once only bytes to the client are left, `None` = off.
    pub flush_timeout: Option<Duration>,
    /// Limit of the stream.
    pub duration: StreamDuration,
}

/// What a plan depends on besides the route.
#[derive(Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    /// The manager's settings.
    pub manager: &'a HttpConnectionManager,
    /// Weights may be changed there.
    pub runtime: &'a Runtime,
    /// Draws among weighted clusters.
    pub random: u64,
    /// The request is a gRPC one.
    pub is_grpc: bool,
}

/// Plans the request in `info`.
pub(crate) fn plan(forward: &Forward, request: &RequestHead, info: &StreamInfo, given: Circumstances<'_>) -> Plan {
    let (cluster, weighted) = choose_cluster(forward, request, info, given);
    let manager = given.manager;
    let idle_timeout = match forward.idle_timeout {
        Some(own) => Some(own).filter(|own| !own.is_zero()),
        None => manager.stream_idle_timeout,
    };
    Plan {
        cluster,
        weighted,
        timeouts: Timeouts::of(forward, &manager.router, request, given.is_grpc),
        idle_timeout,
        flush_timeout: match forward.flush_timeout {
            Some(own) => Some(own).filter(|own| !own.is_zero()),
            None => idle_timeout,
        },
        duration: StreamDuration::of(forward, manager, request, given.is_grpc),
    }
}

/// The cluster's name, and which of the weighted ones it is.
pub(crate) fn choose_cluster(
    forward: &Forward,
    request: &RequestHead,
    info: &StreamInfo,
    given: Circumstances<'_>,
) -> (Option<Arc<str>>, Option<usize>) {
    match &forward.cluster {
        ClusterSpecifier::Name(name) => (Some(Arc::clone(name)), None),
        ClusterSpecifier::Header(header) => (read::first(request, header).map(Arc::from), None),
        ClusterSpecifier::Weighted(clusters, by) => {
            let asked = match by {
                RandomValue::Random => None,
                RandomValue::Header(name) => match read::all(request, name).as_slice() {
                    [one] => std::str::from_utf8(one).ok().and_then(|text| text.trim_ascii().parse().ok()),
                    _ => None,
                },
                RandomValue::HashPolicy => hash::without_cookies(&forward.hash, info),
            };
            match draw(clusters, asked.unwrap_or(given.random), given.runtime) {
                Some((index, chosen)) => (name_of(chosen, request), Some(index)),
                None => (None, None),
            }
        }
    }
}

fn name_of(chosen: &WeightedCluster, request: &RequestHead) -> Option<Arc<str>> {
    match &chosen.header {
        Some(header) => read::first(request, header).map(Arc::from),
        None => Some(Arc::clone(&chosen.name)),
    }
}

fn draw<'a>(clusters: &'a [WeightedCluster], random: u64, runtime: &Runtime) -> Option<(usize, &'a WeightedCluster)> {
    let weight = |cluster: &WeightedCluster| match &cluster.runtime_key {
        Some(key) => runtime.u64(key, cluster.weight.into()),
        None => cluster.weight.into(),
    };
    let total = clusters.iter().fold(0u64, |total, cluster| total.saturating_add(weight(cluster)));
    let mut left = random.checked_rem(total)?;
    clusters.iter().enumerate().find(|(_, cluster)| {
        let weight = weight(cluster);
        let hit = left < weight;
        left = left.saturating_sub(weight);
        hit
    })
}
