//! Peers that use HTTP/2 against the proxy: each ends with its connection or its streams, costs a
//! bounded amount, shows in a counter, and never keeps the proxy from serving others.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use nuncio_testkit::{Client, Config, FrameKind, H2Wire, Proxy, RawFrame, Upstream, Version, body, get_block, literal};

const END_STREAM: u8 = 0x1;
const ENHANCE_YOUR_CALM: u32 = 11;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

async fn proxy() -> Proxy {
    Proxy::start(
        &Config::new().any_route("match: {prefix: /}, direct_response: {status: 200, body: {inline_string: direct}}"),
    )
    .await
}

/// Others are served as ever.
async fn expect_service(proxy: &Proxy) {
    for version in [Version::Http1, Version::Http2] {
        let mut client = Client::connect(version, proxy.address()).await;
        assert_eq!(client.get("/").await.text(), "direct");
    }
}

/// Sends `frames` again and again until the proxy has had enough, at most `times`.
async fn flood(h2: &mut H2Wire, frames: &[u8], times: usize) {
    for _ in 0..times {
        if !h2.try_send(frames).await {
            return;
        }
    }
}

async fn expect_calm_down(proxy: &Proxy, h2: &mut H2Wire, counter: &str) {
    let rest = h2.rest().await;
    if let Some(goaway) = rest.iter().find(|frame| frame.kind == FrameKind::Goaway) {
        assert_eq!(goaway.error_code(), ENHANCE_YOUR_CALM, "{}", goaway.debug_data());
    }
    proxy.wait_for(counter, 1).await;
    proxy.wait_for("http.main.downstream_cx_protocol_error", 1).await;
    expect_service(proxy).await;
}

#[tokio::test]
async fn empty_data_frames_end_the_connection() {
    let upstream = Upstream::echo(Version::Http1);
    let config = Config::forwarding_to(Version::Http1, upstream.address());
    let proxy = Proxy::start(&config).await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    h2.send(&RawFrame::post(1, "/")).await;
    proxy.wait_for("cluster.up.upstream_rq_active", 1).await;
    flood(&mut h2, &RawFrame::bytes(FrameKind::Data, 0, 1, &[]), 100).await;
    h2.rest().await;
    proxy.wait_for("http2.inbound_empty_frames_flood", 1).await;
    proxy.log_line(1).await.expect(&[("method", "POST")]);
    let mut client = Client::connect(Version::Http2, proxy.address()).await;
    assert_eq!(client.post("/", "ok").await.text(), "ok");
    proxy.stop().await;
}

#[tokio::test]
async fn priority_frames_end_the_connection() {
    let proxy = proxy().await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    flood(&mut h2, &RawFrame::bytes(FrameKind::Priority, 0, 1, &[0, 0, 0, 0, 16]), 5000).await;
    expect_calm_down(&proxy, &mut h2, "http2.inbound_priority_frames_flood").await;
    proxy.stop().await;
}

#[tokio::test]
async fn window_updates_end_the_connection() {
    let proxy = proxy().await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    flood(&mut h2, &RawFrame::bytes(FrameKind::WindowUpdate, 0, 0, &[0, 0, 0, 1]), 5000).await;
    expect_calm_down(&proxy, &mut h2, "http2.inbound_window_update_frames_flood").await;
    proxy.stop().await;
}

#[tokio::test]
async fn pings_and_settings_whose_answers_are_not_read_end_the_connection() {
    for frame in [
        RawFrame::bytes(FrameKind::Ping, 0, 0, &[7; 8]),
        RawFrame::bytes(FrameKind::Settings, 0, 0, &[0, 3, 0, 0, 0, 100]),
    ] {
        let proxy = proxy().await;
        let mut h2 = H2Wire::connect_with_small_buffer(proxy.address()).await;
        // Enough answers to fill every buffer between the two, and the limit behind them.
        flood(&mut h2, &frame.repeat(1000), 2000).await;
        proxy.wait_for("http2.outbound_control_flood", 1).await;
        proxy.wait_for("http.main.downstream_cx_active", 0).await;
        expect_service(&proxy).await;
        proxy.stop().await;
    }
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let upstream = Upstream::scripted(|mut wire| async move { drop(wire.read_to_end().await) });
    let config = Config::forwarding_to(Version::Http1, upstream.address())
        .any_route("match: {prefix: /}, direct_response: {status: 200}");
    let proxy = Proxy::start(&config).await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    for index in 0..2000 {
        let stream = 2 * index + 1;
        let mut frames = RawFrame::get(stream, "/");
        frames.extend(RawFrame::bytes(FrameKind::RstStream, 0, stream, &CANCEL));
        if !h2.try_send(&frames).await {
            break;
        }
    }
    h2.rest().await;
    proxy.wait_for("http.main.downstream_cx_active", 0).await;
    let stats = proxy.stats();
    let requests = stats.get("http.main.downstream_rq_total");
    assert!(requests < 2000, "all {requests} requests were taken");
    // Requests that come faster than they can be taken up fall to the codec's own limit.
    let by_share = stats.get("http.main.downstream_rq_too_many_premature_resets");
    assert_eq!(by_share + stats.get("http.main.downstream_cx_protocol_error"), 1);
    stats.expect(&[("http.main.downstream_rq_active", 0)]);
    proxy.wait_for("cluster.up.upstream_rq_active", 0).await;
    proxy.wait_for("cluster.up.upstream_rq_pending_active", 0).await;
    proxy.stop().await;
}

