//! The binary from outside: exit codes, words, signals.
//!
//! Each test starts `nuncio` itself with ports that the kernel picks and learns what it needs from
//! its log and its admin endpoint. Waiting is reading: a line of the log, an answer, the end of the
//! process.

#![allow(clippy::unwrap_used, reason = "a test may panic, helpers outside of #[test] too")]

mod process;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
};

use process::*;
use rustix::process::{Pid, Signal, kill_process};

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
    for arguments in [&["--no-such-flag"][..], &["--mode", "foo"], &["--enable-fine-grain-logging"], &["-l", "loud"]] {
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
        (&["-c", "/nonexistent/x.pb"], "/nonexistent/x.pb: there is no such file"),
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
    assert!(body(&exchange(server.admin, "GET /ready")) == "LIVE\n");
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
fn failing_the_health_check_shows_as_draining_until_it_is_taken_back() {
    let server = Server::start(&config("x:0", "x:1"), &[]);
    assert_eq!(body(&exchange(server.admin, "POST /healthcheck/fail")), "OK\n");
    let ready = exchange(server.admin, "GET /ready");
    assert!(ready.starts_with("HTTP/1.1 503 ") && body(&ready) == "DRAINING\n", "{ready}");
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

#[test]
fn the_demo_does_not_move_on_from_a_port_that_was_asked_for() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in ["--port", "--admin-port"] {
        let output = run(&["demo", flag, &port]);
        assert_eq!(output.status.code(), Some(1));
        let error = text(&output.stderr);
        assert!(
            error.starts_with(&format!("nuncio demo: {flag} {port}: cannot listen on 127.0.0.1:{port}: ")),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn what_follows_ignore_rest_is_for_somebody_else() {
    for end in ["--", "--ignore_rest"] {
        let output =
            run(&["--mode", "validate", "--config-yaml", "static_resources: {}", end, "--whatever", "-c", "x"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "configuration '' OK\n");
    }
}
