use super::time::{Parts, duration, timestamp};
use crate::{Diagnostic, Format, LoadOptions, Loaded, Source, load};

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";
const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";

fn source(text: &str) -> Source {
    Source { name: "t.yaml".to_owned(), text: text.to_owned(), format: Format::Yaml }
}

fn loaded(message: &str, text: &str) -> Loaded {
    load(message, vec![source(text)], LoadOptions::default())
}

/// `line:column code` of everything that was said.
fn said(text: &str) -> Vec<String> {
    let place = |found: &Diagnostic| {
        let place = found.location.as_ref().unwrap();
        format!("{}:{} {}", place.line, place.column, found.code)
    };
    loaded(CLUSTER, text).diagnostics.iter().map(place).collect()
}

fn helps(text: &str) -> Vec<String> {
    let found = loaded(CLUSTER, text).diagnostics;
    found.into_iter().filter_map(|found| found.help).collect()
}

/// Two spellings of the same thing.
fn same(one: &str, other: &str) {
    let (first, second) = (loaded(CLUSTER, one), loaded(CLUSTER, other));
    assert!(!first.has_errors(), "{one}: {:?}", first.diagnostics);
    assert!(!second.has_errors(), "{other}: {:?}", second.diagnostics);
    assert_eq!(first.wire, second.wire, "{one} and {other}");
}

#[test]
fn all_mistakes_are_said_at_once_where_they_are() {
    let text = "\
name: 123
connect_timeout: 250ms
conect_timeout: 1s
type: STATICC
lb_policy: RING_HASH
load_assignment:
  cluster_name: c
  endpoints:
  - lb_endpoints:
    - endpoint:
        address:
          socket_address: {address: a, port_value: http, named_port: x}
transport_socket:
  name: tls
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContex
";
    let expected = [
        "1:7 wrong-type",
        "2:18 bad-duration",
        "3:1 unknown-field",
        "4:7 unknown-enum-value",
        "12:52 wrong-type",
        "12:58 oneof-conflict",
        "16:14 unknown-type",
    ];
    assert_eq!(said(text), expected);
    let helps = helps(text).join("|");
    for help in [
        "quote it: \"123\"",
        "write `0.25s`",
        "`connect_timeout`",
        "did you mean STATIC?",
        "tls.v3.UpstreamTlsContext?",
    ] {
        assert!(helps.contains(help), "{help}: {helps}");
    }
}

#[test]
fn spellings_of_the_same_value_give_the_same_bytes() {
    same("{name: c, connectTimeout: 1s}", "{name: c, connect_timeout: 1.000s}");
    same("{name: c, connect_timeout: {seconds: 1, nanos: 0}}", "{name: c, connect_timeout: 1s}");
    same("{name: c, lb_policy: ring_hash}", "{name: c, lb_policy: 2}");
    same("{name: c, lb_policy: \"2\"}", "{name: c, lb_policy: RING_HASH}");
    for ten in ["\"10\"", "10.0", "1e1", "0xa", "\"0x0A\"", "012", "+10", "{value: 10}"] {
        let text = format!("{{name: c, per_connection_buffer_limit_bytes: {ten}}}");
        same(&text, "{name: c, per_connection_buffer_limit_bytes: 10}");
    }
    for yes in ["yes", "on", "Y", "\"t\"", "\"1\"", "tRUE"] {
        let text = format!("{{name: c, ignore_health_on_host_removal: {yes}}}");
        same(&text, "{name: c, ignore_health_on_host_removal: true}");
    }
    same("{name: c, health_checks: null, circuit_breakers: ~}", "{name: c}");
    same("{name: c, health_checks: [[]]}", "{name: c}");
    same("{name: c, filters: {name: f}}", "{name: c, filters: [{name: f}]}");
}

