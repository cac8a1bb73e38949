//! What routes and virtual hosts ask of a request, and what they say about filters.

use super::*;
use crate::model::{
    matcher::MatchedHeader,
    metadata::ValueMatcher,
    route::{FilterStateValue, MatchInput, OnMatch, PathMatch, Predicate, TlsMatch, TreeKind},
};

const TEMPLATE: &str = "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";
const HEADER_INPUT: &str = "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput";
const FILTER_CONFIG: &str = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

fn template(text: &str) -> String {
    format!("path_match_policy: {{name: t, typed_config: {{\"@type\": {TEMPLATE}, path_template: \"{text}\"}}}}")
}

fn matching(conditions: &str) -> String {
    with_route(&format!("match: {{{conditions}}}, route: {{cluster: c}}"))
}

/// A matcher with one predicate on the header `x-a`, and what it leads to.
fn tree(on_match: &str) -> String {
    format!(
        "matcher: {{matcher_list: {{matchers: [{{predicate: {{single_predicate: {{input: {{name: i, typed_config: \
         {{\"@type\": {HEADER_INPUT}, header_name: X-A}}}}, value_match: {{prefix: v, ignore_case: true}}}}}}, \
         on_match: {on_match}}}]}}}}"
    )
}

fn route_action(route: &str) -> String {
    format!("{{name: r, typed_config: {{\"@type\": type.googleapis.com/envoy.config.route.v3.Route, {route}}}}}")
}

#[test]
fn every_condition_of_a_route_translates() {
    let bootstrap = quiet(&matching(&format!(
        "{}, cookies: [{{name: a, string_match: {{exact: b}}, invert_match: true}}], tls_context: {{validated: \
         false}}, dynamic_metadata: [{{filter: f, path: [{{key: k}}, {{key: l}}], value: {{or_match: \
         {{value_matchers: [{{null_match: {{}}}}, {{double_match: {{range: {{start: 1, end: 2}}}}}}, {{list_match: \
         {{one_of: {{bool_match: true}}}}}}]}}}}, invert: true}}], filter_state: [{{key: s, address_match: {{ranges: \
         [{{address_prefix: 10.0.0.0, prefix_len: 8}}]}}}}]",
        template("/a/{x}/**")
    )));
    let wanted = &routes_of(&bootstrap)[0].matches;
    let PathMatch::Template(template) = &wanted.path else { panic!("a template") };
    assert_eq!((template.text.as_str(), template.start.as_str()), ("/a/{x}/**", "/a/"));
    assert!(wanted.cookies[0].name == "a" && wanted.cookies[0].invert);
    assert_eq!(wanted.tls, Some(TlsMatch { presented: None, validated: Some(false) }));
    assert_eq!(wanted.dynamic_metadata[0].path, ["k", "l"]);
    let ValueMatcher::Any(all) = &wanted.dynamic_metadata[0].value else { panic!("any") };
    assert!(matches!(&all[..], [ValueMatcher::Null, ValueMatcher::Range(..), ValueMatcher::AnyElement(_)]));
    assert!(matches!(&wanted.filter_state[0].value, FilterStateValue::Address { ranges, .. } if ranges.len() == 1));
    let bootstrap = quiet(&matching("connect_matcher: {}"));
    assert!(matches!(routes_of(&bootstrap)[0].matches.path, PathMatch::Connect));
}

#[test]
fn bad_conditions_are_found_where_they_stand() {
    for (conditions, code, path) in [
        (template("/a//b"), "bad-path-template", "path_match_policy.typed_config.path_template"),
        (
            "prefix: /, headers: [{name: a, string_match: {safe_regex: {regex: a}, ignore_case: true}}]".to_owned(),
            "bad-ignore-case",
            "headers[0].string_match.ignore_case",
        ),
        (
            format!("path_match_policy: {{name: t, typed_config: {{\"@type\": {HEADER_INPUT}, header_name: a}}}}"),
            "not-supported-yet",
            "path_match_policy",
        ),
    ] {
        assert_eq!(only_error(&matching(&conditions)), (code, format!("{ROUTES}.routes[0].match.{path}")));
    }
    let odd = matching("prefix: /, headers: [{name: a b, present_match: true}]");
    assert_eq!(warnings(&odd), ["bad-header-name"]);
    assert_eq!(routes_of(&accepted(&odd).0)[0].matches.headers[0].name, MatchedHeader::Nothing);
}

