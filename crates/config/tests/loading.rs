//! Loading as the program does it: what prost makes of the bytes, and that no text can break it.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail like the test")]

use std::{fs, thread};

use envoy_types::pb::envoy::{
    config::bootstrap::v3::Bootstrap,
    extensions::filters::network::http_connection_manager::v3::{
        HttpConnectionManager, http_connection_manager::RouteSpecifier,
    },
};
use nuncio_config::{
    Format, LoadOptions, Loaded, OutputFormat, Source, expand_typed_structs, load, render, validate_wire,
};
use prost::Message;

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

const PROXY: &str = r#"
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: front
    address: {socket_address: {address: 0.0.0.0, port_value: 10000}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          streamIdleTimeout: 0.25s
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                route: {cluster: c, timeout: 15s}
  clusters:
  - name: c
    connect_timeout: 1s
    type: STRICT_DNS
    lb_policy: least_request
    per_connection_buffer_limit_bytes: 0x8000
    metadata: {filter_metadata: {a: {whole: 1, fraction: 1.5, list: [true, ~]}}}
    load_assignment:
      cluster_name: c
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: svc, port_value: 80}}}
"#;

fn loaded(text: &str, format: Format) -> Loaded {
    let source = Source { name: "t".to_owned(), text: text.to_owned(), format };
    load(BOOTSTRAP, vec![source], LoadOptions::default())
}

#[test]
fn a_text_becomes_the_message_that_prost_reads() {
    let loaded = loaded(PROXY, Format::Yaml);
    assert_eq!(loaded.diagnostics, []);
    let bootstrap = Bootstrap::decode(loaded.wire.as_slice()).unwrap();
    let resources = bootstrap.static_resources.unwrap();
    let cluster = &resources.clusters[0];
    assert_eq!(cluster.lb_policy, 1);
    assert_eq!(cluster.connect_timeout.as_ref().unwrap().seconds, 1);
    assert_eq!(cluster.per_connection_buffer_limit_bytes.as_ref().unwrap().value, 0x8000);
    assert_eq!(cluster.metadata.as_ref().unwrap().filter_metadata["a"].fields.len(), 3);
    let filter = &resources.listeners[0].filter_chains[0].filters[0];
    let Some(config) = &filter.config_type else { panic!("{filter:?}") };
    let envoy_types::pb::envoy::config::listener::v3::filter::ConfigType::TypedConfig(any) = config else {
        panic!("{filter:?}")
    };
    let manager = HttpConnectionManager::decode(any.value.as_slice()).unwrap();
    assert_eq!(manager.stream_idle_timeout.unwrap().nanos, 250_000_000);
    let Some(RouteSpecifier::RouteConfig(routes)) = manager.route_specifier else { panic!("no routes") };
    assert_eq!(routes.virtual_hosts[0].domains, ["*"]);
}

/// Numbers that depend on nothing but the ones before (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % limit.max(1)
    }
}

const PIECES: [&str; 16] =
    ["&a ", "*a", "!ignore ", "- ", ": ", "{", "]", "\"", "'", "|\n", "\t", "\n", "? ", "\u{feff}", "\\ud83d", "@type"];

fn broken(text: &str, numbers: &mut Numbers) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..1 + numbers.below(5) {
        let at = numbers.below(text.len());
        let end = (at + numbers.below(30)).min(text.len());
        match numbers.below(3) {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..at, PIECES[numbers.below(PIECES.len())].chars())),
            _ => text.extend_from_within(at..end),
        }
    }
    text.into_iter().collect()
}

#[test]
fn any_text_is_survived_and_what_is_said_can_be_shown() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config_edge");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut texts: Vec<String> = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
    texts.sort();
    texts.push(PROXY.to_owned());
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    for round in 0..1_000 {
        let text = broken(&texts[numbers.below(texts.len())], &mut numbers);
        let loaded = loaded(&text, [Format::Yaml, Format::Json][round % 2]);
        for format in [OutputFormat::Human { color: true }, OutputFormat::Json, OutputFormat::Sarif] {
            let _ = render(&loaded.diagnostics, &loaded.sources, format);
        }
        let mut wire = loaded.wire;
        if let Some(byte) = wire.get_mut(numbers.below(500)) {
            *byte = byte.wrapping_add(1);
        }
        let _ = validate_wire(BOOTSTRAP, &wire);
        let _ = expand_typed_structs(BOOTSTRAP, &wire, &LoadOptions::default());
    }
}

#[test]
fn the_deepest_text_fits_a_small_stack() {
    let text = format!("{}\"x\": 1{}", "{\"a\": ".repeat(240) + "{", "}".repeat(241));
    let check = move || {
        for format in [Format::Yaml, Format::Json] {
            let source = Source { name: "t".to_owned(), text: text.clone(), format };
            let loaded = load("google.protobuf.Struct", vec![source], LoadOptions::default());
            assert!(loaded.has_errors());
        }
    };
    thread::Builder::new().stack_size(1 << 20).spawn(check).unwrap().join().unwrap();
}
