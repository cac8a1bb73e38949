//! Route tables: actions, cluster names, shadowing, domains.

use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::model::{
    matcher::MatchedHeader,
    route::{ClusterSpecifier, HostRewrite, PathMatch, PathRewrite, RedirectPath, RequireTls, RuntimeFraction},
};

#[test]
fn a_route_without_settings_has_envoys_defaults() {
    let bootstrap = quiet(&with_host(ALL_TO_C));
    let forward = forward_of(&bootstrap);
    assert_eq!(forward.timeout, Some(Duration::from_secs(15)));
    assert_eq!((forward.idle_timeout, forward.max_stream.limit), (None, None));
    assert_eq!(forward.cluster_not_found, StatusCode::SERVICE_UNAVAILABLE);
    assert!(matches!(forward.host_rewrite, HostRewrite::None));
    let ClusterSpecifier::Name(name) = &forward.cluster else { panic!("a name") };
    assert!(Arc::ptr_eq(name, &bootstrap.clusters[0].name), "names are shared");
    let RouteSource::Static(table) = &manager_of(&bootstrap).routes;
    assert!(table.validate_clusters);
    assert_eq!(table.max_direct_response_body, 4096);
    assert_eq!(table.virtual_hosts[0].require_tls, RequireTls::None);
}

#[test]
fn a_forwarding_route_keeps_all_its_settings() {
    let bootstrap = quiet(&with_route(
        "name: nm, match: {path: /A, case_sensitive: false, grpc: {}, \
         runtime_fraction: {default_value: {numerator: 3, denominator: TEN_THOUSAND}, runtime_key: k}}, route: \
         {cluster: c, prefix_rewrite: /n, host_rewrite_literal: h, append_x_forwarded_host: true, timeout: 0s, \
         idle_timeout: 0s, priority: HIGH, max_stream_duration: {max_stream_duration: 3s}, \
         cluster_not_found_response_code: NOT_FOUND}",
    ));
    let route = &routes_of(&bootstrap)[0];
    assert_eq!(route.name, "nm");
    assert!(matches!(&route.matches.path, PathMatch::Exact(path) if path == "/A"));
    assert!(!route.matches.case_sensitive && route.matches.grpc);
    assert_eq!(
        route.matches.runtime_fraction,
        Some(RuntimeFraction { numerator: 3, denominator: 10_000, key: "k".into() })
    );
    let forward = forward_of(&bootstrap);
    assert!(matches!(&forward.path_rewrite, PathRewrite::Prefix(prefix) if prefix == "/n"));
    assert!(matches!(&forward.host_rewrite, HostRewrite::Literal(host) if host == "h"));
    assert_eq!((forward.timeout, forward.idle_timeout), (None, Some(Duration::ZERO)));
    assert_eq!(forward.max_stream.limit, Some(Duration::from_secs(3)));
    assert_eq!(forward.cluster_not_found, StatusCode::NOT_FOUND);
    assert!(forward.high_priority && forward.append_x_forwarded_host);
}

#[test]
fn redirects_and_direct_responses_translate() {
    let bootstrap = quiet(&with_host(
        "routes: [{match: {path: /a}, redirect: {https_redirect: true, host_redirect: h, port_redirect: 8443, \
         path_redirect: /x, response_code: SEE_OTHER, strip_query: true}}, {match: {path: /b}, redirect: \
         {scheme_redirect: FOO, regex_rewrite: {pattern: {regex: 'a(b)'}, substitution: '\\1'}}}, {match: {path: /c}, \
         direct_response: {status: 418, body: {inline_string: tea}}}, {match: {path: /d}, non_forwarding_action: {}}]",
    ));
    let [first, second, third, fourth] = routes_of(&bootstrap) else { panic!("four") };
    let RouteAction::Redirect(redirect) = &first.action else { panic!("redirect") };
    assert_eq!((redirect.scheme.as_deref(), redirect.host.as_deref()), (Some("https"), Some("h")));
    assert_eq!((redirect.port, redirect.status), (Some(8443), StatusCode::SEE_OTHER));
    assert!(redirect.strip_query && matches!(&redirect.path, RedirectPath::Replace(path) if path == "/x"));
    let RouteAction::Redirect(redirect) = &second.action else { panic!("redirect") };
    assert_eq!((redirect.scheme.as_deref(), redirect.status), (Some("FOO"), StatusCode::MOVED_PERMANENTLY));
    assert!(matches!(&redirect.path, RedirectPath::Regex(_, substitution) if substitution == "\\1"));
    let RouteAction::Direct(direct) = &third.action else { panic!("direct") };
    assert_eq!((direct.status.as_u16(), &direct.body[..]), (418, &b"tea"[..]));
    assert!(matches!(fourth.action, RouteAction::NonForwarding));
}