#[test]
fn a_matcher_leads_to_routes() {
    let action = route_action("match: {prefix: /}, name: inner, route: {cluster: nowhere}");
    let bootstrap = quiet(&with_host(&tree(&format!("{{action: {action}}}"))));
    let RouteSource::Static(table) = &manager_of(&bootstrap).routes;
    let host = &table.virtual_hosts[0];
    let tree = host.matcher.as_ref().expect("a tree");
    assert_eq!(tree.routes().iter().map(|route| route.name.as_str()).collect::<Vec<_>>(), ["inner"]);
    let TreeKind::List(list) = &tree.kind else { panic!("a list") };
    let [(Predicate::Single(MatchInput::Header(name), _), OnMatch::Routes(_))] = &list[..] else { panic!("{list:?}") };
    assert_eq!(name.to_string(), "x-a");
}

#[test]
fn a_matcher_is_refused_where_envoy_refuses_it() {
    let action = format!("{{action: {}}}", route_action("match: {prefix: /}, direct_response: {status: 200}"));
    let both = format!("{}, {ALL_TO_C}", tree(&action));
    assert_eq!(only_error(&with_host(&both)), ("routes-and-matcher", format!("{ROUTES}.matcher")));
    let on_match = format!("{ROUTES}.matcher.matcher_list.matchers[0].on_match");
    let keep = tree(&action.replacen('{', "{keep_matching: true, ", 1));
    assert_eq!(only_error(&with_host(&keep)), ("bad-matcher", format!("{on_match}.keep_matching")));
    let input = tree(&action).replace("HttpRequestHeaderMatchInput", "HttpResponseHeaderMatchInput");
    assert_eq!(only_error(&with_host(&input)).0, "bad-matcher-input");
    let inner = tree(&action).replace("direct_response: {status: 200}", "route: {cluster_specifier_plugin: x}");
    let at = format!("{on_match}.action.typed_config.route.cluster_specifier_plugin");
    assert_eq!(only_error(&with_host(&inner)), ("unknown-plugin", at));
}

#[test]
fn filters_are_turned_off_per_route() {
    let said = |said: &str| {
        with_route(&format!("match: {{prefix: /}}, route: {{cluster: c}}, typed_per_filter_config: {{f: {{{said}}}}}"))
    };
    let of = |yaml: &str| routes_of(&accepted(yaml).0)[0].per_filter["f"].clone();
    assert!(of(&said(&format!("\"@type\": {FILTER_CONFIG}, disabled: true"))).disabled);
    let on = of(&said(&format!("\"@type\": {FILTER_CONFIG}, config: {{}}")));
    assert!(!on.disabled && on.type_url.is_empty());
    let fault = "\"@type\": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";
    let optional = said(&format!("\"@type\": {FILTER_CONFIG}, is_optional: true, config: {{{fault}}}"));
    assert_eq!(warnings(&optional), ["optional-filter"]);
    let at = format!("{ROUTES}.routes[0].typed_per_filter_config[\"f\"]");
    let empty = said(&format!("\"@type\": {FILTER_CONFIG}"));
    assert_eq!(only_error(&empty), ("empty-filter-config", at.clone()));
    let router = "\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    assert_eq!(only_error(&said(router)), ("not-per-route", at.clone()));
    assert_eq!(only_error(&said(fault)), ("not-supported-yet", at));
}

#[test]
fn metadata_is_kept_at_every_level() {
    let metadata = "metadata: {filter_metadata: {com.x: {a: {b: 1}}}}";
    let yaml = with_host(&format!("{metadata}, routes: [{{match: {{prefix: /}}, route: {{cluster: c}}, {metadata}}}]"));
    let bootstrap = quiet(&yaml);
    let RouteSource::Static(table) = &manager_of(&bootstrap).routes;
    let host = &table.virtual_hosts[0];
    for found in [&host.metadata, &host.routes[0].metadata] {
        assert_eq!(found.as_ref().expect("metadata")["com.x"]["a"]["b"], 1);
    }
    assert!(table.metadata.is_none());
}
