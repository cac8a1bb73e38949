//! What a fuzz target runs, and what its corpus is replayed through by an ordinary test: every
//! byte string must be read to its end without a panic, and re-encoding what was accepted must be
//! accepted again with the same meaning.

use bytes::BytesMut;
use nuncio_api::{RequestHead, message::BodyLength};

use super::body::{BodyReader, BodyRules};
use super::chunked::TrailerLimits;
use super::encode;
use super::options::{ClientOptions, HeaderKeyFormat, ServerOptions};
use super::request::parse_request;
use super::response::{Asked, parse_response};

const RULES: BodyRules = BodyRules { trailers: TrailerLimits { bytes: 60 * 1024, count: 100 }, keep_trailers: true };

/// Reads `data` as a stream of requests; returns how many were complete.
pub fn fuzz_request_bytes(data: &[u8]) -> usize {
    let options = ServerOptions { accept_http_10: true, ..ServerOptions::default() };
    let mut buf = BytesMut::from(data);
    let mut complete = 0;
    while let Ok(Some(request)) = parse_request(&mut buf, &options) {
        assert_survives_encoding(&request.head, request.body);
        let mut body = BodyReader::of_request(request.body, request.is_tunnel());
        if body.is_tunnel() || !drain(&mut body, &mut buf) {
            break;
        }
        complete += 1;
    }
    complete
}

/// Reads `data` as a stream of responses to GET; returns how many were complete.
pub fn fuzz_response_bytes(data: &[u8]) -> usize {
    let options = ClientOptions::default();
    let mut buf = BytesMut::from(data);
    let mut complete = 0;
    while let Ok(Some(response)) = parse_response(&mut buf, Asked::Plain, &options) {
        let mut body = BodyReader::of_response(response.body);
        if !drain(&mut body, &mut buf) {
            break;
        }
        complete += 1;
    }
    complete
}

/// Reads a body to its end; false when it is cut, broken, or ends with the connection.
fn drain(body: &mut BodyReader, buf: &mut BytesMut) -> bool {
    while !body.is_done() {
        match body.decode(buf, RULES) {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return false,
        }
    }
    true
}

/// What an upstream reads must be what was decided on: same method, target, host and body framing.
fn assert_survives_encoding(head: &RequestHead, body: BodyLength) {
    let mut out = BytesMut::new();
    let encoded = encode::request_head(&mut out, head, body.is_empty(), HeaderKeyFormat::LowerCase, false);
    if encoded.is_err() {
        return;
    }
    // Forwarding appends up to a handful of lines; the limits of the next hop are not the point.
    let options = ServerOptions { max_head_bytes: 1 << 20, max_headers_count: 1000, ..ServerOptions::default() };
    let again = parse_request(&mut out, &options);
    let Ok(Some(again)) = again else {
        unreachable!("an encoded request is refused: {again:?} {head:?}");
    };
    assert!(out.is_empty(), "bytes after an encoded head");
    assert_eq!(again.head.path, head.path);
    assert_eq!(again.head.authority, head.authority);
    assert_eq!(again.head.method, head.method);
    assert_eq!(again.head.upgrade, head.upgrade);
    assert_eq!(again.body.is_empty(), body.is_empty());
}
