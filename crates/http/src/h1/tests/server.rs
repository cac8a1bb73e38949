//! Downstream connections over a socket pair.

use std::{future::poll_fn, task::Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use nuncio_api::{Frame, Headers, ResponseHead};
use tokio::io::AsyncWriteExt;

use super::super::{Next, ParsedRequest, ServerConn, ServerOptions, UnderscoresAction};
use super::{body, expect, flush, protocol_error, rest, server_pair, write};
use crate::StreamError;
use crate::exchange::{Exchange, ResetReason, ServerExchange};

async fn request(conn: &mut ServerConn) -> ParsedRequest {
    poll_fn(|cx| conn.poll_request(cx)).await.unwrap().unwrap()
}

fn ok(list: &[(HeaderName, &'static str)]) -> ResponseHead {
    let mut head = ResponseHead::new(StatusCode::OK);
    for (name, value) in list {
        head.headers.append(name.clone(), HeaderValue::from_static(value));
    }
    head
}

fn length(value: &'static str) -> ResponseHead {
    ok(&[(header::CONTENT_LENGTH, value)])
}

async fn answer(conn: &mut ServerConn, text: &'static str) -> Next {
    conn.send_head(&ok(&[]), text.is_empty());
    if !text.is_empty() {
        conn.send_data(Bytes::from_static(text.as_bytes()), true);
    }
    flush(conn).await;
    conn.finish_exchange()
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn requests_follow_each_other_and_an_idle_connection_holds_no_buffer() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    for _ in 0..3 {
        assert!(poll_fn(|cx| Poll::Ready(conn.poll_request(cx).is_pending())).await);
        assert!(conn.is_idle());
        assert_eq!(conn.wire_for_tests().capacities(), (0, 0));
        write(&mut peer, GET).await;
        assert_eq!(request(&mut conn).await.head.path, "/x");
        assert!(!conn.is_idle());
        assert_eq!(answer(&mut conn, "").await, Next::KeepAlive);
        expect(&mut peer, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    }
    drop(peer);
    assert!(poll_fn(|cx| conn.poll_request(cx)).await.unwrap().is_none());
}

#[tokio::test]
async fn pipelined_requests_wait_their_turn() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(
        &mut peer,
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3",
    )
    .await;
    assert_eq!(request(&mut conn).await.head.path, "/1");
    assert_eq!(body(&mut conn).await.unwrap().0, "ab");
    assert_eq!(answer(&mut conn, "one").await, Next::KeepAlive);
    assert_eq!(request(&mut conn).await.head.path, "/2");
    assert_eq!(answer(&mut conn, "").await, Next::KeepAlive);
    assert!(conn.is_receiving_head());
    write(&mut peer, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(request(&mut conn).await.head.path, "/3");
    assert_eq!(answer(&mut conn, "").await, Next::Close);
    drop(conn);
    assert_eq!(
        rest(&mut peer).await,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n\
         HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
}

#[tokio::test]
async fn a_response_before_the_end_of_the_request_closes() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").await;
    request(&mut conn).await;
    assert_eq!(answer(&mut conn, "").await, Next::Close);
    poll_fn(|cx| conn.poll_shutdown(cx)).await.unwrap();
    assert_eq!(rest(&mut peer).await, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    write(&mut peer, "defghi and more").await;
    peer.shutdown().await.unwrap();
    poll_fn(|cx| conn.poll_discard(cx)).await;
}

#[tokio::test]
async fn a_client_that_closes_its_side_still_gets_its_response() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, GET).await;
    peer.shutdown().await.unwrap();
    request(&mut conn).await;
    assert!(poll_fn(|cx| Poll::Ready(conn.poll_gone(cx).is_pending())).await);
    assert!(conn.is_half_closed());
    assert_eq!(answer(&mut conn, "").await, Next::KeepAlive);
    assert!(poll_fn(|cx| conn.poll_request(cx)).await.unwrap().is_none());
    drop(conn);
    assert_eq!(rest(&mut peer).await, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_closes_is_gone_where_half_close_is_not_wanted() {
    let (mut conn, mut peer) = server_pair(ServerOptions { half_close: false, ..ServerOptions::default() });
    write(&mut peer, GET).await;
    request(&mut conn).await;
    drop(peer);
    let gone = poll_fn(|cx| conn.poll_gone(cx)).await;
    assert!(matches!(gone, StreamError::Connection(e) if e.kind() == std::io::ErrorKind::UnexpectedEof));
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_request_is_gone() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").await;
    request(&mut conn).await;
    drop(peer);
    assert!(matches!(poll_fn(|cx| conn.poll_gone(cx)).await, StreamError::Connection(_)));
    assert!(matches!(body(&mut conn).await, Err(StreamError::Connection(_))));

    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, "GET /x HT").await;
    drop(peer);
    assert!(matches!(poll_fn(|cx| conn.poll_request(cx)).await, Err(StreamError::Connection(_))));
    assert!(conn.is_receiving_head());
}

#[tokio::test]
async fn empty_lines_begin_a_request() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    assert!(conn.is_idle());
    write(&mut peer, "\r\n").await;
    drop(peer);
    assert!(matches!(poll_fn(|cx| conn.poll_request(cx)).await, Ok(None)));
    assert!(conn.is_receiving_head() && !conn.is_idle());
}

#[tokio::test]
async fn a_broken_request_can_be_answered_and_closes() {
    let options = ServerOptions { underscores: UnderscoresAction::RejectRequest, ..ServerOptions::default() };
    let (mut conn, mut peer) = server_pair(options);
    write(&mut peer, "GET /x HTTP/1.1\r\nHost: a\r\nx_y: 1\r\n\r\n").await;
    let error = protocol_error(poll_fn(|cx| conn.poll_request(cx)).await.unwrap_err());
    assert_eq!((error.status.as_u16(), error.details), (400, "http1.unexpected_underscore"));
    assert_eq!(conn.counters.take().requests_rejected_with_underscores_in_headers, 1);
    let mut head = length("11");
    head.status = error.status;
    conn.send_head(&head, false);
    conn.send_data(Bytes::from_static(b"Bad Request"), true);
    flush(&mut conn).await;
    assert_eq!(conn.finish_exchange(), Next::Close);
    poll_fn(|cx| conn.poll_shutdown(cx)).await.unwrap();
    assert_eq!(
        rest(&mut peer).await,
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 11\r\nconnection: close\r\n\r\nBad Request"
    );
}

#[tokio::test]
async fn a_broken_chunk_is_an_error_of_the_request() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n").await;
    request(&mut conn).await;
    let error = protocol_error(body(&mut conn).await.unwrap_err());
    assert_eq!((error.status.as_u16(), error.details), (400, "http1.codec_error"));
    assert_eq!(answer(&mut conn, "").await, Next::Close);
}

#[tokio::test]
async fn trailers_pass_both_ways_only_when_enabled() {
    for enable_trailers in [true, false] {
        let (mut conn, mut peer) = server_pair(ServerOptions { enable_trailers, ..ServerOptions::default() });
        write(
            &mut peer,
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: v\r\n\r\n",
        )
        .await;
        request(&mut conn).await;
        let (text, trailers) = body(&mut conn).await.unwrap();
        assert_eq!((text.as_str(), trailers.len()), ("a", usize::from(enable_trailers)));
        conn.send_head(&ok(&[]), false);
        let sent: Headers = [(HeaderName::from_static("x-u"), HeaderValue::from_static("w"))].into_iter().collect();
        conn.send_trailers(&sent);
        flush(&mut conn).await;
        assert_eq!(conn.finish_exchange(), Next::KeepAlive);
        let end = if enable_trailers { "0\r\nx-u: w\r\n\r\n" } else { "0\r\n\r\n" };
        expect(&mut peer, &format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{end}")).await;
    }
}

#[tokio::test]
async fn a_continue_precedes_the_response() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert!(request(&mut conn).await.expect_continue);
    conn.send_informational(StatusCode::CONTINUE, &Headers::new());
    flush(&mut conn).await;
    expect(&mut peer, "HTTP/1.1 100 Continue\r\n\r\n").await;
    write(&mut peer, "ab").await;
    assert_eq!(body(&mut conn).await.unwrap().0, "ab");
    assert_eq!(answer(&mut conn, "").await, Next::KeepAlive);
}

#[tokio::test]
async fn head_gets_no_body_and_a_body_keeps_to_its_length() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    request(&mut conn).await;
    conn.send_head(&length("3"), false);
    conn.send_data(Bytes::from_static(b"abc"), true);
    assert_eq!(conn.finish_exchange(), Next::KeepAlive);
    write(&mut peer, GET).await;
    request(&mut conn).await;
    conn.send_head(&length("3"), false);
    conn.send_data(Bytes::from_static(b"abcdef"), true);
    assert_eq!(conn.finish_exchange(), Next::KeepAlive);
    write(&mut peer, GET).await;
    request(&mut conn).await;
    conn.send_head(&length("3"), false);
    conn.send_data(Bytes::from_static(b"a"), true);
    assert_eq!(conn.finish_exchange(), Next::Close);
    poll_fn(|cx| conn.poll_shutdown(cx)).await.unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
    assert_eq!(rest(&mut peer).await, format!("{head}{head}abc{head}a"));
}

#[tokio::test]
async fn a_draining_connection_says_close() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, GET).await;
    request(&mut conn).await;
    conn.close_after_response();
    assert_eq!(answer(&mut conn, "").await, Next::Close);
    expect(&mut peer, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
}

