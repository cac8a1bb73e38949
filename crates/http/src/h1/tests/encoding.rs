//! Heads, chunks and trailers to bytes, as tables.

use bytes::BytesMut;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use nuncio_api::{Headers, Protocol, RequestHead, ResponseHead, Scheme, Text};

use super::super::HeaderKeyFormat;
use super::super::encode::{self, OutgoingBody, ResponseContext};

fn headers(list: &[(&str, &str)]) -> Headers {
    list.iter()
        .map(|(n, v)| (HeaderName::from_bytes(n.as_bytes()).unwrap(), HeaderValue::from_str(v).unwrap()))
        .collect()
}

fn response(status: u16, list: &[(&str, &str)], end: bool, context: &ResponseContext) -> (String, OutgoingBody) {
    let mut out = BytesMut::new();
    let head = ResponseHead {
        status: StatusCode::from_u16(status).unwrap(),
        protocol: Protocol::Http2,
        headers: headers(list),
    };
    let body = encode::response_head(&mut out, &head, end, context);
    (String::from_utf8(out.to_vec()).unwrap(), body)
}

fn request(method: Method, list: &[(&str, &str)], end: bool) -> (String, OutgoingBody) {
    encoded(&head(method, list), end)
}

fn head(method: Method, list: &[(&str, &str)]) -> RequestHead {
    RequestHead {
        method,
        scheme: Scheme::Http,
        authority: Text::from_static("h"),
        path: Text::from_static("/x"),
        protocol: Protocol::Http11,
        upgrade: None,
        headers: headers(list),
    }
}

fn encoded(head: &RequestHead, end: bool) -> (String, OutgoingBody) {
    let mut out = BytesMut::new();
    let body = encode::request_head(&mut out, head, end, HeaderKeyFormat::LowerCase, false).unwrap();
    (String::from_utf8(out.to_vec()).unwrap(), body)
}

