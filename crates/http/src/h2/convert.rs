//! `http` crate heads to ours and back; no other file of this crate touches a `HeaderMap`.
//!
//! Receiving enforces `max_headers_count`, the header size limits and
//! `headers_with_underscores_action`, joins cookie crumbs (RFC 9113 section 8.2.3) and moves
//! `host` into the authority. What h2 checks is not checked again: pseudo headers, upper case,
//! connection-specific headers, `te`, conflicting `content-length`.
//!
//! Sending leaves out hop-by-hop headers and marks values that differ on every request as
//! never indexed: entering them in HPACK's table would push out what repeats. The first of them on
//! a connection is entered all the same, so that the table knows the name.

use std::cell::Cell;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header, uri};
use nuncio_api::{Headers, Protocol, RequestHead, ResponseHead, Scheme, Text, message::BodyLength};

use super::{
    counters::{H2Counters, bump},
    options::{HeaderLimits, Underscores},
};

/// A header block that is not accepted; the stream is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    TooManyHeaders,
    TooLarge,
    Underscore,
    Unreadable,
}

impl Refusal {
    /// Envoy's response code details.
    pub(super) fn details(self) -> &'static str {
        match self {
            Self::TooManyHeaders => "http2.too_many_headers",
            Self::TooLarge => "http2.header_list_size_too_large",
            Self::Underscore => "http2.unexpected_underscore",
            Self::Unreadable => "http2.invalid.header.field",
        }
    }
}

