//! Listeners and filter chains.

use std::time::Duration;

use super::*;
use crate::model::listener::{DrainType, SocketOptionValue, SocketState, TrafficDirection};

fn listener(fields: &str) -> Arc<Listener> {
    quiet(&with_listener(fields)).listeners.remove(0)
}

#[test]
fn a_listener_without_settings_has_envoys_defaults() {
    let yaml = with_listener("").replace("name: l, ", "");
    let listener = quiet(&yaml).listeners.remove(0);
    assert_eq!((listener.name.as_str(), listener.stat_prefix.as_str()), ("127.0.0.1:80", "127.0.0.1_80"));
    assert!(listener.bind_to_port && listener.reuse_port);
    assert!(!listener.transparent && !listener.freebind && !listener.ignore_global_conn_limit);
    assert_eq!(listener.backlog, None);
    assert_eq!(listener.per_connection_buffer_limit, 1 << 20);
    assert_eq!((listener.drain_type, listener.traffic_direction), (DrainType::Default, TrafficDirection::Unspecified));
    assert_eq!(listener.filter_chains[0].matches, Default::default());
    assert!(listener.default_filter_chain.is_none() && !listener.wire.is_empty());
}

#[test]
fn a_listener_keeps_all_its_settings() {
    let listener = listener(
        "stat_prefix: p, bind_to_port: false, enable_reuse_port: false, tcp_backlog_size: 5, transparent: true, freebind: \
         true, per_connection_buffer_limit_bytes: 7, drain_type: MODIFY_ONLY, \
         traffic_direction: INBOUND, socket_options: [{level: 1, name: 2, int_value: 3, state: STATE_LISTENING}, {level: \
         1, name: 2, buf_value: AQI=}], tcp_keepalive: {keepalive_time: 9}, \
         additional_addresses: [{address: {pipe: {path: '@x', mode: 448}}}],",
    );
    assert_eq!((listener.stat_prefix.as_str(), listener.backlog), ("p", Some(5)));
    assert!(!listener.bind_to_port && !listener.reuse_port && listener.transparent && listener.freebind);
    assert_eq!(listener.per_connection_buffer_limit, 7);
    assert_eq!((listener.drain_type, listener.traffic_direction), (DrainType::ModifyOnly, TrafficDirection::Inbound));
    let [first, second] = listener.address.socket_options.as_slice() else { panic!("two") };
    assert_eq!((first.state, &first.value), (SocketState::Listening, &SocketOptionValue::Int(3)));
    assert_eq!(second.value, SocketOptionValue::Bytes(vec![1, 2]));
    let keepalive = listener.address.tcp_keepalive.unwrap();
    assert_eq!((keepalive.time, keepalive.probes), (Some(Duration::from_secs(9)), None));
    let more = &listener.additional_addresses[0];
    assert_eq!((more.address.to_string().as_str(), more.socket_options.len()), ("@x", 2));
}

#[test]
fn filter_chain_matches_translate_and_must_differ() {
    let yaml = with_listener("").replace(
        "filter_chains: [{",
        "filter_chains: [{filter_chain_match: {destination_port: 9, prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: \
         8}], source_type: SAME_IP_OR_LOOPBACK, source_ports: [7]}, ",
    );
    let bootstrap = quiet(&yaml);
    let matches = &bootstrap.listeners[0].filter_chains[0].matches;
    assert_eq!((matches.destination_port, matches.source_is_local), (Some(9), Some(true)));
    assert_eq!((matches.prefix_ranges[0].1, matches.source_ports.as_slice()), (8, &[7][..]));
    let chain = "{filters: [{name: hcm, typed_config: {\"@type\": type.googleapis.com/";
    let twice = with_listener("")
        .replace(chain, &format!("{chain}{HCM}, stat_prefix: s, {ROUTER} route_config: {{}}}}}}]}}, {chain}"));
    assert_eq!(only_error(&twice), ("duplicate-filter-chain", "static_resources.listeners[0].filter_chains[1]".into()));
}

