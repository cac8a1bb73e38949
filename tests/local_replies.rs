//! What the proxy answers by itself when a request cannot be served: status, body, flag, details,
//! and the same in gRPC's words.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use http::Method;
use nuncio_testkit::{
    Answer, Client, Cluster, Config, FrameKind, H2Wire, Proxy, RawFrame, Upstream, Version, Wire, body, nobody,
};

const BEFORE: &str = "upstream connect error or disconnect/reset before headers. reset reason: ";

/// What goes wrong, and how it must look.
struct Case {
    path: &'static str,
    status: u16,
    body: String,
    flag: &'static str,
    details: &'static str,
    grpc_status: &'static str,
    stats: &'static [(&'static str, u64)],
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            path: "/no-route",
            status: 404,
            body: String::new(),
            flag: "NR",
            details: "route_not_found",
            grpc_status: "12",
            stats: &[("http.main.no_route", 1), ("http.main.downstream_rq_4xx", 1), ("http.main.rq_total", 1)],
        },
        Case {
            path: "/no-cluster",
            status: 503,
            body: String::new(),
            flag: "NC",
            details: "cluster_not_found",
            grpc_status: "14",
            stats: &[("http.main.no_cluster", 1), ("http.main.rq_total", 1)],
        },
        Case {
            path: "/no-host",
            status: 503,
            body: "no healthy upstream".to_owned(),
            flag: "UH",
            details: "no_healthy_upstream",
            grpc_status: "14",
            stats: &[
                ("cluster.empty.upstream_cx_none_healthy", 1),
                ("cluster.empty.upstream_rq_503", 1),
                ("cluster.empty.upstream_rq_total", 0),
            ],
        },
        Case {
            path: "/overflow",
            status: 503,
            body: format!("{BEFORE}overflow"),
            flag: "UO",
            details: "upstream_reset_before_response_started{overflow}",
            grpc_status: "14",
            stats: &[("cluster.full.upstream_rq_pending_overflow", 1), ("cluster.full.upstream_rq_503", 1)],
        },
        Case {
            path: "/refused",
            status: 503,
            body: format!("{BEFORE}remote connection failure"),
            flag: "UF",
            details: "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
            grpc_status: "14",
            stats: &[
                ("cluster.dead.upstream_cx_connect_fail", 1),
                ("cluster.dead.upstream_rq_pending_failure_eject", 1),
                ("cluster.dead.upstream_rq_503", 1),
            ],
        },
        Case {
            path: "/close",
            status: 503,
            body: format!("{BEFORE}connection termination"),
            flag: "UC",
            details: "upstream_reset_before_response_started{connection_termination}",
            grpc_status: "14",
            stats: &[("cluster.close.upstream_rq_503", 1), ("cluster.close.upstream_rq_total", 1)],
        },
        Case {
            path: "/reset",
            status: 503,
            body: format!("{BEFORE}connection termination"),
            flag: "UC",
            details: "upstream_reset_before_response_started{connection_termination}",
            grpc_status: "14",
            stats: &[("cluster.reset.upstream_rq_503", 1)],
        },
        Case {
            path: "/garbage",
            status: 502,
            body: format!("{BEFORE}protocol error"),
            flag: "UPE",
            details: "upstream_reset_before_response_started{protocol_error}",
            grpc_status: "14",
            stats: &[("cluster.garbage.upstream_cx_protocol_error", 1), ("cluster.garbage.upstream_rq_502", 1)],
        },
        Case {
            path: "/half-head",
            status: 502,
            body: format!("{BEFORE}protocol error"),
            flag: "UPE",
            details: "upstream_reset_before_response_started{protocol_error}",
            grpc_status: "14",
            stats: &[("cluster.half.upstream_cx_protocol_error", 1)],
        },
    ]
}

/// Upstreams that fail, kept alive with the proxy before them.
struct Scene {
    proxy: Proxy,
    _upstreams: Vec<Upstream>,
}