#[test]
fn framing_headers_come_last_and_content_length_stays_in_place() {
    let plain = ResponseContext::default();
    let close = ResponseContext { close: true, ..plain.clone() };
    let http_10 = ResponseContext { http_10: true, ..plain.clone() };
    let to_head = ResponseContext { to_head: true, ..plain.clone() };
    let date: &[(&str, &str)] = &[("date", "d"), ("server", "envoy")];
    let length: &[(&str, &str)] = &[("content-length", "5"), ("date", "d")];
    type Case<'a> = (u16, &'a [(&'a str, &'a str)], bool, &'a ResponseContext, &'a str, OutgoingBody);
    let cases: &[Case<'_>] = &[
        (
            404,
            date,
            true,
            &plain,
            "HTTP/1.1 404 Not Found\r\ndate: d\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n",
            OutgoingBody::Done,
        ),
        (
            400,
            date,
            true,
            &close,
            "HTTP/1.1 400 Bad Request\r\ndate: d\r\nserver: envoy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            OutgoingBody::Done,
        ),
        (
            200,
            date,
            false,
            &plain,
            "HTTP/1.1 200 OK\r\ndate: d\r\nserver: envoy\r\ntransfer-encoding: chunked\r\n\r\n",
            OutgoingBody::Chunked,
        ),
        (
            200,
            length,
            false,
            &close,
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: d\r\nconnection: close\r\n\r\n",
            OutgoingBody::Length(5),
        ),
        (200, length, true, &plain, "HTTP/1.1 200 OK\r\ndate: d\r\ncontent-length: 0\r\n\r\n", OutgoingBody::Done),
        (200, length, true, &to_head, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: d\r\n\r\n", OutgoingBody::Done),
        (
            200,
            length,
            false,
            &to_head,
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: d\r\n\r\n",
            OutgoingBody::Dropped,
        ),
        (200, &[], true, &to_head, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", OutgoingBody::Done),
        (204, &[("content-length", "0")], true, &plain, "HTTP/1.1 204 No Content\r\n\r\n", OutgoingBody::Done),
        (204, &[], false, &plain, "HTTP/1.1 204 No Content\r\n\r\n", OutgoingBody::Dropped),
        (304, &[], true, &plain, "HTTP/1.1 304 Not Modified\r\n\r\n", OutgoingBody::Done),
        (
            304,
            length,
            true,
            &plain,
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\ndate: d\r\n\r\n",
            OutgoingBody::Done,
        ),
        (
            200,
            length,
            false,
            &http_10,
            "HTTP/1.0 200 OK\r\ncontent-length: 5\r\ndate: d\r\nconnection: keep-alive\r\n\r\n",
            OutgoingBody::Length(5),
        ),
        (200, &[], false, &http_10, "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n", OutgoingBody::UntilClose),
        (418, &[], true, &plain, "HTTP/1.1 418 Unknown\r\ncontent-length: 0\r\n\r\n", OutgoingBody::Done),
        (299, &[], true, &plain, "HTTP/1.1 299 Unknown\r\ncontent-length: 0\r\n\r\n", OutgoingBody::Done),
    ];
    for (status, list, end, context, text, body) in cases {
        assert_eq!(response(*status, list, *end, context), ((*text).to_owned(), *body));
    }
}

#[test]
fn hop_by_hop_headers_and_false_lengths_are_not_sent() {
    let list = [
        ("connection", "keep-alive"),
        ("keep-alive", "5"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "gzip"),
        ("upgrade", "foo"),
        ("x", "1"),
        ("content-length", "1"),
        ("content-length", "2"),
    ];
    let (text, body) = response(200, &list, false, &ResponseContext::default());
    assert_eq!(text, "HTTP/1.1 200 OK\r\nx: 1\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(body, OutgoingBody::Chunked);
    let (text, _) = request(Method::GET, &[("connection", "x"), ("te", "trailers"), ("host", "evil")], true);
    assert_eq!(text, "GET /x HTTP/1.1\r\nhost: h\r\nte: trailers\r\n\r\n");
}

#[test]
fn requests_say_they_have_no_body_where_one_is_expected() {
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::TRACE] {
        let (text, body) = request(method.clone(), &[], true);
        assert_eq!((text, body), (format!("{method} /x HTTP/1.1\r\nhost: h\r\n\r\n"), OutgoingBody::Done));
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::OPTIONS] {
        let (text, _) = request(method.clone(), &[("x", "1")], true);
        assert_eq!(text, format!("{method} /x HTTP/1.1\r\nhost: h\r\nx: 1\r\ncontent-length: 0\r\n\r\n"));
    }
    let (text, body) = request(Method::POST, &[("content-length", "2"), ("x", "1")], false);
    assert_eq!(text, "POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\nx: 1\r\n\r\n");
    assert_eq!(body, OutgoingBody::Length(2));
    let (text, body) = request(Method::GET, &[], false);
    assert_eq!(text, "GET /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(body, OutgoingBody::Chunked);
}

#[test]
fn upgrades_and_connect_open_tunnels() {
    let mut upgrade = head(Method::GET, &[("connection", "Upgrade"), ("upgrade", "websocket"), ("x", "1")]);
    upgrade.upgrade = Some(Text::from_static("websocket"));
    let expected = "GET /x HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx: 1\r\n\r\n";
    assert_eq!(encoded(&upgrade, false), (expected.to_owned(), OutgoingBody::Tunnel));
    upgrade.method = Method::CONNECT;
    upgrade.headers = headers(&[("x", "1"), ("content-length", "0")]);
    assert_eq!(
        encoded(&upgrade, false).0,
        "GET /x HTTP/1.1\r\nhost: h\r\nx: 1\r\ncontent-length: 0\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    );
    let mut connect = head(Method::CONNECT, &[]);
    connect.path = Text::default();
    connect.authority = Text::from_static("a:80");
    assert_eq!(
        encoded(&connect, false),
        ("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n".to_owned(), OutgoingBody::Tunnel)
    );
    let context = ResponseContext { to_connect: true, close: true, ..ResponseContext::default() };
    assert_eq!(response(200, &[], false, &context), ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), OutgoingBody::Tunnel));
    let context =
        ResponseContext { upgrade: Some(Text::from_static("websocket")), close: true, ..ResponseContext::default() };
    let (text, body) = response(101, &[("x", "1")], false, &context);
    assert_eq!(text, "HTTP/1.1 101 Switching Protocols\r\nx: 1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_eq!(body, OutgoingBody::Tunnel);
    let own = [("connection", "Upgrade"), ("upgrade", "other"), ("x", "1")];
    let (text, body) = response(101, &own, false, &context);
    assert_eq!(text, "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: other\r\nx: 1\r\n\r\n");
    assert_eq!(body, OutgoingBody::Tunnel);
    let to_nothing = response(101, &[("x", "1")], true, &context);
    let expected = "HTTP/1.1 101 Switching Protocols\r\nx: 1\r\nconnection: close\r\n\r\n";
    assert_eq!(to_nothing, (expected.to_owned(), OutgoingBody::Done));
}

#[test]
fn a_target_that_would_break_the_line_is_not_sent() {
    for bad in ["/a b", "/a\r\nx: 1", "/a\u{7f}", "/\t"] {
        let mut head = head(Method::GET, &[]);
        head.path = Text::from(bad);
        let mut out = BytesMut::new();
        assert!(encode::request_head(&mut out, &head, true, HeaderKeyFormat::LowerCase, false).is_err());
        assert!(out.is_empty());
    }
}

#[test]
fn proper_case_and_absolute_form() {
    let mut out = BytesMut::new();
    let head = head(Method::POST, &[("x-request-id", "1"), ("foo$b#$are", "2")]);
    encode::request_head(&mut out, &head, false, HeaderKeyFormat::ProperCase, true).unwrap();
    let expected =
        "POST http://h/x HTTP/1.1\r\nHost: h\r\nX-Request-Id: 1\r\nFoo$B#$Are: 2\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(out, expected.as_bytes());
}

#[test]
fn chunk_sizes_are_lower_case_hexadecimal() {
    for (size, text) in [(0, "0"), (5, "5"), (16, "10"), (0xabc_def, "abcdef"), (usize::MAX, "ffffffffffffffff")] {
        let mut out = BytesMut::new();
        encode::chunk_size(&mut out, size);
        assert_eq!(out, format!("{text}\r\n").as_bytes());
    }
}
