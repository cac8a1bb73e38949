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
