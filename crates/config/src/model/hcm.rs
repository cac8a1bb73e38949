//! `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderName, StatusCode};

use super::{AccessLog, RouteTable, StringMatcher, header::HeaderChange, local_reply::LocalReplyConfig};

/// Settings of an HTTP connection manager.
#[derive(Clone, Debug)]
pub struct HttpConnectionManager {
    /// `stat_prefix`
    pub stat_prefix: String,
    /// `codec_type`
    pub codec: Codec,
    /// Where routes come from.
    pub routes: RouteSource,
    /// HTTP filters in order, the router last.
    pub http_filters: Vec<HttpFilter>,
    /// Settings of the router filter.
    pub router: Router,
    /// Options common to HTTP/1 and HTTP/2.
    pub common: CommonOptions,
    /// HTTP/1 options.
    pub http1: Http1Options,
    /// HTTP/2 options.
    pub http2: Http2Options,
    /// `max_request_headers_kb` in bytes (60 KiB).
    pub max_request_headers: usize,
    /// `stream_idle_timeout` (5 min), `None` = off.
    pub stream_idle_timeout: Option<Duration>,
    /// `stream_flush_timeout` (`stream_idle_timeout`): how long a peer may take to open the window for
    /// the rest of a response. `None` = off.
    pub stream_flush_timeout: Option<Duration>,
    /// `request_timeout`, off by default.
    pub request_timeout: Option<Duration>,
    /// `request_headers_timeout`, off by default.
    pub request_headers_timeout: Option<Duration>,
    /// `http1_safe_max_connection_duration`: an idle connection that is too old takes one more request.
    pub http1_safe_max_connection_duration: bool,
    /// `drain_timeout` (5 s)
    pub drain_timeout: Duration,
    /// `delayed_close_timeout` (1 s), `None` = off.
    pub delayed_close_timeout: Option<Duration>,
    /// `access_log`
    pub access_log: Vec<AccessLog>,
    /// `local_reply_config`
    pub local_reply: LocalReplyConfig,
    /// `server_name` (envoy)
    pub server_name: String,
    /// `server_header_transformation`
    pub server_header: ServerHeader,
    /// `use_remote_address`
    pub use_remote_address: bool,
    /// `xff_num_trusted_hops`
    pub xff_num_trusted_hops: u32,
    /// `skip_xff_append`
    pub skip_xff_append: bool,
    /// `original_ip_detection_extensions`, in order; the first that finds an address decides.
    pub original_ip_detection: Vec<OriginalIpDetection>,
    /// `early_header_mutation_extensions`: what is changed of a request before all else.
    pub early_header_mutation: Vec<HeaderChange>,
    /// `forward_client_cert_details`
    pub forward_client_cert: ForwardClientCert,
    /// `proxy_status_config`
    pub proxy_status: Option<ProxyStatus>,
    /// `append_x_forwarded_port`
    pub append_x_forwarded_port: bool,
    /// `internal_address_config`: CIDR ranges (empty: nothing is internal), and Unix sockets.
    pub internal_cidrs: Vec<(IpAddr, u8)>,
    /// `internal_address_config.unix_sockets`
    pub internal_unix_sockets: bool,
    /// `via`
    pub via: String,
    /// `generate_request_id` (true)
    pub generate_request_id: bool,
    /// `preserve_external_request_id`
    pub preserve_external_request_id: bool,
    /// `always_set_request_id_in_response`
    pub always_set_request_id_in_response: bool,
    /// `add_user_agent`
    pub add_user_agent: bool,
    /// `proxy_100_continue`
    pub proxy_100_continue: bool,
    /// `normalize_path` (false unless set)
    pub normalize_path: bool,
    /// `merge_slashes`
    pub merge_slashes: bool,
    /// `path_with_escaped_slashes_action`
    pub escaped_slashes: EscapedSlashes,
    /// `strip_matching_host_port` / `strip_any_host_port`
    pub strip_host_port: StripHostPort,
    /// `strip_trailing_host_dot`
    pub strip_trailing_host_dot: bool,
    /// `stream_error_on_invalid_http_message` (already merged with the codecs' overrides there)
    pub stream_error_on_invalid_http_message: bool,
    /// `scheme_header_transformation.scheme_to_overwrite`
    pub scheme_to_overwrite: Option<String>,
    /// `upgrade_configs`: CONNECT among them, which is one as well.
    pub upgrades: Box<[UpgradeConfig]>,
}

