//! Heads, chunks and trailers to bytes, both directions (RFC 9112 sections 3 to 7).
//!
//! Writes straight into the connection's out buffer. Headers keep their order and `content-length`
//! its place; hop-by-hop headers are skipped, and what framing needs is appended last, as Envoy
//! does: `connection`, then `content-length: 0` or `transfer-encoding: chunked`. A content-length
//! that is no number, is there twice, or contradicts the body is not sent.

use bytes::BytesMut;
use http::{HeaderName, Method, StatusCode, header};
use nuncio_api::{Headers, RequestHead, ResponseHead, Spelling, Text, names};

use super::details;
use super::head::content_length;
use super::options::HeaderKeyFormat;
use crate::error::ProtocolError;

/// How the outgoing body is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OutgoingBody {
    /// Nothing (more) may be sent.
    #[default]
    Done,
    /// So many bytes are left.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Raw bytes until the connection is closed.
    UntilClose,
    /// Raw bytes of another protocol.
    Tunnel,
    /// The response answers HEAD (or is a 304): what is sent as body is left out.
    Dropped,
}

/// What the response encoder has to know beside the head.
#[derive(Clone, Debug, Default)]
pub(super) struct ResponseContext {
    /// The client speaks HTTP/1.0.
    pub(super) http_10: bool,
    /// The request was HEAD.
    pub(super) to_head: bool,
    /// The request was CONNECT.
    pub(super) to_connect: bool,
    /// The Upgrade token of the request.
    pub(super) upgrade: Option<Text>,
    /// The connection ends after this response.
    pub(super) close: bool,
    /// Spelling of header names.
    pub(super) format: HeaderKeyFormat,
}

/// Writes a final response head (or a 101); `end` says no body follows.
pub(super) fn response_head(
    out: &mut BytesMut,
    head: &ResponseHead,
    end: bool,
    context: &ResponseContext,
) -> OutgoingBody {
    out.reserve(head.headers.byte_size() + head.headers.len() * 4 + 128);
    let format = Format::of(&head.headers, context.format);
    status_line(out, head.status, context.http_10, format);
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return switching(out, head, end, context, format);
    }
    let body = response_body(head, end, context);
    let length = match body {
        OutgoingBody::Length(length) => Some(length),
        _ => None,
    };
    headers(out, &head.headers, length, Hop::Dropped, format);
    if body == OutgoingBody::UntilClose || (context.close && body != OutgoingBody::Tunnel) {
        line(out, &header::CONNECTION, b"close", format);
    } else if context.http_10 && body != OutgoingBody::Tunnel {
        line(out, &header::CONNECTION, b"keep-alive", format);
    }
    match body {
        OutgoingBody::Done => line(out, &header::CONTENT_LENGTH, b"0", format),
        OutgoingBody::Chunked => line(out, &header::TRANSFER_ENCODING, b"chunked", format),
        _ => {}
    }
    out.extend_from_slice(b"\r\n");
    match body {
        OutgoingBody::Tunnel => body,
        _ if end => OutgoingBody::Done,
        _ if context.to_head || head.status == StatusCode::NOT_MODIFIED => OutgoingBody::Dropped,
        _ => body,
    }
}

/// How the body is announced. A response to HEAD announces what GET would have got.
fn response_body(head: &ResponseHead, end: bool, context: &ResponseContext) -> OutgoingBody {
    let unannounced = head.status == StatusCode::NOT_MODIFIED;
    let ends = end && !context.to_head;
    if context.to_connect && head.status.is_success() {
        return OutgoingBody::Tunnel;
    }
    if head.status == StatusCode::NO_CONTENT {
        return OutgoingBody::Dropped;
    }
    match declared_length(&head.headers, ends && !unannounced) {
        Some(length) => OutgoingBody::Length(length),
        None if unannounced => OutgoingBody::Dropped,
        None if ends => OutgoingBody::Done,
        None if context.http_10 && context.to_head => OutgoingBody::Dropped,
        None if context.http_10 => OutgoingBody::UntilClose,
        None => OutgoingBody::Chunked,
    }
}

