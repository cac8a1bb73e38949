//! Policies of routes and virtual hosts.

use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::model::{
    header::HeaderChange,
    matcher::MatchedHeader,
    route::{
        BackOff, ClusterSpecifier, HashSource, HostPredicate, RandomValue, RedirectPredicate, ResetHeaderFormat,
        RetryOn, RetryPriority,
    },
};

/// A route to `c` with these fields of its action besides.
fn forwarding(fields: &str) -> String {
    with_route(&format!("match: {{prefix: /}}, route: {{cluster: c, {fields}}}"))
}

fn typed(name: &str, fields: &str) -> String {
    format!("{{name: x, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.{name}{fields}}}}}")
}

#[test]
fn a_retry_policy_has_envoys_defaults() {
    let bootstrap = quiet(&forwarding("retry_policy: {retry_on: \"5xx, unavailable,nonsense ,reset\"}"));
    let retry = forward_of(&bootstrap).retry.as_ref().expect("a policy");
    assert_eq!(retry.on, RetryOn::FIVE_XX | RetryOn::GRPC_UNAVAILABLE | RetryOn::RESET);
    assert_eq!((retry.num_retries, retry.host_attempts), (1, 1));
    assert_eq!((retry.per_try_timeout, retry.per_try_idle_timeout, retry.back_off), (None, None, None));
    assert!(retry.rate_limited.is_none() && retry.priority.is_none() && retry.host_predicates.is_empty());
    assert!(forward_of(&quiet(&with_host(ALL_TO_C))).retry.is_none());
}

#[test]
fn a_retry_policy_keeps_all_it_says() {
    let predicates = [
        typed("retry.host.previous_hosts.v3.PreviousHostsPredicate", ""),
        typed("retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate", ""),
        typed(
            "retry.host.omit_host_metadata.v3.OmitHostMetadataConfig",
            ", metadata_match: {filter_metadata: {envoy.lb: {k: v}}}",
        ),
    ];
    let priority = typed("retry.priority.previous_priorities.v3.PreviousPrioritiesConfig", ", update_frequency: 2");
    let bootstrap = quiet(&forwarding(&format!(
        "retry_policy: {{num_retries: 0, per_try_timeout: 2s, per_try_idle_timeout: 3s, retriable_status_codes: [418], \
         retriable_headers: [{{name: a}}], retriable_request_headers: [{{name: b}}], \
         retry_back_off: {{base_interval: 0.0001s, max_interval: 0.0002s}}, rate_limited_retry_back_off: \
         {{reset_headers: [{{name: Retry-After, format: SECONDS}}, {{name: r, format: UNIX_TIMESTAMP}}]}}, \
         retry_host_predicate: [{}], host_selection_retry_max_attempts: 5, retry_priority: {priority}}}",
        predicates.join(", ")
    )));
    let retry = forward_of(&bootstrap).retry.as_ref().expect("a policy");
    assert_eq!((retry.num_retries, retry.host_attempts), (0, 5));
    assert_eq!(retry.per_try_timeout, Some(Duration::from_secs(2)));
    assert_eq!(retry.per_try_idle_timeout, Some(Duration::from_secs(3)));
    assert_eq!((retry.status_codes.as_slice(), retry.headers.len(), retry.request_headers.len()), (&[418][..], 1, 1));
    let millisecond = Duration::from_millis(1);
    assert_eq!(retry.back_off, Some(BackOff { base: millisecond, max: millisecond }));
    let limited = retry.rate_limited.as_ref().expect("a back-off");
    assert_eq!(limited.max, Duration::from_secs(300));
    assert_eq!(limited.headers[0].name, "retry-after");
    assert_eq!(limited.headers[1].format, ResetHeaderFormat::UnixTimestamp);
    let [HostPredicate::PreviousHosts, HostPredicate::OmitCanary, HostPredicate::OmitMetadata(wanted)] =
        retry.host_predicates.as_slice()
    else {
        panic!("three predicates")
    };
    assert_eq!(wanted.get("k"), Some(&serde_json::json!("v")));
    assert_eq!(retry.priority, Some(RetryPriority::PreviousPriorities { update_frequency: 2 }));
}

#[test]
fn an_interval_without_a_limit_grows_tenfold() {
    let bootstrap = quiet(&forwarding("retry_policy: {retry_back_off: {base_interval: 2s}}"));
    let back_off = forward_of(&bootstrap).retry.as_ref().and_then(|retry| retry.back_off);
    assert_eq!(back_off, Some(BackOff { base: Duration::from_secs(2), max: Duration::from_secs(20) }));
}

