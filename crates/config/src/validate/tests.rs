use super::*;
use crate::{LoadOptions, Severity, Source, load, text::Format};

fn wire(message: &str, yaml: &str) -> Vec<u8> {
    let source = Source { name: "t".into(), text: yaml.into(), format: Format::Yaml };
    load(message, vec![source], LoadOptions::default()).wire
}

fn verdicts(message: &str, yaml: &str) -> Vec<String> {
    let found = validate_wire(message, &wire(message, yaml));
    found.into_iter().map(|found| format!("{} {}", found.path, found.message)).collect()
}

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";

#[test]
fn values_are_held_to_their_rules() {
    for (yaml, expected) in [
        ("name: c", None),
        ("{}", Some("name `name` must not be empty")),
        ("{name: c, connect_timeout: 0s}", Some("connect_timeout `connect_timeout` must be greater than 0s, not 0s")),
        ("{name: c, lb_policy: 99}", Some("lb_policy `lb_policy` must be one of the defined enum values, not 99")),
        (
            "{name: c, common_lb_config: {healthy_panic_threshold: {value: 100.5}}}",
            Some(
                "common_lb_config.healthy_panic_threshold.value \
                 `value` must be inside range [0, 100], not 100.5",
            ),
        ),
        (
            "{name: c, ring_hash_lb_config: {minimum_ring_size: 8388609}}",
            Some(
                "ring_hash_lb_config.minimum_ring_size \
             `minimum_ring_size` must be less than or equal to 8388608, not 8388609",
            ),
        ),
    ] {
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(verdicts(CLUSTER, yaml), expected, "{yaml}");
    }
}

#[test]
fn lists_maps_and_header_names_have_rules_too() {
    let host = "envoy.config.route.v3.VirtualHost";
    assert_eq!(verdicts(host, "{name: v}"), ["domains `domains` must contain at least 1 item(s)"]);
    assert_eq!(
        verdicts(host, "{name: v, domains: ['*'], request_headers_to_remove: [a, \"\", \"a\\n\"]}"),
        [
            "request_headers_to_remove[1] `request_headers_to_remove` must not be empty",
            "request_headers_to_remove[2] `request_headers_to_remove` is not a valid header name",
        ]
    );
}

#[test]
fn a_choice_must_be_made_but_need_not_be_a_certain_one() {
    let matcher = "envoy.config.route.v3.RouteMatch";
    assert_eq!(verdicts(matcher, "prefix: /"), Vec::<String>::new());
    let found = verdicts(matcher, "{}");
    assert!(matches!(found.as_slice(), [one] if one.contains("must set one of path_specifier")));
}

#[test]
fn rules_hold_inside_of_an_any() {
    let filter = "envoy.config.listener.v3.Filter";
    let yaml = "{name: f, typed_config: {'@type': type.googleapis.com/\
                envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, cluster: c}}";
    assert_eq!(verdicts(filter, yaml), ["typed_config.stat_prefix `stat_prefix` must not be empty"]);
}

#[test]
fn unknown_fields_are_found_by_number_and_broken_bytes_reported() {
    let mut bytes = wire(CLUSTER, "name: c");
    bytes.extend([0x98, 0xf7, 0x01, 0x05]);
    let found = validate_wire(CLUSTER, &bytes);
    assert!(matches!(found.as_slice(), [one] if one.code == "unknown-field"
        && one.severity == Severity::Warning && one.message.contains("number 3955")));
    bytes.push(0x0a);
    assert!(validate_wire(CLUSTER, &bytes).iter().any(|found| found.code == "malformed"));
    assert_eq!(validate_wire("envoy.Nothing", &[]).first().unwrap().code, "unknown-type");
}

#[test]
fn any_bytes_are_survived() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = wire(CLUSTER, "{name: c, load_assignment: {cluster_name: c}}");
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 33) as usize % bytes.len();
        bytes[at] = (state >> 20) as u8;
        if state.is_multiple_of(7) {
            bytes.insert(at, (state >> 12) as u8);
        }
        bytes.truncate(300);
        let _ = validate_wire(CLUSTER, &bytes);
    }
}

#[test]
fn messages_given_in_parts_are_merged_before_they_are_checked() {
    let mut bytes = wire(CLUSTER, "{name: c, load_assignment: {endpoints: [{}]}}");
    assert_eq!(validate_wire(CLUSTER, &bytes).len(), 1);
    bytes.extend(wire(CLUSTER, "{load_assignment: {cluster_name: c}}"));
    assert_eq!(validate_wire(CLUSTER, &bytes), []);
}

#[test]
fn a_choice_that_is_overridden_is_not_checked() {
    let address = "envoy.config.core.v3.Address";
    let mut bytes = wire(address, "socket_address: {}");
    assert!(!validate_wire(address, &bytes).is_empty());
    bytes.extend(wire(address, "pipe: {path: /x}"));
    assert_eq!(validate_wire(address, &bytes), []);
}

#[test]
fn a_refused_default_is_an_error_and_a_deprecated_field_a_warning() {
    let zipkin = "envoy.config.trace.v3.ZipkinConfig";
    let yaml = "{collector_cluster: c, collector_endpoint: /x}";
    let found = validate_wire(zipkin, &wire(zipkin, yaml));
    assert!(found.iter().any(|found| found.code == DISALLOWED && found.is_error()), "{found:?}");
    let found = validate_wire(CLUSTER, &wire(CLUSTER, "{name: c, http2_protocol_options: {}}"));
    assert!(matches!(found.as_slice(), [one] if one.code == "deprecated-field" && !one.is_error()));
}

#[test]
fn the_bootstrap_is_read_before_anything_can_be_refused_for_being_deprecated() {
    let bootstrap = "envoy.config.bootstrap.v3.Bootstrap";
    let found = validate_wire(bootstrap, &wire(bootstrap, "hds_config: {cluster_names: [c]}"));
    assert!(matches!(found.as_slice(), [one] if one.code == DISALLOWED && !one.is_error()), "{found:?}");
    let source = "envoy.config.core.v3.ApiConfigSource";
    let found = validate_wire(source, &wire(source, "cluster_names: [c]"));
    assert!(matches!(found.as_slice(), [one] if one.code == DISALLOWED && one.is_error()));
}

#[test]
fn bottomless_messages_are_refused() {
    let predicate = "envoy.config.common.matcher.v3.MatchPredicate";
    let mut bytes = wire(predicate, "any_match: true");
    for _ in 0..200 {
        let mut outer = Vec::new();
        crate::schema::wire::put_bytes(&mut outer, 3, &bytes);
        bytes = outer;
    }
    assert!(validate_wire(predicate, &bytes).iter().any(|found| found.code == "too-deep"));
}
