//! Why a request takes the route it takes: the same matching, told.
//!
//! The virtual host and the domain that chose it, then every route in order: the first condition
//! that failed with what was wanted and what was found, the match, and those that were not
//! reached. Costs a look at every route; not for the request path.

use std::sync::Arc;

use nuncio_api::RequestHead;
use nuncio_config::model::{
    StringMatcher,
    matcher::{Case, HeaderMatcher, HeaderValueMatch},
    metadata::{MetadataMatcher, ValueMatcher},
    route::{FilterStateMatcher, FilterStateValue, PathMatch, Route, RouteMatch, RuntimeFraction, TlsMatch},
};
use serde::Serialize;

use super::{
    DomainKind, MatchContext, RouteIndex,
    conditions::{self, Asked, Mismatch},
    headers, metadata, needs_tls, tree,
};

/// How one request is routed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The virtual host, if one has a domain for the request.
    pub virtual_host: Option<ChosenHost>,
    /// What comes of it.
    pub verdict: Verdict,
    /// The routes of the virtual host that are considered, in order.
    pub routes: Vec<RouteOutcome>,
}

/// The virtual host of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChosenHost {
    /// Its name.
    pub name: String,
    /// Its index in the table.
    pub index: usize,
    /// How its domain matched.
    pub how: DomainKind,
    /// The domain.
    pub domain: String,
}

/// What comes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No virtual host has a domain for it.
    NoVirtualHost,
    /// The virtual host wants TLS: a redirect to https.
    NeedsTls,
    /// The matcher of the virtual host leads to no routes.
    MatcherLeadsNowhere,
    /// No route matches.
    NoRoute,
    /// The route of this index in `routes`.
    Route(usize),
}

/// What came of one route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteOutcome {
    /// Its name, often empty.
    pub name: String,
    /// Its path matcher, readable.
    pub path: String,
    /// Whether it matched.
    pub outcome: Outcome,
}

/// Whether a route matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every condition held.
    Matched,
    /// This one did not, the first to be asked.
    Failed {
        /// The condition (`path`, `header x-a`).
        condition: String,
        /// What it wants.
        wanted: String,
        /// What the request has.
        found: String,
    },
    /// An earlier one was taken.
    NotReached,
}

impl RouteIndex {
    /// Tells how [`RouteIndex::find`] comes to its answer.
    pub fn explain(&self, request: &RequestHead, context: MatchContext<'_>) -> Explanation {
        let name = self.domain_name(request);
        let found = name.and_then(|name| self.domains.find(name));
        let host = found.and_then(|found| self.host(found.at));
        let (Some(name), Some(found), Some((host, _))) = (name, found, host) else {
            return Explanation { virtual_host: None, verdict: Verdict::NoVirtualHost, routes: Vec::new() };
        };
        let chosen =
            ChosenHost { name: host.name.clone(), index: found.at, how: found.kind, domain: found.domain(name) };
        let asked = Asked::new(request, self.table.ignore_path_parameters, context);
        let (verdict, routes) = if needs_tls(host, &context) {
            (Verdict::NeedsTls, Vec::new())
        } else {
            match &host.matcher {
                None => outcomes(&host.routes, &asked),
                Some(tree) => match tree::routes(tree, &asked) {
                    Some(routes) => outcomes(routes, &asked),
                    None => (Verdict::MatcherLeadsNowhere, Vec::new()),
                },
            }
        };
        Explanation { virtual_host: Some(chosen), verdict, routes }
    }
}

fn outcomes(routes: &[Arc<Route>], asked: &Asked<'_>) -> (Verdict, Vec<RouteOutcome>) {
    let mut verdict = Verdict::NoRoute;
    let mut all = Vec::with_capacity(routes.len());
    for (index, route) in routes.iter().enumerate() {
        let outcome = match verdict {
            Verdict::Route(_) => Outcome::NotReached,
            _ => match conditions::check(&route.matches, asked) {
                Ok(()) => {
                    verdict = Verdict::Route(index);
                    Outcome::Matched
                }
                Err(mismatch) => failed(mismatch, &route.matches, asked),
            },
        };
        all.push(RouteOutcome { name: route.name.clone(), path: path_text(&route.matches), outcome });
    }
    (verdict, all)
}

fn failed(mismatch: Mismatch<'_>, route: &RouteMatch, asked: &Asked<'_>) -> Outcome {
    let (condition, wanted, found) = match mismatch {
        Mismatch::Path => ("path".to_owned(), path_text(route), found_path(asked)),
        Mismatch::Grpc => ("grpc".to_owned(), "a gRPC content-type".to_owned(), content_type(asked)),
        Mismatch::Fraction(fraction) => fraction_texts(fraction, asked),
        Mismatch::Header(matcher) => header_texts(matcher, asked),
        Mismatch::Query(matcher) => {
            let wanted = matcher.value.as_ref().map_or_else(|| presence(matcher.present), string_text);
            (format!("query parameter {}", matcher.name), wanted, quoted(asked.query_parameter(&matcher.name)))
        }
        Mismatch::Cookie(matcher) => {
            let found = asked.cookie(&matcher.name).map(|value| String::from_utf8_lossy(value));
            let wanted = inverted(string_text(&matcher.value), matcher.invert);
            (format!("cookie {}", matcher.name), wanted, quoted(found.as_deref()))
        }
        Mismatch::Tls(wanted) => tls_texts(wanted, asked),
        Mismatch::Metadata(matcher) => metadata_texts(matcher, asked),
        Mismatch::FilterState(matcher) => filter_state_texts(matcher, asked),
    };
    Outcome::Failed { condition, wanted, found }
}

