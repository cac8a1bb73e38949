//! The admin server from outside: protocols, logs, what it changes.

#![allow(clippy::unwrap_used, reason = "a test may panic, helpers outside of #[test] too")]

mod process;

use std::{
    fs,
    io::{Read as _, Write as _},
};

use process::*;
use rustix::process::Signal;

#[test]
fn the_admin_server_has_envoys_shapes() {
    let server = Server::start(&config("x:0", "x:1"), &[]);
    let ask = |line: &str| exchange(server.admin, line);
    let ready = ask("GET /ready").to_lowercase();
    for header in [
        "content-type: text/plain; charset=utf-8\r\n",
        "cache-control: no-cache, max-age=0\r\n",
        "x-content-type-options: nosniff\r\n",
        "server: envoy\r\n",
    ] {
        assert!(ready.contains(header), "{ready}");
    }
    let refused = ask("GET /quitquitquit");
    assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
    assert_eq!(body(&refused), "Method GET not allowed, POST required.");
    let unknown = ask("GET /nosuch");
    assert!(unknown.starts_with("HTTP/1.1 404 "), "{unknown}");
    assert!(body(&unknown).starts_with("invalid path. admin commands are:\n  /: Admin home page\n"));
    assert_eq!(body(&ask("GET /stats?filter=^server.concurrency$")), "server.concurrency: 2\n");
    assert_eq!(body(&ask("GET /stats?type=x")), "invalid &type= param");
    assert!(body(&ask("GET /stats/prometheus?filter=server.live")).contains("envoy_server_live{} 1\n"));
    assert!(body(&ask("GET /clusters")).contains("back::127.0.0.1:1::health_flags::healthy\n"));
    let logging = body(&ask("POST /logging?upstream=debug"));
    assert!(logging.contains("  upstream: debug\n") && logging.contains("  main: info\n"), "{logging}");
    let dump: serde_json::Value = serde_json::from_str(&body(&ask("GET /config_dump"))).unwrap();
    let types: Vec<&str> = dump["configs"].as_array().unwrap().iter().map(|c| c["@type"].as_str().unwrap()).collect();
    let kinds = ["Bootstrap", "Clusters", "Listeners", "ScopedRoutes", "Routes", "Secrets"];
    assert_eq!(types, kinds.map(|kind| format!("type.googleapis.com/envoy.admin.v3.{kind}ConfigDump")));
    assert_eq!(dump["configs"][4]["static_route_configs"][0]["route_config"]["name"], "r");
}

/// The configuration with more in its `admin` and beside it.
fn with(admin: &str, rest: &str) -> String {
    let config = config("x:0", "x:1");
    let address = "admin: {address:";
    format!("{}\n{rest}\n", config.replacen(address, &format!("admin: {{{admin}address:"), 1))
}

#[test]
fn what_is_not_built_in_says_so_as_in_envoy() {
    let server = Server::start(&config("x:0", "x:1"), &[]);
    for (line, status, words) in [
        ("POST /cpuprofiler?enable=y", 500, "failure to start the profiler"),
        ("POST /cpuprofiler?enable=n", 200, "OK\n"),
        ("POST /cpuprofiler?enable=x", 400, "?enable=<y|n>\n"),
        ("POST /heapprofiler?enable=y", 501, "The current build does not support heap profiler"),
        ("POST /allocprofiler?enable=y", 501, "Allocation profile is not implemented in current build"),
        ("GET /heap_dump", 501, "Heap profile is not implemented in current build"),
        ("GET /memory/tcmalloc", 501, "Envoy was not built with tcmalloc."),
        ("POST /runtime_modify?a=1", 503, "No admin layer specified"),
        ("POST /stats/recentlookups/enable", 200, "OK\n"),
        ("GET /stats/recentlookups", 200, "   Count Lookup\n\ntotal: 0\n"),
    ] {
        let answer = exchange(server.admin, line);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
        assert_eq!(body(&answer), words, "{line}");
    }
    let page = body(&exchange(server.admin, "GET /stats?format=html&filter=^server.live$"));
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<pre>\nserver.live: 1\n</pre>"), "{page}");
    assert!(body(&exchange(server.admin, "GET /stats?format=active-html")).contains("setInterval"));
}

