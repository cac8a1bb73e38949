//! The templates against the names that Envoy 1.40 lists.

use std::sync::Arc;

use super::*;
use crate::{ScopeName, StatsQuery, Store, Template, output};

const MINIMAL_SERVER: &str = include_str!("../../testdata/names_of_a_minimal_server.txt");
const TYPES: &str = include_str!("../../testdata/types_of_a_minimal_server.txt");
const UNUSED_CLUSTER: &str = include_str!("../../testdata/names_of_an_unused_cluster.txt");

fn names(store: &Store) -> Vec<String> {
    let mut text = String::new();
    output::text(&store.snapshot(), &StatsQuery::default(), &mut text);
    text.lines().filter_map(|line| line.rsplit_once(": ")).map(|(name, _)| name.to_owned()).collect()
}

fn part(name: &str) -> ScopeName {
    ScopeName::root().part(name)
}

#[test]
fn an_unused_cluster_lists_what_envoy_lists() {
    let store = Store::new(1);
    let _group = store.group(&cluster_stats::TEMPLATE, cluster_scope("minimal"));
    assert_eq!(names(&store), UNUSED_CLUSTER.lines().collect::<Vec<_>>());
}

/// What Envoy makes for an admin listener and one listener named `ingress`.
fn minimal_server() -> Arc<Store> {
    let listener = listener_address_scope("127.0.0.1:21000".parse().unwrap());
    let admin = admin_listener_scope();
    let groups: Vec<(&'static Template, ScopeName)> = vec![
        (&cluster_manager_stats::TEMPLATE, part("cluster_manager")),
        (&overload_stream_stats::TEMPLATE, part("envoy.overload_actions")),
        (&filesystem_stats::TEMPLATE, part("filesystem")),
        (&http_stats::TEMPLATE, http_scope("admin")),
        (&router_stats::TEMPLATE, http_scope("async-client")),
        (&http_stats::TEMPLATE, http_scope("ingress")),
        (&router_stats::TEMPLATE, http_scope("ingress")),
        (&http_tracing_stats::TEMPLATE, http_scope("ingress").part("tracing")),
        (&http1_stats::TEMPLATE, part("http1")),
        (&listener_stats::TEMPLATE, listener.clone()),
        (&listener_extension_stats::TEMPLATE, listener.clone()),
        (&listener_http_stats::TEMPLATE, listener_http_scope(listener.clone(), "ingress")),
        (&listener_worker_stats::TEMPLATE, listener.worker(0)),
        (&listener_stats::TEMPLATE, admin.clone()),
        (&listener_http_stats::TEMPLATE, listener_http_scope(admin.clone(), "admin")),
        (&listener_worker_stats::TEMPLATE, admin.part("main_thread")),
        (&listener_manager_stats::TEMPLATE, part("listener_manager")),
        (&watchdog_stats::TEMPLATE, part("main_thread")),
        (&runtime_stats::TEMPLATE, part("runtime")),
        (&server_stats::TEMPLATE, part("server")),
        (&hot_restart_stats::TEMPLATE, part("server")),
        (&watchdog_stats::TEMPLATE, part("server.main_thread")),
        (&watchdog_stats::TEMPLATE, server_worker_scope(0)),
        (&thread_local_cluster_manager_stats::TEMPLATE, part("thread_local_cluster_manager.main_thread")),
        (&thread_local_cluster_manager_stats::TEMPLATE, thread_local_cluster_manager_scope(0)),
        (&watchdog_stats::TEMPLATE, part("workers")),
        (&overload_stats::TEMPLATE, part("overload")),
    ];
    let store = Store::new(1);
    for (template, scope) in groups {
        let _group = store.group(template, scope);
    }
    store
}

#[test]
fn a_minimal_server_lists_what_envoy_lists() {
    let store = minimal_server();
    assert_eq!(names(&store), MINIMAL_SERVER.lines().collect::<Vec<_>>());
}

#[test]
fn kinds_and_extracted_names_are_those_of_envoy() {
    let mut text = String::new();
    output::prometheus(&minimal_server().snapshot(), &StatsQuery::default(), &mut text);
    let types: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(types, TYPES.lines().collect::<Vec<_>>());
}

