use super::*;
use crate::{
    Format, Severity, Source,
    model::{
        hcm::RouteSource,
        listener::TerminalFilter,
        load_bootstrap,
        route::{Route, RouteAction},
    },
};

mod access_log;
mod bench;
mod bootstrap;
mod cluster;
mod hcm;
mod header;
mod listener;
mod matcher;
mod matching;
mod policy;
mod route;

const HCM: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTES: &str =
    "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0]";
const MANAGER: &str = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";

/// Loads YAML; panics with the problems when it is refused.
fn accepted(yaml: &str) -> (Bootstrap, Vec<Diagnostic>) {
    load_bootstrap(source(yaml), &Options::default()).unwrap_or_else(|found| panic!("{found:#?}\n{yaml}"))
}

/// Loads YAML that has to be accepted without a warning.
fn quiet(yaml: &str) -> Bootstrap {
    let (bootstrap, found) = accepted(yaml);
    assert!(found.is_empty(), "{found:#?}\n{yaml}");
    bootstrap
}

/// Loads YAML that has to be refused; the errors' codes and paths.
fn refused(yaml: &str) -> Vec<(&'static str, String)> {
    let found = load_bootstrap(source(yaml), &Options::default()).err();
    let found = found.unwrap_or_else(|| panic!("it was accepted:\n{yaml}"));
    for diagnostic in &found {
        assert!(diagnostic.location.is_some(), "no place: {diagnostic:#?}\n{yaml}");
    }
    let errors = found.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    errors.map(|diagnostic| (diagnostic.code, diagnostic.path)).collect()
}

/// The code and path of the only error.
fn only_error(yaml: &str) -> (&'static str, String) {
    let mut errors = refused(yaml);
    assert_eq!(errors.len(), 1, "{errors:#?}\n{yaml}");
    errors.remove(0)
}

/// The first error as loaded.
fn diagnostic(yaml: &str) -> Diagnostic {
    load_bootstrap(source(yaml), &Options::default()).expect_err("it was accepted").remove(0)
}

/// Codes of the warnings.
fn warnings(yaml: &str) -> Vec<&'static str> {
    accepted(yaml).1.into_iter().map(|diagnostic| diagnostic.code).collect()
}

fn source(yaml: &str) -> Vec<Source> {
    vec![Source { name: "test.yaml".into(), text: yaml.into(), format: Format::Yaml }]
}

/// A bootstrap with one listener (flow-style text of its fields besides address and chains), one
/// manager (its fields besides the required ones) and one cluster `c` (its fields besides the name).
fn bootstrap(listener: &str, manager: &str, host: &str, cluster: &str, rest: &str) -> String {
    let chain = format!(
        "{{filters: [{{name: hcm, typed_config: {{\"@type\": type.googleapis.com/{HCM}, stat_prefix: s, {manager} \
         route_config: {{virtual_hosts: [{{name: v, domains: [\"*\"], {host}}}]}}}}}}]}}"
    );
    format!(
        "{rest}\nstatic_resources: {{listeners: [{{name: l, address: {{socket_address: {{address: 127.0.0.1, \
         port_value: 80}}}}, {listener} filter_chains: [{chain}]}}], clusters: [{{name: c, {cluster}}}]}}\n"
    )
}

const ROUTER: &str = "http_filters: [{name: r, typed_config: {\"@type\": \
                      type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}],";
const ALL_TO_C: &str = "routes: [{match: {prefix: /}, route: {cluster: c}}]";
const LOCAL_HOST: &str = "load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: \
                          {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}";

fn with_listener(listener: &str) -> String {
    bootstrap(listener, ROUTER, ALL_TO_C, LOCAL_HOST, "")
}

fn with_manager(manager: &str) -> String {
    bootstrap("", &format!("{ROUTER} {manager}"), ALL_TO_C, LOCAL_HOST, "")
}

fn with_host(host: &str) -> String {
    bootstrap("", ROUTER, host, LOCAL_HOST, "")
}

/// One route, of which everything is given.
fn with_route(route: &str) -> String {
    with_host(&format!("routes: [{{{route}}}]"))
}

fn with_cluster(cluster: &str) -> String {
    bootstrap("", ROUTER, ALL_TO_C, cluster, "")
}

fn with_rest(rest: &str) -> String {
    bootstrap("", ROUTER, ALL_TO_C, LOCAL_HOST, rest)
}

fn manager_of(bootstrap: &Bootstrap) -> &crate::model::HttpConnectionManager {
    let TerminalFilter::Http(manager) = &bootstrap.listeners[0].filter_chains[0].terminal;
    manager
}

fn routes_of(bootstrap: &Bootstrap) -> &[Arc<Route>] {
    let RouteSource::Static(table) = &manager_of(bootstrap).routes;
    &table.virtual_hosts[0].routes
}

fn forward_of(bootstrap: &Bootstrap) -> &crate::model::route::Forward {
    let RouteAction::Forward(forward) = &routes_of(bootstrap)[0].action else { panic!("it forwards") };
    forward
}
