//! What must happen exactly once per stream, however it ends: stats and the access log line.
//!
//! A guard: dropping it (the normal end, a failure, or the whole future being dropped because the
//! connection was cut) finishes the stream.

use std::{
    rc::Rc,
    sync::{Arc, LazyLock},
    time::Duration,
};

use http::StatusCode;
use nuncio_api::{Protocol, RequestHead, ResponseFlag};
use nuncio_config::model::route::{Route, VirtualHost};
use nuncio_stats::templates::http_stats;
use nuncio_upstream::Cluster;
use tokio::time::Instant;

use super::Arrival;
use crate::{
    hcm::Hcm,
    phase::phase,
    reply::Failure,
    router::charge::{self, Bodies, Charged, Charging, Measured, PerTry},
    stream_info::StreamInfo,
};

/// Stands for a request that could not be read.
static NOTHING: LazyLock<RequestHead> = LazyLock::new(|| RequestHead {
    method: http::Method::GET,
    scheme: nuncio_api::Scheme::Http,
    authority: nuncio_api::Text::default(),
    path: nuncio_api::Text::default(),
    protocol: Protocol::Http11,
    upgrade: None,
    headers: nuncio_api::Headers::new(),
});

/// One stream's record.
pub(crate) struct Record {
    hcm: Rc<Hcm>,
    /// Everything known about the stream.
    pub(crate) info: StreamInfo,
    /// The cluster in play.
    pub(super) cluster: Option<Rc<Cluster>>,
    /// The route's timeout, once planned.
    pub(super) timeout: Option<Duration>,
    /// Idle time while only bytes to the client are left, once planned; `None` within = no limit.
    pub(super) flush_timeout: Option<Option<Duration>>,
    /// `set-cookie` of cookies that hashing made up.
    pub(super) cookies: Box<[http::HeaderValue]>,
    /// Index of the weighted cluster that was drawn.
    pub(super) weighted: Option<usize>,
    /// Another stream goes on with the request (internal redirect): nothing has gone down.
    pub(super) continues: bool,
    /// A gRPC response has begun well; its trailers tell whether it was a success of the host.
    pub(super) awaits_grpc_status: bool,
    /// More than one try was made.
    pub(super) retried: bool,
    /// `x-envoy-upstream-rq-timeout-alt-response`: upstream timeouts are answered with 204.
    pub(super) alt_timeout: bool,
    /// What the request is charged to, once its cluster is known.
    pub(super) charged: Option<Charged>,
    /// The exchange ended by itself (not cut by dropping).
    pub(super) ended: bool,
    /// It counts as an upgrade.
    pub(super) is_upgrade: bool,
}

impl Record {
    /// `protocol` is what an unread request came over.
    pub(super) fn begin(arrival: &Arrival<'_>, request: Option<RequestHead>, protocol: Protocol) -> Self {
        let hcm = Rc::clone(arrival.hcm);
        let mut info = StreamInfo::new(Rc::clone(arrival.connection), request);
        hcm.stats.inc(http_stats::DOWNSTREAM_RQ_TOTAL);
        hcm.stats.gauge_inc(http_stats::DOWNSTREAM_RQ_ACTIVE);
        info.protocol.get_or_insert(protocol);
        match info.protocol {
            Some(Protocol::Http2) => hcm.stats.inc(http_stats::DOWNSTREAM_RQ_HTTP2_TOTAL),
            Some(_) | None => hcm.stats.inc(http_stats::DOWNSTREAM_RQ_HTTP1_TOTAL),
        }
        Self {
            hcm,
            info,
            cluster: None,
            timeout: None,
            flush_timeout: None,
            cookies: Box::default(),
            weighted: None,
            continues: false,
            awaits_grpc_status: false,
            retried: false,
            alt_timeout: false,
            charged: None,
            ended: false,
            is_upgrade: false,
        }
    }

    /// The request. (An empty one when none could be read; nothing asks then.)
    pub(super) fn request(&self) -> &RequestHead {
        self.info.request.as_ref().unwrap_or_else(|| &NOTHING)
    }

    /// The request goes to `cluster`, by this route.
    pub(super) fn charge_to(&mut self, cluster: &Rc<Cluster>, host: &Arc<VirtualHost>, route: &Arc<Route>) {
        let how = Charging { dynamic_stats: self.hcm.settings.router.dynamic_stats, internal: self.info.internal };
        let request = self.info.request.as_ref().unwrap_or_else(|| &NOTHING);
        let (shards, name) = self.hcm.route_stats.find(host, route, request);
        self.charged = Some(Charged::new(cluster, shards, request, how));
        self.info.virtual_cluster = name;
        let settings = cluster.settings();
        if settings.stat_name != *settings.name {
            self.info.upstream.cluster_alias = Some(settings.stat_name.as_str().into());
        }
    }

    /// A try is over.
    pub(super) fn try_ended(&self, of: Measured, bodies: Bodies, limit: PerTry) {
        if let Some(charged) = &self.charged {
            charged.try_ended(of, self.request(), bodies, limit);
        }
    }

    /// The router gives up for this reason; `reply` is its answer unless a response had begun.
    pub(super) fn charge_failure(&self, failure: &Failure, reply: Option<StatusCode>) {
        let Some(charged) = self.charged.as_ref().filter(|_| failure.is_routers()) else { return };
        if let Some(status) = reply {
            charged.response(status);
        }
        if let (true, Some(since)) = (failure.is_upstream_timeout(), self.info.request_complete) {
            charged.budget(since.elapsed(), self.timeout);
        }
    }

    fn finish(&mut self) {
        phase!("finish");
        // The last byte has left a moment ago, unless the stream was cut.
        let end = self.info.downstream_last_tx.unwrap_or_else(Instant::now);
        self.info.end = Some(end);
        let stats = &self.hcm.stats;
        stats.gauge_dec(http_stats::DOWNSTREAM_RQ_ACTIVE);
        if self.is_upgrade {
            stats.gauge_dec(http_stats::DOWNSTREAM_CX_UPGRADES_ACTIVE);
        }
        stats.record(http_stats::DOWNSTREAM_RQ_TIME, millis(end.saturating_duration_since(self.info.start)));
        stats.add(http_stats::DOWNSTREAM_CX_RX_BYTES_TOTAL, self.info.downstream_wire.received);
        stats.add(http_stats::DOWNSTREAM_CX_TX_BYTES_TOTAL, self.info.downstream_wire.sent);
        if !self.ended && self.info.flags.is_empty() {
            self.info.flags.insert(ResponseFlag::DownstreamConnectionTermination);
            self.info.details.get_or_insert("downstream_remote_disconnect".into());
        }
        if let (Some(response), false) = (&self.info.response, self.continues) {
            charge::downstream(stats, &self.hcm.listener_stats, response.status);
        }
        self.hcm.logs.write(&self.info, &self.hcm.context);
        self.hcm.context.count_finished();
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
