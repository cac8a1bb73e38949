//! Request heads: bytes in, [`ParsedRequest`] out (RFC 9112 sections 3, 6 and 9.3).
//!
//! A pure function over the read buffer: it takes a whole head off the front or leaves the buffer
//! as it is. It decides the framing of the body, whether the connection may be kept, and whether
//! an upgrade is asked for; it answers nothing and reads no body.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, header};
use httparse::{Header, Status};
use nuncio_api::{Protocol, RequestHead, Text, message::BodyLength};

use super::details;
use super::head::{self, Attempt, Coding, Fields, INLINE_HEADERS, Lines, Span};
use super::options::ServerOptions;
use super::target::{self, Target};
use crate::error::ProtocolError;

/// A request head and what it says about the rest.
#[derive(Debug)]
pub struct ParsedRequest {
    /// The head. Hop-by-hop headers are still in it; encoding skips them.
    pub head: RequestHead,
    /// Length of the body. An upgrade or CONNECT has an unknown one: raw bytes until the end.
    pub body: BodyLength,
    /// The client wants the connection kept after the response.
    pub keep_alive: bool,
    /// `Expect: 100-continue`: the client waits for a 100 before it sends the body. The header
    /// is still in the head.
    pub expect_continue: bool,
    /// Length of the head on the wire.
    pub head_bytes: usize,
    /// Headers left out for an underscore in their name.
    pub dropped_underscores: u32,
}

impl ParsedRequest {
    /// True when what follows the head is a tunnel, not a body.
    pub fn is_tunnel(&self) -> bool {
        self.head.method == Method::CONNECT || self.head.upgrade.is_some()
    }
}

struct StartLine {
    method: Span,
    target: Span,
    minor_version: u8,
}

/// Takes one request head off `buf`; `None` when it is not all there yet.
pub fn parse_request(buf: &mut BytesMut, options: &ServerOptions) -> Result<Option<ParsedRequest>, ProtocolError> {
    head::skip_blank_lines(buf);
    let limit = options.max_head_bytes;
    let window = buf.get(..buf.len().min(limit)).unwrap_or_default();
    let mut lines = Lines::new();
    let (line, head, head_bytes) = match attempt(window, options, &mut lines)? {
        Attempt::Complete((line, None), length) => (line, buf.split_to(length).freeze(), length),
        Attempt::Complete((line, Some(unfolded)), length) => {
            bytes::Buf::advance(buf, length);
            (line, unfolded, length)
        }
        Attempt::Partial if buf.len() > limit => return Err(details::HEADERS_TOO_LARGE),
        Attempt::Partial => return Ok(None),
    };
    assemble(&line, &lines, &head, options).map(|request| Some(ParsedRequest { head_bytes, ..request }))
}

/// The start line, and the head where it had to be unfolded.
type Parts = (StartLine, Option<Bytes>);

fn attempt(window: &[u8], options: &ServerOptions, lines: &mut Lines) -> Result<Attempt<Parts>, ProtocolError> {
    if window.is_empty() {
        return Ok(Attempt::Partial);
    }
    if let Some(done) = with_slots(window, options.max_headers_count, lines)? {
        return Ok(match done {
            Attempt::Partial => Attempt::Partial,
            Attempt::Complete(line, length) => Attempt::Complete((line, None), length),
        });
    }
    let Some((unfolded, length)) = head::unfold(window, 2)? else {
        return Ok(Attempt::Partial);
    };
    match with_slots(&unfolded, options.max_headers_count, lines)? {
        Some(Attempt::Complete(line, _)) => Ok(Attempt::Complete((line, Some(unfolded.freeze())), length)),
        _ => Err(details::CODEC_ERROR),
    }
}

type Found = Option<Attempt<StartLine>>;

/// Picks room for the header lines: on the stack for up to the default count.
fn with_slots(window: &[u8], max: usize, lines: &mut Lines) -> Result<Found, ProtocolError> {
    if max <= INLINE_HEADERS {
        let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; INLINE_HEADERS];
        locate(window, slots.get_mut(..max).unwrap_or_default(), lines)
    } else {
        let mut slots: Vec<MaybeUninit<Header<'_>>> = Vec::new();
        slots.resize_with(max.min(window.len()), MaybeUninit::uninit);
        locate(window, &mut slots, lines)
    }
}

fn locate<'b>(
    window: &'b [u8],
    slots: &mut [MaybeUninit<Header<'b>>],
    lines: &mut Lines,
) -> Result<Found, ProtocolError> {
    let mut request = httparse::Request::new(&mut []);
    let result = request.parse_with_uninit_headers(window, slots);
    if result.is_err() && is_low_version(window) {
        return Err(details::LOW_VERSION);
    }
    let Some(status) = head::outcome(result, window)? else {
        return Ok(None);
    };
    let Status::Complete(length) = status else {
        return Ok(Some(Attempt::Partial));
    };
    let line = StartLine {
        method: Span::of(request.method.unwrap_or_default().as_bytes(), window),
        target: Span::of(request.path.unwrap_or_default().as_bytes(), window),
        minor_version: request.version.unwrap_or(0),
    };
    head::note_lines(request.headers, window, lines);
    Ok(Some(Attempt::Complete(line, length)))
}

