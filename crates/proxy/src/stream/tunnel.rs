//! Upgrades and CONNECT, where they differ from other requests. The driver carries a tunnel as it
//! carries two bodies; this file decides whether there is one and how it ends.
//!
//! ```text
//! asked ── not enabled ──> 403 upgrade_failed
//!   └───── enabled ──> asked upstream ── refused ──> an ordinary response; the connection ends
//!            (counted)      └─────────── agreed (101, 2xx to CONNECT) ──> bytes both ways
//! ```
//!
//! Nothing that was sent early reaches an upstream that has not agreed (the codecs hold it back).
//! With `connect_config` there is no upstream to ask: a TCP connection stands in for it, after a
//! PROXY protocol header where one is wanted. The route's timeout ends with the agreement; idle
//! timeout and `max_stream_duration` stay. HTTP/1 has no half-close: a tunnel ends with whichever
//! side closes first. Stats: `downstream_cx_upgrades_*`, `downstream_rq_ws_on_non_ws_route`.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use nuncio_api::{Protocol, RequestHead, ResponseHead};
use nuncio_config::model::route::{ConnectConfig, Forward, RouteAction};
use nuncio_http::{ServerExchange, exchange::ResetReason};
use nuncio_stats::templates::http_stats;

use super::Stream;
use crate::{
    hcm::{response_headers, upgrades},
    proxy_protocol,
    reply::Failure,
    route::Matched,
    router::plan,
};

/// How far a tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tunnel {
    /// An upgrade or CONNECT that is enabled here.
    Asked,
    /// The upstream has agreed; whether the client had already ended its direction by then.
    Open { one_way: bool },
}

impl Stream {
    /// What a request for a tunnel is answered where it is not enabled. A request that no route
    /// takes is left to the answer that any such request gets.
    pub(super) fn admit_tunnel(&mut self, found: &Matched<'_>) -> Result<(), Failure> {
        let Some(kind) = upgrades::wanted(self.record.request()) else { return Ok(()) };
        let manager = &self.hcm.settings.upgrades;
        let enabled = match found {
            Matched::NoVirtualHost | Matched::NoRoute(_) => {
                if upgrades::is_enabled(manager, &[], kind) {
                    self.count_tunnel();
                }
                return Ok(());
            }
            Matched::NeedsTls(_) => upgrades::is_enabled(manager, &[], kind),
            Matched::Route(_, route) => match &route.action {
                RouteAction::Forward(forward) => upgrades::is_enabled(manager, &forward.upgrades, kind),
                _ => upgrades::is_enabled(manager, &[], kind),
            },
        };
        if !enabled {
            return Err(self.refuse_tunnel(found));
        }
        self.count_tunnel();
        Ok(())
    }

    fn count_tunnel(&mut self) {
        self.tunnel = Some(Tunnel::Asked);
        self.record.is_upgrade = true;
        self.hcm.stats.inc(http_stats::DOWNSTREAM_CX_UPGRADES_TOTAL);
        self.hcm.stats.gauge_inc(http_stats::DOWNSTREAM_CX_UPGRADES_ACTIVE);
    }

    /// The log still says which route was found.
    fn refuse_tunnel(&mut self, found: &Matched<'_>) -> Failure {
        self.hcm.stats.inc(http_stats::DOWNSTREAM_RQ_WS_ON_NON_WS_ROUTE);
        if let Matched::Route(_, route) = found {
            if let RouteAction::Forward(forward) = &route.action {
                let info = &self.record.info;
                let (cluster, _) = plan::choose_cluster(forward, self.record.request(), info, self.circumstances());
                self.record.info.upstream.cluster = cluster;
            }
            self.record.info.route = Some((*route).clone());
        }
        Failure::UpgradeFailed
    }

    /// The route's timeout runs until a WebSocket upstream has answered. Other tunnels have none:
    /// it begins with the end of a request, which they do not have.
    pub(super) fn tunnel_has_timeout(&self) -> bool {
        self.tunnel.is_some() && upgrades::is_websocket(self.record.request())
    }

    /// `connect_config`, where the request ends here and its payload goes on as TCP.
    pub(super) fn terminates(&self, forward: &Forward) -> Option<ConnectConfig> {
        let config = forward.upgrades.iter().find(|upgrade| upgrade.kind == "connect")?.connect?;
        let request = self.record.request();
        let is_post = config.allow_post && request.method == Method::POST;
        (upgrades::is_connect(request) || is_post).then_some(config)
    }

    /// What a TCP upstream is sent first.
    pub(super) fn preamble(&self, config: ConnectConfig) -> Bytes {
        let connection = &self.record.info.connection;
        match config.proxy_protocol {
            Some(version) => proxy_protocol::header(version, &connection.remote, &connection.local),
            None => Bytes::new(),
        }
    }

    /// The response has come: is the tunnel open?
    pub(super) fn note_agreement(&mut self, head: &ResponseHead) {
        let agreed = match self.record.request() {
            RequestHead { upgrade: Some(_), .. } => head.status == StatusCode::SWITCHING_PROTOCOLS,
            request => request.method == Method::CONNECT && head.status.is_success(),
        };
        if self.tunnel.is_some() && agreed {
            self.tunnel = Some(Tunnel::Open { one_way: self.request_ended() });
            self.record.timeout = None;
            self.deadlines.set_response(None);
        }
    }

    /// An HTTP/1 upstream that answers a WebSocket handshake with neither consent nor an error: its
    /// headers are passed on, its body is not, as in Envoy.
    pub(super) fn is_failed_handshake(&self, head: &ResponseHead) -> bool {
        let status = head.status;
        self.tunnel_has_timeout()
            && self.record.info.upstream.protocol != Some(Protocol::Http2)
            && status != StatusCode::SWITCHING_PROTOCOLS
            && !(status.is_client_error() || status.is_server_error())
    }

    /// Answers in place of such an upstream.
    pub(super) fn reply_to_failed_handshake<D: ServerExchange>(&mut self, mut head: ResponseHead, down: &mut D) {
        response_headers::drop_hop_by_hop(&mut head.headers);
        head.headers.remove(&header::CONTENT_LENGTH);
        head.headers.remove(&header::CONTENT_TYPE);
        self.record.info.details = Some("websocket_handshake_unsuccessful".into());
        self.record.info.response = Some(head);
        self.send_own(Bytes::new(), down);
    }

    /// How an HTTP/2 client is told that its stream was cut: a tunnel whose TCP connection failed
    /// says so (RFC 9113 section 8.5).
    pub(super) fn cut_reason(&self, failure: &Failure) -> ResetReason {
        match failure {
            Failure::UpstreamTermination | Failure::ConnectFailed(_) | Failure::ConnectTimeout
                if self.tunnel.is_some() =>
            {
                ResetReason::Connect
            }
            _ => ResetReason::InternalError,
        }
    }

    /// True once bytes go both ways: then the end of a connection is no broken message.
    pub(super) fn is_tunnel_open(&self) -> bool {
        matches!(self.tunnel, Some(Tunnel::Open { .. }))
    }

    /// The response began before the request was complete, as that of most tunnels does.
    pub(super) fn is_answered_early(&self) -> bool {
        self.tunnel == Some(Tunnel::Open { one_way: false })
    }
}