fn path_text(route: &RouteMatch) -> String {
    let case = if route.case_sensitive { "" } else { ", in any case" };
    match &route.path {
        PathMatch::Prefix(text) => format!("prefix \"{text}\"{case}"),
        PathMatch::Exact(text) => format!("path \"{text}\"{case}"),
        PathMatch::SeparatedPrefix(text) => format!("path segments \"{text}\"{case}"),
        PathMatch::Regex(regex) => format!("regex {}", pattern(regex.as_str())),
        PathMatch::Connect => "CONNECT".to_owned(),
        PathMatch::Template(template) => format!("template {}", template.text),
    }
}

/// An expression as it was written.
fn pattern(anchored: &str) -> &str {
    anchored.strip_prefix(r"\A(?:").and_then(|rest| rest.strip_suffix(r")\z")).unwrap_or(anchored)
}

fn found_path(asked: &Asked<'_>) -> String {
    match asked.request.path.is_empty() {
        true => format!("{} without a path", asked.request.method),
        false => format!("\"{}\"", asked.path),
    }
}

fn content_type(asked: &Asked<'_>) -> String {
    quoted(asked.request.headers.get_str(&http::header::CONTENT_TYPE))
}

fn fraction_texts(fraction: &RuntimeFraction, asked: &Asked<'_>) -> (String, String, String) {
    let mut wanted = format!("{} of {}", fraction.numerator, fraction.denominator);
    if !fraction.key.is_empty() {
        wanted.push_str(&format!(", unless the runtime says else under {}", fraction.key));
    }
    ("runtime_fraction".to_owned(), wanted, format!("the random number {}", asked.context.random))
}

fn header_texts(matcher: &HeaderMatcher, asked: &Asked<'_>) -> (String, String, String) {
    let wanted = match &matcher.value {
        HeaderValueMatch::String(text) => string_text(text),
        HeaderValueMatch::Range(start, end) => format!("an integer from {start} to below {end}"),
        HeaderValueMatch::Present(present) => presence(*present),
    };
    let values = headers::values(asked.request, &matcher.name);
    let texts: Vec<_> = values.iter().map(|value| format!("\"{}\"", String::from_utf8_lossy(value))).collect();
    let found = if texts.is_empty() { "absent".to_owned() } else { texts.join(", ") };
    (format!("header {}", matcher.name), inverted(wanted, matcher.invert), found)
}

fn tls_texts(wanted: TlsMatch, asked: &Asked<'_>) -> (String, String, String) {
    let text = |presented: Option<bool>, validated: Option<bool>| {
        let part = |name: &str, flag: Option<bool>| flag.map(|flag| format!("{name}: {flag}"));
        let parts = [part("presented", presented), part("validated", validated)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    };
    let context = &asked.context;
    let found = text(Some(context.certificate_presented), Some(context.certificate_validated));
    ("tls_context".to_owned(), text(wanted.presented, wanted.validated), found)
}

fn metadata_texts(matcher: &MetadataMatcher, asked: &Asked<'_>) -> (String, String, String) {
    let found = metadata::value_at(asked.context.metadata, matcher);
    let condition = format!("metadata {} {}", matcher.filter, matcher.path.join("."));
    let found = found.map_or_else(|| "absent".to_owned(), ToString::to_string);
    (condition, inverted(value_text(&matcher.value), matcher.invert), found)
}

fn value_text(wanted: &ValueMatcher) -> String {
    match wanted {
        ValueMatcher::Null => "null".to_owned(),
        ValueMatcher::Number(number) => format!("the number {number}"),
        ValueMatcher::Range(start, end) => format!("a number from {start} to below {end}"),
        ValueMatcher::String(text) => string_text(text),
        ValueMatcher::Bool(flag) => flag.to_string(),
        ValueMatcher::Present(true) => presence(true),
        ValueMatcher::Present(false) => "nothing (`present_match: false` never matches)".to_owned(),
        ValueMatcher::AnyElement(one) => format!("a list with {}", value_text(one)),
        ValueMatcher::Any(all) => all.iter().map(value_text).collect::<Vec<_>>().join(" or "),
    }
}

fn filter_state_texts(matcher: &FilterStateMatcher, asked: &Asked<'_>) -> (String, String, String) {
    let wanted = match &matcher.value {
        FilterStateValue::String(text) => string_text(text),
        FilterStateValue::Address { ranges, invert } => {
            let ranges: Vec<_> = ranges.iter().map(|(base, length)| format!("{base}/{length}")).collect();
            inverted(format!("an address in {}", ranges.join(", ")), *invert)
        }
    };
    let found = asked.context.filter_state.and_then(|state| state.get(&matcher.key));
    (format!("filter state {}", matcher.key), wanted, quoted(found.map(String::as_str)))
}

fn string_text(wanted: &StringMatcher) -> String {
    let text = |what: &str, text: &str, case: Case| {
        let case = if case == Case::Insensitive { ", in any case" } else { "" };
        format!("{what} \"{text}\"{case}")
    };
    match wanted {
        StringMatcher::Exact(want, case) => text("exactly", want, *case),
        StringMatcher::Prefix(want, case) => text("prefix", want, *case),
        StringMatcher::Suffix(want, case) => text("suffix", want, *case),
        StringMatcher::Contains(want, case) => text("containing", want, *case),
        StringMatcher::Regex(regex) => format!("regex {}", pattern(regex.as_str())),
    }
}

fn inverted(wanted: String, invert: bool) -> String {
    if invert { format!("not {wanted}") } else { wanted }
}

fn presence(present: bool) -> String {
    if present { "present".to_owned() } else { "absent".to_owned() }
}

fn quoted(found: Option<&str>) -> String {
    found.map_or_else(|| "absent".to_owned(), |found| format!("\"{found}\""))
}