#[test]
fn leniency_is_warned_about() {
    for (text, expected) in [
        ("{name: c, filters: {name: f}}", "1:20 single-value"),
        ("{name: a, name: c}", "1:11 duplicate-key"),
        ("{name: c, connect_timeout: 1s, connectTimeout: 2s}", "1:32 duplicate-key"),
        ("{name: c, http2_protocol_options: {}}", "1:11 deprecated-field"),
        ("{name: c, load_assignment: {cluster_name: c, endpoints: [~]}}", "1:58 null-element"),
        ("{name: c, health_checks: [[]]}", "1:27 nested-list"),
    ] {
        assert_eq!(said(text), [expected], "{text}");
        assert!(!loaded(CLUSTER, text).has_errors());
    }
}

#[test]
fn what_could_not_be_read_is_not_called_missing() {
    let chain = "envoy.config.core.v3.SocketAddress";
    for (message, text, errors) in [
        (chain, "{address: a, port_value: x}", 1),
        (chain, "{address: a, port_vlue: 1}", 1),
        (chain, "{adress: a, port_value: 1}", 1),
        (chain, "{port_value: 70000}", 2),
        (
            "envoy.config.core.v3.HealthCheck",
            "{timeout: 1, interval: 1s, unhealthy_threshold: 1, \
          healthy_threshold: 1, tcp_health_check: 5}",
            2,
        ),
    ] {
        let found = loaded(message, text).diagnostics;
        assert_eq!(found.len(), errors, "{text}: {found:?}");
    }
}

#[test]
fn an_any_holds_the_message_that_its_type_names() {
    let tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
    let direct = format!("{{name: c, transport_socket: {{name: t, typed_config: {{sni: a, '@type': {tls}}}}}}}");
    for kind in ["xds.type.v3", "udpa.type.v1"] {
        let wrapped = format!(
            "{{name: c, transport_socket: {{name: t, typed_config: {{\
             '@type': type.googleapis.com/{kind}.TypedStruct, type_url: {tls}, \
             value: {{sni: a}}}}}}}}"
        );
        same(&wrapped, &direct);
    }
    for broken in ["{sni: a}", "{'@type': /x}", "{'@type': x}", "{'@type': 5}", "[]"] {
        let text = format!("{{name: c, transport_socket: {{name: t, typed_config: {broken}}}}}");
        assert_eq!(said(&text).len(), 1, "{text}");
    }
    let opaque = "{name: c, transport_socket: {name: t, typed_config: {'@type': \
                  type.googleapis.com/xds.type.v3.TypedStruct, type_url: x/y.Z, value: {a: 1}}}}";
    assert!(!loaded(CLUSTER, opaque).has_errors());
}

#[test]
fn durations_and_timestamps_are_exact() {
    for (text, seconds, nanos) in [
        ("0s", 0, 0),
        ("1.5s", 1, 500_000_000),
        ("-1.000000001s", -1, -1),
        ("0.000000001s", 0, 1),
        ("315576000000s", 315_576_000_000, 0),
    ] {
        assert_eq!(duration(text), Ok(Parts { seconds, nanos }), "{text}");
    }
    for text in [
        "",
        "s",
        "1",
        "1ms",
        "1.s",
        ".5s",
        "+1s",
        "1e3s",
        "1.0000000001s",
        "- 1s",
        "315576000001s",
        "99999999999999999999s",
        " 1s",
        "1s ",
    ] {
        assert!(duration(text).is_err(), "{text}");
    }
    let help = |text| duration(text).unwrap_err().help;
    assert_eq!(help("5m"), "write `300s`");
    assert_eq!(help("100ms"), "write `0.1s`");
    assert_eq!(help("10"), "write `10s`");
    assert!(help("soon").contains("followed by an `s`"));
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2024-02-29T12:30:45Z", 1_709_209_845),
        ("2024-02-29T12:30:45+01:00", 1_709_206_245),
        ("1969-12-31T23:59:59Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
    ] {
        assert_eq!(timestamp(text), Ok(Parts { seconds, nanos: 0 }), "{text}");
    }
    for text in [
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-01 00:00:00Z",
        "x",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:00",
    ] {
        assert!(timestamp(text).is_err(), "{text}");
    }
}

