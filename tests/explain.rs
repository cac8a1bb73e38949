//! `nuncio explain` and `/explain` from outside.

#![allow(clippy::unwrap_used, reason = "a test may panic, helpers outside of #[test] too")]

mod process;

use process::*;
use serde_json::Value;

const TABLE: &str = r#"
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          merge_slashes: true
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            name: table
            virtual_hosts:
            - name: shop
              domains: ["shop.example", "*.shop.example"]
              retry_policy:
                retry_on: 5xx
              routes:
              - match: {prefix: /api, headers: [{name: x-role, string_match: {exact: admin}}]}
                route: {cluster: admin}
              - name: old
                match: {path: /old}
                redirect: {path_redirect: /new}
              - name: api
                match: {prefix: /api/}
                route:
                  cluster: api
                  prefix_rewrite: /
                  timeout: 3s
              - match: {prefix: /}
                direct_response: {status: 200, body: {inline_string: hi}}
  clusters:
  - name: api
    type: STATIC
    load_assignment: {cluster_name: api, endpoints: [{lb_endpoints: [
      {endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 8081}}}}]}]}
  - name: admin
    type: STATIC
"#;

fn file() -> (Folder, String) {
    let folder = Folder::new();
    let path = folder.file("table.yaml", TABLE);
    (folder, path.display().to_string())
}

