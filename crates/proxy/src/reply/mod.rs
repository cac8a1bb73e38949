//! Local replies: what the proxy itself answers.
//!
//! One [`Failure`] says what went wrong, where it was found; one exhaustive table,
//! [`Failure::reply`], turns it into status, body, gRPC status, response flag and response code
//! details exactly as Envoy 1.40 does. Nothing else in the proxy knows those texts.

mod grpc;
pub(crate) mod mapper;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use nuncio_api::{ResponseFlag, ResponseHead, names};
use nuncio_http::ProtocolError;

pub(crate) use grpc::{is_grpc_request, is_grpc_success};
pub(crate) use mapper::{Mappers, Rewritten};

/// Why a request gets a local reply (or its stream is cut, when a response has begun).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The downstream peer broke HTTP.
    Codec(ProtocolError),
    /// HTTP/1.0 while it is not accepted.
    LowVersion,
    /// No `Host`.
    MissingHost,
    /// `OPTIONS *` or another target that is not a path.
    AbsolutePath,
    /// The path has a fragment or cannot be normalised.
    PathNormalization,
    /// `original_ip_detection_extensions` did not find the client.
    UnknownClient(StatusCode),
    /// A QUERY that does not say what its content is.
    QueryWithoutContentType,
    /// An upgrade (or CONNECT) that no route enables.
    UpgradeFailed,
    /// No virtual host or no route matched.
    NoRoute,
    /// The route's cluster does not exist; the status is the route's `cluster_not_found_response_code`.
    NoCluster(StatusCode),
    /// No host to pick.
    NoHealthyUpstream,
    /// `drop_overloads`.
    DropOverload,
    /// A circuit breaker is open.
    Overflow,
    /// Connecting failed; the text is the transport failure reason.
    ConnectFailed(String),
    /// Connecting took longer than `connect_timeout`.
    ConnectTimeout,
    /// The upstream connection ended before the response head.
    UpstreamTermination,
    /// The upstream reset the stream.
    UpstreamReset,
    /// The upstream refused the stream.
    UpstreamRefused,
    /// The upstream broke HTTP.
    UpstreamProtocol,
    /// One of `strict_check_headers` has no proper value.
    InvalidEnvoyHeader(HeaderName, String),
    /// The route's timeout.
    RouteTimeout,
    /// `per_try_timeout` or `per_try_idle_timeout`, with no retry left.
    PerTryTimeout {
        /// Nothing moved for too long, as opposed to too long altogether.
        idle: bool,
    },
    /// `max_stream_duration` of the cluster, or `x-envoy-upstream-stream-duration-ms`.
    UpstreamMaxDuration {
        /// Whole request received.
        request_complete: bool,
    },
    /// `stream_idle_timeout` or the route's `idle_timeout`; the flag says whether the request had
    /// been received completely.
    StreamIdle {
        /// Whole request received.
        request_complete: bool,
    },
    /// `max_stream_duration`.
    MaxStreamDuration {
        /// Whole request received.
        request_complete: bool,
    },
    /// `request_timeout`.
    RequestTimeout,
    /// `request_headers_timeout`.
    RequestHeadersTimeout,
    /// The downstream peer reset the stream.
    DownstreamReset,
    /// The downstream connection ended.
    DownstreamTermination,
    /// The process is going away and the stream is cut.
    Shutdown,
}

/// A local reply, before it is dressed as a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// Status for plain HTTP.
    pub status: StatusCode,
    /// Body, may be empty.
    pub body: Bytes,
    /// Response flag to set.
    pub flag: Option<ResponseFlag>,
    /// `%RESPONSE_CODE_DETAILS%`
    pub details: Cow<'static, str>,
    /// A header that goes with it.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// The connection (HTTP/1) is closed after it.
    pub close: bool,
}

const CONNECT_ERROR: &str = "upstream connect error or disconnect/reset before headers. reset reason: ";

