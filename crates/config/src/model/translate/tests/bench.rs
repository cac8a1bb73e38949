//! The configurations of the benchmarks, and a large one.

use std::fmt::Write;

use super::*;
use crate::model::{
    cluster::{Discovery, UpstreamProtocol},
    hcm::RouteSource,
    listener::TerminalFilter,
};

const ONE_HOP: &str = r#"
static_resources:
  listeners:
  - name: ingress
    address: {socket_address: {address: 127.0.0.1, port_value: 21001}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: "/big"}
                route: {cluster: big}
              - match: {prefix: "/"}
                route: {cluster: small}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: small
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: small
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 22001}}}
  - name: big
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: big
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 22002}}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
"#;

#[test]
fn a_plain_reverse_proxy_translates() {
    let (bootstrap, warnings) = accepted(ONE_HOP);
    assert!(warnings.is_empty(), "{warnings:#?}");
    let [listener] = bootstrap.listeners.as_slice() else { panic!("one listener") };
    assert_eq!(listener.stat_prefix, "127.0.0.1_21001");
    let TerminalFilter::Http(manager) = &listener.filter_chains[0].terminal;
    let RouteSource::Static(table) = &manager.routes;
    assert_eq!(table.virtual_hosts[0].routes.len(), 2);
    let [small, big] = bootstrap.clusters.as_slice() else { panic!("two clusters") };
    assert_eq!((small.discovery, small.protocol), (Discovery::Static, UpstreamProtocol::Http1));
    assert_eq!(big.protocol, UpstreamProtocol::Http2);
    assert_eq!(big.endpoints[0].endpoints[0].address.to_string(), "127.0.0.1:22002");
}

#[test]
fn ten_thousand_routes_and_clusters_load_without_a_word() {
    let mut yaml = String::from(&ONE_HOP[..ONE_HOP.find("              - match: {prefix: \"/big\"}").unwrap()]);
    for index in 0..10_000 {
        let _ = writeln!(
            yaml,
            "              - match: {{prefix: \"/r{index}/\"}}\n                route: {{cluster: c{index}}}"
        );
    }
    yaml.push_str(&ONE_HOP[ONE_HOP.find("          http_filters:").unwrap()..ONE_HOP.find("  clusters:").unwrap()]);
    yaml.push_str("  clusters:\n");
    for index in 0..10_000 {
        let _ = writeln!(
            yaml,
            "  - name: c{index}\n    type: STRICT_DNS\n    connect_timeout: 1s\n    load_assignment:\n      \
             endpoints:\n      - lb_endpoints:\n        - endpoint: {{address: {{socket_address: {{address: h{index}.example, \
             port_value: 80}}}}}}"
        );
    }
    yaml = yaml.replace(
        "    load_assignment:\n      endpoints",
        "    load_assignment:\n      cluster_name: x\n      endpoints",
    );
    let loaded = crate::load("envoy.config.bootstrap.v3.Bootstrap", source(&yaml), LoadOptions::default());
    let start = std::time::Instant::now();
    let (bootstrap, found) = translate_bootstrap(&loaded.wire, &Options::default());
    println!("translated {} bytes in {:?}", loaded.wire.len(), start.elapsed());
    let bootstrap = bootstrap.unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!(bootstrap.clusters.len(), 10_000);
    assert!(found.is_empty(), "{found:#?}");
}
