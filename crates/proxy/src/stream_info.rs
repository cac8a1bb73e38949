//! Everything that is known about one stream: what access logs and header formatters print.

use std::{borrow::Cow, rc::Rc, sync::Arc, time::SystemTime};

use nuncio_api::{Headers, Protocol, RequestHead, ResponseFlags, ResponseHead};
use nuncio_config::model::{
    cluster::Metadata,
    route::{Route, VirtualHost},
};
use nuncio_http::exchange::WireBytes;
use nuncio_net::SocketAddress;
use tokio::time::Instant;

/// One downstream connection, as its streams see it.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// Unique in the process.
    pub id: u64,
    /// The peer.
    pub remote: SocketAddress,
    /// Our side.
    pub local: SocketAddress,
    /// Name of the listener it came to (`%LISTENER_NAME%`).
    pub listener: Arc<str>,
    /// The connection is TLS.
    pub tls: bool,
    /// When it was accepted.
    pub start: Instant,
}

/// One stream.
#[derive(Debug)]
pub struct StreamInfo {
    /// When the request head was complete (wall clock).
    pub start_time: SystemTime,
    /// The same on the monotonic clock.
    pub start: Instant,
    /// The connection it is on.
    pub connection: Rc<ConnectionInfo>,
    /// Version spoken downstream; `None` when no request could be read.
    pub protocol: Option<Protocol>,
    /// The client's address after x-forwarded-for.
    pub client: Option<std::net::SocketAddr>,
    /// The request is internal.
    pub internal: bool,
    /// The request as it now is; `None` when none could be read.
    pub request: Option<RequestHead>,
    /// The path before rewriting, when it was rewritten.
    pub original_path: Option<nuncio_api::Text>,
    /// Body of the proxy's own answer, before it is dressed (`%LOCAL_REPLY_BODY%`).
    pub local_reply_body: Option<Box<[u8]>>,
    /// Response head as sent.
    pub response: Option<ResponseHead>,
    /// Response trailers as sent.
    pub response_trailers: Option<Headers>,
    /// Status of the proxy's own answer, while `local_reply_config` works on it.
    pub local_reply_code: Option<u16>,
    /// Flags in the order set.
    pub flags: ResponseFlags,
    /// `%RESPONSE_CODE_DETAILS%`
    pub details: Option<Cow<'static, str>>,
    /// Request body bytes received.
    pub bytes_received: u64,
    /// Response body bytes sent.
    pub bytes_sent: u64,
    /// When the request was complete.
    pub request_complete: Option<Instant>,
    /// First byte towards the upstream.
    pub upstream_first_tx: Option<Instant>,
    /// Last byte towards the upstream.
    pub upstream_last_tx: Option<Instant>,
    /// Response head from the upstream.
    pub upstream_first_rx: Option<Instant>,
    /// Last byte from the upstream.
    pub upstream_last_rx: Option<Instant>,
    /// Response head sent.
    pub downstream_first_tx: Option<Instant>,
    /// Last byte sent.
    pub downstream_last_tx: Option<Instant>,
    /// Route taken.
    pub route: Option<Arc<Route>>,
    /// Its virtual host.
    pub virtual_host: Option<Arc<VirtualHost>>,
    /// Name of the virtual cluster that took the request.
    pub virtual_cluster: Option<Arc<str>>,
    /// Upstream side.
    pub upstream: UpstreamInfo,
    /// Wire bytes downstream.
    pub downstream_wire: WireBytes,
    /// When the stream ended; set once.
    pub end: Option<Instant>,
    /// Why the connection was ended, when it was.
    pub connection_termination: Option<&'static str>,
}

/// The upstream side of a stream.
#[derive(Debug, Default)]
pub struct UpstreamInfo {
    /// Cluster chosen.
    pub cluster: Option<Arc<str>>,
    /// Its `alt_stat_name`, when it has one.
    pub cluster_alias: Option<Box<str>>,
    /// Host of the last attempt.
    pub host: Option<SocketAddress>,
    /// Host name of the last attempt.
    pub host_name: Option<Arc<str>>,
    /// `metadata` of the cluster, if it has any.
    pub cluster_metadata: Option<Arc<Metadata>>,
    /// `metadata` of the host of the last attempt, if it has any.
    pub metadata: Option<Arc<Metadata>>,
    /// Our address of the last attempt.
    pub local: Option<SocketAddress>,
    /// Version spoken upstream.
    pub protocol: Option<Protocol>,
    /// Connection id of the last attempt.
    pub connection_id: Option<u64>,
    /// Attempts made (`%UPSTREAM_REQUEST_ATTEMPT_COUNT%`).
    pub attempts: u32,
    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`
    pub transport_failure: Option<String>,
    /// Wire bytes upstream.
    pub wire: WireBytes,
}

impl StreamInfo {
    /// A stream that starts now.
    pub fn new(connection: Rc<ConnectionInfo>, request: Option<RequestHead>) -> Self {
        Self {
            start_time: SystemTime::now(),
            start: Instant::now(),
            connection,
            protocol: request.as_ref().map(|r| r.protocol),
            client: None,
            internal: false,
            request,
            original_path: None,
            local_reply_body: None,
            response: None,
            response_trailers: None,
            local_reply_code: None,
            flags: ResponseFlags::default(),
            details: None,
            bytes_received: 0,
            bytes_sent: 0,
            request_complete: None,
            upstream_first_tx: None,
            upstream_last_tx: None,
            upstream_first_rx: None,
            upstream_last_rx: None,
            downstream_first_tx: None,
            downstream_last_tx: None,
            route: None,
            virtual_host: None,
            virtual_cluster: None,
            upstream: UpstreamInfo::default(),
            downstream_wire: WireBytes::default(),
            end: None,
            connection_termination: None,
        }
    }

    /// Name of the route taken, empty for none.
    pub fn route_name(&self) -> &str {
        self.route.as_ref().map_or("", |route| &route.name)
    }

    /// Status sent, 0 when none was.
    pub fn response_code(&self) -> u16 {
        if let Some(code) = self.local_reply_code {
            return code;
        }
        // The proxy's own answer has no code before it is sent, as Envoy's formatters see it.
        let known = self.downstream_first_tx.is_some() || self.upstream_first_rx.is_some();
        self.response.as_ref().filter(|_| known).map_or(0, |r| r.status.as_u16())
    }
}