#[test]
fn scopes_extract_what_envoy_extracts() {
    let both = |scope: ScopeName| (scope.dotted().to_owned(), scope.extracted().to_owned());
    let pair = |dotted: &str, extracted: &str| (dotted.to_owned(), extracted.to_owned());
    assert_eq!(both(vcluster_scope("main", "other")), pair("vhost.main.vcluster.other.", "vhost.vcluster."));
    assert_eq!(both(route_scope("main", "re:ad")), pair("vhost.main.route.re:ad.", "vhost.route."));
    assert_eq!(
        both(vcluster_scope("a.b", "c.d")),
        pair("vhost.a.b.vcluster.c.d.", "vhost.b.vcluster.c.d."),
        "a virtual host with a dot hides what follows from the extraction"
    );
    assert_eq!(both(route_scope("a", "c.d")), pair("vhost.a.route.c.d.", "vhost.route.d."));
    assert_eq!(
        both(endpoint_scope("c", "127.0.0.1:80", "h")),
        pair("cluster.c.endpoint.127.0.0.1_80.", "cluster.endpoint.")
    );
    assert_eq!(both(cluster_scope("x:y.z")), pair("cluster.x_y.z.", "cluster.z."));
    assert_eq!(both(http_scope("a:b.c")), pair("http.a_b.c.", "http.c."));
    assert_eq!(both(zone_scope("c", "a", "b")), pair("cluster.c.zone.a.b.", "cluster.zone.a.b."));
    assert_eq!(both(proxy_proto_version_scope(1)), pair("proxy_proto.versions.v1.", "proxy_proto."));
    assert_eq!(
        both(certificate_scope(listener_scope("l"), "n")),
        pair("listener.l.ssl.certificate.n.", "listener.ssl.certificate.")
    );
    assert_eq!(both(tcp_scope("in")), pair("tcp.in.", "tcp."));
}

#[test]
fn labels_of_virtual_hosts_stand_in_envoys_order() {
    let store = Store::new(1);
    for scope in [vcluster_scope("h", "c"), route_scope("h", "r")] {
        store.group(&vcluster_stats::TEMPLATE, scope).shard(1).dynamic_inc(vcluster_stats::UPSTREAM_RQ, 200);
    }
    let mut text = String::new();
    output::prometheus(&store.snapshot(), &StatsQuery::default(), &mut text);
    for line in [
        "envoy_vhost_vcluster_upstream_rq{envoy_response_code=\"200\",envoy_virtual_cluster=\"c\",envoy_virtual_host=\"h\"} 1",
        "envoy_vhost_route_upstream_rq{envoy_response_code=\"200\",envoy_virtual_host=\"h\",envoy_route=\"r\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
}

#[test]
fn a_negotiated_cipher_is_the_whole_name() {
    let store = Store::new(1);
    let listener = listener_scope("127.0.0.1:443");
    let scope = negotiated_scope(listener, Negotiated::Cipher, "TLS_AES_256_GCM_SHA384");
    store.group(&negotiated_stats::TEMPLATE, scope).shard(1).inc(negotiated_stats::HANDSHAKES);
    assert_eq!(names(&store), ["listener.127.0.0.1_443.ssl.ciphers.TLS_AES_256_GCM_SHA384"]);
    let mut text = String::new();
    output::prometheus(&store.snapshot(), &StatsQuery::default(), &mut text);
    let expected = "# TYPE envoy_listener_ssl_ciphers counter\nenvoy_listener_ssl_ciphers\
        {envoy_ssl_cipher=\"TLS_AES_256_GCM_SHA384\",envoy_listener_address=\"127.0.0.1_443\"} 1\n";
    assert_eq!(text, expected);
}

#[test]
fn response_classes_have_their_counters() {
    assert_eq!(http_class(204), Some(http_stats::DOWNSTREAM_RQ_2XX));
    assert_eq!(listener_http_class(503), Some(listener_http_stats::DOWNSTREAM_RQ_5XX));
    assert_eq!((http_class(99), http_class(600)), (None, None));
}