#[test]
fn base64_comes_in_either_alphabet_with_or_without_padding() {
    use super::base64::decode;
    for text in ["-_8=", "+/8", "+/8="] {
        assert_eq!(decode(text).unwrap(), [0xfb, 0xff], "{text}");
    }
    assert_eq!(decode("aGVsbG8").unwrap(), b"hello");
    assert_eq!(decode("").unwrap(), b"");
    for text in ["!!!", "aGVs bG8=", "a", "aGVsbG8===", "aé"] {
        assert_eq!(decode(text), None, "{text}");
    }
}

#[test]
fn unknown_things_may_be_allowed() {
    let options = LoadOptions { allow_unknown_fields: true, ..LoadOptions::default() };
    let text = "{name: c, nope: 1, lb_policy: NOPE}";
    let loaded = load(CLUSTER, vec![source(text)], options);
    assert_eq!(loaded.diagnostics.len(), 2);
    assert!(!loaded.has_errors());
}

#[test]
fn a_second_text_is_merged_over_the_first_and_both_are_found() {
    let first = "node: {id: a, cluster: c}\nstatic_resources:\n  clusters:\n  - name: x\n  - name: v\n";
    let second = "node: {id: b}\nstatic_resources: {clusters: [{name: 5}, {name: z}]}\n";
    let loaded = load(BOOTSTRAP, vec![source(first), source(second)], LoadOptions::default());
    let place = |path: &str| {
        let place = loaded.spans.locate(path).unwrap();
        (place.file, place.line, place.column)
    };
    assert_eq!(place("node.id"), (1, 1, 12));
    assert_eq!(place("node.cluster"), (0, 1, 24));
    assert_eq!(place("static_resources.clusters[1].name"), (0, 5, 11));
    assert_eq!(place("static_resources.clusters[2].name"), (1, 2, 38));
    assert_eq!(place("static_resources.clusters[3].name"), (1, 2, 49));
    assert_eq!(loaded.diagnostics.len(), 1, "{:?}", loaded.diagnostics);
    assert_eq!(loaded.diagnostics[0].location.as_ref().unwrap().file, 1);
    assert_eq!(loaded.diagnostics[0].path, "static_resources.clusters[2].name");
}

#[test]
fn a_path_leads_to_its_place_or_the_nearest_above() {
    let text = "\
name: c
connectTimeout: 1s
loadAssignment:
  clusterName: c
  endpoints:
    lb_endpoints: []
typed_extension_protocol_options:
  a.b: {'@type': type.googleapis.com/xds.type.v3.TypedStruct, value: {x: {y: 1}}}
";
    let loaded = loaded(CLUSTER, text);
    let place = |path: &str| {
        let place = loaded.spans.locate(path).unwrap();
        (place.line, place.column)
    };
    assert_eq!(place("name"), (1, 7));
    assert_eq!(place("connect_timeout"), (2, 17));
    assert_eq!(place("load_assignment.cluster_name"), (4, 16));
    assert_eq!(place("load_assignment.endpoints[0].lb_endpoints[0].endpoint"), (6, 5));
    assert_eq!(place("load_assignment.policy.nothing"), (3, 1));
    assert_eq!(place("typed_extension_protocol_options[\"a.b\"]"), (8, 3));
    assert_eq!(place("typed_extension_protocol_options[\"a.b\"].x.y"), (8, 78));
    assert_eq!(place("nothing"), (1, 1));
    assert_eq!(place(""), (1, 1));
}

#[test]
fn endless_nesting_and_alias_bombs_are_refused() {
    let deep = format!("{}any_match: true{}", "not_match: {".repeat(150), "}".repeat(150));
    let found = loaded("envoy.config.common.matcher.v3.MatchPredicate", &format!("{{{deep}}}"));
    assert!(found.diagnostics.iter().any(|found| found.code == "too-deep"));
    let mut bomb = "a0: &a0 {x: 1}\n".to_owned();
    for level in 1..12 {
        let before = level - 1;
        let list = vec![format!("*a{before}"); 9].join(", ");
        bomb += &format!("a{level}: &a{level} [{list}]\n");
    }
    let found = loaded("google.protobuf.Struct", &bomb);
    assert!(found.diagnostics.iter().any(|found| found.code == "too-large"));
    assert!(found.diagnostics.len() < 5);
}
