//! The protocol errors of HTTP/1: which status answers them and how the access log names them.
//! One place, so that the words stay Envoy's (`%RESPONSE_CODE_DETAILS%`) and are spelt once. It
//! owns constants only; what breaks which rule is decided where the rule is checked.

use http::StatusCode;

use crate::error::ProtocolError;

const fn bad_request(details: &'static str) -> ProtocolError {
    ProtocolError { status: StatusCode::BAD_REQUEST, details }
}

const fn too_large(details: &'static str) -> ProtocolError {
    ProtocolError { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, details }
}

/// Anything that is not HTTP/1: a bad start line, header, chunk or content-length.
pub const CODEC_ERROR: ProtocolError = bad_request("http1.codec_error");
/// A header value with a byte that no value may hold (NUL, a control character, a bare CR).
pub const INVALID_CHARACTERS: ProtocolError = bad_request("http1.invalid_characters");
/// Content-Length beside Transfer-Encoding.
pub const CONTENT_LENGTH_AND_CHUNKED: ProtocolError = bad_request("http1.content_length_and_chunked_not_allowed");
/// Content-Length where the message has no body by definition (1xx, 204).
pub const CONTENT_LENGTH_NOT_ALLOWED: ProtocolError = bad_request("http1.content_length_not_allowed");
/// Transfer-Encoding where the message has no body by definition, or before HTTP/1.1.
pub const TRANSFER_ENCODING_NOT_ALLOWED: ProtocolError = bad_request("http1.transfer_encoding_not_allowed");
/// A transfer coding other than a single `chunked`.
pub const INVALID_TRANSFER_ENCODING: ProtocolError =
    ProtocolError { status: StatusCode::NOT_IMPLEMENTED, details: "http1.invalid_transfer_encoding" };
/// A CONNECT request with a body.
pub const BODY_DISALLOWED: ProtocolError = bad_request("http1.body_disallowed");
/// The Connection header nominates a header that must not be dropped, or too many.
pub const CONNECTION_HEADER_REJECTED: ProtocolError = bad_request("http1.connection_header_rejected");
/// A request target that is no URL.
pub const INVALID_URL: ProtocolError = bad_request("http1.invalid_url");
/// An absolute target whose scheme is neither http nor https.
pub const INVALID_SCHEME: ProtocolError = bad_request("http1.invalid_scheme");
/// A Host that is no host.
pub const INVALID_AUTHORITY: ProtocolError = bad_request("http.invalid_authority");
/// A header name with an underscore where the listener refuses them.
pub const UNEXPECTED_UNDERSCORE: ProtocolError = bad_request("http1.unexpected_underscore");
/// The head is longer than the limit.
pub const HEADERS_TOO_LARGE: ProtocolError = too_large("http1.headers_too_large");
/// The head has more entries than the limit.
pub const TOO_MANY_HEADERS: ProtocolError = too_large("http1.too_many_headers");
/// HTTP/1.0 on a listener that does not take it.
pub const LOW_VERSION: ProtocolError = ProtocolError { status: StatusCode::UPGRADE_REQUIRED, details: "low_version" };

/// The same failure when it was the upstream who broke the protocol: a downstream sees 502.
pub const fn of_upstream(error: ProtocolError) -> ProtocolError {
    ProtocolError { status: StatusCode::BAD_GATEWAY, details: error.details }
}