impl Failure {
    /// The one table from failure to reply. No wildcard arm: a new failure must be thought about.
    pub fn reply(&self) -> LocalReply {
        use ResponseFlag as F;
        let plain = |code: u16, body: &'static str, flag: Option<F>, details: &'static str| LocalReply {
            status: StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            body: Bytes::from_static(body.as_bytes()),
            flag,
            details: Cow::Borrowed(details),
            header: None,
            close: false,
        };
        let closing = |reply: LocalReply| LocalReply { close: true, ..reply };
        match self {
            Self::Codec(error) => LocalReply {
                status: error.status,
                body: Bytes::from_static(error.status.canonical_reason().unwrap_or("").as_bytes()),
                flag: Some(F::DownstreamProtocolError),
                details: Cow::Borrowed(error.details),
                header: None,
                close: true,
            },
            Self::LowVersion => {
                closing(plain(426, "Upgrade Required", Some(F::DownstreamProtocolError), "low_version"))
            }
            Self::MissingHost => closing(plain(400, "", None, "missing_host_header")),
            Self::AbsolutePath => plain(404, "", None, "absolute_path_rejected"),
            Self::PathNormalization => closing(plain(400, "", None, "path_normalization_failed")),
            Self::UnknownClient(status) => {
                LocalReply { status: *status, ..plain(403, "", None, "rejecting_because_detection_failed") }
            }
            Self::QueryWithoutContentType => closing(plain(400, "", None, "query_missing_content_type")),
            Self::UpgradeFailed => closing(plain(403, "", None, "upgrade_failed")),
            Self::NoRoute => plain(404, "", Some(F::NoRouteFound), "route_not_found"),
            Self::NoCluster(status) => {
                LocalReply { status: *status, ..plain(503, "", Some(F::NoClusterFound), "cluster_not_found") }
            }
            Self::NoHealthyUpstream => {
                plain(503, "no healthy upstream", Some(F::NoHealthyUpstream), "no_healthy_upstream")
            }
            Self::DropOverload => LocalReply {
                header: Some((names::X_ENVOY_UNCONDITIONAL_DROP_OVERLOAD, HeaderValue::from_static("true"))),
                ..plain(
                    503,
                    "unconditional drop overload",
                    Some(F::UnconditionalDropOverload),
                    "unconditional_drop_overload",
                )
            },
            Self::Overflow => LocalReply {
                header: Some((names::X_ENVOY_OVERLOADED, HeaderValue::from_static("true"))),
                ..upstream(503, F::UpstreamOverflow, "overflow", None)
            },
            Self::ConnectFailed(reason) => {
                upstream(503, F::UpstreamConnectionFailure, "remote connection failure", Some(reason))
            }
            Self::ConnectTimeout => upstream(503, F::UpstreamConnectionFailure, "connection timeout", None),
            Self::UpstreamTermination => {
                upstream(503, F::UpstreamConnectionTermination, "connection termination", None)
            }
            Self::UpstreamReset => upstream(503, F::UpstreamRemoteReset, "remote reset", None),
            Self::UpstreamRefused => upstream(503, F::UpstreamRemoteReset, "remote refused stream reset", None),
            Self::UpstreamProtocol => upstream(502, F::UpstreamProtocolError, "protocol error", None),
            Self::InvalidEnvoyHeader(name, value) => LocalReply {
                body: Bytes::from(format!("invalid header '{name}' with value '{value}'")),
                details: Cow::Owned(format!("request_headers_failed_strict_check{{{name}}}")),
                ..closing(plain(400, "", Some(F::InvalidEnvoyRequestHeaders), ""))
            },
            Self::RouteTimeout => {
                plain(504, "upstream request timeout", Some(F::UpstreamRequestTimeout), "response_timeout")
            }
            Self::PerTryTimeout { idle } => {
                let details = if *idle { "upstream_per_try_idle_timeout" } else { "upstream_per_try_timeout" };
                plain(504, "upstream request timeout", Some(F::UpstreamRequestTimeout), details)
            }
            Self::UpstreamMaxDuration { request_complete } => plain(
                if *request_complete { 504 } else { 408 },
                "upstream max stream duration reached",
                Some(F::UpstreamMaxStreamDurationReached),
                "upstream_max_stream_duration_reached",
            ),
            Self::StreamIdle { request_complete: true } => {
                plain(504, "stream timeout", Some(F::StreamIdleTimeout), "stream_idle_timeout")
            }
            Self::StreamIdle { request_complete: false } => {
                closing(plain(408, "stream timeout", Some(F::StreamIdleTimeout), "stream_idle_timeout"))
            }
            Self::MaxStreamDuration { request_complete: true } => {
                plain(504, "downstream duration timeout", None, "max_duration_timeout")
            }
            Self::MaxStreamDuration { request_complete: false } => {
                closing(plain(408, "downstream duration timeout", None, "max_duration_timeout"))
            }
            Self::RequestTimeout => closing(plain(408, "request timeout", None, "request_overall_timeout")),
            Self::RequestHeadersTimeout => {
                closing(plain(408, "request header timeout", None, "request_header_timeout"))
            }
            Self::DownstreamReset => plain(0, "", Some(F::DownstreamRemoteReset), "http2.remote_reset"),
            Self::DownstreamTermination => {
                plain(0, "", Some(F::DownstreamConnectionTermination), "downstream_remote_disconnect")
            }
            Self::Shutdown => closing(plain(
                503,
                "",
                Some(F::DownstreamConnectionTermination),
                "downstream_local_disconnect(server_shutdown)",
            )),
        }
    }