fn explained(arguments: &[&str]) -> Value {
    let (_folder, path) = file();
    let all = [&["explain", "-c", &path, "--format", "json"], arguments].concat();
    let output = run(&all);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn line_of(words: &str) -> usize {
    TABLE.lines().position(|line| line.contains(words)).unwrap() + 1
}

#[test]
fn a_forwarded_request_is_explained_to_its_lines() {
    let report = explained(&["GET", "http://a.shop.example/api//users?x=1"]);
    assert_eq!(report["request"]["path"], "/api/users?x=1", "as the connection manager makes it");
    let routing = &report["routing"];
    assert_eq!((&routing["virtual_host"]["name"], &routing["virtual_host"]["how"]), (&"shop".into(), &"suffix".into()));
    assert_eq!(routing["routes"][0]["outcome"]["failed"]["condition"], "header x-role");
    assert_eq!(routing["routes"][2]["outcome"], "matched");
    assert_eq!(routing["routes"][3]["outcome"], "not_reached");
    assert!(report["routes_at"][2].as_str().unwrap().ends_with(&format!(":{}", line_of("name: api"))));
    let forward = &report["action"]["forward"];
    assert_eq!((&forward["cluster"], &forward["path"]), (&"api".into(), &"/users?x=1".into()));
    assert_eq!(forward["upstream"]["hosts"][0]["address"], "127.0.0.1:8081");
    let setting = |name: &str| {
        let all = forward["settings"].as_array().unwrap();
        let found = all.iter().find(|setting| setting["name"] == name).unwrap();
        (found["value"].as_str().unwrap().to_owned(), found["from"].as_str().unwrap().to_owned())
    };
    let (value, from) = setting("timeout");
    assert_eq!(value, "3s");
    assert!(from.ends_with(&format!("table.yaml:{}", line_of("timeout: 3s"))), "{from}");
    let (value, from) = setting("retry_on");
    assert_eq!(value, "5xx");
    assert!(from.ends_with(&format!(":{}", line_of("retry_on: 5xx"))), "{from}");
    assert_eq!(setting("num_retries"), ("1".to_owned(), "default".to_owned()));
}

#[test]
fn headers_and_other_actions_count() {
    let report = explained(&["GET", "http://shop.example/api/x", "-H", "x-role: admin"]);
    assert_eq!(report["action"]["forward"]["cluster"], "admin");
    let report = explained(&["GET", "http://other.example/", "-H", "Host: shop.example"]);
    assert_eq!(report["action"]["direct"]["status"], 200);
    let report = explained(&["GET", "http://shop.example/old"]);
    assert_eq!(report["action"]["redirect"]["location"], "http://shop.example/new");
    let report = explained(&["GET", "http://other.example/"]);
    assert_eq!(report["routing"]["verdict"], "no_virtual_host");
}

/// What `nuncio explain` says to people about a request to `config/traffic-policy.yaml`.
fn told(url: &str, arguments: &[&str]) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/traffic-policy.yaml");
    let output = run(&[&["explain", "-c", path, "GET", url], arguments].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_policy_of_a_route_takes_the_place_of_its_virtual_hosts_as_a_whole() {
    let setting = |told: &str, name: &str| {
        let line = told.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    let told_checkout = told("http://shop.example.com/api/v1/checkout", &[]);
    assert!(setting(&told_checkout, "retry_on").starts_with("connect-failure /"), "{told_checkout}");
    assert_eq!(setting(&told_checkout, "per_try_timeout"), "no limit default");
    assert_eq!(setting(&told_checkout, "retry_back_off"), "25ms to 250ms, jittered default");
    let told_orders = told("http://shop.example.com/api/v1/orders", &["--random", "0"]);
    let listed = setting(&told_orders, "retry_on");
    assert!(listed.starts_with("gateway-error,connect-failure,refused-stream /"), "a blank before the place: {listed}");
    assert!(setting(&told_orders, "per_try_timeout").starts_with("1s /"), "{told_orders}");
    let hedged = told(
        "http://shop.example.com/search",
        &["-H", "x-envoy-hedge-on-per-try-timeout: true", "--client", "10.0.0.1"],
    );
    assert_eq!(setting(&hedged, "hedge_on_per_try_timeout"), "true header x-envoy-hedge-on-per-try-timeout");
}

#[test]
fn the_page_about_routing_shows_what_is_told() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/routing.md")).unwrap();
    let (_, shown) = page.split_once("```text\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let told = told("http://shop.example.com/api/v1/orders", &[]).replace(concat!(env!("CARGO_MANIFEST_DIR"), "/"), "");
    for line in shown.lines() {
        assert!(told.lines().any(|other| other == line), "{line:?} is not in\n{told}");
    }
}

#[test]
fn budgets_hashes_mirrors_and_redirects_are_told() {
    let orders = told("http://shop.example.com/api/v1/orders", &[]);
    assert!(orders.contains("retry_budget            20 % of the requests, at least 3"), "{orders}");
    let search = told("http://shop.example.com/search", &[]);
    assert!(search.contains("mirrored to   shop_next, 5 of 100"), "{search}");
    assert!(search.contains("hash_policy               2 policies"), "{search}");
    let downloads = told("http://shop.example.com/downloads/x", &[]);
    assert!(downloads.contains("internal_redirect_policy  up to 2 of 302,307"), "{downloads}");
}

#[test]
fn what_cannot_be_answered_is_one_sentence() {
    let (_folder, path) = file();
    for (arguments, words) in [
        (&["GET", "no url"][..], "`no url` is neither a URL nor a path"),
        (&["GET", "/", "--listener", "x"], "there is no listener `x`; there are: main"),
        (&["GET", "/", "-H", "broken"], "`broken` is not a header"),
        (&["G T", "/"], "`G T` is not a method"),
    ] {
        let output = run(&[&["explain", "-c", &path], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
    }
}

#[test]
fn a_running_server_explains_with_the_hosts_of_now() {
    let server = Server::start(TABLE, &[]);
    let ask = |line: &str| exchange(server.admin, line);
    let report = ask("GET /explain?format=json&url=http://shop.example/api/x&header=x-test:%201");
    let report: Value = serde_json::from_str(&body(&report)).unwrap();
    let forward = &report["action"]["forward"];
    assert_eq!(forward["upstream"]["hosts"][0]["active_requests"], 0);
    assert_eq!(forward["upstream"]["breakers"][2]["name"], "max_requests");
    assert_eq!(forward["upstream"]["breakers"][2]["in_use"], 0);
    assert!(forward["headers"].as_array().unwrap().contains(&serde_json::json!(["x-test", "1"])));
    let told = body(&ask("GET /explain?url=http://shop.example/old"));
    assert!(told.contains("answer        301, location: http://shop.example/new"), "{told}");
    assert!(ask("GET /explain").starts_with("HTTP/1.1 400 "));
}
