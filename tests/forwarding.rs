//! Requests and responses on their way through the proxy, in every combination of protocols: what
//! arrives, what is counted, what is logged.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use std::time::Duration;

use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use nuncio_testkit::{
    Client, Config, FrameKind, H2Wire, MATRIX, Proxy, RawFrame, Upstream, Version, Wire, body, collect, within,
};

const BIG: usize = 5 << 20;

#[tokio::test]
async fn a_request_reaches_the_upstream_and_its_response_comes_back() {
    for (down, up) in MATRIX {
        let upstream = Upstream::answering(up, "hello");
        let proxy = Proxy::start(&Config::forwarding_to(up, upstream.address())).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let answer = client.get("/a?b=c").await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "hello"), "{down:?} {up:?}");
        assert_eq!(answer.header("server"), Some("envoy"));
        assert!(answer.header("x-envoy-upstream-service-time").is_some());
        let seen = upstream.last();
        assert_eq!((seen.method.as_str(), seen.path.as_str(), seen.host.as_str()), ("GET", "/a?b=c", "test"));
        proxy.log_line(1).await.expect(&[
            ("method", "GET"),
            ("path", "/a?b=c"),
            ("protocol", down.as_logged()),
            ("code", "200"),
            ("flags", "-"),
            ("details", "via_upstream"),
            ("rx", "0"),
            ("tx", "5"),
            ("cluster", "up"),
            ("host", &upstream.address().to_string()),
            ("upstream_protocol", up.as_logged()),
            ("attempts", "1"),
        ]);
        proxy.stats().expect(&[
            ("http.main.downstream_rq_total", 1),
            ("http.main.downstream_rq_http1_total", u64::from(down == Version::Http1)),
            ("http.main.downstream_rq_http2_total", u64::from(down == Version::Http2)),
            ("http.main.downstream_rq_2xx", 1),
            ("http.main.downstream_rq_completed", 1),
            ("http.main.downstream_cx_total", 1),
            ("http.main.rq_total", 1),
            ("cluster.up.upstream_rq_total", 1),
            ("cluster.up.upstream_rq_200", 1),
            ("cluster.up.upstream_rq_2xx", 1),
            ("cluster.up.upstream_rq_completed", 1),
            ("cluster.up.upstream_cx_total", 1),
            ("cluster.up.upstream_cx_http1_total", u64::from(up == Version::Http1)),
            ("cluster.up.upstream_cx_http2_total", u64::from(up == Version::Http2)),
        ]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn big_bodies_cross_in_both_directions_unchanged() {
    for (down, up) in MATRIX {
        let upstream = Upstream::echo(up);
        let proxy = Proxy::start(&Config::forwarding_to(up, upstream.address())).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let sent = body::pattern(BIG);
        let answer = client.post("/", sent.clone()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body == sent, "{down:?} {up:?}: {} bytes came back", answer.body.len());
        let (rx, tx) = (BIG.to_string(), BIG.to_string());
        proxy.log_line(1).await.expect(&[("code", "200"), ("flags", "-"), ("rx", &rx), ("tx", &tx)]);
        let stats = proxy.stats();
        assert!(stats.get("http.main.downstream_cx_rx_bytes_total") >= BIG as u64, "{down:?}");
        assert!(stats.get("http.main.downstream_cx_tx_bytes_total") >= BIG as u64, "{down:?}");
        proxy.stop().await;
    }
}

#[tokio::test]
async fn both_directions_run_at_the_same_time() {
    for (down, up) in MATRIX {
        let upstream = Upstream::echo(up);
        let proxy = Proxy::start(&Config::forwarding_to(up, upstream.address())).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let (feed, fed) = body::fed();
        let request = client.request(Method::POST, "/").body(fed).unwrap();
        assert!(feed.data("first").await);
        let mut response = client.send(request).await.into_body();
        for round in 0..3 {
            let frame = within("an echo", response.frame()).await.unwrap().unwrap();
            let data = frame.into_data().unwrap();
            assert_eq!(data, if round == 0 { "first".to_owned() } else { format!("part {round}") });
            assert!(feed.data(format!("part {}", round + 1)).await);
        }
        drop(feed);
        let last = within("the last echo", response.collect()).await.unwrap().to_bytes();
        assert_eq!(last, "part 3", "{down:?} {up:?}");
        proxy.log_line(1).await.expect(&[("code", "200"), ("flags", "-"), ("rx", "23"), ("tx", "23")]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn trailers_cross_between_http2_peers() {
    let upstream = Upstream::echo(Version::Http2);
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http2, upstream.address())).await;
    let mut client = Client::connect(Version::Http2, proxy.address()).await;
    let (feed, fed) = body::fed();
    let request = client.request(Method::POST, "/").body(fed).unwrap();
    assert!(feed.data("body").await);
    let response = client.send(request).await;
    feed.trailers(body::fields(&[("x-sum", "42")])).await;
    let answer = collect(response).await.unwrap();
    assert_eq!(answer.body, "body");
    assert_eq!(answer.trailers.unwrap()["x-sum"], "42");
    proxy.log_line(1).await.expect(&[("code", "200"), ("rx", "4"), ("tx", "4")]);
    proxy.stop().await;
}

#[tokio::test]
async fn http1_trailers_cross_when_enabled_and_are_dropped_by_default() {
    for enabled in [true, false] {
        let upstream = Upstream::scripted(|mut wire| async move {
            let request = wire.request().await;
            let sum = request.trailers.iter().find(|(name, _)| name == "x-sum").map_or("-", |(_, value)| value);
            let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-got: {sum}\r\n\r\n");
            wire.send(format!("{head}2\r\nok\r\n0\r\nx-back: 7\r\n\r\n")).await;
        });
        let field = format!("enable_trailers: {enabled}");
        let cluster = nuncio_testkit::Cluster::new("up").host(upstream.address()).protocol(&field);
        let config = Config::new()
            .cluster(cluster)
            .route("/", "cluster: up")
            .manager(&format!("http_protocol_options: {{{field}}}"));
        let proxy = Proxy::start(&config).await;
        let mut wire = Wire::connect(proxy.address()).await;
        let head = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
        wire.send(format!("{head}3\r\nabc\r\n0\r\nx-sum: 42\r\n\r\n")).await;
        let response = wire.response().await;
        assert_eq!((response.status(), response.text().as_str()), (200, "ok"));
        assert_eq!(response.header("x-got"), Some(if enabled { "42" } else { "-" }));
        let trailers: Vec<_> = response.trailers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(trailers, if enabled { vec![("x-back", "7")] } else { vec![] });
        proxy.stop().await;
    }
}

#[tokio::test]
async fn responses_to_head_have_headers_and_no_body() {
    for (down, up) in MATRIX {
        let upstream = Upstream::start(up, |_| async {
            Response::builder().header("content-length", "1234").body(body::empty()).unwrap()
        });
        let proxy = Proxy::start(&Config::forwarding_to(up, upstream.address())).await;
        let mut client = Client::connect(down, proxy.address()).await;
        for _ in 0..2 {
            let request = client.request(Method::HEAD, "/").body(body::empty()).unwrap();
            let answer = client.exchange(request).await;
            assert_eq!(answer.status, StatusCode::OK, "{down:?} {up:?}");
            assert_eq!(answer.header("content-length"), Some("1234"), "{down:?} {up:?}");
            assert!(answer.body.is_empty());
        }
        proxy.log_line(2).await.expect(&[("method", "HEAD"), ("code", "200"), ("flags", "-"), ("tx", "0")]);
        proxy.stats().expect(&[("http.main.downstream_cx_total", 1), ("cluster.up.upstream_cx_total", 1)]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn no_content_and_not_modified_have_no_body_and_no_framing() {
    for status in ["204 No Content", "304 Not Modified"] {
        let upstream = Upstream::scripted(move |mut wire| async move {
            while wire.next_request().await.is_some() {
                wire.send(format!("HTTP/1.1 {status}\r\nx-up: 1\r\n\r\n")).await;
            }
        });
        let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
        let mut wire = Wire::connect(proxy.address()).await;
        for _ in 0..2 {
            wire.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
            let response = wire.response().await;
            assert_eq!(response.status(), status[..3].parse::<u16>().unwrap());
            assert_eq!(response.header("x-up"), Some("1"));
            assert_eq!(response.header("transfer-encoding"), None);
            assert_eq!(response.header("content-length"), None);
        }
        proxy.log_line(2).await.expect(&[("code", &status[..3]), ("flags", "-"), ("tx", "0")]);
        proxy.stats().expect(&[("cluster.up.upstream_cx_total", 1)]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_response_may_come_before_the_request_is_complete() {
    let upstream = Upstream::scripted(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 413 Payload Too Large\r\ncontent-length: 4\r\n\r\nmuch").await;
        wire.read_to_end().await;
    });
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\nsome").await;
    let response = wire.response().await;
    assert_eq!((response.status(), response.text().as_str()), (413, "much"));
    wire.expect_close().await;
    proxy.log_line(1).await.expect(&[("code", "413"), ("flags", "-"), ("details", "via_upstream"), ("tx", "4")]);
    proxy.stats().expect(&[
        ("http.main.downstream_rq_response_before_rq_complete", 1),
        ("http.main.downstream_rq_4xx", 1),
        ("cluster.up.upstream_rq_413", 1),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn an_early_response_resets_an_http2_request_without_error() {
    let upstream = Upstream::scripted(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        wire.read_to_end().await;
    });
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    h2.send(&RawFrame::post(1, "/")).await;
    let head = h2.next_of(FrameKind::Headers).await;
    assert_eq!((head.stream, head.ends_stream()), (1, true));
    let reset = h2.next_of(FrameKind::RstStream).await;
    assert_eq!((reset.stream, reset.error_code()), (1, 0));
    proxy.log_line(1).await.expect(&[("code", "200"), ("flags", "-")]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_upstream() {
    // Far more than what the kernel's and the proxy's buffers hold together.
    const WHOLE: usize = 96 << 20;
    const HELD_AT_MOST: usize = 48 << 20;
    let (report, mut stuck_at) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::scripted(move |mut wire| {
        let report = report.clone();
        async move {
            wire.request().await;
            wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {WHOLE}\r\n\r\n")).await;
            let chunk = vec![b'x'; WHOLE];
            let sent = wire.send_until_stuck(&chunk, Duration::from_millis(300)).await;
            report.send(sent).unwrap();
            wire.send(&chunk[sent..]).await;
            wire.read_to_end().await;
        }
    });
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(wire.head().await.status(), 200);
    let held = within("the upstream to stop", stuck_at.recv()).await.unwrap();
    assert!(held < HELD_AT_MOST, "{held} bytes were taken from the upstream");
    let mut left = WHOLE;
    while left > 0 {
        left -= wire.read_some().await.len();
    }
    let whole = WHOLE.to_string();
    proxy.log_line(1).await.expect(&[("code", "200"), ("flags", "-"), ("tx", &whole)]);
    proxy.stop().await;
}

#[tokio::test]
async fn an_upstream_that_does_not_read_stops_the_client() {
    const WHOLE: usize = 96 << 20;
    const HELD_AT_MOST: usize = 48 << 20;
    let (go_on, may_go_on) = tokio::sync::watch::channel(false);
    let upstream = Upstream::scripted(move |mut wire| {
        let mut may_go_on = may_go_on.clone();
        async move {
            wire.head().await;
            may_go_on.wait_for(|go| *go).await.unwrap();
            let mut left = WHOLE;
            while left > 0 {
                left -= wire.read_some().await.len();
            }
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            wire.read_to_end().await;
        }
    });
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send(format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {WHOLE}\r\n\r\n")).await;
    let chunk = vec![b'x'; WHOLE];
    let sent = wire.send_until_stuck(&chunk, Duration::from_millis(300)).await;
    assert!(sent < HELD_AT_MOST, "{sent} bytes were taken from the client");
    go_on.send(true).unwrap();
    wire.send(&chunk[sent..]).await;
    assert_eq!(wire.response().await.status(), 200);
    let whole = WHOLE.to_string();
    proxy.log_line(1).await.expect(&[("code", "200"), ("flags", "-"), ("rx", &whole)]);
    proxy.stop().await;
}

#[tokio::test]
async fn one_stuck_http2_stream_does_not_hold_up_another() {
    let upstream = Upstream::start(Version::Http2, |request| async move {
        let size = if request.uri().path() == "/big" { 4 << 20 } else { 5 };
        Response::new(body::full(body::pattern(size)))
    });
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http2, upstream.address())).await;
    // The connection's window is opened wide, each stream's stays at 65,535 bytes.
    let mut h2 = H2Wire::connect(proxy.address()).await;
    h2.send(&RawFrame::bytes(FrameKind::WindowUpdate, 0, 0, &(1_u32 << 30).to_be_bytes())).await;
    h2.send(&RawFrame::get(1, "/big")).await;
    let mut received = 0;
    while received < 65_535 {
        received += h2.next_of(FrameKind::Data).await.payload.len();
    }
    h2.send(&RawFrame::get(3, "/small")).await;
    let small = loop {
        let frame = h2.next_of(FrameKind::Data).await;
        if frame.stream == 3 {
            break frame;
        }
    };
    assert_eq!((small.payload.len(), small.ends_stream()), (5, true));
    proxy.log_line(1).await.expect(&[("path", "/small"), ("code", "200")]);
    drop(h2);
    proxy.log_line(2).await.expect(&[("path", "/big"), ("flags", "DC")]);
    proxy.stop().await;
}