#[tokio::test]
async fn a_reset_response_stays_unfinished() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, GET).await;
    request(&mut conn).await;
    conn.send_head(&ok(&[]), false);
    conn.send_data(Bytes::from_static(b"half"), false);
    conn.reset(ResetReason::InternalError);
    conn.send_data(Bytes::from_static(b"lost"), true);
    assert_eq!(conn.finish_exchange(), Next::Close);
    poll_fn(|cx| conn.poll_shutdown(cx)).await.unwrap();
    assert_eq!(rest(&mut peer).await, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
}

#[tokio::test]
async fn http_10_is_kept_alive_only_with_a_length() {
    let options = || ServerOptions { accept_http_10: true, ..ServerOptions::default() };
    let (mut conn, mut peer) = server_pair(options());
    write(&mut peer, &"GET /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n".repeat(2)).await;
    request(&mut conn).await;
    conn.send_informational(StatusCode::CONTINUE, &Headers::new());
    assert_eq!(answer(&mut conn, "").await, Next::KeepAlive);
    request(&mut conn).await;
    assert_eq!(answer(&mut conn, "until the end").await, Next::Close);
    drop(conn);
    assert_eq!(
        rest(&mut peer).await,
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n\
         HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nuntil the end"
    );
}

const UPGRADE: &str = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn an_accepted_upgrade_is_a_tunnel_both_ways() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, &format!("{UPGRADE}early")).await;
    assert!(request(&mut conn).await.is_tunnel());
    conn.send_head(&ResponseHead::new(StatusCode::SWITCHING_PROTOCOLS), false);
    conn.send_data(Bytes::from_static(b"down"), true);
    flush(&mut conn).await;
    write(&mut peer, " and late").await;
    peer.shutdown().await.unwrap();
    assert_eq!(body(&mut conn).await.unwrap().0, "early and late");
    assert_eq!(
        rest(&mut peer).await,
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\ndown"
    );
    assert_eq!(conn.finish_exchange(), Next::Close);
}

