//! The bootstrap besides listeners and clusters.

use std::time::Duration;

use super::*;
use crate::model::{
    access_log::LogSink,
    bootstrap::{RuntimeLayerSource, RuntimeValue},
    runtime_value,
};

#[test]
fn an_empty_bootstrap_has_envoys_defaults() {
    let bootstrap = quiet("static_resources: {}");
    assert_eq!(bootstrap.stats_flush_interval, Duration::from_secs(5));
    assert_eq!(bootstrap.header_prefix, "x-envoy");
    assert!(bootstrap.admin.is_none() && bootstrap.max_active_downstream_connections.is_none());
}

#[test]
fn the_command_line_wins_over_the_node() {
    let yaml = with_rest("node: {id: i, cluster: k, locality: {region: r, zone: z}}");
    let node = quiet(&yaml).node;
    assert_eq!((node.id.as_str(), node.cluster.as_str(), node.locality.zone.as_str()), ("i", "k", "z"));
    let options = Options { service_node: Some("I".into()), service_zone: Some("Z".into()), ..Options::default() };
    let (bootstrap, _) = load_bootstrap(source(&yaml), &options).unwrap();
    assert_eq!((bootstrap.node.id.as_str(), bootstrap.node.cluster.as_str()), ("I", "k"));
    assert_eq!((bootstrap.node.locality.zone.as_str(), bootstrap.node.locality.region.as_str()), ("Z", "r"));
}

#[test]
fn the_admin_server_translates_with_its_old_log_path() {
    let (bootstrap, _) = accepted(&with_rest(
        "admin: {access_log_path: /dev/null, profile_path: /p, ignore_global_conn_limit: true, address: {socket_address: \
         {address: 127.0.0.1, port_value: 9901}}}",
    ));
    let admin = bootstrap.admin.unwrap();
    assert_eq!((admin.address.to_string().as_str(), admin.ignore_global_conn_limit), ("127.0.0.1:9901", true));
    assert_eq!(admin.access_log[0].sink, LogSink::File("/dev/null".into()));
}

#[test]
fn runtime_layers_are_flattened_each_with_its_own_values() {
    let bootstrap = quiet(&with_rest(
        "layered_runtime: {layers: [{name: a, static_layer: {a: {b: 1, c: true}, p: {numerator: 5, denominator: \
         TEN_THOUSAND}, f: 1.5, t: text, q: {numerator: 5, denominator: FEW}, r: {}}}, {name: b, static_layer: {a.b: 2}}, \
         {name: admin, admin_layer: {}}]}",
    ));
    let layers = &bootstrap.runtime_layers;
    let shapes: Vec<_> = layers.iter().map(|l| (l.name.as_str(), l.source, l.values.len())).collect();
    let (fixed, admin) = (RuntimeLayerSource::Static, RuntimeLayerSource::Admin);
    assert_eq!(shapes, [("a", fixed, 7), ("b", fixed, 1), ("admin", admin, 0)]);
    let value = |key: &str| layers[0].values.get(key).unwrap();
    assert_eq!((value("a.b"), value("a.c")), (&RuntimeValue::Number(1.0), &RuntimeValue::Bool(true)));
    assert_eq!(value("p"), &RuntimeValue::Fraction { numerator: 5, denominator: 10_000 });
    assert_eq!(value("r"), &RuntimeValue::Fraction { numerator: 0, denominator: 100 });
    assert_eq!((value("f"), value("t")), (&RuntimeValue::Text("1.5".into()), &RuntimeValue::Text("text".into())));
    assert!(matches!(value("q"), RuntimeValue::Text(text) if text.contains("FEW")));
}

#[test]
fn lists_and_nulls_are_no_runtime_values() {
    for values in ["{a: [1]}", "{a: {b: null}}"] {
        let yaml = with_rest(&format!("layered_runtime: {{layers: [{{name: a, static_layer: {values}}}]}}"));
        assert_eq!(only_error(&yaml), ("invalid-runtime-value", "layered_runtime.layers[0].static_layer".into()));
    }
}

#[test]
fn a_runtime_value_that_stands_alone_is_yaml() {
    for (text, value) in [
        ("7", RuntimeValue::Number(7.0)),
        ("0x10", RuntimeValue::Number(16.0)),
        ("true", RuntimeValue::Bool(true)),
        ("1.5", RuntimeValue::Text("1.5".into())),
        ("two words", RuntimeValue::Text("two words".into())),
        ("{numerator: 5}", RuntimeValue::Fraction { numerator: 5, denominator: 100 }),
        ("[1]", RuntimeValue::Text("[1]".into())),
        ("~", RuntimeValue::Text("~".into())),
    ] {
        assert_eq!(runtime_value(text), Ok(value), "{text}");
    }
    assert!(runtime_value("[").is_err());
}

#[test]
fn layers_have_names_of_their_own_and_one_is_the_admins() {
    let layers = |list: &str| with_rest(&format!("layered_runtime: {{layers: [{list}]}}"));
    assert_eq!(
        only_error(&layers("{name: a, static_layer: {}}, {name: a, static_layer: {}}")),
        ("duplicate-layer", "layered_runtime.layers[1].name".into())
    );
    assert_eq!(
        only_error(&layers("{name: a, admin_layer: {}}, {name: b, admin_layer: {}}")),
        ("duplicate-layer", "layered_runtime.layers[1].admin_layer".into())
    );
}