    /// Whether the router gives the reply, which counts it against its cluster; the connection
    /// manager's own replies are not a cluster's.
    pub fn is_routers(&self) -> bool {
        match self {
            Self::NoHealthyUpstream
            | Self::DropOverload
            | Self::Overflow
            | Self::ConnectFailed(_)
            | Self::ConnectTimeout
            | Self::UpstreamTermination
            | Self::UpstreamReset
            | Self::UpstreamRefused
            | Self::UpstreamProtocol
            | Self::RouteTimeout
            | Self::PerTryTimeout { .. } => true,
            Self::Codec(_)
            | Self::LowVersion
            | Self::MissingHost
            | Self::AbsolutePath
            | Self::PathNormalization
            | Self::UnknownClient(_)
            | Self::QueryWithoutContentType
            | Self::UpgradeFailed
            | Self::NoRoute
            | Self::NoCluster(_)
            | Self::InvalidEnvoyHeader(..)
            | Self::StreamIdle { .. }
            | Self::UpstreamMaxDuration { .. }
            | Self::MaxStreamDuration { .. }
            | Self::RequestTimeout
            | Self::RequestHeadersTimeout
            | Self::DownstreamReset
            | Self::DownstreamTermination
            | Self::Shutdown => false,
        }
    }

    /// The gRPC status, where the failure says more than its HTTP status does: DEADLINE_EXCEEDED.
    pub(crate) fn grpc_status(&self) -> Option<u16> {
        matches!(self, Self::MaxStreamDuration { .. }).then_some(4)
    }

    /// The upstream took too long: the reply that `x-envoy-upstream-rq-timeout-alt-response` changes.
    pub fn is_upstream_timeout(&self) -> bool {
        matches!(self, Self::RouteTimeout | Self::PerTryTimeout { .. })
    }

    /// The transport failure reason (`%UPSTREAM_TRANSPORT_FAILURE_REASON%`).
    pub fn transport_failure(&self) -> Option<String> {
        match self {
            Self::ConnectFailed(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Details when the response had begun: `before` becomes `after` for upstream failures.
    pub fn details_after_response_started(&self) -> Cow<'static, str> {
        let details = self.reply().details;
        match details.strip_prefix("upstream_reset_before_response_started") {
            Some(rest) => Cow::Owned(format!("upstream_reset_after_response_started{rest}")),
            None => details,
        }
    }
}

fn upstream(code: u16, flag: ResponseFlag, reason: &str, transport: Option<&String>) -> LocalReply {
    let tail = transport.map(|t| format!("|{t}")).unwrap_or_default();
    LocalReply {
        status: StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
        body: Bytes::from(format!("{CONNECT_ERROR}{reason}")),
        flag: Some(flag),
        details: Cow::Owned(format!("upstream_reset_before_response_started{{{reason}{tail}}}").replace(' ', "_")),
        header: None,
        close: false,
    }
}

impl LocalReply {
    /// The text says that there were tries before.
    #[must_use]
    pub fn after_retry(mut self) -> Self {
        if let Some(reason) = self.body.strip_prefix(CONNECT_ERROR.as_bytes()) {
            let mut body =
                b"upstream connect error or disconnect/reset before headers. retried and the latest reset reason: "
                    .to_vec();
            body.extend_from_slice(reason);
            self.body = body.into();
        }
        self
    }
}

/// Completes the head of a reply whose own headers are in place, by what tells of the body; answers
/// the body that goes with it. A gRPC client gets all of it in the head.
pub(crate) fn complete(head: &mut ResponseHead, reply: Rewritten, asker: Asker) -> Bytes {
    let Rewritten { body, content_type, retyped } = reply;
    if asker.grpc {
        let message = match body.strip_suffix(b"\n") {
            // The end of a JSON line is no part of the message.
            Some(line) if content_type == "application/json" => line,
            _ => &body,
        };
        let message = if asker.head { &[][..] } else { message };
        let has_status = head.headers.get(&names::GRPC_STATUS).is_some_and(|status| !status.is_empty());
        let status = asker.grpc_status.unwrap_or_else(|| grpc::status_of(head.status, asker.rate_limited));
        for (name, value) in grpc::outcome(status, message) {
            if !(has_status && name == names::GRPC_STATUS) {
                head.headers.set(name, value);
            }
        }
        head.headers.remove(&header::CONTENT_LENGTH);
        head.status = StatusCode::OK;
        return Bytes::new();
    }
    if body.is_empty() {
        head.headers.remove(&header::CONTENT_LENGTH);
        head.headers.remove(&header::CONTENT_TYPE);
        return body;
    }
    head.headers.set(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if retyped || !head.headers.contains(&header::CONTENT_TYPE) {
        head.headers.set(header::CONTENT_TYPE, content_type);
    }
    body
}

/// Who gets a reply.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asker {
    /// A gRPC client.
    pub(crate) grpc: bool,
    /// It asked for the head alone.
    pub(crate) head: bool,
    /// A rate limit refused it, which gRPC is told as UNAVAILABLE.
    pub(crate) rate_limited: bool,
    /// What gRPC is told in place of what the HTTP status means.
    pub(crate) grpc_status: Option<u16>,
}