#[test]
fn a_route_without_policies_has_its_hosts_and_its_tables() {
    let yaml = with_host(
        "retry_policy: {num_retries: 7}, hedge_policy: {hedge_on_per_try_timeout: true}, request_mirror_policies: \
         [{cluster: c, runtime_fraction: {default_value: {numerator: 5}}}], routes: [{match: {prefix: /a}, route: \
         {cluster: c}}, {match: {prefix: /}, route: {cluster: c, retry_policy: {}, hedge_policy: {}, \
         request_mirror_policies: [{cluster_header: x}, {cluster: c}]}}]",
    );
    let bootstrap = quiet(&yaml);
    let [first, second] = routes_of(&bootstrap) else { panic!("two") };
    let (RouteAction::Forward(first), RouteAction::Forward(second)) = (&first.action, &second.action) else {
        panic!("both forward")
    };
    assert_eq!(first.retry.as_ref().map(|retry| retry.num_retries), Some(7));
    assert!(first.hedge.on_per_try_timeout && !second.hedge.on_per_try_timeout);
    assert_eq!((first.mirrors.len(), second.mirrors.len()), (1, 2));
    assert_eq!(first.mirrors[0].fraction.as_ref().map(|fraction| fraction.numerator), Some(5));
    assert_eq!(second.retry.as_ref().map(|retry| retry.num_retries), Some(1));
    let three = "request_mirror_policies: [{cluster: c}, {cluster: c}, {cluster: c}], virtual_hosts:";
    let table = with_host(ALL_TO_C).replace("virtual_hosts:", three);
    assert_eq!(forward_of(&quiet(&table)).mirrors.len(), 3);
}

#[test]
fn a_mirror_changes_its_headers_one_after_the_other() {
    let bootstrap = quiet(&forwarding(
        "request_mirror_policies: [{cluster: c, host_rewrite_literal: h, disable_shadow_host_suffix_append: true, \
         trace_sampled: false, request_headers_mutations: [{append: {header: {key: a, value: b}}}, {remove: c}, \
         {remove_on_match: {key_matcher: {prefix: x-}}}]}]",
    ));
    let mirror = &forward_of(&bootstrap).mirrors[0];
    assert_eq!(
        (mirror.host_rewrite.as_deref(), mirror.keep_host, mirror.trace_sampled),
        (Some("h"), true, Some(false))
    );
    let [HeaderChange::Add(added), HeaderChange::Remove(removed), HeaderChange::RemoveMatching(matcher)] =
        mirror.request_headers.as_slice()
    else {
        panic!("three changes")
    };
    assert!(added.name == "a" && removed == "c" && matcher.matches(b"x-y"));
}

#[test]
fn hash_policies_translate_in_order() {
    let bootstrap = quiet(&forwarding(
        "hash_policy: [{header: {header_name: ':path', regex_rewrite: {pattern: {regex: a}, substitution: b}}}, \
         {cookie: {name: ck, ttl: 1.9s, path: /p, attributes: [{name: Secure}]}, terminal: true}, \
         {connection_properties: {source_ip: true}}, {connection_properties: {}}, {query_parameter: {name: q}}, \
         {filter_state: {key: k}}]",
    ));
    let policies = &forward_of(&bootstrap).hash;
    assert_eq!(policies.len(), 5, "one asks for nothing");
    assert!(matches!(&policies[0].source, HashSource::Header { name: MatchedHeader::Path, rewrite: Some(_) }));
    let HashSource::Cookie { ttl, attributes, .. } = &policies[1].source else { panic!("a cookie") };
    assert_eq!((*ttl, attributes[0].name.as_str()), (Some(Duration::from_secs(1)), "Secure"));
    assert!(policies[1].terminal && matches!(policies[2].source, HashSource::SourceIp));
    assert!(matches!(&policies[4].source, HashSource::FilterState(key) if key == "k"));
}

#[test]
fn internal_redirects_are_followed_once_and_for_302_unless_said_otherwise() {
    let bootstrap = quiet(&forwarding("internal_redirect_policy: {}"));
    let policy = forward_of(&bootstrap).internal_redirect.as_ref().expect("a policy");
    assert_eq!((policy.max, policy.codes.as_slice()), (1, &[StatusCode::FOUND][..]));
    let predicates = [
        typed("internal_redirect.allow_listed_routes.v3.AllowListedRoutesConfig", ", allowed_route_names: [r]"),
        typed("internal_redirect.previous_routes.v3.PreviousRoutesConfig", ""),
        typed("internal_redirect.safe_cross_scheme.v3.SafeCrossSchemeConfig", ""),
    ];
    let bootstrap = quiet(&forwarding(&format!(
        "internal_redirect_policy: {{max_internal_redirects: 3, redirect_response_codes: [301, 200, 308], predicates: \
         [{}], allow_cross_scheme_redirect: true, response_headers_to_copy: [X-a]}}",
        predicates.join(", ")
    )));
    let policy = forward_of(&bootstrap).internal_redirect.as_ref().expect("a policy");
    assert_eq!(policy.codes, [StatusCode::MOVED_PERMANENTLY, StatusCode::PERMANENT_REDIRECT]);
    assert!(policy.allow_cross_scheme && policy.copy_headers[0] == "x-a");
    let routes = RedirectPredicate::AllowListedRoutes(vec!["r".into()]);
    assert_eq!(policy.predicates, [routes, RedirectPredicate::PreviousRoutes, RedirectPredicate::SafeCrossScheme]);
    assert!(forward_of(&quiet(&with_host(ALL_TO_C))).internal_redirect.is_none());
}

