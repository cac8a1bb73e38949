//! HTTP/2 requests that are refused before they become streams: counted, logged and answered as
//! Envoy does, whoever found the fault.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use nuncio_testkit::{Config, FrameKind, H2Wire, Proxy, RawFrame, get_block, literal};

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PROTOCOL_ERROR: u32 = 1;

fn direct() -> Config {
    Config::new().any_route("match: {prefix: /}, direct_response: {status: 200, body: {inline_string: direct}}")
}

fn head(stream: u32, more: &[u8]) -> Vec<u8> {
    let block = [get_block("/"), more.to_vec()].concat();
    RawFrame::bytes(FrameKind::Headers, END_STREAM | END_HEADERS, stream, &block)
}

/// What is left to come until the connection closes: the code of its GOAWAY.
async fn goaway(h2: &mut H2Wire) -> Option<u32> {
    h2.rest().await.iter().find(|frame| frame.kind == FrameKind::Goaway).map(RawFrame::error_code)
}

#[tokio::test]
async fn a_malformed_request_is_counted_and_logged_and_ends_its_connection() {
    for (more, details) in [
        (literal("te", "gzip"), "http2.invalid.header.field"),
        (literal("X-Upper", "1"), "http2.invalid.header.field"),
        (literal("content-length", "5"), "http2.violation.of.messaging.rule"),
    ] {
        let proxy = Proxy::start(&direct()).await;
        let mut h2 = H2Wire::connect(proxy.address()).await;
        h2.send(&head(1, &more)).await;
        assert_eq!(goaway(&mut h2).await, Some(PROTOCOL_ERROR), "{details}");
        proxy.log_line(1).await.expect(&[("code", "0"), ("flags", "DPE"), ("details", details)]);
        drop(h2);
        proxy.wait_for("http.main.downstream_cx_destroy_local_active_rq", 1).await;
        proxy.stats().expect(&[
            ("http.main.downstream_rq_total", 1),
            ("http.main.downstream_rq_http2_total", 1),
            ("http.main.downstream_rq_rx_reset", 1),
            ("http.main.downstream_cx_protocol_error", 1),
            ("http2.rx_messaging_error", 1),
        ]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_request_over_a_limit_is_reset_and_the_connection_serves_on() {
    let config = direct().manager("common_http_protocol_options: {max_headers_count: 5}");
    let proxy = Proxy::start(&config).await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    h2.send(&head(1, &[literal("a", "1"), literal("b", "1")].concat())).await;
    assert_eq!(h2.next_of(FrameKind::RstStream).await.stream, 1);
    proxy.log_line(1).await.expect(&[("code", "0"), ("flags", "DR"), ("details", "http2.too_many_headers")]);
    h2.send(&head(3, &[])).await;
    assert_eq!(h2.next_of(FrameKind::Headers).await.stream, 3);
    proxy.stop().await;
}

#[tokio::test]
async fn a_malformed_request_ends_only_its_stream_if_so_configured() {
    let config = direct().manager("http2_protocol_options: {override_stream_error_on_invalid_http_message: true}");
    let proxy = Proxy::start(&config).await;
    let mut h2 = H2Wire::connect(proxy.address()).await;
    h2.send(&head(1, &literal("te", "gzip"))).await;
    assert_eq!(h2.next_of(FrameKind::RstStream).await.error_code(), PROTOCOL_ERROR);
    proxy.log_line(1).await.expect(&[("flags", "DPE"), ("details", "http2.invalid.header.field")]);
    h2.send(&head(3, &[])).await;
    assert_eq!(h2.next_of(FrameKind::Headers).await.stream, 3);
    proxy.stop().await;
}
