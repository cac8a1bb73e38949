//! The life of downstream connections: what keeps them, what ends them, and how the peer is told.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use std::sync::Arc;

use nuncio_testkit::{Closed, Cluster, Config, FrameKind, H2Wire, Proxy, RawFrame, Upstream, Version, Wire, within};
use tokio::sync::Notify;

const DIRECT: &str = "match: {path: /direct}, direct_response: {status: 200, body: {inline_string: direct}}";
const GET_DIRECT: &str = "GET /direct HTTP/1.1\r\nhost: h\r\n\r\n";

fn direct() -> Config {
    Config::new().any_route(DIRECT)
}

#[tokio::test]
async fn requests_follow_one_another_on_one_connection_in_each_direction() {
    let upstream = Upstream::answering(Version::Http1, "hello");
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    let mut wire = Wire::connect(proxy.address()).await;
    for _ in 0..20 {
        wire.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let response = wire.response().await;
        assert_eq!((response.text().as_str(), response.header("connection")), ("hello", None));
    }
    assert_eq!(upstream.connections(), 1);
    proxy.stats().expect(&[
        ("http.main.downstream_cx_total", 1),
        ("http.main.downstream_cx_http1_total", 1),
        ("http.main.downstream_rq_total", 20),
        ("cluster.up.upstream_cx_total", 1),
        ("cluster.up.upstream_rq_total", 20),
    ]);
    drop(wire);
    proxy.wait_for("http.main.downstream_cx_active", 0).await;
    proxy.stats().expect(&[
        ("http.main.downstream_cx_destroy", 1),
        ("http.main.downstream_cx_destroy_remote", 1),
        ("http.main.downstream_cx_destroy_active_rq", 0),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::echo(Version::Http1);
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address()).any_route(DIRECT)).await;
    let mut wire = Wire::connect(proxy.address()).await;
    let mut all = String::new();
    for index in 0..10 {
        all += &format!("POST /{index} HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\n{index}");
    }
    wire.send(all).await;
    for index in 0..10 {
        assert_eq!(wire.response().await.text(), index.to_string());
    }
    let paths: Vec<_> = upstream.requests().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, (0..10).map(|index| format!("/{index}")).collect::<Vec<_>>());
    assert_eq!(proxy.log_line(10).await.field("path"), "/9");
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_ends_its_side_counts_as_gone() {
    let upstream = Upstream::scripted(|mut wire| async move {
        wire.request().await;
        wire.read_to_end().await;
    });
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    proxy.wait_for("cluster.up.upstream_rq_active", 1).await;
    // RFC 9112 section 9.6 would let it have its response; Envoy takes it for gone.
    wire.half_close().await;
    assert_eq!(wire.expect_close().await, Closed::Cleanly);
    proxy.log_line(1).await.expect(&[("code", "0"), ("flags", "DC")]);
    proxy.wait_for("http.main.downstream_cx_active", 0).await;
    proxy.stats().expect(&[("http.main.downstream_cx_destroy_remote_active_rq", 1)]);
    proxy.stop().await;
}

