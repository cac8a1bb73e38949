//! `proxy_status_config`: the `proxy-status` header (RFC 9209), which tells a client why a response is
//! the proxy's own.
//!
//! Response flags become error types by one table; the first that applies is told, in Envoy's order.
//! Responses without such a flag get no header. Pure functions over what is known of a stream.

use http::{HeaderName, HeaderValue, StatusCode};
use nuncio_api::{ResponseFlag as F, ResponseFlags};
use nuncio_config::model::hcm::{ProxyName, ProxyStatus};

use crate::stream_info::StreamInfo;

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Names of `server_name` and of the node.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) server: &'a str,
    pub(crate) node: &'a str,
}

/// Tells of what happened in the response head, if anything did.
pub(crate) fn apply(settings: &ProxyStatus, names: Names<'_>, info: &mut StreamInfo) {
    let Some((error, status)) = error(&info.flags) else { return };
    let text = value(settings, names, error, info);
    let Some(response) = &mut info.response else { return };
    let joined = match response.headers.get(&PROXY_STATUS) {
        Some(before) => [before.as_bytes(), text.as_bytes()].join(&b", "[..]),
        None => text.into_bytes(),
    };
    if let Ok(value) = HeaderValue::try_from(joined) {
        response.headers.set(PROXY_STATUS, value);
    }
    if let (true, Some(status)) = (settings.set_recommended_response_code, status) {
        response.status = status;
    }
}

fn value(settings: &ProxyStatus, names: Names<'_>, error: &str, info: &StreamInfo) -> String {
    let name = match &settings.name {
        ProxyName::Server => names.server,
        ProxyName::NodeId => names.node,
        ProxyName::Literal(name) => name,
    };
    let mut text = format!("{name}; error={error}");
    let Some(details) = info.details.as_deref().filter(|_| !settings.remove_details) else { return text };
    let mut all = vec![details.to_owned()];
    if !settings.remove_connection_termination_details {
        all.extend(info.connection_termination.map(str::to_owned));
    }
    if !settings.remove_response_flags {
        let flags: Vec<&str> = info.flags.iter().map(F::short).collect();
        all.extend((!flags.is_empty()).then(|| flags.join(",")));
    }
    text.push_str(&format!("; details=\"{}\"", all.join("; ").escape_default()));
    text
}

/// The error type of the first flag that has one, and the status that goes with it.
fn error(flags: &ResponseFlags) -> Option<(&'static str, Option<StatusCode>)> {
    const BAD_GATEWAY: Option<StatusCode> = Some(StatusCode::BAD_GATEWAY);
    const UNAVAILABLE: Option<StatusCode> = Some(StatusCode::SERVICE_UNAVAILABLE);
    const TIMEOUT: Option<StatusCode> = Some(StatusCode::GATEWAY_TIMEOUT);
    const INTERNAL: Option<StatusCode> = Some(StatusCode::INTERNAL_SERVER_ERROR);
    const ERRORS: [(F, &str, Option<StatusCode>); 25] = [
        (F::FailedLocalHealthCheck, "destination_unavailable", UNAVAILABLE),
        (F::NoHealthyUpstream, "destination_unavailable", UNAVAILABLE),
        (F::UpstreamRequestTimeout, "http_response_timeout", TIMEOUT),
        (F::DurationTimeout, "connection_timeout", TIMEOUT),
        (F::LocalReset, "connection_timeout", TIMEOUT),
        (F::UpstreamRemoteReset, "connection_terminated", BAD_GATEWAY),
        (F::UpstreamConnectionFailure, "connection_refused", BAD_GATEWAY),
        (F::UnauthorizedExternalService, "connection_refused", BAD_GATEWAY),
        (F::UpstreamConnectionTermination, "connection_terminated", BAD_GATEWAY),
        (F::OverloadManagerTerminated, "connection_limit_reached", UNAVAILABLE),
        (F::FaultInjected, "http_request_error", None),
        (F::DownstreamConnectionTermination, "connection_terminated", BAD_GATEWAY),
        (F::DownstreamRemoteReset, "connection_terminated", BAD_GATEWAY),
        (F::UpstreamOverflow, "connection_limit_reached", UNAVAILABLE),
        (F::NoRouteFound, "destination_not_found", INTERNAL),
        (F::RateLimited, "connection_limit_reached", UNAVAILABLE),
        (F::RateLimitServiceError, "connection_limit_reached", UNAVAILABLE),
        (F::UpstreamRetryLimitExceeded, "destination_unavailable", UNAVAILABLE),
        (F::StreamIdleTimeout, "http_response_timeout", TIMEOUT),
        (F::InvalidEnvoyRequestHeaders, "http_request_error", None),
        (F::DownstreamProtocolError, "http_request_error", None),
        (F::UpstreamMaxStreamDurationReached, "http_response_timeout", TIMEOUT),
        (F::NoFilterConfigFound, "proxy_configuration_error", INTERNAL),
        (F::UpstreamProtocolError, "http_protocol_error", BAD_GATEWAY),
        (F::NoClusterFound, "destination_unavailable", UNAVAILABLE),
    ];
    if let Some((_, name, status)) = ERRORS.iter().find(|(flag, ..)| flags.contains(*flag)) {
        return Some((name, *status));
    }
    flags.contains(F::DnsResolutionFailed).then_some(("dns_error", BAD_GATEWAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_flag_with_an_error_is_told() {
        let mut flags = ResponseFlags::default();
        assert_eq!(error(&flags), None);
        flags.insert(F::DnsResolutionFailed);
        assert_eq!(error(&flags), Some(("dns_error", Some(StatusCode::BAD_GATEWAY))));
        flags.insert(F::UpstreamRetryLimitExceeded);
        flags.insert(F::UpstreamConnectionFailure);
        assert_eq!(error(&flags), Some(("connection_refused", Some(StatusCode::BAD_GATEWAY))));
    }
}
