//! Upstream connections over a socket pair.

use std::{future::poll_fn, task::Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use nuncio_api::{Frame, Headers, Protocol, RequestHead, ResponseHead, Scheme, Text};

use super::super::{ClientConn, ClientOptions};
use super::{body, client_pair, expect, flush, protocol_error, rest, write};
use crate::StreamError;
use crate::exchange::{ClientExchange, Exchange, ResetReason};

fn request(method: Method) -> RequestHead {
    RequestHead {
        method,
        scheme: Scheme::Http,
        authority: Text::from_static("h"),
        path: Text::from_static("/x"),
        protocol: Protocol::Http11,
        upgrade: None,
        headers: Headers::new(),
    }
}

async fn head(conn: &mut ClientConn) -> Result<(ResponseHead, bool), StreamError> {
    poll_fn(|cx| conn.poll_head(cx)).await
}

async fn get(conn: &mut ClientConn) {
    conn.send_head(&request(Method::GET), true);
    flush(conn).await;
}

const SENT: &str = "GET /x HTTP/1.1\r\nhost: h\r\n\r\n";

#[tokio::test]
async fn a_connection_is_used_again_and_holds_no_buffer_between() {
    let (mut conn, mut peer) = client_pair(ClientOptions::default());
    for _ in 0..3 {
        assert!(conn.is_open());
        get(&mut conn).await;
        assert!(!conn.is_reusable());
        expect(&mut peer, SENT).await;
        write(&mut peer, "HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 5\r\n\r\nhello").await;
        let (response, end) = head(&mut conn).await.unwrap();
        assert_eq!((response.status, end, response.headers.len()), (StatusCode::OK, false, 2));
        assert_eq!(body(&mut conn).await.unwrap().0, "hello");
        drop(response);
        assert!(conn.finish_exchange());
        assert_eq!(conn.wire_for_tests().capacities(), (0, 0));
    }
}

#[tokio::test]
async fn bodies_end_by_length_chunks_or_close() {
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", "ab", true),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n", "ab", true),
        ("HTTP/1.1 200 OK\r\n\r\nab", "ab", false),
        ("HTTP/1.0 200 OK\r\n\r\nab", "ab", false),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nab", "ab", false),
    ];
    for (text, expected, reusable) in cases {
        let (mut conn, mut peer) = client_pair(ClientOptions::default());
        get(&mut conn).await;
        expect(&mut peer, SENT).await;
        write(&mut peer, text).await;
        let peer = Some(peer).filter(|_| reusable);
        assert!(!head(&mut conn).await.unwrap().1);
        assert_eq!(body(&mut conn).await.unwrap().0, expected);
        assert_eq!(conn.finish_exchange(), reusable, "{text:?}");
        drop(peer);
    }
}

#[tokio::test]
async fn informational_responses_precede_the_final_one() {
    let (mut conn, mut peer) = client_pair(ClientOptions::default());
    get(&mut conn).await;
    write(
        &mut peer,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    )
    .await;
    for (status, ends) in [(100, false), (103, false), (204, true)] {
        let (response, end) = head(&mut conn).await.unwrap();
        assert_eq!((response.status.as_u16(), end), (status, ends));
    }
    assert!(conn.finish_exchange());
}

#[tokio::test]
async fn endless_informational_responses_are_an_error() {
    let (mut conn, mut peer) = client_pair(ClientOptions::default());
    get(&mut conn).await;
    write(&mut peer, &"HTTP/1.1 100 Continue\r\n\r\n".repeat(200)).await;
    let mut seen = 0;
    while head(&mut conn).await.is_ok() {
        seen += 1;
    }
    assert_eq!(seen, 100);
}