/// True when the request line is sound but for its version of HTTP, which is neither 1.0 nor 1.1,
/// or missing (as in HTTP/0.9): Envoy takes each for HTTP/1.0.
fn is_low_version(window: &[u8]) -> bool {
    let mut lines = window.split(|b| *b == b'\n');
    let line = lines.next().unwrap_or_default();
    let complete = lines.next().is_some();
    let mut words = line.strip_suffix(b"\r").unwrap_or(line).split(|b| *b == b' ');
    let known = words.next().is_some_and(|word| method(word, false).is_ok());
    let path = words.next().is_some_and(|word| word.first() == Some(&b'/') && word.iter().all(u8::is_ascii_graphic));
    known
        && match (words.next(), words.next()) {
            (Some(b"HTTP/1.0" | b"HTTP/1.1"), None) => false,
            (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None) => {
                major.is_ascii_digit() && minor.is_ascii_digit()
            }
            (None | Some([]), None) => complete && path,
            _ => false,
        }
}

fn assemble(
    line: &StartLine,
    lines: &Lines,
    head: &Bytes,
    options: &ServerOptions,
) -> Result<ParsedRequest, ProtocolError> {
    let method = method(&line.method.slice(head), options.allow_custom_methods)?;
    let Target { scheme, authority, path } =
        target::target(&method, line.target.slice(head), options.allow_absolute_url)?;
    let mut fields = head::fields(head, lines, Some(options.underscores))?;
    if let Some(settings) = options.header_key_format.remembered() {
        fields.headers.set_spelling(head::spelling(head, lines, settings));
    }
    let host = fields.host.take().map(target::host).transpose()?;
    let http_10 = line.minor_version == 0;
    if http_10 && !options.accept_http_10 {
        return Err(details::LOW_VERSION);
    }
    let upgrade = framing(&method, http_10, &mut fields, options)?;
    let tunnel = method == Method::CONNECT || upgrade.is_some();
    if authority.is_none() && host.as_ref().is_some_and(|host| host.is_empty()) {
        // The head has no other way to say that there is one.
        fields.headers.append(header::HOST, HeaderValue::from_static(""));
    }
    let fallback = || {
        if http_10 { options.default_host_for_http_10.clone() } else { None }
    };
    Ok(ParsedRequest {
        body: body_length(tunnel, &fields),
        keep_alive: !fields.connection.close && (!http_10 || fields.connection.keep_alive),
        expect_continue: fields.expect_continue && !http_10,
        head_bytes: 0,
        dropped_underscores: fields.dropped_underscores,
        head: RequestHead {
            method,
            scheme: scheme.unwrap_or(options.scheme),
            authority: authority.or(host).or_else(fallback).unwrap_or_default(),
            path,
            protocol: if http_10 { Protocol::Http10 } else { Protocol::Http11 },
            upgrade,
            headers: fields.headers,
        },
    })
}

/// Checks the framing headers and says which upgrade is asked for, if any.
fn framing(
    method: &Method,
    http_10: bool,
    fields: &mut Fields,
    options: &ServerOptions,
) -> Result<Option<Text>, ProtocolError> {
    fields.check_framing(options.allow_chunked_length)?;
    if http_10 && fields.coding != Coding::None {
        return Err(details::TRANSFER_ENCODING_NOT_ALLOWED);
    }
    if *method == Method::CONNECT {
        if fields.coding != Coding::None {
            return Err(details::INVALID_TRANSFER_ENCODING);
        }
        if fields.content_length.is_some_and(|n| n > 0) {
            return Err(details::BODY_DISALLOWED);
        }
        fields.headers.remove(&header::CONTENT_LENGTH);
        return Ok(None);
    }
    // A request with a body is served as what it is: where the body ends and the new protocol
    // begins must not be a matter of opinion. h2c is not offered. An upgrade to nothing is one too,
    // which nobody can grant.
    let has_body = fields.coding != Coding::None || fields.content_length.is_some_and(|n| n > 0);
    let is_upgrade = |kind: &Text| !http_10 && (!has_body || kind.is_empty()) && !is_h2c(kind);
    let ignored = options.ignored_upgrades.as_ref();
    let upgrade = fields.upgrade_value(ignored).filter(is_upgrade);
    if let Some(Ok(left)) = upgrade.as_ref().filter(|_| ignored.is_some()).map(|left| HeaderValue::from_str(left)) {
        fields.headers.set(header::UPGRADE, left);
    }
    Ok(upgrade)
}

fn is_h2c(token: &str) -> bool {
    token.eq_ignore_ascii_case("h2c")
}

fn body_length(tunnel: bool, fields: &Fields) -> BodyLength {
    match (tunnel, fields.coding, fields.content_length) {
        (true, _, _) | (_, Coding::Chunked | Coding::Other, _) => BodyLength::Unknown,
        (_, Coding::None, Some(0) | None) => BodyLength::Empty,
        (_, Coding::None, Some(length)) => BodyLength::Known(length),
    }
}

/// Methods beyond the nine of the `http` crate that Envoy's parser takes.
const KNOWN_METHODS: [&str; 26] = [
    "ACL",
    "BIND",
    "CHECKOUT",
    "COPY",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "MSEARCH",
    "NOTIFY",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

fn method(token: &[u8], allow_custom: bool) -> Result<Method, ProtocolError> {
    match token {
        b"GET" => return Ok(Method::GET),
        b"POST" => return Ok(Method::POST),
        b"PUT" => return Ok(Method::PUT),
        b"HEAD" => return Ok(Method::HEAD),
        b"DELETE" => return Ok(Method::DELETE),
        b"OPTIONS" => return Ok(Method::OPTIONS),
        b"PATCH" => return Ok(Method::PATCH),
        b"CONNECT" => return Ok(Method::CONNECT),
        b"TRACE" => return Ok(Method::TRACE),
        _ => {}
    }
    if !allow_custom && !KNOWN_METHODS.iter().any(|known| known.as_bytes() == token) {
        return Err(details::CODEC_ERROR);
    }
    Method::from_bytes(token).map_err(|_| details::CODEC_ERROR)
}
