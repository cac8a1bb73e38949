//! What `http2_protocol_options` and the limits around it become: plain settings with Envoy's
//! defaults, ready for the codec. Validation is the config crate's.

use std::time::Duration;

use nuncio_api::Scheme;

/// SETTINGS_MAX_FRAME_SIZE when nothing else is said (RFC 9113 section 6.5.2). Downstream gets
/// this one, as from Envoy: clients are held to it also for HEADERS.
const MAX_FRAME_SIZE: u32 = 16 * 1024;

/// What upstreams may send: one read call for up to 64 KiB instead of four. Envoy stays at
/// 16 KiB; a larger limit is invisible to peers that do not use it.
const MAX_UPSTREAM_FRAME_SIZE: u32 = 64 * 1024;

/// Flow control and table sizes that are advertised to the peer.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// `hpack_table_size`
    pub header_table_size: u32,
    /// `initial_stream_window_size`
    pub stream: u32,
    /// `initial_connection_window_size`
    pub connection: u32,
    /// SETTINGS_MAX_FRAME_SIZE
    pub max_frame_size: u32,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            header_table_size: 4096,
            stream: 16 * 1024 * 1024,
            connection: 24 * 1024 * 1024,
            max_frame_size: MAX_FRAME_SIZE,
        }
    }
}

/// Envoy's protocol constraints; passing one ends the connection with ENHANCE_YOUR_CALM.
#[derive(Clone, Copy, Debug)]
pub struct FloodLimits {
    /// `max_outbound_frames`: frames waiting for a peer that does not read.
    pub max_outbound_frames: u32,
    /// `max_outbound_control_frames`: acknowledgements and resets among them.
    pub max_outbound_control_frames: u32,
    /// `max_consecutive_inbound_frames_with_empty_payload`
    pub max_consecutive_inbound_frames_with_empty_payload: u32,
    /// `max_inbound_priority_frames_per_stream`
    pub max_inbound_priority_frames_per_stream: u32,
    /// `max_inbound_window_update_frames_per_data_frame_sent`
    pub max_inbound_window_update_frames_per_data_frame_sent: u32,
    /// `overload.premature_reset_total_stream_count`: a downstream that resets more than half of
    /// so many requests early is closed.
    pub premature_reset_total_stream_count: u32,
    /// `overload.premature_reset_min_stream_lifetime_seconds`
    pub premature_reset_min_stream_lifetime: Duration,
}

impl Default for FloodLimits {
    fn default() -> Self {
        Self {
            max_outbound_frames: 10_000,
            max_outbound_control_frames: 1_000,
            max_consecutive_inbound_frames_with_empty_payload: 1,
            max_inbound_priority_frames_per_stream: 100,
            max_inbound_window_update_frames_per_data_frame_sent: 10,
            premature_reset_total_stream_count: 500,
            premature_reset_min_stream_lifetime: Duration::from_secs(1),
        }
    }
}

/// `headers_with_underscores_action`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// ALLOW
    #[default]
    Allow,
    /// REJECT_REQUEST: the stream is reset.
    Reject,
    /// DROP_HEADER
    Drop,
}

/// Bounds of one header block received, trailers included.
#[derive(Clone, Copy, Debug)]
pub struct HeaderLimits {
    /// `max_request_headers_kb` / `max_response_headers_kb`: names and values together.
    pub max_kb: u32,
    /// `max_headers_count`, pseudo headers and each cookie crumb counted.
    pub max_count: u32,
    /// What happens to names with an underscore.
    pub underscores: Underscores,
}

impl Default for HeaderLimits {
    fn default() -> Self {
        Self { max_kb: 60, max_count: 100, underscores: Underscores::Allow }
    }
}

impl HeaderLimits {
    /// What h2 is told: it counts 32 bytes more per field (RFC 9113 section 6.5.2), and answers
    /// by itself (431) where Envoy resets. Twice the limit leaves the exact check to us and still
    /// bounds what is ever decoded.
    pub(super) fn list_size(&self) -> u32 {
        const PER_FIELD: u32 = 32;
        let fields = self.max_count.saturating_add(1).saturating_mul(PER_FIELD);
        self.max_kb.saturating_mul(2 * 1024).saturating_add(fields)
    }

    /// CONTINUATION frames that a header block may take; not above h2's own limit, which is
    /// silent about having been passed.
    pub(super) fn max_continuations(&self) -> u32 {
        (self.list_size() / MAX_FRAME_SIZE).max(5)
    }
}

/// `connection_keepalive`
#[derive(Clone, Copy, Debug)]
pub struct KeepaliveOptions {
    /// Time between an answer and the next PING.
    pub interval: Option<Duration>,
    /// A PING goes out with a new stream when the peer has been silent so long (upstream only).
    pub idle_interval: Option<Duration>,
    /// How long an answer may take before the connection is closed.
    pub timeout: Duration,
    /// `interval_jitter`: up to so many percent are added to each interval.
    pub jitter_percent: f64,
}

/// Settings of downstream connections.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// SETTINGS values.
    pub windows: Windows,
    /// `max_concurrent_streams`
    pub max_concurrent_streams: u32,
    /// `allow_connect`: extended CONNECT is offered (RFC 8441).
    pub allow_connect: bool,
    /// Bounds of request headers.
    pub headers: HeaderLimits,
    /// Flood limits.
    pub limits: FloodLimits,
    /// PINGs, if wanted.
    pub keepalive: Option<KeepaliveOptions>,
    /// `per_connection_buffer_limit_bytes`: response bytes queued on one connection.
    pub buffer_limit: usize,
    /// Scheme of the transport, for requests that name none.
    pub scheme: Scheme,
    /// `override_stream_error_on_invalid_http_message`: a malformed header block resets its
    /// stream; without it (Envoy's default) the connection ends.
    pub stream_error_on_invalid_http_message: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            windows: Windows::default(),
            max_concurrent_streams: 1024,
            allow_connect: false,
            headers: HeaderLimits::default(),
            limits: FloodLimits::default(),
            keepalive: None,
            buffer_limit: 1024 * 1024,
            scheme: Scheme::Http,
            stream_error_on_invalid_http_message: false,
        }
    }
}

/// Settings of upstream connections.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// SETTINGS values.
    pub windows: Windows,
    /// `max_concurrent_streams`: our own limit; the peer's SETTINGS may lower it.
    pub max_concurrent_streams: u32,
    /// Bounds of response headers.
    pub headers: HeaderLimits,
    /// Flood limits.
    pub limits: FloodLimits,
    /// PINGs, if wanted.
    pub keepalive: Option<KeepaliveOptions>,
    /// `per_connection_buffer_limit_bytes`: request bytes queued on one connection.
    pub buffer_limit: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            windows: Windows { max_frame_size: MAX_UPSTREAM_FRAME_SIZE, ..Windows::default() },
            max_concurrent_streams: 1024,
            headers: HeaderLimits::default(),
            limits: FloodLimits::default(),
            keepalive: None,
            buffer_limit: 1024 * 1024,
        }
    }
}
