//! What one listener (or one cluster) asks of the HTTP/1 codec, ready for the hot path.
//!
//! Fields carry the names of `envoy.config.core.v3.Http1ProtocolOptions`, of
//! `HttpProtocolOptions` and of the HTTP connection manager; defaults are Envoy's. The values are
//! validated before they come here, and shared by all connections of a filter chain or cluster.

use std::{fmt, sync::Arc};

use nuncio_api::{Scheme, Text};

/// How header names are spelt on the wire (`header_key_format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderKeyFormat {
    /// As they are kept: lower case.
    #[default]
    LowerCase,
    /// First letter and every letter after a non-alphanumeric in upper case (`proper_case_words`).
    ProperCase,
    /// Names of what arrives are remembered as they come, for whoever writes the message on
    /// (`preserve_case`). What has no memory goes in lower case.
    Preserve(PreserveCase),
}

/// `envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreserveCase {
    /// `forward_reason_phrase`
    pub forward_reason_phrase: bool,
    /// `formatter_type_on_envoy_headers: PROPER_CASE`: for names that did not come with the message.
    pub proper_case_for_others: bool,
}

impl HeaderKeyFormat {
    /// What is to be remembered of a message that arrives.
    pub(super) fn remembered(self) -> Option<PreserveCase> {
        match self {
            Self::Preserve(preserve) => Some(preserve),
            Self::LowerCase | Self::ProperCase => None,
        }
    }
}

/// What happens to a request header whose name has an underscore
/// (`headers_with_underscores_action`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnderscoresAction {
    /// Passed on.
    #[default]
    Allow,
    /// The request is refused with 400.
    RejectRequest,
    /// The header is left out and counted.
    DropHeader,
}

/// Judges the token of an upgrade.
type Judge = dyn Fn(&[u8]) -> bool + Send + Sync;

/// Upgrades that count as not asked for (`ignore_http_11_upgrade`).
#[derive(Clone)]
pub struct IgnoredUpgrades(Arc<Judge>);

impl IgnoredUpgrades {
    /// Those whose token `matches`.
    pub fn new(matches: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(matches))
    }

    pub(super) fn contains(&self, token: &[u8]) -> bool {
        (self.0)(token)
    }
}

impl fmt::Debug for IgnoredUpgrades {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IgnoredUpgrades")
    }
}

/// Downstream side.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Scheme of requests that do not say (https on a TLS connection).
    pub scheme: Scheme,
    /// `max_request_headers_kb` in bytes: the whole head, start line included.
    pub max_head_bytes: usize,
    /// `max_headers_count`.
    pub max_headers_count: usize,
    /// `headers_with_underscores_action`.
    pub underscores: UnderscoresAction,
    /// `accept_http_10`; else HTTP/1.0 is answered with 426.
    pub accept_http_10: bool,
    /// `default_host_for_http_10`: authority of an HTTP/1.0 request without Host.
    pub default_host_for_http_10: Option<Text>,
    /// `allow_absolute_url`; else an absolute target is refused.
    pub allow_absolute_url: bool,
    /// `allow_chunked_length`: Transfer-Encoding wins over Content-Length instead of a 400.
    pub allow_chunked_length: bool,
    /// `allow_custom_methods`: any token; else the methods that Envoy's parser knows.
    pub allow_custom_methods: bool,
    /// `ignore_http_11_upgrade`
    pub ignored_upgrades: Option<IgnoredUpgrades>,
    /// `enable_trailers`: trailers are passed on, both ways; else dropped.
    pub enable_trailers: bool,
    /// `header_key_format`: of responses, or what is remembered of requests.
    pub header_key_format: HeaderKeyFormat,
    /// `per_connection_buffer_limit_bytes`: above this much queued, sending is held back.
    pub buffer_limit: usize,
    /// A client that closes its sending side after the request still gets its response. When
    /// false, such a close counts as the client having gone.
    pub half_close: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            scheme: Scheme::Http,
            max_head_bytes: 60 * 1024,
            max_headers_count: 100,
            underscores: UnderscoresAction::Allow,
            accept_http_10: false,
            default_host_for_http_10: None,
            allow_absolute_url: true,
            allow_chunked_length: false,
            allow_custom_methods: false,
            ignored_upgrades: None,
            enable_trailers: false,
            header_key_format: HeaderKeyFormat::LowerCase,
            buffer_limit: 1024 * 1024,
            half_close: true,
        }
    }
}

/// Upstream side.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// `max_response_headers_kb` in bytes: the whole head, start line included.
    pub max_head_bytes: usize,
    /// `max_headers_count`.
    pub max_headers_count: usize,
    /// `allow_chunked_length`.
    pub allow_chunked_length: bool,
    /// `enable_trailers`.
    pub enable_trailers: bool,
    /// `header_key_format`: of requests, or what is remembered of responses.
    pub header_key_format: HeaderKeyFormat,
    /// `send_fully_qualified_url`: the absolute form in the request line.
    pub send_fully_qualified_url: bool,
    /// `per_connection_buffer_limit_bytes`.
    pub buffer_limit: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            max_head_bytes: 80 * 1024,
            max_headers_count: 100,
            allow_chunked_length: false,
            enable_trailers: false,
            header_key_format: HeaderKeyFormat::LowerCase,
            send_fully_qualified_url: false,
            buffer_limit: 1024 * 1024,
        }
    }
}

/// What the codec counted since the last [`Counters::take`]; the names are those of Envoy's
/// `http1.` stats. The layer above adds them to its stats, so that the codec needs none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// `dropped_headers_with_underscores`
    pub dropped_headers_with_underscores: u32,
    /// `requests_rejected_with_underscores_in_headers`
    pub requests_rejected_with_underscores_in_headers: u32,
}

impl Counters {
    /// The counts so far; starts anew from zero.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}