/// `UpgradeConfig` of a manager.
#[derive(Clone, Debug)]
pub struct UpgradeConfig {
    /// `upgrade_type`, lower case (`websocket`, `connect`).
    pub kind: String,
    /// `enabled` (true): where the route says nothing.
    pub enabled: bool,
    /// `filters`: HTTP filters of upgraded streams; those of the manager where there are none.
    pub filters: Option<Vec<HttpFilter>>,
}

/// One of `original_ip_detection_extensions`.
#[derive(Clone, Debug, PartialEq)]
pub enum OriginalIpDetection {
    /// `envoy.http.original_ip_detection.xff`
    ForwardedFor {
        /// `xff_num_trusted_hops`
        trusted_hops: u32,
        /// `xff_trusted_cidrs`: who may add to x-forwarded-for; instead of counting hops.
        trusted: Option<Vec<(IpAddr, u8)>>,
        /// `skip_xff_append` (true)
        skip_append: bool,
    },
    /// `envoy.http.original_ip_detection.custom_header`
    Header {
        /// `header_name`
        name: HeaderName,
        /// `allow_extension_to_set_address_as_trusted`
        trusted: bool,
        /// `reject_with_status`: of a request that has no such header.
        reject_with: Option<StatusCode>,
    },
}

/// `proxy_status_config`: a `proxy-status` header tells why a response is the proxy's (RFC 9209).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyStatus {
    /// What the proxy calls itself.
    pub name: ProxyName,
    /// `remove_details`
    pub remove_details: bool,
    /// `remove_connection_termination_details`
    pub remove_connection_termination_details: bool,
    /// `remove_response_flags`
    pub remove_response_flags: bool,
    /// `set_recommended_response_code`
    pub set_recommended_response_code: bool,
}

/// The name in `proxy-status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyName {
    /// `server_name`
    Server,
    /// `use_node_id`
    NodeId,
    /// `literal_proxy_name`
    Literal(String),
}

/// `forward_client_cert_details`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardClientCert {
    /// SANITIZE
    Sanitize,
    /// FORWARD_ONLY
    ForwardOnly,
    /// APPEND_FORWARD
    AppendForward,
    /// SANITIZE_SET
    SanitizeSet,
    /// ALWAYS_FORWARD_ONLY
    AlwaysForwardOnly,
}

/// `codec_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// By the first bytes.
    Auto,
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Where the route table comes from.
#[derive(Clone, Debug)]
pub enum RouteSource {
    /// `route_config`
    Static(Arc<RouteTable>),
}

/// One configured HTTP filter.
#[derive(Clone, Debug)]
pub struct HttpFilter {
    /// Name in the config.
    pub name: String,
    /// Type URL of its config.
    pub type_url: String,
    /// `disabled`
    pub disabled: bool,
    /// The config as protobuf, for the filter's own factory.
    pub config: bytes::Bytes,
}

/// `envoy.extensions.filters.http.router.v3.Router`.
#[derive(Clone, Debug)]
pub struct Router {
    /// `dynamic_stats` (true)
    pub dynamic_stats: bool,
    /// `suppress_envoy_headers`
    pub suppress_envoy_headers: bool,
    /// `start_child_span`, accepted without tracing.
    pub start_child_span: bool,
    /// `respect_expected_rq_timeout`
    pub respect_expected_rq_timeout: bool,
    /// `strict_check_headers`: requests in which one of these is no proper value are refused.
    pub strict_check_headers: Vec<HeaderName>,
}

/// `HttpProtocolOptions` (core).
#[derive(Clone, Debug, PartialEq)]
pub struct CommonOptions {
    /// `idle_timeout` (1 h), `None` = off.
    pub idle_timeout: Option<Duration>,
    /// `max_connection_duration`
    pub max_connection_duration: Option<Duration>,
    /// `max_connection_duration_jitter`: up to so many percent are added for each downstream connection.
    pub max_connection_duration_jitter: f64,
    /// `max_headers_count` (100)
    pub max_headers_count: usize,
    /// `max_response_headers_kb` in bytes (upstream side)
    pub max_response_headers: Option<usize>,
    /// `max_stream_duration`
    pub max_stream_duration: Option<Duration>,
    /// `headers_with_underscores_action`
    pub underscores: Underscores,
    /// `max_requests_per_connection`, 0 = no limit.
    pub max_requests_per_connection: u32,
}