#[test]
fn a_route_rewrites_in_one_way() {
    let rewriting = |fields: &str| with_route(&format!("match: {{prefix: /}}, route: {{cluster: c, {fields}}}"));
    let bootstrap = quiet(&rewriting("path_rewrite: '/%REQ(a)%', host_rewrite: '%REQ(b)%'"));
    let forward = forward_of(&bootstrap);
    assert!(matches!(&forward.path_rewrite, PathRewrite::Format(format) if format.operators().count() == 1));
    assert!(matches!(&forward.host_rewrite, HostRewrite::Format(_)));
    let regex = "{pattern: {regex: '^/(.+)'}, substitution: '\\1'}";
    let bootstrap = quiet(&rewriting(&format!("host_rewrite_path_regex: {regex}")));
    assert!(matches!(&forward_of(&bootstrap).host_rewrite, HostRewrite::PathRegex(_, with) if with == "\\1"));
    for (fields, code, path) in [
        ("path_rewrite: '/%REQ%'", "bad-format", "path_rewrite"),
        ("host_rewrite: '%'", "bad-format", "host_rewrite"),
        ("path_rewrite: /a, prefix_rewrite: /b", "conflicting-fields", "path_rewrite"),
        (&format!("path_rewrite: /a, regex_rewrite: {regex}"), "conflicting-fields", "path_rewrite"),
    ] {
        assert_eq!(only_error(&rewriting(fields)), (code, format!("{ROUTES}.routes[0].route.{path}")));
    }
    assert_eq!(warnings(&with_route("match: {prefix: /}, redirect: {port_redirect: 70000}")), ["bad-port"]);
}

#[test]
fn an_unknown_cluster_is_an_error_with_a_guess() {
    let yaml = with_route("match: {prefix: /}, route: {cluster: cc}").replace("name: c,", "name: small_one,");
    let error = diagnostic(&yaml.replace("cluster: cc", "cluster: smal_one"));
    assert_eq!(error.code, "unknown-cluster");
    assert_eq!(error.message, "route: unknown cluster 'smal_one'");
    assert_eq!(error.path, format!("{ROUTES}.routes[0].route.cluster"));
    assert_eq!(error.help.as_deref(), Some("did you mean `small_one`?"));
}

#[test]
fn unknown_clusters_pass_when_the_table_says_so() {
    let yaml = with_route("match: {prefix: /}, route: {cluster: other}");
    assert_eq!(only_error(&yaml).0, "unknown-cluster");
    quiet(&yaml.replace("virtual_hosts:", "validate_clusters: false, virtual_hosts:"));
}

#[test]
fn weights_must_add_up_to_something() {
    let weighted = |clusters: &str| {
        with_route(&format!(
            "match: {{prefix: /}}, route: {{weighted_clusters: {{runtime_key_prefix: k, clusters: [{clusters}]}}}}"
        ))
    };
    let bootstrap = quiet(&weighted("{name: c, weight: 3}, {cluster_header: x, weight: 0}"));
    let ClusterSpecifier::Weighted(clusters, _) = &forward_of(&bootstrap).cluster else { panic!("weights") };
    assert_eq!((clusters[0].weight, clusters[0].runtime_key.as_deref()), (3, Some("k.c")));
    assert!(matches!(&clusters[1].header, Some(MatchedHeader::Name(name)) if name == "x"));
    for (clusters, code) in [
        ("{name: c, weight: 0}", "bad-weights"),
        ("{name: c}", "missing-weight"),
        ("{name: c, cluster_header: x, weight: 1}", "missing-cluster"),
        ("{weight: 1}", "missing-cluster"),
        ("{name: nope, weight: 1}", "unknown-cluster"),
    ] {
        assert!(refused(&weighted(clusters)).iter().any(|(found, _)| *found == code), "{clusters}");
    }
}