impl Scene {
    async fn start() -> Self {
        let close = Upstream::scripted(|mut wire| async move { drop(wire.head().await) });
        let reset = Upstream::scripted(|mut wire| async move {
            wire.head().await;
            wire.reset();
        });
        let garbage = Upstream::scripted(|mut wire| async move {
            wire.head().await;
            wire.send("this is no HTTP\r\n\r\n").await;
            wire.read_to_end().await;
        });
        let half = Upstream::scripted(|mut wire| async move {
            wire.head().await;
            wire.send("HTTP/1.1 200 OK\r\ncontent-le").await;
        });
        let config = Config::new()
            .route("/no-cluster", "cluster: missing")
            .route("/no-host", "cluster: empty")
            .route("/overflow", "cluster: full")
            .route("/refused", "cluster: dead")
            .route("/close", "cluster: close")
            .route("/reset", "cluster: reset")
            .route("/garbage", "cluster: garbage")
            .route("/half-head", "cluster: half")
            .any_route("match: {path: /direct}, direct_response: {status: 200, body: {inline_string: direct}}")
            .cluster(Cluster::new("empty"))
            .cluster(
                Cluster::new("full")
                    .host(close.address())
                    .with("circuit_breakers: {thresholds: [{max_pending_requests: 0}]}"),
            )
            .cluster(Cluster::new("dead").host(nobody()))
            .cluster(Cluster::new("close").host(close.address()))
            .cluster(Cluster::new("reset").host(reset.address()))
            .cluster(Cluster::new("garbage").host(garbage.address()))
            .cluster(Cluster::new("half").host(half.address()));
        Self { proxy: Proxy::start(&config).await, _upstreams: vec![close, reset, garbage, half] }
    }
}

#[tokio::test]
async fn each_failure_has_its_own_reply() {
    for down in [Version::Http1, Version::Http2] {
        for case in cases() {
            let scene = Scene::start().await;
            let mut client = Client::connect(down, scene.proxy.address()).await;
            let answer = client.get(case.path).await;
            check_plain(&case, &answer);
            let length = case.body.len().to_string();
            scene.proxy.log_line(1).await.expect(&[
                ("path", case.path),
                ("protocol", down.as_logged()),
                ("code", &case.status.to_string()),
                ("flags", case.flag),
                ("details", case.details),
                ("tx", &length),
            ]);
            scene.proxy.stats().expect(case.stats);
            scene.proxy.stop().await;
        }
    }
}

fn check_plain(case: &Case, answer: &Answer) {
    assert_eq!(answer.status.as_u16(), case.status, "{}", case.path);
    assert_eq!(answer.text(), case.body, "{}", case.path);
    assert_eq!(answer.header("server"), Some("envoy"));
    assert!(answer.header("date").is_some());
    let kind = (!case.body.is_empty()).then_some("text/plain");
    assert_eq!(answer.header("content-type"), kind, "{}", case.path);
    assert_eq!(answer.header("x-envoy-overloaded"), (case.flag == "UO").then_some("true"));
}

#[tokio::test]
async fn a_grpc_request_gets_the_failure_as_grpc_status() {
    for down in [Version::Http1, Version::Http2] {
        let scene = Scene::start().await;
        for (index, case) in cases().into_iter().enumerate() {
            // Some replies come before the request is complete, which ends an HTTP/1 connection.
            let mut client = Client::connect(down, scene.proxy.address()).await;
            let request = client
                .request(Method::POST, case.path)
                .header("content-type", "application/grpc")
                .body(body::full("body"))
                .unwrap();
            let answer = client.exchange(request).await;
            assert_eq!(answer.status, 200, "{}", case.path);
            assert_eq!(answer.header("content-type"), Some("application/grpc"));
            assert_eq!(answer.header("grpc-status"), Some(case.grpc_status), "{}", case.path);
            let message = (!case.body.is_empty()).then_some(case.body.as_str());
            assert_eq!(answer.header("grpc-message"), message, "{}", case.path);
            assert!(answer.body.is_empty());
            let line = scene.proxy.log_line(index + 1).await;
            line.expect(&[("code", "200"), ("flags", case.flag), ("details", case.details), ("tx", "0")]);
        }
        scene.proxy.stop().await;
    }
}

