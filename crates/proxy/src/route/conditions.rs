//! The full check of one route against one request: path, fraction, headers, query parameters.

use http::HeaderName;
use nuncio_api::{Headers, RequestHead};
use nuncio_config::model::{
    matcher::{HeaderMatcher, HeaderValueMatch, MatchedHeader, QueryMatcher},
    route::{PathMatch, Route, RouteMatch},
};

use crate::reply::is_grpc_request;

/// True when every condition of `route` holds. `path` is the request's path without its query.
pub(crate) fn route_matches(route: &Route, request: &RequestHead, path: &str, random: u64) -> bool {
    let wanted = &route.matches;
    path_matches(wanted, path)
        && (!wanted.grpc || is_grpc_request(&request.headers))
        && in_fraction(wanted, random)
        && wanted.headers.iter().all(|matcher| header_matches(matcher, request))
        && (wanted.query_parameters.is_empty() || query_matches(&wanted.query_parameters, &request.path))
}

fn path_matches(wanted: &RouteMatch, path: &str) -> bool {
    let case = wanted.case_sensitive;
    match &wanted.path {
        PathMatch::Prefix(text) => starts_with(path, text, case),
        PathMatch::Exact(text) => path.len() == text.len() && starts_with(path, text, case),
        PathMatch::SeparatedPrefix(text) => {
            starts_with(path, text, case) && matches!(path.as_bytes().get(text.len()), None | Some(b'/'))
        }
        PathMatch::Connect => false,
        PathMatch::Regex(regex) => regex.is_match(path.as_bytes()),
    }
}

fn starts_with(path: &str, text: &str, case_sensitive: bool) -> bool {
    path.as_bytes().get(..text.len()).is_some_and(|head| {
        if case_sensitive { head == text.as_bytes() } else { head.eq_ignore_ascii_case(text.as_bytes()) }
    })
}

fn in_fraction(wanted: &RouteMatch, random: u64) -> bool {
    match &wanted.runtime_fraction {
        None => true,
        Some(fraction) => random % u64::from(fraction.denominator.max(1)) < u64::from(fraction.numerator),
    }
}

/// True when the header condition holds. A repeated header is matched value by value (Envoy
/// 1.39): one value that matches is enough; range and presence look at the first.
pub(crate) fn header_matches(matcher: &HeaderMatcher, request: &RequestHead) -> bool {
    let outcome = match &matcher.name {
        MatchedHeader::Method => value_matches(&matcher.value, Some(request.method.as_str().as_bytes())),
        MatchedHeader::Path => value_matches(&matcher.value, Some(request.path.as_bytes())),
        MatchedHeader::Authority => value_matches(&matcher.value, Some(request.authority.as_bytes())),
        MatchedHeader::Scheme => value_matches(&matcher.value, Some(request.scheme.as_str().as_bytes())),
        MatchedHeader::Name(name) => ordinary_matches(matcher, name, &request.headers),
    };
    outcome.holds(matcher.invert)
}

/// The same for a response, which has no pseudo headers to look at.
pub(crate) fn response_header_matches(matcher: &HeaderMatcher, headers: &Headers) -> bool {
    match &matcher.name {
        MatchedHeader::Name(name) => ordinary_matches(matcher, name, headers).holds(matcher.invert),
        _ => value_matches(&matcher.value, None).holds(matcher.invert),
    }
}

fn ordinary_matches(matcher: &HeaderMatcher, name: &HeaderName, headers: &Headers) -> Outcome {
    let mut values = headers.get_all(name).map(|v| v.as_bytes()).peekable();
    if values.peek().is_none() {
        let empty: Option<&[u8]> = matcher.missing_as_empty.then_some(b"");
        // A missing header fails every value condition, inverted or not.
        return value_matches(&matcher.value, empty);
    }
    Outcome::from(values.any(|value| value_matches(&matcher.value, Some(value)) == Outcome::Match))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Match,
    NoMatch,
    Missing,
}

impl Outcome {
    fn holds(self, invert: bool) -> bool {
        match self {
            Self::Missing => false,
            Self::Match => !invert,
            Self::NoMatch => invert,
        }
    }
}

impl From<bool> for Outcome {
    fn from(matched: bool) -> Self {
        if matched { Self::Match } else { Self::NoMatch }
    }
}

fn value_matches(wanted: &HeaderValueMatch, value: Option<&[u8]>) -> Outcome {
    match (wanted, value) {
        (HeaderValueMatch::Present(present), value) => Outcome::from(value.is_some() == *present),
        (_, None) => Outcome::Missing,
        (HeaderValueMatch::String(matcher), Some(value)) => matcher.matches(value).into(),
        (HeaderValueMatch::Range(start, end), Some(value)) => std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<i64>().ok())
            .is_some_and(|number| (*start..*end).contains(&number))
            .into(),
    }
}

fn query_matches(wanted: &[QueryMatcher], path: &str) -> bool {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or("");
    wanted.iter().all(|matcher| {
        let found = query.split('&').find_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name == matcher.name && !pair.is_empty()).then_some(value)
        });
        match (&matcher.value, found) {
            (Some(value), Some(found)) => value.matches(found.as_bytes()),
            (Some(_), None) => false,
            (None, found) => found.is_some() == matcher.present,
        }
    })
}