#[tokio::test]
async fn connection_close_is_honoured_and_announced() {
    let proxy = Proxy::start(&direct()).await;
    for name in ["connection: close", "connection: CLOSE", "connection: x-a, close"] {
        let mut wire = Wire::connect(proxy.address()).await;
        wire.send(format!("GET /direct HTTP/1.1\r\nhost: h\r\n{name}\r\n\r\n{GET_DIRECT}")).await;
        let response = wire.response().await;
        assert_eq!(response.header("connection"), Some("close"), "{name}");
        wire.expect_close().await;
    }
    proxy.wait_for("http.main.downstream_cx_active", 0).await;
    proxy.stats().expect(&[
        ("http.main.downstream_rq_total", 3),
        ("http.main.downstream_cx_destroy_local", 3),
        ("http.main.downstream_cx_destroy_remote", 0),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn an_http1_connection_ends_after_so_many_requests() {
    let proxy = Proxy::start(&direct().manager("common_http_protocol_options: {max_requests_per_connection: 2}")).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send(format!("{GET_DIRECT}{GET_DIRECT}{GET_DIRECT}")).await;
    assert_eq!(wire.response().await.header("connection"), None);
    assert_eq!(wire.response().await.header("connection"), Some("close"));
    wire.expect_close().await;
    proxy.stats().expect(&[("http.main.downstream_cx_max_requests_reached", 1), ("http.main.downstream_rq_total", 2)]);
    proxy.stop().await;
}

#[tokio::test]
async fn an_http2_connection_says_goaway_after_so_many_requests() {
    let proxy = Proxy::start(&direct().manager("common_http_protocol_options: {max_requests_per_connection: 2}")).await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    h2.send(&RawFrame::get(1, "/direct")).await;
    h2.send(&RawFrame::get(3, "/direct")).await;
    let rest = h2.rest().await;
    let answered = rest.iter().filter(|frame| frame.kind == FrameKind::Headers).count();
    assert_eq!(answered, 2);
    let goaway = rest.iter().find(|frame| frame.kind == FrameKind::Goaway).expect("GOAWAY");
    assert_eq!(goaway.error_code(), 0);
    proxy.stats().expect(&[("http.main.downstream_cx_max_requests_reached", 1)]);
    proxy.stop().await;
}

#[tokio::test]
async fn idle_connections_end_in_time() {
    let proxy = Proxy::start(&direct().manager("common_http_protocol_options: {idle_timeout: 0.1s}")).await;
    let mut silent = Wire::connect(proxy.address()).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send(GET_DIRECT).await;
    assert_eq!(wire.response().await.text(), "direct");
    let mut h2 = H2Wire::connect(proxy.address()).await;
    h2.send(&RawFrame::get(1, "/direct")).await;
    assert_eq!(h2.next_of(FrameKind::Data).await.payload, b"direct");
    assert_eq!(silent.expect_close().await, Closed::Cleanly);
    assert_eq!(wire.expect_close().await, Closed::Cleanly);
    let rest = h2.rest().await;
    assert_eq!(rest.iter().filter(|frame| frame.kind == FrameKind::Goaway).count(), 1, "{rest:?}");
    proxy.wait_for("http.main.downstream_cx_idle_timeout", 3).await;
    proxy.stats().expect(&[("http.main.downstream_rq_total", 2)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_within_the_http2_preface_is_idle() {
    let proxy = Proxy::start(&direct().manager("common_http_protocol_options: {idle_timeout: 0.1s}")).await;
    for part in ["PRI * H", "PRI * HTTP/2.0\r\n\r\nS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut wire = Wire::connect(proxy.address()).await;
        wire.send(part).await;
        wire.read_to_end().await;
    }
    proxy.wait_for("http.main.downstream_cx_active", 0).await;
    proxy.stats().expect(&[("http.main.downstream_cx_idle_timeout", 3), ("http.main.downstream_rq_total", 0)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_busy_connection_is_not_idle() {
    let released = Arc::new(Notify::new());
    let awaited = Arc::clone(&released);
    let upstream = Upstream::scripted(move |mut wire| {
        let awaited = Arc::clone(&awaited);
        async move {
            wire.request().await;
            awaited.notified().await;
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            wire.read_to_end().await;
        }
    });
    let config = Config::forwarding_to(Version::Http1, upstream.address())
        .manager("common_http_protocol_options: {idle_timeout: 0.1s}");
    for down in [Version::Http1, Version::Http2] {
        let proxy = Proxy::start(&config).await;
        let mut client = nuncio_testkit::Client::connect(down, proxy.address()).await;
        let others = async {
            // Opened later than the busy one, and closed for being idle: twice its time has passed.
            for closed in 1..=2 {
                Wire::connect(proxy.address()).await.read_to_end().await;
                proxy.wait_for("http.main.downstream_cx_idle_timeout", closed).await;
            }
            released.notify_one();
        };
        let (answer, ()) = tokio::join!(client.get("/"), others);
        assert_eq!(answer.text(), "ok", "{down:?}");
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_connection_lives_no_longer_than_max_connection_duration() {
    let proxy = Proxy::start(&direct().manager("common_http_protocol_options: {max_connection_duration: 0.1s}")).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send(GET_DIRECT).await;
    assert_eq!(wire.response().await.text(), "direct");
    let mut h2 = H2Wire::connect(proxy.address()).await;
    wire.expect_close().await;
    let rest = h2.rest().await;
    assert!(rest.iter().any(|frame| frame.kind == FrameKind::Goaway && frame.error_code() == 0), "{rest:?}");
    proxy.wait_for("http.main.downstream_cx_max_duration_reached", 2).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_graceful_drain_says_so_in_the_next_response() {
    let proxy = Proxy::start(&direct()).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send(GET_DIRECT).await;
    assert_eq!(wire.response().await.header("connection"), None);
    let mut h2 = H2Wire::connect(proxy.address()).await;
    proxy.drain_gracefully();
    wire.send(GET_DIRECT).await;
    assert_eq!(wire.response().await.header("connection"), Some("close"));
    wire.expect_close().await;
    h2.send(&RawFrame::get(1, "/direct")).await;
    let rest = h2.rest().await;
    assert!(rest.iter().any(|frame| frame.kind == FrameKind::Data && frame.payload == b"direct"), "{rest:?}");
    assert!(rest.iter().any(|frame| frame.kind == FrameKind::Goaway && frame.error_code() == 0), "{rest:?}");
    proxy.stats().expect(&[("http.main.downstream_cx_drain_close", 2)]);
    proxy.stop().await;
}

#[tokio::test]
async fn the_end_of_the_process_waits_for_what_runs() {
    let (answer, may_answer) = tokio::sync::watch::channel(false);
    let upstream = Upstream::scripted(move |mut wire| {
        let mut may_answer = may_answer.clone();
        async move {
            wire.request().await;
            may_answer.wait_for(|may| *may).await.unwrap();
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate").await;
            wire.read_to_end().await;
        }
    });
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    let mut idle = Wire::connect(proxy.address()).await;
    let mut busy = Wire::connect(proxy.address()).await;
    busy.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    h2.send(&RawFrame::get(1, "/")).await;
    proxy.wait_for("cluster.up.upstream_rq_active", 2).await;
    proxy.drain();
    idle.expect_close().await;
    assert_eq!(h2.next_of(FrameKind::Goaway).await.error_code(), 0);
    answer.send(true).unwrap();
    assert_eq!(busy.response().await.text(), "late");
    busy.expect_close().await;
    let rest = h2.rest().await;
    assert!(rest.iter().any(|frame| frame.kind == FrameKind::Data && frame.payload == b"late"), "{rest:?}");
    proxy.wait_for("http.main.downstream_cx_active", 0).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_request_that_is_under_way_when_the_process_ends_is_answered() {
    let proxy = Proxy::start(&direct()).await;
    let mut used = Wire::connect(proxy.address()).await;
    used.send(GET_DIRECT).await;
    assert_eq!(used.response().await.header("connection"), None);
    let mut fresh = Wire::connect(proxy.address()).await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    proxy.wait_for("http.main.downstream_cx_active", 3).await;
    proxy.drain();
    assert_eq!(h2.next_of(FrameKind::Goaway).await.error_code(), 0);
    for wire in [&mut used, &mut fresh] {
        wire.send(GET_DIRECT).await;
        let response = wire.response().await;
        assert_eq!((response.text().as_str(), response.header("connection")), ("direct", Some("close")));
        wire.expect_close().await;
    }
    proxy.stop().await;
}

#[tokio::test]
async fn connections_over_the_limit_of_their_listener_are_closed() {
    let runtime = "layered_runtime: {layers: [{name: static, static_layer: {envoy.resource_limits.listener.main.connection_limit: 1}}]}";
    let proxy = Proxy::start(&direct().bootstrap(runtime)).await;
    let mut first = Wire::connect(proxy.address()).await;
    first.send(GET_DIRECT).await;
    assert_eq!(first.response().await.text(), "direct");
    let mut second = Wire::connect(proxy.address()).await;
    second.expect_close().await;
    let prefix = format!("listener.127.0.0.1_{}", "0");
    let overflow = format!("{prefix}.downstream_cx_overflow");
    proxy.wait_for(&overflow, 1).await;
    drop(first);
    proxy.wait_for("http.main.downstream_cx_active", 0).await;
    let mut third = Wire::connect(proxy.address()).await;
    third.send(GET_DIRECT).await;
    assert_eq!(third.response().await.text(), "direct");
    proxy.stop().await;
}

#[tokio::test]
async fn upstream_connections_end_after_so_many_requests() {
    let upstream = Upstream::answering(Version::Http1, "ok");
    let cluster = Cluster::new("up").host(upstream.address()).common("max_requests_per_connection: 2");
    let proxy = Proxy::start(&Config::new().cluster(cluster).route("/", "cluster: up")).await;
    let mut client = nuncio_testkit::Client::connect(Version::Http1, proxy.address()).await;
    for _ in 0..5 {
        assert_eq!(client.get("/").await.text(), "ok");
    }
    assert_eq!(upstream.connections(), 3);
    proxy.stats().expect(&[("cluster.up.upstream_cx_total", 3), ("cluster.up.upstream_cx_max_requests", 2)]);
    proxy.stop().await;
}

#[tokio::test]
async fn an_upstream_that_closes_an_idle_connection_is_connected_to_again() {
    let upstream = Upstream::scripted(|mut wire| async move {
        wire.request().await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    });
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    let mut wire = Wire::connect(proxy.address()).await;
    for count in 1..=3 {
        wire.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        assert_eq!(within("a response", wire.response()).await.status(), 200);
        proxy.wait_for("cluster.up.upstream_cx_destroy_remote", count).await;
    }
    proxy.stats().expect(&[("cluster.up.upstream_cx_total", 3), ("cluster.up.upstream_cx_active", 0)]);
    proxy.stop().await;
}
