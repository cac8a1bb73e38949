//! The full check of one route against one request, condition by condition.

use nuncio_api::RequestHead;
use nuncio_config::model::{
    matcher::{HeaderMatcher, QueryMatcher},
    metadata::MetadataMatcher,
    route::{CookieMatcher, FilterStateMatcher, PathMatch, RouteMatch, RuntimeFraction, TlsMatch},
};

use super::{MatchContext, headers, metadata};
use crate::reply::is_grpc_request;

pub(crate) use super::headers::{header_matches, response_header_matches};

/// One request, as all routes are asked about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(super) request: &'a RequestHead,
    /// The path without query, and without `;parameters` when the table says so.
    pub(super) path: &'a str,
    /// The path without query.
    pub(super) whole_path: &'a str,
    pub(super) context: MatchContext<'a>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(request: &'a RequestHead, ignore_parameters: bool, context: MatchContext<'a>) -> Self {
        let whole_path = up_to(&request.path, memchr::memchr2(b'?', b'#', request.path.as_bytes()));
        let path = match ignore_parameters {
            true => up_to(whole_path, memchr::memchr(b';', whole_path.as_bytes())),
            false => whole_path,
        };
        Self { request, path, whole_path, context }
    }

    /// The first value of a query parameter; nothing is decoded.
    pub(super) fn query_parameter(&self, name: &str) -> Option<&'a str> {
        let (_, query) = self.request.path.split_once('?')?;
        let query = query.split('#').next().unwrap_or(query);
        query.split('&').find_map(|pair| {
            let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
            (found == name).then_some(value)
        })
    }

    /// The first cookie of a name, without the quotes around its value.
    pub(super) fn cookie(&self, name: &str) -> Option<&'a [u8]> {
        let headers = self.request.headers.get_all(&http::header::COOKIE);
        headers.flat_map(|header| header.as_bytes().split(|byte| *byte == b';')).find_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let found = pair.get(..equals)?;
            let start = found.iter().position(|byte| *byte != b' ').unwrap_or(equals);
            let value = pair.get(equals + 1..)?;
            (found.get(start..)? == name.as_bytes()).then(|| unquoted(value))
        })
    }
}

fn up_to(text: &str, end: Option<usize>) -> &str {
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// The first condition that a request does not meet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mismatch<'r> {
    Path,
    Grpc,
    Fraction(&'r RuntimeFraction),
    Header(&'r HeaderMatcher),
    Query(&'r QueryMatcher),
    Cookie(&'r CookieMatcher),
    Tls(TlsMatch),
    Metadata(&'r MetadataMatcher),
    FilterState(&'r FilterStateMatcher),
}

/// Checks everything that a route asks.
pub(super) fn check<'r>(wanted: &'r RouteMatch, asked: &Asked<'_>) -> Result<(), Mismatch<'r>> {
    let unless = |holds: bool, mismatch| if holds { Ok(()) } else { Err(mismatch) };
    unless(path_matches(wanted, asked), Mismatch::Path)?;
    if let Some(fraction) = &wanted.runtime_fraction {
        unless(in_fraction(fraction, &asked.context), Mismatch::Fraction(fraction))?;
    }
    unless(!wanted.grpc || is_grpc_request(&asked.request.headers), Mismatch::Grpc)?;
    first_failing(&wanted.headers, |one| header_matches(one, asked.request), Mismatch::Header)?;
    first_failing(&wanted.query_parameters, |one| query_matches(one, asked), Mismatch::Query)?;
    first_failing(&wanted.cookies, |one| cookie_matches(one, asked), Mismatch::Cookie)?;
    if let Some(tls) = wanted.tls {
        unless(tls_matches(tls, &asked.context), Mismatch::Tls(tls))?;
    }
    let data = asked.context.metadata;
    first_failing(&wanted.dynamic_metadata, |one| metadata::metadata_matches(data, one), Mismatch::Metadata)?;
    let state = asked.context.filter_state;
    first_failing(&wanted.filter_state, |one| metadata::filter_state_matches(state, one), Mismatch::FilterState)
}

fn first_failing<'r, T>(
    conditions: &'r [T],
    holds: impl Fn(&T) -> bool,
    mismatch: impl Fn(&'r T) -> Mismatch<'r>,
) -> Result<(), Mismatch<'r>> {
    conditions.iter().find(|one| !holds(one)).map_or(Ok(()), |one| Err(mismatch(one)))
}

fn path_matches(wanted: &RouteMatch, asked: &Asked<'_>) -> bool {
    let path = asked.path;
    if matches!(wanted.path, PathMatch::Connect) {
        return is_connect(asked.request);
    }
    // Only `connect_matcher` takes what has no path.
    if asked.request.path.is_empty() {
        return false;
    }
    let case = wanted.case_sensitive;
    match &wanted.path {
        PathMatch::Prefix(text) => starts_with(path, text, case),
        PathMatch::Exact(text) => path.len() == text.len() && starts_with(path, text, case),
        PathMatch::SeparatedPrefix(text) => {
            starts_with(path, text, case) && matches!(path.as_bytes().get(text.len()), None | Some(b'/'))
        }
        PathMatch::Regex(regex) => regex.is_match(path.as_bytes()),
        PathMatch::Template(template) => template.matches(asked.whole_path),
        PathMatch::Connect => false,
    }
}

/// CONNECT to a host, or to a UDP peer; other extended CONNECTs are upgrades.
fn is_connect(request: &RequestHead) -> bool {
    let is_udp = request.upgrade.as_deref().is_some_and(|protocol| protocol.eq_ignore_ascii_case("connect-udp"));
    is_udp || (request.method == http::Method::CONNECT && !headers::is_upgrade(request))
}

fn starts_with(path: &str, text: &str, case_sensitive: bool) -> bool {
    path.as_bytes().get(..text.len()).is_some_and(|head| {
        if case_sensitive { head == text.as_bytes() } else { head.eq_ignore_ascii_case(text.as_bytes()) }
    })
}

/// Whether the request falls under a fraction, which the runtime may change.
pub(super) fn in_fraction(fraction: &RuntimeFraction, context: &MatchContext<'_>) -> bool {
    let (numerator, denominator) = (fraction.numerator, fraction.denominator);
    match context.runtime {
        Some(runtime) => runtime.feature_enabled(&fraction.key, numerator, denominator, context.random),
        None => context.random % u64::from(denominator.max(1)) < u64::from(numerator),
    }
}

fn query_matches(wanted: &QueryMatcher, asked: &Asked<'_>) -> bool {
    match (&wanted.value, asked.query_parameter(&wanted.name)) {
        (Some(value), Some(found)) => value.matches(found.as_bytes()),
        (Some(_), None) => false,
        (None, found) => found.is_some() == wanted.present,
    }
}

fn cookie_matches(wanted: &CookieMatcher, asked: &Asked<'_>) -> bool {
    asked.cookie(&wanted.name).is_some_and(|value| wanted.value.matches(value)) != wanted.invert
}

fn tls_matches(wanted: TlsMatch, context: &MatchContext<'_>) -> bool {
    wanted.presented.is_none_or(|presented| presented == context.certificate_presented)
        && wanted.validated.is_none_or(|validated| validated == context.certificate_validated)
}