/// 101: the upgrade headers are the message. One with an end switches to nothing.
fn switching(
    out: &mut BytesMut,
    head: &ResponseHead,
    end: bool,
    context: &ResponseContext,
    format: Format<'_>,
) -> OutgoingBody {
    if end && !head.headers.contains(&header::UPGRADE) {
        headers(out, &head.headers, None, Hop::Dropped, format);
        line(out, &header::CONNECTION, b"close", format);
        out.extend_from_slice(b"\r\n");
        return OutgoingBody::Done;
    }
    headers(out, &head.headers, None, Hop::Upgrade, format);
    upgrade_lines(out, &head.headers, context.upgrade.as_ref(), format);
    out.extend_from_slice(b"\r\n");
    OutgoingBody::Tunnel
}

/// What the headers of an upgrade do not say themselves.
fn upgrade_lines(out: &mut BytesMut, headers: &Headers, kind: Option<&Text>, format: Format<'_>) {
    if !headers.contains(&header::CONNECTION) {
        line(out, &header::CONNECTION, b"upgrade", format);
    }
    if let Some(kind) = kind.filter(|_| !headers.contains(&header::UPGRADE)) {
        line(out, &header::UPGRADE, kind.as_bytes(), format);
    }
}

/// Writes a 1xx response.
pub(super) fn informational(out: &mut BytesMut, status: StatusCode, fields: &Headers, format: HeaderKeyFormat) {
    let format = Format::of(fields, format);
    status_line(out, status, false, format);
    headers(out, fields, None, Hop::Dropped, format);
    out.extend_from_slice(b"\r\n");
}

fn status_line(out: &mut BytesMut, status: StatusCode, http_10: bool, format: Format<'_>) {
    out.extend_from_slice(if http_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b" ");
    match format {
        Format::Remembered(Spelling { reason: Some(reason), .. }) => out.extend_from_slice(reason),
        _ => out.extend_from_slice(reason(status).as_bytes()),
    }
    out.extend_from_slice(b"\r\n");
}

/// Reason phrases as Envoy writes them: it has no teapot.
fn reason(status: StatusCode) -> &'static str {
    match status {
        // Envoy knows no reason for these.
        StatusCode::IM_A_TEAPOT | StatusCode::PROCESSING | StatusCode::EARLY_HINTS => "Unknown",
        other if other.as_u16() == 599 => "Last Unassigned Server Error Code",
        other => other.canonical_reason().unwrap_or("Unknown"),
    }
}

/// Writes a request head; `end` says no body follows.
pub(super) fn request_head(
    out: &mut BytesMut,
    head: &RequestHead,
    end: bool,
    format: HeaderKeyFormat,
    absolute_form: bool,
) -> Result<OutgoingBody, ProtocolError> {
    if !is_sendable(&head.path) || !is_sendable(&head.authority) {
        return Err(details::of_upstream(details::INVALID_URL));
    }
    out.reserve(head.headers.byte_size() + head.headers.len() * 4 + head.path.len() + head.authority.len() + 128);
    let format = Format::of(&head.headers, format);
    let upgrade = head.upgrade.as_ref();
    request_line(out, head, absolute_form);
    line(out, &header::HOST, head.authority.as_bytes(), format);
    let tunnel = head.method == Method::CONNECT || upgrade.is_some();
    let length = declared_length(&head.headers, end || tunnel).filter(|_| upgrade.is_some() || !tunnel);
    headers(out, &head.headers, length, if upgrade.is_some() { Hop::Upgrade } else { Hop::Dropped }, format);
    if upgrade.is_some() {
        upgrade_lines(out, &head.headers, upgrade, format);
    }
    let body = match length {
        _ if tunnel => OutgoingBody::Tunnel,
        Some(length) if length > 0 => OutgoingBody::Length(length),
        Some(_) => OutgoingBody::Done,
        None if end && expects_no_body(&head.method) => OutgoingBody::Done,
        None if end => {
            line(out, &header::CONTENT_LENGTH, b"0", format);
            OutgoingBody::Done
        }
        None => {
            line(out, &header::TRANSFER_ENCODING, b"chunked", format);
            OutgoingBody::Chunked
        }
    };
    out.extend_from_slice(b"\r\n");
    Ok(body)
}

