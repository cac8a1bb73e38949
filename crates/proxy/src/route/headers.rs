//! Header conditions.
//!
//! A repeated header is judged value by value (Envoy 1.39): one value that matches is enough. A
//! missing header fails every condition on its value, inverted or not, unless it is to count as
//! empty.

use http::Method;
use nuncio_api::{Headers, RequestHead};
use nuncio_config::model::matcher::{HeaderMatcher, HeaderValueMatch, MatchedHeader};
use smallvec::SmallVec;

/// The values under a name, pseudo headers included.
pub(super) fn values<'a>(request: &'a RequestHead, name: &'a MatchedHeader) -> SmallVec<[&'a [u8]; 2]> {
    let one = |value: &'a str| SmallVec::from_slice(&[value.as_bytes()]);
    let tunnel = request.method == Method::CONNECT;
    match name {
        // An extended CONNECT reads as the HTTP/1.1 upgrade that it stands for.
        MatchedHeader::Method if tunnel && is_upgrade(request) => one("GET"),
        MatchedHeader::Method => one(request.method.as_str()),
        // A CONNECT has no path.
        MatchedHeader::Path if request.path.is_empty() => SmallVec::new(),
        MatchedHeader::Path => one(&request.path),
        MatchedHeader::Authority => one(&request.authority),
        MatchedHeader::Scheme => one(request.scheme.as_str()),
        MatchedHeader::Protocol => match &request.upgrade {
            Some(protocol) if tunnel => one(protocol),
            _ => SmallVec::new(),
        },
        MatchedHeader::Name(name) => request.headers.get_all(name).map(|value| value.as_bytes()).collect(),
        MatchedHeader::Nothing => SmallVec::new(),
    }
}

/// An extended CONNECT for something besides a plain byte stream.
pub(super) fn is_upgrade(request: &RequestHead) -> bool {
    request.upgrade.as_deref().is_some_and(|protocol| !protocol.is_empty() && protocol != "bytestream")
}

/// True when the header condition holds.
pub(crate) fn header_matches(matcher: &HeaderMatcher, request: &RequestHead) -> bool {
    holds(matcher, &values(request, &matcher.name))
}

/// The same for a response, which has no pseudo headers to look at.
pub(crate) fn response_header_matches(matcher: &HeaderMatcher, headers: &Headers) -> bool {
    let values: SmallVec<[&[u8]; 2]> = match &matcher.name {
        MatchedHeader::Name(name) => headers.get_all(name).map(|value| value.as_bytes()).collect(),
        _ => SmallVec::new(),
    };
    holds(matcher, &values)
}

fn holds(matcher: &HeaderMatcher, values: &[&[u8]]) -> bool {
    let matched = match (&matcher.value, values.is_empty()) {
        (HeaderValueMatch::Present(present), missing) => (!missing || matcher.missing_as_empty) == *present,
        (value, true) if matcher.missing_as_empty => value_matches(value, b""),
        (_, true) => return false,
        (value, false) => values.iter().any(|found| value_matches(value, found)),
    };
    matched != matcher.invert
}

fn value_matches(wanted: &HeaderValueMatch, value: &[u8]) -> bool {
    match wanted {
        HeaderValueMatch::Present(present) => *present,
        HeaderValueMatch::String(matcher) => matcher.matches(value),
        HeaderValueMatch::Range(start, end) => std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.trim_ascii().parse::<i64>().ok())
            .is_some_and(|number| (*start..*end).contains(&number)),
    }
}
