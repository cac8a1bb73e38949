//! The binary from outside: exit codes, words, signals.
//!
//! Each test starts `nuncio` itself with ports that the kernel picks and learns what it needs from
//! its log and its admin endpoint. Waiting is reading: a line of the log, an answer, the end of the
//! process.

#![allow(clippy::unwrap_used, reason = "a test may panic, helpers outside of #[test] too")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

const BINARY: &str = env!("CARGO_BIN_EXE_nuncio");

/// Nothing here takes this long unless it hangs.
const LIMIT: Duration = Duration::from_secs(20);

/// A folder of one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("nuncio-cli-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One listener that sends everything to `upstream`, on ports that the kernel picks.
fn config(listener: &str, upstream: &str) -> String {
    let port = |address: &str| address.rsplit_once(':').unwrap().1.to_owned();
    format!(
        r#"
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
static_resources:
  listeners:
  - name: front
    address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          route_config:
            name: r
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{path: /direct}}
                direct_response: {{status: 200, body: {{inline_string: "direct\n"}}}}
              - match: {{prefix: /}}
                route: {{cluster: back}}
          http_filters:
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: back
    connect_timeout: 1s
    load_assignment:
      cluster_name: back
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}
"#,
        port(listener),
        port(upstream),
    )
}

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running server.
struct Server {
    child: Child,
    log: BufReader<ChildStderr>,
    admin: SocketAddr,
    _folder: Folder,
}