/// `HeadersWithUnderscoresAction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Underscores {
    /// ALLOW
    Allow,
    /// REJECT_REQUEST
    Reject,
    /// DROP_HEADER
    Drop,
}

/// `Http1ProtocolOptions`.
#[derive(Clone, Debug)]
pub struct Http1Options {
    /// `allow_absolute_url` (true)
    pub allow_absolute_url: bool,
    /// `accept_http_10`
    pub accept_http_10: bool,
    /// `default_host_for_http_10`
    pub default_host_for_http_10: String,
    /// `header_key_format`
    pub header_key_format: HeaderKeyFormat,
    /// `enable_trailers`
    pub enable_trailers: bool,
    /// `allow_chunked_length`
    pub allow_chunked_length: bool,
    /// `allow_custom_methods`
    pub allow_custom_methods: bool,
    /// `override_stream_error_on_invalid_http_message`, else the manager's.
    pub stream_error_on_invalid_http_message: bool,
    /// `ignore_http_11_upgrade`: upgrades that count as not asked for.
    pub ignored_upgrades: Vec<StringMatcher>,
    /// `send_fully_qualified_url` (upstream)
    pub send_fully_qualified_url: bool,
}

/// `header_key_format`: how header names are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderKeyFormat {
    /// In lower case.
    #[default]
    Lower,
    /// `proper_case_words`
    ProperCase,
    /// `stateful_formatter: envoy.http.stateful_header_formatters.preserve_case`
    Preserve {
        /// `forward_reason_phrase`
        reason_phrase: bool,
        /// `formatter_type_on_envoy_headers: PROPER_CASE`
        proper_case_for_others: bool,
    },
}

/// `Http2ProtocolOptions`.
#[derive(Clone, Debug, PartialEq)]
pub struct Http2Options {
    /// `hpack_table_size` (4096)
    pub hpack_table_size: u32,
    /// `max_concurrent_streams` (1024)
    pub max_concurrent_streams: u32,
    /// `initial_stream_window_size` (16 MiB)
    pub initial_stream_window: u32,
    /// `initial_connection_window_size` (24 MiB)
    pub initial_connection_window: u32,
    /// `allow_connect`
    pub allow_connect: bool,
    /// `max_outbound_frames` (10000)
    pub max_outbound_frames: u32,
    /// `max_outbound_control_frames` (1000)
    pub max_outbound_control_frames: u32,
    /// `max_consecutive_inbound_frames_with_empty_payload` (1)
    pub max_consecutive_empty_frames: u32,
    /// `max_inbound_priority_frames_per_stream` (100)
    pub max_priority_frames_per_stream: u32,
    /// `max_inbound_window_update_frames_per_data_frame_sent` (10)
    pub max_window_updates_per_data_frame: u32,
    /// `override_stream_error_on_invalid_http_message`
    pub stream_error_on_invalid_http_message: bool,
    /// `connection_keepalive`
    pub keepalive: Option<Http2Keepalive>,
}

/// `KeepaliveSettings`: PINGs that find out whether the peer is still there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Http2Keepalive {
    /// `interval` between an answer and the next PING.
    pub interval: Option<Duration>,
    /// `connection_idle_interval`: a PING before a new stream on an upstream connection that was silent so long.
    pub idle_interval: Option<Duration>,
    /// `timeout` of an answer.
    pub timeout: Duration,
    /// `interval_jitter` in percent (15).
    pub jitter_percent: f64,
}

/// `server_header_transformation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerHeader {
    /// OVERWRITE
    Overwrite,
    /// APPEND_IF_ABSENT
    AppendIfAbsent,
    /// PASS_THROUGH
    PassThrough,
}

/// `path_with_escaped_slashes_action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// KEEP_UNCHANGED (also the implementation default)
    Keep,
    /// REJECT_REQUEST
    Reject,
    /// UNESCAPE_AND_REDIRECT
    UnescapeAndRedirect,
    /// UNESCAPE_AND_FORWARD
    UnescapeAndForward,
}

/// Port stripping of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripHostPort {
    /// Keep.
    Keep,
    /// When it is the listener's port.
    Matching,
    /// Always.
    Any,
}