fn request_line(out: &mut BytesMut, head: &RequestHead, absolute_form: bool) {
    let path: &[u8] = if head.path.as_bytes().is_empty() { b"/" } else { head.path.as_bytes() };
    match (&head.method, head.upgrade.is_some()) {
        // An extended CONNECT (RFC 8441) is an upgrade of a GET here.
        (&Method::CONNECT, true) => out.extend_from_slice(b"GET "),
        (method, _) => {
            out.extend_from_slice(method.as_str().as_bytes());
            out.extend_from_slice(b" ");
        }
    }
    if head.method == Method::CONNECT && head.upgrade.is_none() {
        out.extend_from_slice(head.authority.as_bytes());
    } else {
        if absolute_form && path != b"*" {
            out.extend_from_slice(head.scheme.as_str().as_bytes());
            out.extend_from_slice(b"://");
            out.extend_from_slice(head.authority.as_bytes());
        }
        out.extend_from_slice(path);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// No byte that could end the request line or a header line early.
fn is_sendable(text: &Text) -> bool {
    text.as_bytes().iter().all(|b| *b > b' ' && *b != 0x7f)
}

/// Methods of which nobody expects a body, so that its absence need not be said.
fn expects_no_body(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::CONNECT | Method::TRACE)
}

/// The content-length to send. `None` when there is none that holds.
fn declared_length(headers: &Headers, empty: bool) -> Option<u64> {
    let mut values = headers.get_all(&header::CONTENT_LENGTH);
    let length = values.next().and_then(|v| content_length(v.as_bytes()))?;
    (values.next().is_none() && (!empty || length == 0)).then_some(length)
}

/// Writes the end-to-end headers. `length` says whether content-length is one of them.
fn headers(out: &mut BytesMut, headers: &Headers, length: Option<u64>, hop: Hop, format: Format<'_>) {
    for (name, value) in headers {
        if hop.drops(name) || (*name == header::CONTENT_LENGTH && length.is_none()) {
            continue;
        }
        line(out, name, value.as_bytes(), format);
    }
}

/// What becomes of headers that concern this hop alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hop {
    /// They are left out.
    Dropped,
    /// Those that ask for an upgrade, or grant it, are the message.
    Upgrade,
}

impl Hop {
    fn drops(self, name: &HeaderName) -> bool {
        match *name {
            header::CONNECTION | header::UPGRADE => self == Self::Dropped,
            header::TRANSFER_ENCODING | header::HOST => true,
            _ => *name == names::KEEP_ALIVE || *name == names::PROXY_CONNECTION,
        }
    }
}

/// How the names of one message are written.
#[derive(Clone, Copy, Debug)]
enum Format<'a> {
    Lower,
    Proper,
    /// As they came, whatever this connection would do by itself.
    Remembered(&'a Spelling),
}

impl<'a> Format<'a> {
    fn of(headers: &'a Headers, format: HeaderKeyFormat) -> Self {
        match (headers.spelling(), format) {
            (Some(spelling), _) => Self::Remembered(spelling),
            (None, HeaderKeyFormat::ProperCase) => Self::Proper,
            (None, HeaderKeyFormat::LowerCase | HeaderKeyFormat::Preserve(_)) => Self::Lower,
        }
    }
}

fn line(out: &mut BytesMut, name: &HeaderName, value: &[u8], format: Format<'_>) {
    let name = name.as_str();
    match format {
        Format::Lower => out.extend_from_slice(name.as_bytes()),
        Format::Proper => proper_case(out, name.as_bytes()),
        Format::Remembered(spelling) => match spelling.of(name) {
            Some(known) => out.extend_from_slice(known),
            None if spelling.proper_case_for_others => proper_case(out, name.as_bytes()),
            None => out.extend_from_slice(name.as_bytes()),
        },
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn proper_case(out: &mut BytesMut, name: &[u8]) {
    let mut word_starts = true;
    for byte in name {
        let byte = if word_starts { byte.to_ascii_uppercase() } else { *byte };
        word_starts = !byte.is_ascii_alphanumeric();
        out.extend_from_slice(&[byte]);
    }
}

/// Writes the line before a chunk's data.
pub(super) fn chunk_size(out: &mut BytesMut, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0u8; 18];
    let mut at = text.len();
    let mut rest = size;
    for slot in text.iter_mut().rev() {
        *slot = DIGITS.get(rest & 15).copied().unwrap_or(b'0');
        at -= 1;
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk, with trailers or without. Their names are in lower case, whatever those of
/// the head are.
pub(super) fn last_chunk(out: &mut BytesMut, trailers: Option<&Headers>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        headers(out, trailers, None, Hop::Dropped, Format::Lower);
    }
    out.extend_from_slice(b"\r\n");
}