#[test]
fn two_listeners_do_not_share_an_address() {
    let second = |fields: &str| {
        with_listener("").replace(
            "listeners: [",
            &format!(
                "listeners: [{{{fields}, filter_chains: [{{filters: [{{name: h, typed_config: {{\"@type\": \
             type.googleapis.com/{HCM}, stat_prefix: t, {ROUTER} route_config: {{}}}}}}]}}]}}, "
            ),
        )
    };
    let at = |port: u16| format!("address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}");
    quiet(&second(&format!("name: k, {}", at(81))));
    assert_eq!(
        only_error(&second(&format!("name: k, {}", at(80)))),
        ("duplicate-address", "static_resources.listeners[1].address".into())
    );
    let (bootstrap, found) = accepted(&second(&format!("name: l, {}", at(81))));
    assert_eq!((bootstrap.listeners.len(), found[0].code), (1, "duplicate-listener"));
    let any_port = second(&format!("name: k, {}", at(0))).replace("port_value: 80", "port_value: 0");
    assert_eq!(quiet(&any_port).listeners.len(), 2);
}

#[test]
fn mistakes_in_listeners_are_found() {
    let replaced = |from: &str, to: &str| refused(&with_listener("").replace(from, to)).remove(0);
    let address = "static_resources.listeners[0].address.socket_address.address";
    assert_eq!(
        replaced("address: 127.0.0.1, port_value: 80", "address: localhost, port_value: 80"),
        ("malformed-ip", address.into())
    );
    let compat = with_listener("").replace("port_value: 80}", "port_value: 80, ipv4_compat: true}");
    assert_eq!(only_error(&compat).0, "bad-address");
    let empty = "static_resources: {listeners: [{address: {socket_address: {address: 127.0.0.1, port_value: 80}}}]}";
    assert_eq!(only_error(empty), ("no-filter-chain", "static_resources.listeners[0]".into()));
    let no_filters = empty.replace("port_value: 80}}", "port_value: 80}}, filter_chains: [{}]");
    assert_eq!(only_error(&no_filters).0, "no-network-filter");
}

#[test]
fn what_is_not_built_is_refused_with_its_place() {
    for (fields, path) in [
        ("listener_filters: [{name: x}],", "listener_filters[0]"),
        ("udp_listener_config: {},", "udp_listener_config"),
        ("use_original_dst: true,", "use_original_dst"),
        ("connection_balance_config: {exact_balance: {}},", "connection_balance_config"),
        ("enable_mptcp: true,", "enable_mptcp"),
    ] {
        let expected = ("not-supported-yet", format!("static_resources.listeners[0].{path}"));
        assert_eq!(only_error(&with_listener(fields)), expected);
    }
    quiet(&with_listener("use_original_dst: false,"));
    let tls = "filter_chains: [{transport_socket: {name: tls, typed_config: {\"@type\": \
               type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext}}, ";
    assert_eq!(
        only_error(&with_listener("").replace("filter_chains: [{", tls)),
        ("not-supported-yet", "static_resources.listeners[0].filter_chains[0].transport_socket".into())
    );
    quiet(
        &with_listener("")
            .replace("filter_chains: [{", &tls.replace("tls.v3.DownstreamTlsContext", "raw_buffer.v3.RawBuffer")),
    );
    let sni = "filter_chains: [{filter_chain_match: {server_names: [a, b]}, ";
    let (_, path) = only_error(&with_listener("").replace("filter_chains: [{", sni));
    assert!(path.ends_with("filter_chain_match.server_names[0]"), "{path}");
}

#[test]
fn another_network_filter_is_refused_by_name() {
    let yaml = with_listener("");
    let start = yaml.find("{name: hcm").unwrap();
    let end = yaml.find("}]}], clusters").unwrap();
    let tcp = "{name: t, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
               stat_prefix: t, cluster: c}}]";
    let error = diagnostic(&format!("{}{tcp}{}", &yaml[..start], &yaml[end..]));
    assert_eq!(
        error.message,
        "network filter `t` (envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy) is not supported yet"
    );
    assert_eq!(error.help.as_deref(), Some("built in: envoy.filters.network.http_connection_manager"));
}