#[test]
fn upgrades_are_on_unless_turned_off() {
    let bootstrap = quiet(&forwarding(
        "upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: CONNECT, enabled: false, connect_config: \
         {allow_post: true, proxy_protocol_config: {version: V2}}}]",
    ));
    let upgrades = &forward_of(&bootstrap).upgrades;
    assert_eq!((upgrades[0].kind.as_str(), upgrades[0].enabled), ("websocket", true));
    assert!(!upgrades[1].enabled);
    let connect = upgrades[1].connect.expect("a connect_config");
    assert_eq!((connect.allow_post, connect.proxy_protocol), (true, Some(2)));
}

#[test]
fn time_limits_translate() {
    let bootstrap = quiet(&forwarding(
        "flush_timeout: 4s, max_stream_duration: {grpc_timeout_header_max: 0s, grpc_timeout_header_offset: 1s}",
    ));
    let forward = forward_of(&bootstrap);
    assert_eq!(forward.flush_timeout, Some(Duration::from_secs(4)));
    assert!(forward.max_stream.is_newer);
    assert_eq!(forward.max_stream.grpc_max, Some(Duration::ZERO));
    assert_eq!(forward.max_stream.grpc_offset, Some(Duration::from_secs(1)));
}

#[test]
fn a_virtual_host_names_its_virtual_clusters() {
    let yaml = with_host(
        "include_is_timeout_retry_header: true, virtual_clusters: [{name: vc, headers: [{name: ':path', string_match: \
         {exact: /a}}]}], routes: []",
    );
    let bootstrap = quiet(&yaml);
    let RouteSource::Static(table) = &manager_of(&bootstrap).routes;
    let host = &table.virtual_hosts[0];
    assert!(host.include_is_timeout_retry_header);
    assert_eq!((host.virtual_clusters[0].name.as_ref(), host.virtual_clusters[0].headers.len()), ("vc", 1));
}

#[test]
fn weights_can_be_drawn_by_a_header_or_the_hash() {
    for (field, want) in [
        ("header_name: X-R", RandomValue::Header(MatchedHeader::Name(http::HeaderName::from_static("x-r")))),
        ("use_hash_policy: true", RandomValue::HashPolicy),
        ("use_hash_policy: false", RandomValue::Random),
    ] {
        let bootstrap = quiet(&with_route(&format!(
            "match: {{prefix: /}}, route: {{weighted_clusters: {{{field}, clusters: [{{name: c, weight: 1}}]}}}}"
        )));
        let ClusterSpecifier::Weighted(_, random) = &forward_of(&bootstrap).cluster else { panic!("weights") };
        assert_eq!(*random, want);
    }
}

#[test]
fn mistakes_in_policies_are_found() {
    let unknown = typed("filters.http.buffer.v3.Buffer", ", max_request_bytes: 1");
    for (fields, code, path) in [
        (
            "retry_policy: {retry_back_off: {base_interval: 2s, max_interval: 1s}}",
            "bad-interval",
            "retry_policy.retry_back_off.max_interval",
        ),
        (
            &format!("retry_policy: {{retry_host_predicate: [{unknown}]}}"),
            "not-supported-yet",
            "retry_policy.retry_host_predicate[0]",
        ),
        (&format!("retry_policy: {{retry_priority: {unknown}}}"), "not-supported-yet", "retry_policy.retry_priority"),
        ("request_mirror_policies: [{cluster: nope}]", "unknown-cluster", "request_mirror_policies[0].cluster"),
        ("request_mirror_policies: [{}]", "missing-cluster", "request_mirror_policies[0]"),
        ("request_mirror_policies: [{cluster: c, cluster_header: x}]", "missing-cluster", "request_mirror_policies[0]"),
        (
            "upgrade_configs: [{upgrade_type: a}, {upgrade_type: A}]",
            "duplicate-upgrade",
            "upgrade_configs[1].upgrade_type",
        ),
        (
            "upgrade_configs: [{upgrade_type: a, connect_config: {}}]",
            "conflicting-fields",
            "upgrade_configs[0].connect_config",
        ),
        (
            "internal_redirect_policy: {response_headers_to_copy: [':path']}",
            "protected-header",
            "internal_redirect_policy.response_headers_to_copy[0]",
        ),
        (
            &format!("internal_redirect_policy: {{predicates: [{unknown}]}}"),
            "not-supported-yet",
            "internal_redirect_policy.predicates[0]",
        ),
        (&format!("early_data_policy: {unknown}"), "not-supported-yet", "early_data_policy"),
    ] {
        assert_eq!(only_error(&forwarding(fields)), (code, format!("{ROUTES}.routes[0].route.{path}")));
    }
    let (code, path) = only_error(&with_host("virtual_clusters: [{name: vc}], routes: []"));
    assert_eq!((code, path), ("missing-headers", format!("{ROUTES}.virtual_clusters[0]")));
}