#[tokio::test]
async fn a_tunnel_ends_with_its_client_where_half_close_is_not_wanted() {
    let (mut conn, mut peer) = server_pair(ServerOptions { half_close: false, ..ServerOptions::default() });
    write(&mut peer, UPGRADE).await;
    request(&mut conn).await;
    conn.send_head(&ResponseHead::new(StatusCode::SWITCHING_PROTOCOLS), false);
    write(&mut peer, "bye").await;
    peer.shutdown().await.unwrap();
    assert!(matches!(poll_fn(|cx| conn.poll_frame(cx)).await, Ok(Frame::Data { end: false, .. })));
    assert!(matches!(poll_fn(|cx| conn.poll_frame(cx)).await, Err(StreamError::Connection(_))));
}

#[tokio::test]
async fn a_refused_upgrade_closes() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, &format!("{UPGRADE}{GET}")).await;
    request(&mut conn).await;
    let mut head = ok(&[]);
    head.status = StatusCode::FORBIDDEN;
    conn.send_head(&head, true);
    flush(&mut conn).await;
    assert_eq!(conn.finish_exchange(), Next::Close);
    expect(&mut peer, "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
}

#[tokio::test]
async fn an_upgraded_connection_can_be_taken_over_with_what_was_read() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, &format!("{UPGRADE}early")).await;
    request(&mut conn).await;
    let (_stream, left) = conn.into_parts();
    assert_eq!(left, "early");
}

