//! Local replies to gRPC requests: status 200 with the outcome in `grpc-status`, no body.

use http::{HeaderValue, StatusCode, header};
use nuncio_api::{Headers, names};

/// True for `content-type: application/grpc` and `application/grpc+...`.
pub(crate) fn is_grpc_request(headers: &Headers) -> bool {
    let Some(value) = headers.get(&header::CONTENT_TYPE) else { return false };
    match value.as_bytes().strip_prefix(b"application/grpc") {
        Some([]) => true,
        Some([next, ..]) => *next == b'+',
        None => false,
    }
}

/// Whether headers or trailers carry a gRPC status that is no fault of the server, which are those
/// that mean 5xx over plain HTTP.
pub(crate) fn is_grpc_success(headers: &Headers) -> bool {
    let status = headers.get_str(&names::GRPC_STATUS).and_then(|text| text.parse::<u16>().ok());
    matches!(status, Some(0 | 1 | 3 | 5..=11 | 16))
}

/// HTTP status to gRPC status, Envoy's table.
pub(super) fn status_of(status: StatusCode, rate_limited: bool) -> u16 {
    match status.as_u16() {
        _ if rate_limited => 14,
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// The headers that carry an outcome.
pub(super) fn outcome(status: u16, message: &[u8]) -> Headers {
    let mut headers = Headers::with_capacity(6);
    headers.append(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.append(names::GRPC_STATUS, HeaderValue::from(status));
    if !message.is_empty() {
        headers.append(names::GRPC_MESSAGE, percent_encoded(message));
    }
    headers
}

/// gRPC's percent encoding: everything outside visible ASCII and `%` itself.
fn percent_encoded(text: &[u8]) -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if (0x20..=0x7e).contains(&byte) && byte != b'%' {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend([byte >> 4, byte & 15].iter().filter_map(|n| HEX.get(usize::from(*n))));
        }
    }
    HeaderValue::from_bytes(&out).unwrap_or(HeaderValue::from_static(""))
}
