//! Counting responses by code: downstream per listener and connection manager, upstream per
//! cluster (Envoy's `CodeStats`).

use http::{HeaderValue, StatusCode};
use nuncio_api::{Headers, names};
use nuncio_stats::{
    Shard,
    templates::{cluster_stats as c, http_class, http_stats, listener_http_class, listener_http_stats},
};

/// Counts a response that went downstream.
pub(crate) fn downstream(manager: &Shard, listener: &Shard, status: StatusCode) {
    manager.inc(http_stats::DOWNSTREAM_RQ_COMPLETED);
    listener.inc(listener_http_stats::DOWNSTREAM_RQ_COMPLETED);
    if let Some(class) = http_class(status.as_u16()) {
        manager.inc(class);
    }
    if let Some(class) = listener_http_class(status.as_u16()) {
        listener.inc(class);
    }
}

/// Counts a response (or local reply) against its cluster.
pub(crate) fn upstream(cluster: &Shard, status: StatusCode, internal: bool, canary: bool) {
    let code = status.as_u16();
    cluster.dynamic_inc(c::UPSTREAM_RQ, code);
    if canary {
        cluster.dynamic_inc(c::CANARY_UPSTREAM_RQ, code);
    }
    cluster.dynamic_inc(if internal { c::INTERNAL_UPSTREAM_RQ } else { c::EXTERNAL_UPSTREAM_RQ }, code);
}

/// Counts a response that is not passed on because the request is tried again.
pub(crate) fn retried(cluster: &Shard, status: StatusCode) {
    cluster.dynamic_inc(c::RETRY_UPSTREAM_RQ, status.as_u16());
}

/// Records how long the upstream took.
pub(crate) fn upstream_time(cluster: &Shard, ms: u64, internal: bool, canary: bool) {
    cluster.record(c::UPSTREAM_RQ_TIME, ms);
    if canary {
        cluster.record(c::CANARY_UPSTREAM_RQ_TIME, ms);
    }
    cluster.record(if internal { c::INTERNAL_UPSTREAM_RQ_TIME } else { c::EXTERNAL_UPSTREAM_RQ_TIME }, ms);
}

/// The upstream says it is a canary.
pub(crate) fn is_canary(headers: &Headers, host_is_canary: bool) -> bool {
    host_is_canary || headers.get(&names::X_ENVOY_UPSTREAM_CANARY).map(HeaderValue::as_bytes) == Some(b"true")
}
