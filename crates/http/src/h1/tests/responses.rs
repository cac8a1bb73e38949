//! Response heads, as tables.

use bytes::BytesMut;
use nuncio_api::Protocol;

use super::super::{Asked, ClientOptions, ParsedResponse, ResponseBody, parse_response};
use super::lines;
use crate::ProtocolError;

fn try_parse(text: &str, asked: Asked) -> Result<Option<ParsedResponse>, ProtocolError> {
    parse_response(&mut BytesMut::from(text), asked, &ClientOptions::default())
}

fn parse(text: &str) -> ParsedResponse {
    try_parse(text, Asked::Plain).unwrap().unwrap()
}

fn refused(text: &str, asked: Asked) -> &'static str {
    let error = try_parse(text, asked).expect_err(text);
    assert_eq!(error.status.as_u16(), 502);
    error.details
}

#[test]
fn the_framing_follows_from_status_headers_and_request() {
    use ResponseBody::*;
    let cases = [
        ("200 OK\r\ncontent-length: 5\r\n", Asked::Plain, Length(5), true),
        ("200 OK\r\ncontent-length: 0\r\n", Asked::Plain, Empty, true),
        ("200 OK\r\ntransfer-encoding: Chunked\r\n", Asked::Plain, Chunked, true),
        ("200 OK\r\n", Asked::Plain, UntilClose, false),
        ("200 OK\r\ncontent-length: 5\r\n", Asked::Head, Empty, true),
        ("200 OK\r\n", Asked::Head, Empty, true),
        ("304 Not Modified\r\ncontent-length: 5\r\n", Asked::Plain, Empty, true),
        ("204 No Content\r\ncontent-length: 0\r\n", Asked::Plain, Empty, true),
        ("200 OK\r\ncontent-length: 5\r\n", Asked::Connect, Tunnel, true),
        ("403 No\r\ncontent-length: 5\r\n", Asked::Connect, Length(5), true),
        ("101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n", Asked::Upgrade, Tunnel, true),
        ("101 Switching Protocols\r\nupgrade: x\r\n", Asked::Upgrade, Empty, false),
        ("200 OK\r\ncontent-length: 5\r\n", Asked::Upgrade, Length(5), true),
        ("200 OK\r\ncontent-length: 5\r\nconnection: close\r\n", Asked::Plain, Length(5), false),
        ("100 Continue\r\n", Asked::Plain, Empty, true),
        ("200\r\ncontent-length: 5\r\n", Asked::Plain, Length(5), true),
        ("700 Weird\r\ncontent-length: 5\r\n", Asked::Plain, Length(5), true),
    ];
    for (text, asked, body, keep_alive) in cases {
        let r = try_parse(&format!("HTTP/1.1 {text}\r\n"), asked).unwrap().unwrap();
        assert_eq!((r.body, r.keep_alive), (body, keep_alive || body == Tunnel), "{text:?} {asked:?}");
    }
}

#[test]
fn http_10_closes_unless_it_says_otherwise() {
    let r = parse("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n");
    assert_eq!((r.head.protocol, r.keep_alive), (Protocol::Http10, false));
    assert!(parse("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\n").keep_alive);
    let r = parse("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!((r.body, r.keep_alive), (ResponseBody::Chunked, false));
}

#[test]
fn broken_responses_are_the_upstreams_fault() {
    let codec_error = [
        "GARBAGE\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\n x: 1\r\n\r\n",
    ];
    for text in codec_error {
        assert_eq!(refused(text, Asked::Plain), "http1.codec_error", "{text:?}");
    }
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
    let both = head("content-length: 5\r\ntransfer-encoding: chunked\r\n");
    assert_eq!(refused(&both, Asked::Plain), "http1.content_length_and_chunked_not_allowed");
    let gzip = head("transfer-encoding: gzip, chunked\r\n");
    assert_eq!(refused(&gzip, Asked::Plain), "http1.invalid_transfer_encoding");
    let no_content = "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(refused(no_content, Asked::Plain), "http1.content_length_not_allowed");
    let no_content = "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(refused(no_content, Asked::Plain), "http1.transfer_encoding_not_allowed");
    let many: String = (0..101).map(|i| format!("x-{i}: a\r\n")).collect();
    assert_eq!(refused(&head(&many), Asked::Plain), "http1.too_many_headers");
    parse(&head(&format!("x: {}\r\n", "a".repeat(70_000))));
    let large = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(90_000));
    assert_eq!(refused(&large, Asked::Plain), "http1.headers_too_large");
}

#[test]
fn nominated_headers_stay_as_in_envoy_and_folded_ones_are_joined() {
    let r = parse("HTTP/1.1 200 OK\r\nconnection: x-a\r\nx-a: 1\r\nx-b: 2\r\n 3\r\n\r\n");
    assert_eq!(lines(&r.head.headers), ["connection: x-a", "x-a: 1", "x-b: 2 3"]);
}