#[test]
fn a_route_behind_one_that_takes_everything_is_warned_about() {
    let shadowed = |first: &str, second: &str| {
        let route = |matches: &str| format!("{{match: {{{matches}}}, route: {{cluster: c}}}}");
        let found = warnings(&with_host(&format!("routes: [{}, {}]", route(first), route(second))));
        !found.is_empty()
    };
    for (first, second) in [
        ("prefix: /", "prefix: /a"),
        ("prefix: /a", "path: /abc"),
        ("path: /a", "path: /a"),
        ("path_separated_prefix: /a", "path: /a"),
        ("path_separated_prefix: /a", "prefix: /a/b"),
        ("prefix: /", "safe_regex: {regex: .*}"),
        ("prefix: /A, case_sensitive: false", "path: /ab"),
        ("prefix: /a, case_sensitive: false", "prefix: /AB, case_sensitive: false"),
    ] {
        assert!(shadowed(first, second), "{first} before {second}");
    }
    for (first, second) in [
        ("prefix: /a", "prefix: /"),
        ("path_separated_prefix: /a", "prefix: /ab"),
        ("path_separated_prefix: /a", "prefix: /a"),
        ("prefix: /, headers: [{name: x}]", "prefix: /a"),
        ("prefix: /, grpc: {}", "prefix: /a"),
        ("prefix: /a", "path: /A"),
        ("prefix: /a", "prefix: /ab, case_sensitive: false"),
        ("path: /a", "prefix: /a"),
    ] {
        assert!(!shadowed(first, second), "{first} before {second}");
    }
}

#[test]
fn domains_are_unique_in_any_case() {
    let second = |domains: &str| {
        with_host(ALL_TO_C)
            .replace("virtual_hosts: [", &format!("virtual_hosts: [{{name: w, domains: [{domains}], routes: []}}, "))
    };
    quiet(&second("a.example, \"*.example\""));
    assert_eq!(only_error(&second("A.example, a.EXAMPLE")).0, "duplicate-domain");
    let (code, path) = only_error(&second("\"*\""));
    assert_eq!(code, "duplicate-wildcard");
    assert!(path.ends_with("virtual_hosts[1].domains[0]"), "{path}");
    assert_eq!(warnings(&second("a").replace("name: w", "name: v")), ["duplicate-virtual-host"]);
}

#[test]
fn mistakes_in_routes_are_found() {
    for (route, code, path) in [
        (
            "match: {prefix: /}, direct_response: {status: 200, body: {inline_string: LONG}}",
            "response-too-large",
            "direct_response.body",
        ),
        (
            "match: {prefix: /}, direct_response: {status: 200, body: {filename: /nonexistent/x}}",
            "unreadable-file",
            "direct_response.body.filename",
        ),
        (
            "match: {prefix: /}, route: {cluster: c, prefix_rewrite: /a, regex_rewrite: {pattern: {regex: a}, substitution: b}}",
            "conflicting-fields",
            "route.regex_rewrite",
        ),
        ("match: {safe_regex: {regex: 'a['}}, route: {cluster: c}", "bad-regex", "match.safe_regex.regex"),
    ] {
        let (found, at) = only_error(&with_route(&route.replace("LONG", &"x".repeat(5000))));
        assert_eq!(at, format!("{ROUTES}.routes[0].{path}"));
        assert!(code.is_empty() || found == code, "{found}");
    }
}