#[tokio::test]
async fn a_reply_to_head_tells_the_length_and_has_no_body() {
    let scene = Scene::start().await;
    let mut wire = Wire::connect(scene.proxy.address()).await;
    for case in cases() {
        wire.send(format!("HEAD {} HTTP/1.1\r\nhost: h\r\n\r\n", case.path)).await;
        let head = wire.head().await;
        assert_eq!(head.status(), case.status);
        let length = (!case.body.is_empty()).then(|| case.body.len().to_string());
        assert_eq!(head.header("content-length").filter(|length| *length != "0"), length.as_deref());
    }
    scene.proxy.stop().await;
}

#[tokio::test]
async fn the_connection_serves_on_after_a_reply() {
    let scene = Scene::start().await;
    let mut wire = Wire::connect(scene.proxy.address()).await;
    for case in cases() {
        wire.send(format!("GET {} HTTP/1.1\r\nhost: h\r\n\r\n", case.path)).await;
        assert_eq!(wire.response().await.status(), case.status);
        wire.send("GET /direct HTTP/1.1\r\nhost: h\r\n\r\n").await;
        assert_eq!(wire.response().await.text(), "direct");
    }
    scene.proxy.stats().expect(&[("http.main.downstream_cx_total", 1), ("http.main.rq_direct_response", 9)]);
    scene.proxy.stop().await;
}

#[tokio::test]
async fn an_upstream_that_breaks_off_its_body_breaks_off_the_response() {
    let upstream = Upstream::scripted(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    });
    for down in [Version::Http1, Version::Http2] {
        let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let request = client.request(Method::GET, "/").body(body::empty()).unwrap();
        let response = client.send(request).await;
        assert_eq!(response.status(), 200);
        assert!(nuncio_testkit::collect(response).await.is_err(), "{down:?}: a cut body must not look whole");
        proxy.log_line(1).await.expect(&[
            ("code", "200"),
            ("flags", "UPE"),
            ("details", "upstream_reset_after_response_started{protocol_error}"),
            ("tx", "4"),
        ]);
        proxy.stats().expect(&[("cluster.up.upstream_cx_protocol_error", 1), ("cluster.up.upstream_rq_200", 1)]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_logged_as_gone_and_its_upstream_request_ends() {
    let upstream = Upstream::scripted(|mut wire| async move {
        wire.head().await;
        wire.read_to_end().await;
    });
    for down in [Version::Http1, Version::Http2] {
        let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
        let mut wire = Wire::connect(proxy.address()).await;
        let mut h2 = H2Wire::connect(proxy.address()).await;
        match down {
            Version::Http1 => wire.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await,
            Version::Http2 => h2.send(&RawFrame::get(1, "/")).await,
        }
        proxy.wait_for("cluster.up.upstream_rq_active", 1).await;
        wire.reset();
        drop(h2);
        let line = proxy.log_line(1).await;
        line.expect(&[("code", "0"), ("flags", "DC"), ("details", "downstream_remote_disconnect"), ("cluster", "up")]);
        proxy.wait_for("cluster.up.upstream_rq_active", 0).await;
        proxy.wait_for("cluster.up.upstream_cx_active", 0).await;
        proxy.stats().expect(&[
            ("http.main.downstream_cx_destroy_remote_active_rq", 1),
            ("http.main.downstream_rq_completed", 0),
        ]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_stream_that_its_client_resets_ends_its_upstream_request() {
    let upstream = Upstream::scripted(|mut wire| async move {
        wire.head().await;
        wire.read_to_end().await;
    });
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    h2.send(&RawFrame::get(1, "/")).await;
    proxy.wait_for("cluster.up.upstream_rq_active", 1).await;
    h2.send(&RawFrame::bytes(FrameKind::RstStream, 0, 1, &8_u32.to_be_bytes())).await;
    proxy.log_line(1).await.expect(&[("code", "0"), ("flags", "DR")]);
    proxy.wait_for("cluster.up.upstream_rq_active", 0).await;
    proxy.stats().expect(&[("http.main.downstream_rq_rx_reset", 1), ("http2.rx_reset", 1)]);
    proxy.stop().await;
}
