//! Deadlines of requests, streams and connections to upstreams.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use std::net::SocketAddr;

use http::Method;
use nuncio_testkit::{Client, Cluster, Config, FrameKind, H2Wire, Proxy, RawFrame, Upstream, Version, Wire, body};

/// Takes connections and requests and never answers.
fn silent() -> Upstream {
    Upstream::scripted(|mut wire| async move { drop(wire.read_to_end().await) })
}

fn with_route(upstream: SocketAddr, fields: &str) -> Config {
    Config::new().cluster(Cluster::new("up").host(upstream)).route("/", &format!("cluster: up, {fields}"))
}

#[tokio::test]
async fn a_route_timeout_answers_504_and_frees_the_upstream() {
    let upstream = silent();
    for down in [Version::Http1, Version::Http2] {
        let proxy = Proxy::start(&with_route(upstream.address(), "timeout: 0.05s")).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let answer = client.get("/").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (504, "upstream request timeout"));
        proxy.log_line(1).await.expect(&[("code", "504"), ("flags", "UT"), ("details", "response_timeout")]);
        proxy.stats().expect(&[
            ("cluster.up.upstream_rq_timeout", 1),
            ("cluster.up.upstream_rq_504", 1),
            ("cluster.up.upstream_rq_active", 0),
            ("http.main.downstream_rq_5xx", 1),
        ]);
        proxy.wait_for("cluster.up.upstream_cx_active", 0).await;
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_route_timeout_does_not_run_while_the_request_is_received() {
    let (upstream, never) = (Upstream::echo(Version::Http1), silent());
    let config = Config::new()
        .cluster(Cluster::new("up").host(upstream.address()))
        .cluster(Cluster::new("silent").host(never.address()))
        .route("/silent", "cluster: silent, timeout: 0.1s")
        .route("/", "cluster: up, timeout: 0.1s");
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    let mut other = Client::connect(Version::Http1, proxy.address()).await;
    let (feed, fed) = body::fed();
    let request = client.request(Method::POST, "/").body(fed).unwrap();
    let upload = async move {
        // Each request that times out meanwhile shows that the time has passed once more.
        for _ in 0..3 {
            assert!(feed.data("x").await);
            assert_eq!(other.get("/silent").await.status.as_u16(), 504);
        }
    };
    let (answer, ()) = tokio::join!(client.exchange(request), upload);
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 3));
    proxy.stop().await;
}

#[tokio::test]
async fn a_response_that_has_begun_is_cut_by_the_route_timeout() {
    let upstream = Upstream::scripted(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
        wire.read_to_end().await;
    });
    let proxy = Proxy::start(&with_route(upstream.address(), "timeout: 0.1s")).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(wire.head().await.status(), 200);
    assert_eq!(wire.read_to_end().await.0, b"half");
    proxy.log_line(1).await.expect(&[("code", "200"), ("flags", "UT"), ("details", "response_timeout")]);
    proxy.stop().await;
}

#[tokio::test]
async fn an_idle_stream_ends_with_504_once_the_request_is_complete() {
    let upstream = silent();
    for (field, config) in [
        ("manager", with_route(upstream.address(), "timeout: 0s").manager("stream_idle_timeout: 0.05s")),
        ("route", with_route(upstream.address(), "timeout: 0s, idle_timeout: 0.05s")),
    ] {
        for down in [Version::Http1, Version::Http2] {
            let proxy = Proxy::start(&config).await;
            let mut client = Client::connect(down, proxy.address()).await;
            let answer = client.get("/").await;
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (504, "stream timeout"), "{field}");
            proxy.log_line(1).await.expect(&[("code", "504"), ("flags", "SI"), ("details", "stream_idle_timeout")]);
            proxy.stats().expect(&[("http.main.downstream_rq_idle_timeout", 1)]);
            proxy.stop().await;
        }
    }
}