impl Server {
    fn start(config: &str, arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let path = folder.file("c.yaml", config);
        let address = folder.0.join("admin");
        let mut child = Command::new(BINARY)
            .arg("-c")
            .arg(&path)
            .arg("--admin-address-path")
            .arg(&address)
            .args(["--concurrency", "2"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        read_until(&mut log, "starting main dispatch loop");
        let admin = fs::read_to_string(&address).unwrap().parse().unwrap();
        Self { child, log, admin, _folder: folder }
    }

    fn read_until(&mut self, words: &str) -> String {
        read_until(&mut self.log, words)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn listener(&self) -> SocketAddr {
        let listeners = body(&exchange(self.admin, "GET /listeners"));
        listeners.trim().strip_prefix("front::").unwrap().parse().unwrap()
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_until(log: &mut BufReader<ChildStderr>, words: &str) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "the log ended before '{words}':\n{all}");
        if line.contains(words) {
            return line;
        }
        all.push_str(&line);
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// One request, the whole response.
fn exchange(address: SocketAddr, line: &str) -> String {
    let mut stream = connect(address);
    write!(stream, "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    text(&response)
}

fn body(response: &str) -> String {
    response.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn the_version_has_envoys_shape() {
    let output = run(&["--version"]);
    assert!(output.status.success());
    let line = text(&output.stdout);
    let version = line.trim().strip_prefix("nuncio  version: ").unwrap();
    let parts: Vec<&str> = version.split('/').collect();
    assert_eq!(parts.len(), 5, "{version}");
    assert!(parts[1].starts_with("1.40.0"), "{version}");
    assert_eq!(text(&run(&["--hot-restart-version"]).stdout), "disabled\n");
}

#[test]
fn help_documents_the_exit_codes() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for words in ["Exit codes:", "--config-path", "--drain-grace-s", "demo", "validate"] {
        assert!(help.contains(words), "{words}");
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for arguments in [&["--no-such-flag"][..], &["--mode", "foo"], &["--enable-mutex-tracing"], &["-l", "loud"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("error:"), "{arguments:?}");
    }
}

#[test]
fn a_missing_configuration_is_one_sentence_and_exit_code_1() {
    for (arguments, words) in [
        (&["-c", "/nonexistent/x.yaml"][..], "/nonexistent/x.yaml: there is no such file"),
        (&[], "no configuration: give --config-path"),
        (&["-c", "/etc/x.pb"], "protobuf files are not supported yet"),
        (&["-c", "/"], "cannot be read"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains(words), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains("[critical][main]"), "{error}");
    }
}

#[test]
fn validate_mode_says_ok_as_envoy_does() {
    let folder = Folder::new();
    let path = folder.file("c.yaml", &config("x:0", "x:1"));
    let path = path.to_str().unwrap();
    let output = run(&["-c", path, "--mode", "validate"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), format!("configuration '{path}' OK\n"));
}

#[test]
fn a_refused_configuration_is_shown_with_its_place() {
    let folder = Folder::new();
    let path = folder.file("c.yaml", &config("x:0", "x:1").replace("connect_timeout", "conect_timeout"));
    let path = path.to_str().unwrap();
    let serve = run(&["-c", path]);
    assert_eq!(serve.status.code(), Some(1));
    let error = text(&serve.stderr);
    assert!(error.contains("conect_timeout") && error.contains("c.yaml:28"), "{error}");
    let validate = run(&["validate", path]);
    assert_eq!(validate.status.code(), Some(1));
    assert!(text(&validate.stdout).contains("connect_timeout"), "{}", text(&validate.stdout));
}

#[test]
fn validate_writes_one_document_for_all_files() {
    let folder = Folder::new();
    let good = folder.file("good.yaml", &config("x:0", "x:1"));
    let bad = folder.file("bad.yaml", "static_resources: {listenerz: []}");
    let arguments = |format: &'static str| {
        ["validate", good.to_str().unwrap(), bad.to_str().unwrap(), "--format", format].map(str::to_owned)
    };
    for format in ["json", "sarif"] {
        let output = Command::new(BINARY).args(arguments(format)).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let written = report.to_string();
        assert!(written.contains("bad.yaml") && written.contains("listenerz"), "{written}");
        assert!(!written.contains("good.yaml"), "{written}");
    }
}

#[test]
fn inline_yaml_is_merged_over_the_file() {
    let server = Server::start(&config("x:0", "x:1"), &["--config-yaml", "node: {id: inline}"]);
    assert!(body(&exchange(server.admin, "GET /server_info")).contains("\"id\": \"inline\""));
}

#[test]
fn a_port_in_use_ends_the_start_with_its_name() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let path = folder.file("c.yaml", &config(&address, "x:1"));
    let output = run(&["-c", path.to_str().unwrap(), "-l", "error"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.contains(&format!("listener 'front': cannot listen on {address}: address already in use")),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn init_only_initialises_and_ends() {
    let folder = Folder::new();
    let path = folder.file("c.yaml", &config("x:0", "x:1"));
    let output = run(&["-c", path.to_str().unwrap(), "--mode", "init_only"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn it_serves_and_ends_in_order_on_sigterm() {
    let mut server = Server::start(&config("x:0", &nobody()), &[]);
    let front = server.listener();
    assert!(exchange(front, "GET /direct").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(exchange(server.admin, "GET /ready").ends_with("\r\n\r\nLIVE\n"));
    server.signal(Signal::TERM);
    let last = server.read_until("exiting:");
    assert!(last.contains("0 request(s) finished while draining, 0 cut"), "{last}");
    assert_eq!(server.wait().code(), Some(0));
    assert!(TcpStream::connect(front).is_err());
}

/// Starts a request that hangs in the upstream; answers the client and the upstream's connection.
fn hanging_request(server: &Server, upstream: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = connect(server.listener());
    write!(client, "GET /hang HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let (mut back, _) = upstream.accept().unwrap();
    back.set_read_timeout(Some(LIMIT)).unwrap();
    let mut byte = [0];
    back.read_exact(&mut byte).unwrap();
    (client, back)
}

#[test]
fn sigterm_lets_a_running_request_finish() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = Server::start(&config("x:0", &upstream.local_addr().unwrap().to_string()), &[]);
    let (mut client, mut back) = hanging_request(&server, &upstream);
    server.signal(Signal::TERM);
    server.read_until("shutting down server instance");
    back.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").unwrap();
    let mut response = Vec::new();
    client.read_to_end(&mut response).unwrap();
    let response = text(&response).to_lowercase();
    assert!(response.starts_with("http/1.1 200 ok\r\n") && response.ends_with("\r\n\r\ndone"), "{response}");
    assert!(response.contains("connection: close\r\n"), "{response}");
    let last = server.read_until("exiting:");
    assert!(last.contains("1 request(s) finished while draining, 0 cut"), "{last}");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn what_does_not_finish_within_the_grace_period_is_cut_and_counted() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let mut server = Server::start(&config("x:0", &address), &["--drain-grace-s", "0"]);
    let (_client, _back) = hanging_request(&server, &upstream);
    server.signal(Signal::TERM);
    let last = server.read_until("exiting:");
    assert!(last.contains("0 request(s) finished while draining, 1 cut"), "{last}");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_sigterm_does_not_wait() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let mut server = Server::start(&config("x:0", &address), &["--drain-grace-s", "600"]);
    let (_client, _back) = hanging_request(&server, &upstream);
    server.signal(Signal::TERM);
    server.read_until("shutting down server instance");
    server.signal(Signal::TERM);
    let last = server.read_until("exiting:");
    assert!(last.contains("1 cut"), "{last}");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn other_signals_do_not_end_it() {
    let folder = Folder::new();
    let log = folder.0.join("server.log");
    let path = folder.file("c.yaml", &config("x:0", "x:1"));
    let address = folder.0.join("admin");
    let mut child = Command::new(BINARY)
        .args(["-c", path.to_str().unwrap(), "--log-path", log.to_str().unwrap()])
        .args(["--mode", "serve", "--admin-address-path", address.to_str().unwrap()])
        .spawn()
        .unwrap();
    let lines = || fs::read_to_string(&log).unwrap_or_default();
    let deadline = std::time::Instant::now() + LIMIT;
    let wait_for = |words: &str| {
        while !lines().contains(words) {
            assert!(std::time::Instant::now() < deadline, "no '{words}' in {}", lines());
            std::thread::yield_now();
        }
    };
    wait_for("starting main dispatch loop");
    fs::rename(&log, folder.0.join("old.log")).unwrap();
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    kill_process(Pid::from_child(&child), Signal::USR1).unwrap();
    while !log.exists() {
        assert!(std::time::Instant::now() < deadline, "the log is not opened again");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(lines().contains("exiting:"), "{}", lines());
}

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

#[test]
fn failing_the_health_check_shows_as_draining_until_it_is_taken_back() {
    let server = Server::start(&config("x:0", "x:1"), &[]);
    assert_eq!(body(&exchange(server.admin, "POST /healthcheck/fail")), "OK\n");
    let ready = exchange(server.admin, "GET /ready");
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.ends_with("DRAINING\n"), "{ready}");
    exchange(server.admin, "POST /healthcheck/ok");
    assert!(exchange(server.admin, "GET /ready").starts_with("HTTP/1.1 200 "));
}

#[test]
fn drain_listeners_closes_the_listeners_and_keeps_the_server() {
    let server = Server::start(&config("x:0", "x:1"), &[]);
    let front = server.listener();
    exchange(server.admin, "POST /drain_listeners?inboundonly");
    assert!(TcpStream::connect(front).is_ok(), "the listener says nothing about its direction");
    exchange(server.admin, "POST /drain_listeners");
    let deadline = std::time::Instant::now() + LIMIT;
    while TcpStream::connect(front).is_ok() {
        assert!(std::time::Instant::now() < deadline, "still accepting");
        std::thread::yield_now();
    }
    assert_eq!(body(&exchange(server.admin, "GET /ready")), "LIVE\n");
}

#[test]
fn quitquitquit_ends_it() {
    let mut server = Server::start(&config("x:0", "x:1"), &[]);
    assert_eq!(body(&exchange(server.admin, "POST /quitquitquit")), "OK\n");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_demo_needs_nothing() {
    let mut child =
        Command::new(BINARY).args(["demo", "--port", "0", "--admin-port", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    while !printed.contains("Ctrl-C") {
        assert!(output.read_line(&mut printed).unwrap() > 0, "{printed}");
    }
    let address = |word: &str| -> SocketAddr {
        let line = printed.lines().find(|line| line.trim_start().starts_with(word)).unwrap();
        let (_, rest) = line.split_once("http://").unwrap();
        rest.split('/').next().unwrap().parse().unwrap()
    };
    let proxy = address("proxy");
    assert!(exchange(proxy, "GET /").contains("hello: request 1 of this upstream"));
    assert!(exchange(proxy, "GET /slow").contains("x-demo-upstream: slow"));
    assert!(exchange(proxy, "GET /teapot").starts_with("HTTP/1.1 418 "));
    let page = exchange(address("admin"), "GET /");
    assert!(page.contains("text/html") && page.contains("quitquitquit"));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn every_example_configuration_is_accepted() {
    let mut count = 0;
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            let output = run(&["validate", path.to_str().unwrap()]);
            let report = text(&output.stdout);
            assert!(output.status.success() && !report.contains("warning"), "{report}");
            count += 1;
        }
    }
    assert!(count >= 4);
}