/// A request from downstream.
pub(super) fn request_in<B>(
    request: Request<B>,
    limits: &HeaderLimits,
    scheme: Scheme,
    counters: &H2Counters,
) -> Result<(RequestHead, B), Refusal> {
    let (parts, body) = request.into_parts();
    // :method, :scheme, :authority and :path count as Envoy counts them.
    let mut headers = headers_in(parts.headers, 4, true, limits, counters)?;
    let host = headers.remove(&header::HOST);
    let authority = match (parts.uri.authority(), host) {
        (Some(authority), _) => Text::from(authority.as_str()),
        (None, Some(host)) => Text::from(host.to_str().map_err(|_| Refusal::Unreadable)?),
        (None, None) => Text::default(),
    };
    let upgrade = parts.extensions.get::<h2::ext::Protocol>().map(|protocol| Text::from(protocol.as_str()));
    if let Some(Ok(kind)) = upgrade.as_ref().map(|kind| HeaderValue::from_maybe_shared(kind.to_bytes())) {
        headers.set(header::UPGRADE, kind);
        headers.set(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    let connect = parts.method == Method::CONNECT && upgrade.is_none();
    let path = parts.uri.path_and_query().map(uri::PathAndQuery::as_str).filter(|_| !connect).unwrap_or_default();
    let head = RequestHead {
        // An extended CONNECT is an upgrade inside the proxy, whatever carries it.
        method: if upgrade.is_some() { Method::GET } else { parts.method },
        scheme: match parts.uri.scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") => Scheme::Http,
            _ => scheme,
        },
        authority,
        path: Text::from(path),
        protocol: Protocol::Http2,
        upgrade,
        headers,
    };
    Ok((head, body))
}

/// A response from upstream.
pub(super) fn response_in<B>(
    response: Response<B>,
    limits: &HeaderLimits,
    counters: &H2Counters,
) -> Result<(ResponseHead, B), Refusal> {
    let (parts, body) = response.into_parts();
    let headers = headers_in(parts.headers, 1, false, limits, counters)?;
    Ok((ResponseHead { status: parts.status, protocol: Protocol::Http2, headers }, body))
}

/// Headers or trailers; `pseudo` are counted beside them.
pub(super) fn headers_in(
    map: HeaderMap,
    pseudo: usize,
    is_request: bool,
    limits: &HeaderLimits,
    counters: &H2Counters,
) -> Result<Headers, Refusal> {
    let most = usize::try_from(limits.max_count).unwrap_or(usize::MAX);
    if map.len().saturating_add(pseudo) > most {
        bump(&counters.header_overflow);
        return Err(Refusal::TooManyHeaders);
    }
    // Room for what a proxy adds to heads, which have pseudo headers; trailers stay as they are.
    let room = match (pseudo, is_request) {
        (0, _) => 0,
        (_, true) => 8,
        (_, false) => 4,
    };
    let mut headers = Headers::with_capacity(map.len() + room);
    let mut crumbs = Crumbs::default();
    let mut name = header::HOST;
    for (next, value) in map {
        name = next.unwrap_or(name);
        if has_underscore(&name) && limits.underscores != Underscores::Allow {
            if limits.underscores == Underscores::Reject {
                bump(&counters.requests_rejected_with_underscores_in_headers);
                return Err(Refusal::Underscore);
            }
            bump(&counters.dropped_headers_with_underscores);
        } else if is_request && name == header::COOKIE {
            crumbs.push(value);
        } else {
            headers.append(name.clone(), value);
        }
    }
    crumbs.into_header(&mut headers);
    let size = usize::try_from(limits.max_kb).unwrap_or(usize::MAX).saturating_mul(1024);
    if headers.byte_size() > size {
        bump(&counters.header_list_size_too_large);
        return Err(Refusal::TooLarge);
    }
    Ok(headers)
}

fn has_underscore(name: &HeaderName) -> bool {
    memchr::memchr(b'_', name.as_str().as_bytes()).is_some()
}

/// Cookie header fields of one request.
#[derive(Default)]
struct Crumbs(smallvec::SmallVec<[HeaderValue; 1]>);

impl Crumbs {
    fn push(&mut self, value: HeaderValue) {
        self.0.push(value);
    }

    fn into_header(mut self, headers: &mut Headers) {
        if self.0.len() <= 1 {
            self.0.pop().into_iter().for_each(|value| headers.append(header::COOKIE, value));
            return;
        }
        let mut joined = BytesMut::with_capacity(self.0.iter().map(|v| v.len() + 2).sum());
        for value in &self.0 {
            if !joined.is_empty() {
                joined.put_slice(b"; ");
            }
            joined.put_slice(value.as_bytes());
        }
        // Joining valid values with visible ASCII gives a valid value.
        if let Ok(value) = HeaderValue::from_maybe_shared(joined.freeze()) {
            headers.append(header::COOKIE, value);
        }
    }
}

/// How long the body of a message with these headers is.
pub(super) fn body_length(headers: &Headers, ended: bool) -> BodyLength {
    if ended {
        return BodyLength::Empty;
    }
    let length = headers.get_str(&header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    length.map_or(BodyLength::Unknown, BodyLength::Known)
}

/// A request for upstream; `None` when no HTTP/2 request can carry it.
pub(super) fn request_out(head: &RequestHead, known: &KnownNames) -> Option<Request<()>> {
    let mut request = Request::new(());
    let plain_connect = head.method == Method::CONNECT && head.upgrade.is_none();
    let mut parts = uri::Parts::default();
    if !head.authority.is_empty() {
        parts.authority = Some(uri::Authority::from_maybe_shared(head.authority.to_bytes()).ok()?);
    }
    if !plain_connect {
        // `Uri` has no form for a scheme without authority: h2 then says `http` by itself, if
        // the request is marked as coming from an older version.
        parts.path_and_query = Some(path_out(&head.path)?);
        parts.scheme = parts.authority.as_ref().map(|_| scheme_out(head.scheme));
    }
    *request.version_mut() = if parts.authority.is_some() { Version::HTTP_2 } else { Version::HTTP_11 };
    *request.uri_mut() = http::Uri::from_parts(parts).ok()?;
    *request.method_mut() = head.method.clone();
    if let Some(protocol) = &head.upgrade {
        *request.method_mut() = Method::CONNECT;
        request.extensions_mut().insert(h2::ext::Protocol::from(protocol.as_str()));
    }
    *request.headers_mut() = headers_out(&head.headers, head.upgrade.is_some(), known);
    Some(request)
}

fn path_out(path: &Text) -> Option<uri::PathAndQuery> {
    let bytes = if path.is_empty() { Bytes::from_static(b"/") } else { path.to_bytes() };
    uri::PathAndQuery::from_maybe_shared(bytes).ok()
}

fn scheme_out(scheme: Scheme) -> uri::Scheme {
    match scheme {
        Scheme::Http => uri::Scheme::HTTP,
        Scheme::Https => uri::Scheme::HTTPS,
    }
}

/// A response for downstream. `upgraded` says that the request was an extended CONNECT, whose
/// acceptance is 200 here and 101 everywhere else.
pub(super) fn response_out(status: StatusCode, headers: &Headers, upgraded: bool, known: &KnownNames) -> Response<()> {
    let accepted = upgraded && status == StatusCode::SWITCHING_PROTOCOLS;
    let mut response = Response::new(());
    *response.version_mut() = Version::HTTP_2;
    *response.status_mut() = if accepted { StatusCode::OK } else { status };
    *response.headers_mut() = headers_out(headers, accepted, known);
    response
}

/// Names of [`varying`] that one connection has sent before.
#[derive(Debug, Default)]
pub(super) struct KnownNames(Cell<u16>);

impl KnownNames {
    /// Whether the name was sent before; from now on it was.
    fn note(&self, bit: u16) -> bool {
        let before = self.0.get();
        self.0.set(before | bit);
        before & bit != 0
    }
}

/// Headers or trailers to send. An upgraded stream has no length.
pub(super) fn headers_out(headers: &Headers, upgraded: bool, known: &KnownNames) -> HeaderMap {
    // `HeaderMap` panics above 24576; what passed the limits of a codec is far below.
    let mut map = HeaderMap::with_capacity(headers.len().min(1024));
    for (name, value) in headers {
        let text = name.as_str();
        if is_hop_by_hop(text, value) || (upgraded && *name == header::CONTENT_LENGTH) {
            continue;
        }
        let mut value = value.clone();
        if let Some(bit) = varying(text)
            && known.note(bit)
        {
            value.set_sensitive(true);
        }
        if map.try_append(name.clone(), value).is_err() {
            break;
        }
    }
    map
}

fn is_hop_by_hop(name: &str, value: &HeaderValue) -> bool {
    match name.len() {
        2 => name == "te" && value.as_bytes() != b"trailers",
        4 => name == "host",
        7 => name == "upgrade",
        10 => matches!(name, "connection" | "keep-alive"),
        14 => name == "http2-settings",
        16 => name == "proxy-connection",
        17 => name == "transfer-encoding",
        _ => false,
    }
}

/// One bit for each header whose value differs on every request. (The length decides nearly
/// always, and costs nothing.)
fn varying(name: &str) -> Option<u16> {
    let place = match name.len() {
        11 => match name {
            "traceparent" => 0,
            "x-b3-spanid" => 1,
            _ => return None,
        },
        12 => match name {
            "x-request-id" => 2,
            "grpc-timeout" => 3,
            "x-b3-traceid" => 4,
            _ => return None,
        },
        15 if name == "x-amzn-trace-id" => 5,
        17 if name == "x-b3-parentspanid" => 6,
        18 if name == "x-datadog-trace-id" => 7,
        19 if name == "x-datadog-parent-id" => 8,
        29 if name == "x-envoy-upstream-service-time" => 9,
        _ => return None,
    };
    Some(1 << place)
}

#[cfg(test)]
#[path = "convert/tests.rs"]
mod tests;