#[tokio::test]
async fn sending_is_held_back_at_the_buffer_limit() {
    let (mut conn, mut peer) = server_pair(ServerOptions { buffer_limit: 256 * 1024, ..ServerOptions::default() });
    write(&mut peer, GET).await;
    request(&mut conn).await;
    conn.send_head(&ok(&[]), false);
    let piece = Bytes::from(vec![b'a'; 100_000]);
    let mut pieces = 0;
    while poll_fn(|cx| Poll::Ready(conn.poll_ready(cx).is_ready())).await {
        conn.send_data(piece.clone(), false);
        pieces += 1;
        assert!(pieces < 100, "a peer that reads nothing must stop the sender");
    }
    conn.send_data(Bytes::new(), true);
    let reader = tokio::spawn(async move { rest(&mut peer).await.len() });
    flush(&mut conn).await;
    let sent = conn.wire_bytes().sent;
    assert_eq!(conn.finish_exchange(), Next::KeepAlive);
    drop(conn);
    assert_eq!(reader.await.unwrap() as u64, sent);
}

#[tokio::test]
async fn large_and_small_pieces_keep_their_order() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    write(&mut peer, GET).await;
    request(&mut conn).await;
    conn.send_head(&length("100205"), false);
    let mut all = String::new();
    for (letter, size) in [("a", 5), ("b", 50_000), ("c", 100), ("d", 100), ("e", 50_000)] {
        let piece = letter.repeat(size);
        all.push_str(&piece);
        conn.send_data(Bytes::from(piece), letter == "e");
    }
    let reader = tokio::spawn(async move { rest(&mut peer).await });
    flush(&mut conn).await;
    drop(conn);
    assert_eq!(reader.await.unwrap(), format!("HTTP/1.1 200 OK\r\ncontent-length: 100205\r\n\r\n{all}"));
}

#[tokio::test]
async fn bytes_are_counted_per_exchange() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    let head = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    write(&mut peer, &format!("{head}3\r\nabc\r\n0\r\n\r\n{GET}")).await;
    request(&mut conn).await;
    body(&mut conn).await.unwrap();
    conn.send_head(&ok(&[]), false);
    conn.send_data(Bytes::from_static(b"abc"), true);
    let bytes = conn.wire_bytes();
    assert_eq!(bytes.header_received, head.len() as u64);
    assert_eq!(bytes.received, head.len() as u64 + 13);
    assert_eq!(bytes.sent, bytes.header_sent + 13);
    flush(&mut conn).await;
    conn.finish_exchange();
    request(&mut conn).await;
    assert_eq!(conn.wire_bytes().received, GET.len() as u64);
}

#[tokio::test]
async fn a_flood_of_empty_lines_is_no_request_and_costs_no_memory() {
    let (mut conn, mut peer) = server_pair(ServerOptions::default());
    let writer = tokio::spawn(async move {
        write(&mut peer, &"\r\n".repeat(50_000)).await;
        write(&mut peer, GET).await;
        peer
    });
    assert_eq!(request(&mut conn).await.head.path, "/x");
    drop(writer.await.unwrap());
}
