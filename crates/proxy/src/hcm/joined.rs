//! Which repeated headers become one, joined by a comma.
//!
//! Envoy keeps a fixed set of names in slots of one value each ("inline headers"); a second value
//! is joined to the first. All other names stay apart. The sets are Envoy's: its built-in ones and
//! those that its HTTP filters register.

use http::{HeaderName, header as h};
use nuncio_api::names as n;

/// Names of requests.
pub(crate) fn in_requests(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 26] = [
        h::ACCEPT,
        h::ACCEPT_ENCODING,
        h::ACCESS_CONTROL_REQUEST_HEADERS,
        h::ACCESS_CONTROL_REQUEST_METHOD,
        h::AUTHORIZATION,
        h::CACHE_CONTROL,
        h::EXPECT,
        h::IF_MATCH,
        h::IF_MODIFIED_SINCE,
        h::IF_NONE_MATCH,
        h::IF_RANGE,
        h::IF_UNMODIFIED_SINCE,
        h::ORIGIN,
        h::PRAGMA,
        h::REFERER,
        h::TE,
        h::USER_AGENT,
        h::CONTENT_TYPE,
        h::VIA,
        n::GRPC_TIMEOUT,
        n::X_CLIENT_TRACE_ID,
        n::X_FORWARDED_CLIENT_CERT,
        n::X_FORWARDED_FOR,
        n::X_FORWARDED_HOST,
        n::X_FORWARDED_PROTO,
        n::X_REQUEST_ID,
    ];
    NAMES.contains(name) || name.as_str().starts_with("x-envoy-")
}

/// Names of responses.
pub(crate) fn in_responses(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 21] = [
        h::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        h::ACCESS_CONTROL_ALLOW_HEADERS,
        h::ACCESS_CONTROL_ALLOW_METHODS,
        h::ACCESS_CONTROL_ALLOW_ORIGIN,
        h::ACCESS_CONTROL_EXPOSE_HEADERS,
        h::ACCESS_CONTROL_MAX_AGE,
        h::AGE,
        h::CACHE_CONTROL,
        h::CONTENT_ENCODING,
        h::CONTENT_TYPE,
        h::DATE,
        h::ETAG,
        h::EXPIRES,
        h::LAST_MODIFIED,
        h::LOCATION,
        h::SERVER,
        h::VARY,
        h::VIA,
        n::GRPC_MESSAGE,
        n::GRPC_STATUS,
        n::X_REQUEST_ID,
    ];
    NAMES.contains(name) || name.as_str().starts_with("x-envoy-")
}