#[test]
fn the_runtime_is_modified_by_query_or_form_and_shown() {
    let layers = "layered_runtime: {layers: [{name: base, static_layer: {a: {b: 1}}}, {name: own, admin_layer: {}}]}";
    let server = Server::start(&with("", layers), &[]);
    let ask = |line: &str| body(&exchange(server.admin, line));
    assert_eq!(ask("POST /runtime_modify?a.b=7&new=x%20y"), "OK\n");
    let mut form = connect(server.admin);
    let fields = "host: x\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 3";
    write!(form, "POST /runtime_modify HTTP/1.1\r\n{fields}\r\n\r\nf=1").unwrap();
    let mut answer = String::new();
    form.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let runtime: serde_json::Value = serde_json::from_str(&ask("GET /runtime")).unwrap();
    assert_eq!(runtime["layers"], serde_json::json!(["base", "own"]));
    let entry = serde_json::json!({ "layer_values": ["1", "7"], "final_value": "7" });
    assert_eq!(runtime["entries"]["a.b"], entry);
    assert_eq!(runtime["entries"]["new"]["final_value"], "x y");
    assert_eq!(runtime["entries"]["f"]["final_value"], "1");
    let stats = ask("GET /stats?filter=^runtime.(num|admin|load_s)");
    let expected =
        "runtime.admin_overrides_active: 1\nruntime.load_success: 4\nruntime.num_keys: 3\nruntime.num_layers: 2\n";
    assert_eq!(stats, expected);
    assert!(ask("POST /runtime_modify").starts_with("usage: /runtime_modify?"));
    assert_eq!(ask("POST /runtime_modify?a.b=&new=&f="), "OK\n");
    assert!(ask("GET /runtime").contains("\"final_value\": \"1\""));
}

#[test]
fn requests_to_the_admin_server_are_logged() {
    let folder = Folder::new();
    let path = folder.0.join("admin.log");
    let kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";
    let format = "log_format: {text_format_source: {inline_string: \"%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% \
                  %RESPONSE_CODE_DETAILS% %BYTES_SENT%\\n\"}}";
    let log =
        format!("access_log: [{{name: f, typed_config: {{\"@type\": {kind}, path: {}, {format}}}}}], ", path.display());
    let mut server = Server::start(&with(&log, ""), &[]);
    exchange(server.admin, "GET /ready");
    exchange(server.admin, "HEAD /nosuch");
    server.signal(Signal::TERM);
    server.wait();
    let lines = fs::read_to_string(&path).unwrap();
    let mut lines = lines.lines();
    assert_eq!(lines.next(), Some("GET /ready 200 admin_filter_response 5"));
    let missing = lines.next().unwrap();
    assert!(missing.starts_with("HEAD /nosuch 404 admin_filter_response "), "{missing}");
}

#[test]
fn http_2_is_spoken_to_those_who_know() {
    let server = Server::start(&config("x:0", "x:1"), &[]);
    let mut client = connect(server.admin);
    // The preface, empty SETTINGS, then GET /ready in stream 1, all of it out of HPACK's static table but the path.
    let block = [&[0x82, 0x86, 0x04, 6][..], b"/ready", &[0x01, 1], b"x"].concat();
    let head = [&[0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1][..], &block].concat();
    let bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0, 0, 0, 4, 0, 0, 0, 0, 0][..], &head].concat();
    client.write_all(&bytes).unwrap();
    let mut seen = Vec::new();
    let mut chunk = [0; 1024];
    while !seen.windows(5).any(|window| window == b"LIVE\n") {
        let read = client.read(&mut chunk).unwrap();
        assert!(read > 0, "closed after {seen:?}");
        seen.extend_from_slice(&chunk[..read]);
    }
    let stats = body(&exchange(server.admin, "GET /stats?filter=^http.admin.downstream_cx_http2_total"));
    assert_eq!(stats, "http.admin.downstream_cx_http2_total: 1\n");
}

#[test]
fn an_upgrade_is_answered_like_any_request() {
    let server = Server::start(&config("x:0", "x:1"), &[]);
    let mut client = connect(server.admin);
    write!(client, "GET /ready HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("LIVE\n"), "{answer}");
}