#[tokio::test]
async fn the_response_to_head_has_no_body() {
    let (mut conn, mut peer) = client_pair(ClientOptions::default());
    conn.send_head(&request(Method::HEAD), true);
    flush(&mut conn).await;
    write(&mut peer, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
    assert!(head(&mut conn).await.unwrap().1);
    assert!(conn.finish_exchange());
}

#[tokio::test]
async fn bytes_nobody_asked_for_end_the_connection() {
    let (mut conn, mut peer) = client_pair(ClientOptions::default());
    get(&mut conn).await;
    write(&mut peer, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").await;
    head(&mut conn).await.unwrap();
    assert!(!conn.finish_exchange());

    let (mut conn, mut peer) = client_pair(ClientOptions::default());
    assert!(conn.is_open());
    write(&mut peer, "H").await;
    poll_fn(|cx| conn.poll_unusable(cx)).await;
    assert!(!conn.is_open() && !conn.is_reusable());

    let (mut conn, peer) = client_pair(ClientOptions::default());
    drop(peer);
    poll_fn(|cx| conn.poll_unusable(cx)).await;
    assert!(!conn.is_open());
}

#[tokio::test]
async fn a_close_before_the_head_is_told_from_a_broken_head() {
    let (mut conn, mut peer) = client_pair(ClientOptions::default());
    get(&mut conn).await;
    expect(&mut peer, SENT).await;
    drop(peer);
    let error = head(&mut conn).await.unwrap_err();
    assert!(matches!(error, StreamError::Connection(e) if e.kind() == std::io::ErrorKind::UnexpectedEof));
    for text in ["HTTP/1.1 200 O", "GARBAGE\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"] {
        let (mut conn, mut peer) = client_pair(ClientOptions::default());
        get(&mut conn).await;
        expect(&mut peer, SENT).await;
        write(&mut peer, text).await;
        drop(peer);
        let error = protocol_error(head(&mut conn).await.unwrap_err());
        assert_eq!((error.status.as_u16(), error.details), (502, "http1.codec_error"), "{text:?}");
        assert!(!conn.finish_exchange());
    }
}

#[tokio::test]
async fn a_body_cut_short_is_a_protocol_error() {
    for text in ["content-length: 100\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let (mut conn, mut peer) = client_pair(ClientOptions::default());
        get(&mut conn).await;
        expect(&mut peer, SENT).await;
        write(&mut peer, &format!("HTTP/1.1 200 OK\r\n{text}")).await;
        drop(peer);
        head(&mut conn).await.unwrap();
        assert_eq!(protocol_error(body(&mut conn).await.unwrap_err()).details, "http1.codec_error");
        assert!(!conn.finish_exchange());
    }
}

#[tokio::test]
async fn an_early_response_is_read_and_ends_the_connection() {
    let (mut conn, mut peer) = client_pair(ClientOptions::default());
    let mut post = request(Method::POST);
    post.headers.append(header::CONTENT_LENGTH, HeaderValue::from_static("10000000"));
    conn.send_head(&post, false);
    conn.send_data(Bytes::from(vec![b'a'; 20_000]), false);
    flush(&mut conn).await;
    write(&mut peer, "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\n\r\n").await;
    drop(peer);
    // The upstream is gone: writing fails, the response is there all the same.
    conn.send_data(Bytes::from(vec![b'a'; 20_000]), false);
    flush(&mut conn).await;
    let (response, end) = head(&mut conn).await.unwrap();
    assert_eq!((response.status, end), (StatusCode::PAYLOAD_TOO_LARGE, true));
    assert!(!conn.is_request_sent());
    assert!(!conn.finish_exchange());
}

#[tokio::test]
async fn request_bodies_are_chunked_with_trailers_when_enabled() {
    for enable_trailers in [true, false] {
        let (mut conn, mut peer) = client_pair(ClientOptions { enable_trailers, ..ClientOptions::default() });
        conn.send_head(&request(Method::POST), false);
        conn.send_data(Bytes::from_static(b"abc"), false);
        let trailers: Headers = [(HeaderName::from_static("x-t"), HeaderValue::from_static("v"))].into_iter().collect();
        conn.send_trailers(&trailers);
        flush(&mut conn).await;
        let end = if enable_trailers { "x-t: v\r\n\r\n" } else { "\r\n" };
        let text = format!("POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n{end}");
        expect(&mut peer, &text).await;
        write(&mut peer, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nX-U: w\r\n\r\n").await;
        head(&mut conn).await.unwrap();
        assert_eq!(body(&mut conn).await.unwrap().1.len(), usize::from(enable_trailers));
        assert!(conn.finish_exchange());
    }
}

const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

async fn upgraded(conn: &mut ClientConn, peer: &mut tokio::net::UnixStream) {
    let mut upgrade = request(Method::GET);
    upgrade.upgrade = Some(Text::from_static("websocket"));
    conn.send_head(&upgrade, false);
    flush(conn).await;
    expect(peer, UPGRADE).await;
    write(peer, AGREED).await;
    assert_eq!(head(conn).await.unwrap().0.status, 101);
}

#[tokio::test]
async fn a_tunnel_that_the_upstream_alone_ends_was_cut() {
    let (mut conn, mut peer) = client_pair(ClientOptions::default());
    upgraded(&mut conn, &mut peer).await;
    write(&mut peer, "last").await;
    drop(peer);
    assert!(matches!(poll_fn(|cx| conn.poll_frame(cx)).await, Ok(Frame::Data { end: false, .. })));
    assert!(matches!(poll_fn(|cx| conn.poll_frame(cx)).await, Err(StreamError::Connection(_))));
    assert!(!conn.finish_exchange());
}

#[tokio::test]
async fn what_came_into_a_tunnel_before_its_reset_still_goes_out() {
    let (mut conn, mut peer) = client_pair(ClientOptions::default());
    upgraded(&mut conn, &mut peer).await;
    conn.send_data(Bytes::from_static(b"bye"), false);
    conn.reset(ResetReason::Cancel);
    drop(conn);
    assert_eq!(rest(&mut peer).await, "bye");
}

#[tokio::test]
async fn a_switch_to_nothing_is_the_end() {
    let (mut conn, mut peer) = client_pair(ClientOptions::default());
    let mut upgrade = request(Method::GET);
    upgrade.upgrade = Some(Text::from_static("websocket"));
    conn.send_head(&upgrade, false);
    flush(&mut conn).await;
    write(&mut peer, "HTTP/1.1 101 Switching Protocols\r\n\r\nhidden").await;
    assert!(head(&mut conn).await.unwrap().1);
    assert!(!conn.finish_exchange());
}

#[tokio::test]
async fn a_raw_connection_carries_bytes_alone() {
    let (mut conn, mut peer) = client_pair(ClientOptions::default());
    conn.open_raw(Bytes::from_static(b"PROXY "));
    let (answer, end) = head(&mut conn).await.unwrap();
    assert_eq!((answer.status.as_u16(), end), (200, false));
    conn.send_data(Bytes::from_static(b"up"), false);
    flush(&mut conn).await;
    expect(&mut peer, "PROXY up").await;
    write(&mut peer, "down").await;
    drop(peer);
    assert_eq!(body(&mut conn).await.unwrap().0, "down");
    assert!(!conn.finish_exchange());
}

const UPGRADE: &str = "GET /x HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

#[tokio::test]
async fn what_is_meant_for_a_tunnel_waits_for_the_upstreams_consent() {
    for agrees in [true, false] {
        let (mut conn, mut peer) = client_pair(ClientOptions::default());
        let mut upgrade = request(Method::GET);
        upgrade.upgrade = Some(Text::from_static("websocket"));
        conn.send_head(&upgrade, false);
        conn.send_data(Bytes::from_static(b"GET /smuggled HTTP/1.1\r\n\r\n"), false);
        conn.send_data(Bytes::new(), true);
        flush(&mut conn).await;
        expect(&mut peer, UPGRADE).await;
        assert!(peer.try_read(&mut [0]).is_err());
        let answer = if agrees {
            "101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nup"
        } else {
            "200 OK\r\ncontent-length: 2\r\n\r\nno"
        };
        write(&mut peer, &format!("HTTP/1.1 {answer}")).await;
        assert!(!head(&mut conn).await.unwrap().1);
        flush(&mut conn).await;
        if agrees {
            assert_eq!(rest(&mut peer).await, "GET /smuggled HTTP/1.1\r\n\r\n");
            drop(peer);
            assert_eq!(body(&mut conn).await.unwrap().0, "up");
            assert!(!conn.finish_exchange());
        } else {
            assert_eq!(body(&mut conn).await.unwrap().0, "no");
            assert!(!conn.finish_exchange());
            drop(conn);
            assert_eq!(rest(&mut peer).await, "");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_goes_away_is_noticed() {
    let (mut conn, peer) = client_pair(ClientOptions::default());
    get(&mut conn).await;
    assert!(poll_fn(|cx| Poll::Ready(conn.poll_gone(cx).is_pending())).await);
    drop(peer);
    assert!(matches!(poll_fn(|cx| conn.poll_gone(cx)).await, StreamError::Connection(_)));
}

#[tokio::test]
async fn a_reset_exchange_is_not_reused() {
    let (mut conn, _peer) = client_pair(ClientOptions::default());
    get(&mut conn).await;
    conn.reset(ResetReason::Cancel);
    assert!(!conn.finish_exchange());
}

#[tokio::test]
async fn a_target_that_would_break_the_request_line_fails_before_it_is_sent() {
    let (mut conn, _peer) = client_pair(ClientOptions::default());
    let mut bad = request(Method::GET);
    bad.path = Text::from_static("/a b");
    conn.send_head(&bad, true);
    assert_eq!(protocol_error(head(&mut conn).await.unwrap_err()).details, "http1.invalid_url");
    assert!(!conn.finish_exchange());
}

#[tokio::test]
async fn a_request_shorter_than_announced_fails_instead_of_waiting_for_ever() {
    let (mut conn, _peer) = client_pair(ClientOptions::default());
    let mut post = request(Method::POST);
    post.headers.append(header::CONTENT_LENGTH, HeaderValue::from_static("10"));
    conn.send_head(&post, false);
    conn.send_data(Bytes::from_static(b"abc"), true);
    assert_eq!(protocol_error(head(&mut conn).await.unwrap_err()).details, "http1.codec_error");
    assert!(!conn.finish_exchange());
}

#[test]
fn connections_are_small() {
    assert!(size_of::<ClientConn>() <= 512, "{}", size_of::<ClientConn>());
    assert!(size_of::<super::super::ServerConn>() <= 512, "{}", size_of::<super::super::ServerConn>());
}