#[test]
fn fixed_tags_the_connection_limit_and_the_local_cluster_translate() {
    let (bootstrap, _) = accepted(&with_rest(
        "stats_config: {stats_tags: [{tag_name: t, fixed_value: v}], use_all_default_tags: true}\nstats_flush_interval: \
         1s\ncluster_manager: {local_cluster_name: c}\noverload_manager: {resource_monitors: [{name: \
         envoy.resource_monitors.global_downstream_max_connections, typed_config: {\"@type\": \
         type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig, \
         max_active_downstream_connections: 50}}]}",
    ));
    assert_eq!(bootstrap.fixed_stats_tags, [("t".to_owned(), "v".to_owned())]);
    assert_eq!(bootstrap.max_active_downstream_connections, Some(50));
    assert_eq!(
        (bootstrap.local_cluster_name.as_deref(), bootstrap.stats_flush_interval),
        (Some("c"), Duration::from_secs(1))
    );
    let yaml = with_rest("cluster_manager: {local_cluster_name: nope}");
    assert_eq!(only_error(&yaml), ("unknown-cluster", "cluster_manager.local_cluster_name".into()));
}

#[test]
fn what_is_not_built_is_refused_with_its_place() {
    for (rest, path) in [
        ("dynamic_resources: {}", "dynamic_resources"),
        ("stats_sinks: [{name: s}]", "stats_sinks[0]"),
        ("hds_config: {api_type: GRPC}", "hds_config"),
        ("stats_config: {stats_tags: [{tag_name: t, regex: 'x(y)'}]}", "stats_config.stats_tags[0].regex"),
        (
            "layered_runtime: {layers: [{name: d, disk_layer: {symlink_root: /x}}]}",
            "layered_runtime.layers[0].disk_layer",
        ),
        ("header_prefix: x-other", "header_prefix"),
        ("bootstrap_extensions: [{name: x}]", "bootstrap_extensions[0]"),
    ] {
        let errors = refused(&with_rest(rest));
        assert!(errors.contains(&("not-supported-yet", path.to_owned())), "{errors:#?}");
    }
}

#[test]
fn what_is_safe_to_ignore_is_said_once() {
    let yaml = with_rest("node: {id: a, metadata: {k: v}, client_features: [x, z]}\nwatchdogs: {}");
    let (_, found) = accepted(&yaml);
    let paths: Vec<_> = found.iter().map(|diagnostic| diagnostic.path.as_str()).collect();
    assert_eq!(paths.len(), 3, "{found:#?}");
    assert!(found.iter().all(|diagnostic| diagnostic.code == "ignored-field"));
    assert!(found.iter().any(|d| d.message == "ignored: `watchdogs` (there are no watchdog threads)"));
}

#[test]
fn everything_wrong_is_reported_at_once_with_its_place() {
    let yaml = "static_resources:\n  clusters:\n  - name: a\n    lb_policy: CLUSTER_PROVIDED\n  - name: a\n    conect_timeout: \
                1s\n  - name: b\n    outlier_detection: {}\n";
    let found = load_bootstrap(source(yaml), &Options::default()).unwrap_err();
    let lines: Vec<_> = found.iter().map(|d| (d.code, d.location.as_ref().map(|l| l.line))).collect();
    assert_eq!(lines.len(), 4, "{found:#?}");
    assert!(lines.contains(&("duplicate-cluster", Some(5))), "{lines:?}");
    assert!(lines.contains(&("not-supported-yet", Some(8))), "{lines:?}");
}

#[test]
fn broken_bytes_are_refused_without_a_panic() {
    let yaml = with_rest("node: {id: a}\nadmin: {address: {pipe: {path: /x}}}");
    let wire = crate::load("envoy.config.bootstrap.v3.Bootstrap", source(&yaml), LoadOptions::default()).wire;
    for end in (0..wire.len()).step_by(9) {
        let _ = translate_bootstrap(&wire[..end], &Options::default());
        let mut flipped = wire.clone();
        flipped[end] ^= 1 << (end % 8);
        let _ = translate_bootstrap(&flipped, &Options::default());
    }
}

#[test]
fn endless_nesting_is_refused() {
    use crate::schema::wire::put_bytes;
    let url = format!("type.googleapis.com/{HCM}");
    let mut manager = Vec::new();
    for _ in 0..300 {
        let mut any = Vec::new();
        put_bytes(&mut any, 1, url.as_bytes());
        put_bytes(&mut any, 2, &manager);
        let mut filter = Vec::new();
        put_bytes(&mut filter, 4, &any);
        manager = Vec::new();
        put_bytes(&mut manager, 5, &filter);
    }
    let mut report = Report::default();
    FieldCheck::new(&mut report).check(HCM, &manager, &Path::root(""));
    let found = report.into_diagnostics();
    assert_eq!(found.iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>(), ["too-deep"]);
}
