//! Headers, query parameters, expressions.

use super::*;
use crate::model::{
    matcher::{Case, HeaderValueMatch, MatchedHeader, StringMatcher},
    route::{HostRewrite, PathMatch},
};

fn headers(list: &str) -> Bootstrap {
    quiet(&with_route(&format!("match: {{prefix: /, headers: [{list}]}}, route: {{cluster: c}}")))
}

#[test]
fn header_matchers_translate() {
    let bootstrap = headers(
        "{name: X-A, string_match: {exact: V, ignore_case: true}}, {name: ':method', string_match: {prefix: G}}, \
         {name: Host, string_match: {contains: x}, invert_match: true}, {name: nm, range_match: {start: 1, end: 9}}, \
         {name: p, present_match: false, treat_missing_header_as_empty: true}, {name: q}",
    );
    let list = &routes_of(&bootstrap)[0].matches.headers;
    assert_eq!(list[0].name, MatchedHeader::Name(http::HeaderName::from_static("x-a")));
    assert!(
        matches!(&list[0].value, HeaderValueMatch::String(StringMatcher::Exact(text, Case::Insensitive)) if text == "V")
    );
    assert_eq!(list[1].name, MatchedHeader::Method);
    assert!(list[2].name == MatchedHeader::Authority && list[2].invert);
    assert!(matches!(list[3].value, HeaderValueMatch::Range(1, 9)));
    assert!(matches!(list[4].value, HeaderValueMatch::Present(false)) && list[4].missing_as_empty);
    assert!(matches!(list[5].value, HeaderValueMatch::Present(true)));
}

#[test]
fn query_matchers_translate() {
    let bootstrap = quiet(&with_route(
        "match: {prefix: /, query_parameters: [{name: a, string_match: {suffix: z}}, {name: b, present_match: false}, \
         {name: c}]}, route: {cluster: c}",
    ));
    let list = &routes_of(&bootstrap)[0].matches.query_parameters;
    assert!(matches!(&list[0].value, Some(StringMatcher::Suffix(text, Case::Sensitive)) if text == "z"));
    assert!(list[1].value.is_none() && !list[1].present);
    assert!(list[2].value.is_none() && list[2].present);
}

#[test]
fn expressions_match_the_whole_text_and_classes_are_ascii() {
    let matches = |regex: &str, text: &str| {
        let yaml = with_route(&format!("match: {{safe_regex: {{regex: '{regex}'}}}}, route: {{cluster: c}}"));
        let bootstrap = quiet(&yaml);
        let PathMatch::Regex(compiled) = &routes_of(&bootstrap)[0].matches.path else { panic!("regex") };
        compiled.is_match(text.as_bytes())
    };
    assert!(matches("/a.*", "/abc") && !matches("a", "/a") && !matches("/a", "/ab"));
    assert!(matches("a|b", "b") && !matches("a|b", "ab"));
    assert!(matches(r"\d+", "12") && !matches(r"\d+", "١٢"));
    assert!(matches(r"\pL+", "äö"), "what needs Unicode still works");
}

#[test]
fn a_bad_expression_says_why() {
    let error = diagnostic(&with_route("match: {safe_regex: {regex: '(?=a)'}}, route: {cluster: c}"));
    assert!(error.message.contains("look-around"), "{}", error.message);
    let path = "match: {prefix: /, headers: [{name: a}, {name: b, string_match: {safe_regex: {regex: '('}}}]}";
    let (code, at) = only_error(&with_route(&format!("{path}, route: {{cluster: c}}")));
    assert_eq!((code, at), ("bad-regex", format!("{ROUTES}.routes[0].match.headers[1].string_match.safe_regex.regex")));
}

#[test]
fn a_substitution_that_refers_to_no_group_is_warned_about() {
    let rewrite = |substitution: &str| {
        with_route(&format!(
            "match: {{prefix: /}}, route: {{cluster: c, host_rewrite_literal: h, regex_rewrite: {{pattern: {{regex: '(a)'}}, \
             substitution: '{substitution}'}}}}"
        ))
    };
    let bootstrap = quiet(&rewrite(r"\1\\x"));
    assert!(matches!(forward_of(&bootstrap).path_rewrite, crate::model::route::PathRewrite::Regex(..)));
    assert!(matches!(forward_of(&bootstrap).host_rewrite, HostRewrite::Literal(_)));
    assert_eq!(warnings(&rewrite(r"\3")), ["bad-substitution"]);
}