#[test]
fn what_is_not_built_is_refused_with_its_place() {
    for (route, path) in [
        (
            "match: {prefix: /}, route: {inline_cluster_specifier_plugin: {extension: {name: p, typed_config: {\"@type\": type.googleapis.com/google.protobuf.Struct}}}}",
            "route.inline_cluster_specifier_plugin.extension",
        ),
        (
            "match: {prefix: /}, route: {cluster: c}, typed_per_filter_config: {f: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute, disabled: true}}",
            "typed_per_filter_config[\"f\"]",
        ),
    ] {
        assert_eq!(only_error(&with_route(route)), ("not-supported-yet", format!("{ROUTES}.routes[0].{path}")));
    }
}

#[test]
fn an_xds_table_does_not_look_for_clusters() {
    let wire = crate::load(
        "envoy.config.route.v3.RouteConfiguration",
        source(
            "name: t\nvirtual_hosts: [{name: v, domains: [a], routes: [{match: {prefix: /}, route: {cluster: x}}]}]",
        ),
        LoadOptions::default(),
    )
    .wire;
    let (table, found) = translate_route_config(&wire, &Options::default());
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(table.unwrap().name, "t");
}

#[test]
fn routes_of_optional_plugins_that_nobody_has_are_left_out() {
    let plugin = "{is_optional: true, extension: {name: p, typed_config: {\"@type\": \
                  type.googleapis.com/google.protobuf.Struct}}}";
    let inline = format!("inline_cluster_specifier_plugin: {plugin}");
    for route in [inline.as_str(), "cluster_specifier_plugin: p"] {
        let routes =
            format!("[{{match: {{prefix: /p}}, route: {{{route}}}}}, {{match: {{prefix: /}}, redirect: {{}}}}]");
        let table = format!(
            "cluster_specifier_plugins: [{plugin}]\nvirtual_hosts: [{{name: v, domains: [a], routes: {routes}}}]"
        );
        let kind = "envoy.config.route.v3.RouteConfiguration";
        let wire = crate::load(kind, source(&table), LoadOptions::default()).wire;
        let (table, found) = translate_route_config(&wire, &Options::default());
        assert!(found.iter().all(|found| found.code == "optional-plugin-left-out"), "{found:#?}");
        assert_eq!(table.unwrap().virtual_hosts[0].routes.len(), 1);
    }
}

#[test]
fn what_no_filter_reads_is_ignored() {
    for said in [
        "cors: {allow_origin_string_match: [{exact: a}]}",
        "rate_limits: [{actions: [{remote_address: {}}]}]",
        "retry_policy_typed_config: {\"@type\": type.googleapis.com/envoy.config.route.v3.RetryPolicy}",
    ] {
        let route = with_route(&format!("match: {{prefix: /}}, route: {{cluster: c, {said}}}"));
        assert!(warnings(&route).contains(&"ignored-field"), "{said}");
        assert!(warnings(&with_host(&format!("{ALL_TO_C}, {said}"))).contains(&"ignored-field"), "{said}");
    }
}

#[test]
fn a_header_that_cannot_be_is_not_removed_but_cannot_be_added() {
    let route = |said: &str| with_route(&format!("match: {{prefix: /}}, route: {{cluster: c}}, {said}"));
    assert_eq!(warnings(&route("request_headers_to_remove: [a b]")), ["impossible-header-name"]);
    assert_eq!(only_error(&route("request_headers_to_add: [{header: {key: a b, value: c}}]")).0, "bad-header-name");
}

#[test]
fn a_template_has_no_prefix_that_a_redirect_could_rewrite() {
    let matched = "match: {path_match_policy: {name: t, typed_config: {\"@type\": \
                   type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig, \
                   path_template: '/a/{b}'}}}";
    quiet(&with_route(&format!("{matched}, redirect: {{path_redirect: /x}}")));
    let found = only_error(&with_route(&format!("{matched}, redirect: {{prefix_rewrite: /x}}")));
    assert_eq!(found, ("conflicting-fields", format!("{ROUTES}.routes[0].redirect.prefix_rewrite")));
}