#[tokio::test]
async fn continuations_without_end_end_the_connection() {
    let proxy = proxy().await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    h2.send(&RawFrame::bytes(FrameKind::Headers, END_STREAM, 1, &get_block("/"))).await;
    let more = RawFrame::bytes(FrameKind::Continuation, 0, 1, &literal("x-more", "1"));
    flood(&mut h2, &more, 100_000).await;
    h2.rest().await;
    proxy.wait_for("http.main.downstream_cx_active", 0).await;
    expect_service(&proxy).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_head_that_unpacks_to_megabytes_is_refused() {
    let proxy = proxy().await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    // One field of 4,000 bytes is put into the dynamic table, then named by one byte many times.
    let mut block = get_block("/");
    let mut field = literal("x-bomb", &"a".repeat(3_900));
    field[0] = 0x40;
    block.extend(field);
    block.extend([0xbe; 5_000]);
    h2.send(&RawFrame::bytes(FrameKind::Headers, END_STREAM | 0x4, 1, &block)).await;
    let refused = loop {
        match h2.next().await {
            Some(frame) if frame.kind == FrameKind::RstStream && frame.stream == 1 => break true,
            Some(frame) if frame.kind == FrameKind::Data => break false,
            Some(_) => {}
            None => break true,
        }
    };
    assert!(refused, "20 MB of headers were taken");
    assert_eq!(proxy.stats().get("http.main.rq_direct_response"), 0);
    expect_service(&proxy).await;
    proxy.stop().await;
}

#[tokio::test]
async fn streams_without_window_end_with_the_idle_timeout() {
    const STREAMS: u32 = 50;
    const SIZE: usize = 256 << 10;
    let upstream = Upstream::start(Version::Http2, |_| async { http::Response::new(body::full(vec![b'x'; SIZE])) });
    let config = Config::forwarding_to(Version::Http2, upstream.address())
        .manager("stream_idle_timeout: 1s")
        .manager("delayed_close_timeout: 0.1s");
    let proxy = Proxy::start(&config).await;
    // SETTINGS_INITIAL_WINDOW_SIZE of 0: not a byte of any body may be sent.
    let mut h2 = H2Wire::connect_with(proxy.address(), &[(4, 0)]).await;
    for index in 0..STREAMS {
        h2.send(&RawFrame::get(2 * index + 1, "/")).await;
    }
    let mut heads = 0;
    let mut resets = 0;
    while resets < STREAMS {
        match h2.next().await.expect("the connection stays").kind {
            FrameKind::Headers => heads += 1,
            FrameKind::RstStream => resets += 1,
            FrameKind::Data => panic!("data without window"),
            _ => {}
        }
    }
    assert_eq!(heads, STREAMS);
    proxy.wait_for("http.main.downstream_rq_active", 0).await;
    proxy.log_line(50).await.expect(&[("code", "200"), ("flags", "SI")]);
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    assert_eq!(client.get("/").await.body.len(), SIZE);
    proxy.stop().await;
}

#[tokio::test]
async fn streams_above_the_limit_are_refused_and_the_rest_served() {
    let (answer, may_answer) = tokio::sync::watch::channel(false);
    let upstream = Upstream::scripted(move |mut wire| {
        let mut may_answer = may_answer.clone();
        async move {
            wire.request().await;
            may_answer.wait_for(|may| *may).await.unwrap();
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            wire.read_to_end().await;
        }
    });
    let config = Config::forwarding_to(Version::Http1, upstream.address())
        .manager("http2_protocol_options: {max_concurrent_streams: 4}");
    let proxy = Proxy::start(&config).await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    for index in 0..10 {
        h2.send(&RawFrame::get(2 * index + 1, "/")).await;
    }
    for _ in 0..6 {
        let reset = h2.next_of(FrameKind::RstStream).await;
        assert_eq!((reset.error_code(), reset.stream > 7), (7, true), "{reset:?}");
    }
    proxy.wait_for("cluster.up.upstream_rq_active", 4).await;
    answer.send(true).unwrap();
    for _ in 0..4 {
        assert_eq!(h2.next_of(FrameKind::Data).await.payload, b"ok");
    }
    proxy.stats().expect(&[("http.main.downstream_rq_total", 4)]);
    proxy.stop().await;
}

#[tokio::test]
async fn requests_that_are_reset_after_their_answer_are_no_attack() {
    let proxy = proxy().await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    let mut stream = 1;
    let ended = loop {
        // One at a time, so that each has come up before it is reset.
        h2.send(&RawFrame::post(stream, "/")).await;
        match h2.next().await {
            Some(frame) if frame.kind == FrameKind::Goaway => break true,
            Some(_) if stream > 2_000 => break false,
            Some(_) => {}
            None => break true,
        }
        if !h2.try_send(&RawFrame::bytes(FrameKind::RstStream, 0, stream, &CANCEL)).await {
            break true;
        }
        stream += 2;
    };
    assert!(!ended, "answered requests count as reset early");
    drop(h2);
    expect_service(&proxy).await;
    proxy.stop().await;
}