#[tokio::test]
async fn an_idle_upload_ends_with_408_and_the_connection() {
    let upstream = silent();
    let config = with_route(upstream.address(), "timeout: 0s").manager("stream_idle_timeout: 0.05s");
    let proxy = Proxy::start(&config).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n12").await;
    let response = wire.response().await;
    assert_eq!((response.status(), response.text().as_str()), (408, "stream timeout"));
    assert_eq!(response.header("connection"), Some("close"));
    wire.expect_close().await;
    proxy.log_line(1).await.expect(&[("code", "408"), ("flags", "SI"), ("rx", "2")]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_stream_lives_no_longer_than_max_stream_duration() {
    let upstream = silent();
    for config in [
        with_route(upstream.address(), "timeout: 0s")
            .manager("common_http_protocol_options: {max_stream_duration: 0.05s}"),
        with_route(upstream.address(), "timeout: 0s, max_stream_duration: {max_stream_duration: 0.05s}"),
    ] {
        for down in [Version::Http1, Version::Http2] {
            let proxy = Proxy::start(&config).await;
            let mut client = Client::connect(down, proxy.address()).await;
            let answer = client.get("/").await;
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (504, "downstream duration timeout"));
            proxy.log_line(1).await.expect(&[("code", "504"), ("details", "max_duration_timeout")]);
            proxy.stats().expect(&[("http.main.downstream_rq_max_duration_reached", 1)]);
            proxy.stop().await;
        }
    }
}

#[tokio::test]
async fn a_request_must_be_complete_within_request_timeout() {
    let upstream = silent();
    let config = with_route(upstream.address(), "timeout: 0s").manager("request_timeout: 0.05s");
    let proxy = Proxy::start(&config).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n12").await;
    let response = wire.response().await;
    assert_eq!((response.status(), response.text().as_str()), (408, "request timeout"));
    wire.expect_close().await;
    proxy.log_line(1).await.expect(&[("code", "408"), ("flags", "-"), ("details", "request_overall_timeout")]);
    proxy.stats().expect(&[("http.main.downstream_rq_timeout", 1)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_request_that_is_complete_has_all_the_time_of_its_route() {
    let upstream = silent();
    let config = with_route(upstream.address(), "timeout: 0.2s").manager("request_timeout: 0.05s");
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    assert_eq!(client.get("/").await.status, 504);
    proxy.stats().expect(&[("http.main.downstream_rq_timeout", 0)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_head_must_be_complete_within_request_headers_timeout() {
    let upstream = silent();
    let config = with_route(upstream.address(), "timeout: 0s").manager("request_headers_timeout: 0.05s");
    let proxy = Proxy::start(&config).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("GET / HTTP/1.1\r\nhost: h\r\nx-never").await;
    let response = wire.response().await;
    assert_eq!((response.status(), response.text().as_str()), (408, "request header timeout"));
    wire.expect_close().await;
    proxy.log_line(1).await.expect(&[("code", "408"), ("details", "request_header_timeout")]);
    proxy.stats().expect(&[("http.main.downstream_rq_header_timeout", 1)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_connection_must_come_about_within_connect_timeout() {
    // A listener whose accept queue is full takes no more connections and does not refuse them.
    let full = FullListener::new();
    let cluster = Cluster::new("up").host(full.address).with("connect_timeout: 0.1s");
    let proxy = Proxy::start(&Config::new().cluster(cluster).route("/", "cluster: up")).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    let answer = client.get("/").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().ends_with("connection timeout"), "{}", answer.text());
    proxy.log_line(1).await.expect(&[
        ("code", "503"),
        ("flags", "UF"),
        ("details", "upstream_reset_before_response_started{connection_timeout}"),
    ]);
    proxy.stats().expect(&[
        ("cluster.up.upstream_cx_connect_timeout", 1),
        ("cluster.up.upstream_cx_connect_fail", 1),
        ("cluster.up.upstream_rq_pending_failure_eject", 1),
    ]);
    proxy.stop().await;
}

struct FullListener {
    address: SocketAddr,
    _listener: std::net::TcpListener,
    _queued: Vec<std::net::TcpStream>,
}

impl FullListener {
    fn new() -> Self {
        let runtime = tokio::net::TcpSocket::new_v4().unwrap();
        runtime.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = runtime.listen(0).unwrap().into_std().unwrap();
        let address = listener.local_addr().unwrap();
        let queue = |_| {
            let patience = std::time::Duration::from_millis(100);
            std::net::TcpStream::connect_timeout(&address, patience).ok()
        };
        // One more than the queue holds, so that the last of them did not get in.
        let queued = (0..8).map_while(queue).collect();
        Self { address, _listener: listener, _queued: queued }
    }
}

/// SETTINGS_INITIAL_WINDOW_SIZE: less than any answer here.
const TWO_BYTES: [(u16, u32); 1] = [(4, 2)];

#[tokio::test]
async fn the_end_of_a_response_waits_for_the_window() {
    let upstream = Upstream::answering(Version::Http1, "hello");
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    let mut h2 = H2Wire::connect_with(proxy.address(), &TWO_BYTES).await;
    h2.send(&RawFrame::get(1, "/")).await;
    let first = h2.next_of(FrameKind::Data).await;
    assert_eq!((first.payload.as_slice(), first.ends_stream()), (b"he".as_slice(), false));
    h2.send(&RawFrame::bytes(FrameKind::WindowUpdate, 0, 1, &[0, 0, 1, 0])).await;
    let mut text = Vec::new();
    loop {
        let frame = h2.next_of(FrameKind::Data).await;
        text.extend_from_slice(&frame.payload);
        if frame.ends_stream() {
            break;
        }
    }
    assert_eq!(text, b"llo");
    proxy.log_line(1).await.expect(&[("code", "200"), ("flags", "-")]);
    proxy.stats().expect(&[("http2.tx_flush_timeout", 0)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_response_whose_end_a_stalled_peer_does_not_take_is_given_up() {
    const INTERNAL_ERROR: u32 = 2;
    let upstream = Upstream::answering(Version::Http1, "hello");
    let direct = "match: {path: /direct}, direct_response: {status: 200, body: {inline_string: direct}}";
    for path in ["/", "/direct"] {
        let config = Config::new().any_route(direct).cluster(Cluster::new("up").host(upstream.address()));
        let config = config.route("/", "cluster: up").manager("stream_idle_timeout: 0.05s");
        let proxy = Proxy::start(&config).await;
        let mut h2 = H2Wire::connect_with(proxy.address(), &TWO_BYTES).await;
        h2.send(&RawFrame::get(1, path)).await;
        assert_eq!(h2.next_of(FrameKind::RstStream).await.error_code(), INTERNAL_ERROR);
        proxy.log_line(1).await.expect(&[("code", "200"), ("flags", "-")]);
        proxy.wait_for("http2.tx_flush_timeout", 1).await;
        proxy.wait_for("http.main.downstream_rq_active", 0).await;
        proxy.stop().await;
    }
}
