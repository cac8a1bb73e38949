//! Request heads and request bodies, as tables.

use bytes::BytesMut;
use http::StatusCode;
use nuncio_api::{Protocol, Scheme, Text, message::BodyLength};

use super::super::{IgnoredUpgrades, ParsedRequest, ServerOptions, UnderscoresAction, parse_request};
use super::lines;
use crate::ProtocolError;

fn parse_with(text: &str, options: &ServerOptions) -> Result<Option<ParsedRequest>, ProtocolError> {
    parse_request(&mut BytesMut::from(text.as_bytes()), options)
}

fn parse(text: &str) -> ParsedRequest {
    parse_with(text, &ServerOptions::default()).unwrap().unwrap()
}

fn refused(text: &str) -> (u16, &'static str) {
    refused_with(text, &ServerOptions::default())
}

fn refused_with(text: &str, options: &ServerOptions) -> (u16, &'static str) {
    let error = parse_with(text, options).expect_err(text);
    (error.status.as_u16(), error.details)
}

/// A GET of /x with further header lines.
fn get(headers: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

fn post(headers: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

const CODEC_ERROR: (u16, &str) = (400, "http1.codec_error");
const INVALID_CHARACTERS: (u16, &str) = (400, "http1.invalid_characters");
const INVALID_URL: (u16, &str) = (400, "http1.invalid_url");

#[test]
fn a_request_keeps_its_headers_in_order_without_host() {
    let r = parse("GET /a?b=c HTTP/1.1\r\nUser-Agent: t\r\nHost: h.example:80\r\nX-A: 1\r\nx-b:\r\nX-A: 2 \t\r\n\r\n");
    assert_eq!(r.head.method, http::Method::GET);
    assert_eq!(r.head.path, "/a?b=c");
    assert_eq!(r.head.authority, "h.example:80");
    assert_eq!(r.head.scheme, Scheme::Http);
    assert_eq!(r.head.protocol, Protocol::Http11);
    assert_eq!(lines(&r.head.headers), ["user-agent: t", "x-a: 1", "x-b: ", "x-a: 2"]);
    assert_eq!(r.body, BodyLength::Empty);
    assert!(r.keep_alive && !r.expect_continue && !r.is_tunnel());
}

#[test]
fn values_are_slices_of_the_head_that_arrived() {
    let mut buf = BytesMut::from("GET /some/path HTTP/1.1\r\nHost: a\r\nx: value\r\n\r\nrest");
    let range = buf.as_ptr_range();
    let r = parse_request(&mut buf, &ServerOptions::default()).unwrap().unwrap();
    let value = r.head.headers.get_str(&http::HeaderName::from_static("x")).unwrap();
    for piece in [value.as_bytes(), r.head.path.as_bytes(), r.head.authority.as_bytes()] {
        assert!(range.contains(&piece.as_ptr()));
    }
    assert_eq!(&buf[..], b"rest");
}

#[test]
fn an_incomplete_head_is_left_alone() {
    for text in ["", "\r\n", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut buf = BytesMut::from(text);
        assert!(parse_request(&mut buf, &ServerOptions::default()).unwrap().is_none(), "{text:?}");
    }
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    assert_eq!(parse("\r\n\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n").head.path, "/x");
}

#[test]
fn bare_line_feeds_end_lines() {
    let r = parse("GET /x HTTP/1.1\nHost: a\nx: 1\n\n");
    assert_eq!(lines(&r.head.headers), ["x: 1"]);
}

#[test]
fn folded_lines_are_joined_and_keep_their_spaces() {
    let cases = [
        ("x: a\r\n b\r\n", "x: a b"),
        ("x: a \r\n\t \tb\r\n  c\r\n", "x: a \t \tb  c"),
        ("x:\r\n b\r\n", "x: b"),
        ("x: a\r\n \r\n", "x: a"),
        ("x: a\n b\n", "x: a b"),
    ];
    for (folded, joined) in cases {
        assert_eq!(lines(&parse(&get(folded)).head.headers), [joined], "{folded:?}");
    }
    let r = parse(&post("Transfer-Encoding:\r\n chunked\r\n"));
    assert_eq!(r.body, BodyLength::Unknown);
    assert_eq!(refused("GET /x HTTP/1.1\r\n x: 1\r\nHost: a\r\n\r\n"), CODEC_ERROR);
    assert_eq!(refused(&get("x: a\r\n b\0\r\n")), INVALID_CHARACTERS);
}

#[test]
fn broken_start_lines_are_refused() {
    for line in [
        "G@T / HTTP/1.1",
        "FOO / HTTP/1.1",
        "get / HTTP/1.1",
        "PRI * HTTP/2.0",
        "FOO / HTTP/1.2",
        "GET /a b HTTP/1.2",
        "GET / HTTP/12",
        "GET / http/1.1",
        "FOO /",
        "GET up",
        "GET  / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET up HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /a\tb HTTP/1.1",
        "M-SEARCH / HTTP/1.1",
        "GET ://a/ HTTP/1.1",
    ] {
        assert_eq!(refused(&format!("{line}\r\nHost: a\r\n\r\n")), CODEC_ERROR, "{line:?}");
    }
    for line in ["GET /a\u{7f}b HTTP/1.1", "GET /a\0b HTTP/1.1", "GET / HTTP/1.1\u{1}"] {
        assert_eq!(refused(&format!("{line}\r\nHost: a\r\n\r\n")), INVALID_CHARACTERS, "{line:?}");
    }
    assert_eq!(refused("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), INVALID_URL);
}

#[test]
fn another_version_is_as_good_as_http_10() {
    for line in ["GET / HTTP/1.2", "GET / HTTP/2.0", "PURGE /a HTTP/0.9", "GET /", "GET / "] {
        assert_eq!(refused(&format!("{line}\r\nHost: a\r\n\r\n")), (426, "low_version"), "{line:?}");
    }
}

#[test]
fn broken_header_lines_are_refused() {
    for line in ["Bad Header: 1", "Host : a", ": b", "foo", "fo(o: 1"] {
        assert_eq!(refused(&get(&format!("{line}\r\n"))), CODEC_ERROR, "{line:?}");
    }
    for line in ["x\0: 1", "x: a\0b", "x: a\u{1}b", "x: a\u{7f}b", "x: a\rb", "x: a\r\r"] {
        assert_eq!(refused(&get(&format!("{line}\r\n"))), INVALID_CHARACTERS, "{line:?}");
    }
    assert_eq!(parse(&get("x: a\tb\u{e9}\r\n")).head.headers.len(), 1);
}

#[test]
fn garbage_is_refused_before_it_ends() {
    let error = parse_request(&mut BytesMut::from(&b"\x16\x03\x01\x02"[..]), &ServerOptions::default());
    assert_eq!(error.unwrap_err().details, "http1.codec_error");
}

#[test]
fn methods_that_envoy_knows_pass_and_others_with_leave() {
    for method in ["PURGE", "MSEARCH", "PROPFIND", "UNSUBSCRIBE", "QUERY"] {
        assert_eq!(parse(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).head.method.as_str(), method);
    }
    let options = ServerOptions { allow_custom_methods: true, ..ServerOptions::default() };
    let r = parse_with("FOO / HTTP/1.1\r\nHost: a\r\n\r\n", &options).unwrap().unwrap();
    assert_eq!(r.head.method.as_str(), "FOO");
}

#[test]
fn an_absolute_target_wins_over_host() {
    let cases = [
        ("http://b/x", Scheme::Http, "b", "/x"),
        ("HTTP://b:8080/x?y", Scheme::Http, "b:8080", "/x?y"),
        ("https://b", Scheme::Https, "b", "/"),
        ("http://b?x=1", Scheme::Http, "b", "/?x=1"),
        ("http://[::1]:80/", Scheme::Http, "[::1]:80", "/"),
    ];
    for (target, scheme, authority, path) in cases {
        let r = parse(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!((r.head.scheme, &*r.head.authority, &*r.head.path), (scheme, authority, path));
    }
    for target in ["http:///x", "http://u@b/x", "http://b:99999/x", "http://b:x/", "http://a,b/", "http://[::1/"] {
        assert_eq!(refused(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")), INVALID_URL, "{target}");
    }
    assert_eq!(refused("GET ftp://b/ HTTP/1.1\r\nHost: h\r\n\r\n"), (400, "http1.invalid_scheme"));
    let options = ServerOptions { allow_absolute_url: false, ..ServerOptions::default() };
    assert_eq!(refused_with("GET http://b/ HTTP/1.1\r\nHost: h\r\n\r\n", &options), CODEC_ERROR);
}

#[test]
fn asterisk_and_authority_form() {
    assert_eq!(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").head.path, "*");
    assert_eq!(parse("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n").head.path, "/");
    let r = parse("CONNECT a:80 HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!((&*r.head.authority, &*r.head.path), ("a:80", ""));
    assert!(r.is_tunnel());
    assert_eq!(r.body, BodyLength::Unknown);
    for target in ["a", "/a", "a:", "http://a:80", "a:80/x", ":80x", ":80", "[::1]", "[::]:", "a_b:80"] {
        assert_eq!(refused(&format!("CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n")), INVALID_URL, "{target}");
    }
    assert_eq!(refused("CONNECT a:1 HTTP/1.1\r\nContent-Length: 3\r\n\r\n"), (400, "http1.body_disallowed"));
    assert_eq!(
        refused("CONNECT a:1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (501, "http1.invalid_transfer_encoding")
    );
}

#[test]
fn host_is_one_host() {
    let host = |lines: &str| format!("GET /x HTTP/1.1\r\n{lines}\r\n");
    assert_eq!(parse(&host("")).head.authority, "");
    assert_eq!(refused(&host("Host: a\r\nHost: a\r\n")), CODEC_ERROR);
    assert_eq!(refused(&host("Host: a\r\nHost: b\r\n")), CODEC_ERROR);
    for value in ["a b", "a/b", "u@b", "a:b", "a#", "a?b", "a\\b", "\u{e9}", "[a"] {
        assert_eq!(refused(&host(&format!("Host: {value}\r\n"))), (400, "http.invalid_authority"), "{value}");
    }
    for value in ["a_b.example", "xn--a.example:8080", "[2001:db8::1]:443", "1.2.3.4", "a.", "a,b", "a:", "a:99999"] {
        assert_eq!(parse(&host(&format!("Host: {value}\r\n"))).head.authority, value);
    }
}

#[test]
fn an_empty_host_is_not_a_missing_one() {
    let headers = |text: &str| lines(&parse(text).head.headers);
    assert_eq!(headers("GET /x HTTP/1.1\r\nHost:\r\n\r\n"), ["host: "]);
    assert_eq!(headers("GET /x HTTP/1.1\r\n\r\n"), [""; 0]);
    assert_eq!(headers("GET http://a/x HTTP/1.1\r\nHost:\r\n\r\n"), [""; 0]);
}

#[test]
fn content_length_is_digits_and_there_once() {
    assert_eq!(parse(&post("Content-Length: 4\r\n")).body, BodyLength::Known(4));
    assert_eq!(parse(&post("Content-Length: 002\r\n")).body, BodyLength::Known(2));
    assert_eq!(parse(&post("Content-Length: 0\r\n")).body, BodyLength::Empty);
    assert_eq!(parse(&post("Content-Length: 18446744073709551615\r\n")).body, BodyLength::Known(u64::MAX));
    for value in ["-4", "+4", "4, 4", "4 4", "", "0x2", "4a", "18446744073709551616", "4.0", "\u{b2}"] {
        assert_eq!(refused(&post(&format!("Content-Length: {value}\r\n"))), CODEC_ERROR, "{value}");
    }
    for second in ["4", "5"] {
        let lines = format!("Content-Length: 4\r\nContent-Length: {second}\r\n");
        assert_eq!(refused(&post(&lines)), CODEC_ERROR);
    }
}

#[test]
fn only_a_single_chunked_coding_is_taken() {
    assert_eq!(parse(&post("Transfer-Encoding: CHUNKED\r\n")).body, BodyLength::Unknown);
    for lines in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
    ] {
        let (status, details) = refused(&post(lines));
        let expected =
            if lines.contains('\u{b}') { INVALID_CHARACTERS } else { (501, "http1.invalid_transfer_encoding") };
        assert_eq!((status, details), expected, "{lines:?}");
    }
}

#[test]
fn content_length_beside_chunked_is_refused_or_dropped() {
    let both = post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n");
    assert_eq!(refused(&both), (400, "http1.content_length_and_chunked_not_allowed"));
    let other = post("Content-Length: 4\r\nTransfer-Encoding: identity\r\n");
    assert_eq!(refused(&other), (400, "http1.content_length_and_chunked_not_allowed"));
    let options = ServerOptions { allow_chunked_length: true, ..ServerOptions::default() };
    let r = parse_with(&both, &options).unwrap().unwrap();
    assert_eq!(r.body, BodyLength::Unknown);
    assert!(!r.keep_alive);
    assert_eq!(lines(&r.head.headers), ["transfer-encoding: chunked"]);
}

#[test]
fn http_10_needs_leave_and_asks_for_keep_alive() {
    let text = "GET /x HTTP/1.0\r\n\r\n";
    assert_eq!(refused(text), (426, "low_version"));
    let options = ServerOptions {
        accept_http_10: true,
        default_host_for_http_10: Some(Text::from_static("default")),
        ..ServerOptions::default()
    };
    let r = parse_with(text, &options).unwrap().unwrap();
    assert_eq!((r.head.protocol, &*r.head.authority, r.keep_alive), (Protocol::Http10, "default", false));
    let r = parse_with("GET /x HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", &options).unwrap().unwrap();
    assert_eq!((&*r.head.authority, r.keep_alive), ("a", true));
    let chunked = "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused_with(chunked, &options), (400, "http1.transfer_encoding_not_allowed"));
}

#[test]
fn connection_decides_on_keep_alive_and_drops_what_it_nominates() {
    assert!(!parse(&get("Connection: Close\r\n")).keep_alive);
    assert!(!parse(&get("Connection: x-foo\r\nConnection: a, close\r\n")).keep_alive);
    assert!(!parse(&get("Proxy-Connection: close\r\n")).keep_alive);
    let r = parse(&get("Connection: X-Foo, te\r\nx-foo: 1\r\nTE: trailers\r\nx-bar: 2\r\n"));
    assert_eq!(lines(&r.head.headers), ["connection: X-Foo, te", "te: trailers", "x-bar: 2"]);
    let r = parse(&post("Connection: content-length\r\nContent-Length: 2\r\n"));
    assert_eq!(r.body, BodyLength::Known(2));
    assert!(!r.head.headers.contains(&http::header::CONTENT_LENGTH));
    let r = parse(&get("Connection: Host\r\n"));
    assert_eq!(r.head.authority, "");
    let eleven: Vec<String> = (0..11).map(|i| format!("x{i}")).collect();
    for value in ["x-forwarded-for", "X-Forwarded-Proto", &eleven.join(",")] {
        let refusal = refused(&get(&format!("Connection: {value}\r\n")));
        assert_eq!(refusal, (400, "http1.connection_header_rejected"), "{value}");
    }
}

#[test]
fn an_upgrade_needs_both_headers_http_11_and_no_body() {
    let r = parse(&get("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"));
    assert_eq!(r.head.upgrade.as_deref(), Some("websocket"));
    assert!(r.is_tunnel() && r.body == BodyLength::Unknown);
    assert!(!parse(&get("Upgrade: foo\r\n")).is_tunnel());
    assert!(!parse(&get("Connection: upgrade\r\n")).is_tunnel());
    for list in ["Upgrade: a, h2c", "Upgrade: a\r\nUpgrade: h2c"] {
        let r = parse(&get(&format!("Connection: upgrade\r\n{list}\r\n")));
        assert_eq!(r.head.upgrade.as_deref().map(|list| list.replace(' ', "")).as_deref(), Some("a,h2c"));
    }
    for nothing in ["Upgrade:", "Upgrade:\r\nContent-Length: 3"] {
        let r = parse(&get(&format!("Connection: upgrade\r\n{nothing}\r\n")));
        assert_eq!(r.head.upgrade.as_deref(), Some(""), "{nothing}");
    }
    let r = parse(&get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: abc\r\nx: 1\r\n"));
    assert!(!r.is_tunnel() && r.head.headers.get_str(&http::HeaderName::from_static("http2-settings")).is_none());
    let r = parse(&post("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n"));
    assert_eq!((r.head.upgrade, r.body), (None, BodyLength::Known(3)));
    let r = parse(&post("Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n"));
    assert_eq!((r.head.upgrade, r.body), (None, BodyLength::Unknown));
}

#[test]
fn an_ignored_upgrade_was_not_asked_for() {
    let ignored = IgnoredUpgrades::new(|token| token.starts_with(b"tls/"));
    let options = ServerOptions { ignored_upgrades: Some(ignored), ..ServerOptions::default() };
    for (asked, taken) in [("tls/1.0", None), ("tls/1.0, foo", Some("foo")), ("tls/1.0,tls/1.2", None)] {
        let text = get(&format!("Connection: upgrade\r\nUpgrade: {asked}\r\n"));
        let r = parse_with(&text, &options).unwrap().unwrap();
        assert_eq!(r.head.upgrade.as_deref(), taken, "{asked}");
    }
}

#[test]
fn expect_is_flagged_only_for_100_continue() {
    assert!(parse(&post("Expect: 100-Continue\r\nContent-Length: 2\r\n")).expect_continue);
    let r = parse(&post("Expect: foo\r\n"));
    assert!(!r.expect_continue);
    assert_eq!(lines(&r.head.headers), ["expect: foo"]);
}

#[test]
fn underscores_pass_are_dropped_or_refused() {
    let text = get("x_under: 1\r\nx-b: 2\r\n");
    assert_eq!(parse(&text).head.headers.len(), 2);
    let options = ServerOptions { underscores: UnderscoresAction::DropHeader, ..ServerOptions::default() };
    let r = parse_with(&text, &options).unwrap().unwrap();
    assert_eq!((lines(&r.head.headers), r.dropped_underscores), (vec!["x-b: 2".into()], 1));
    let options = ServerOptions { underscores: UnderscoresAction::RejectRequest, ..ServerOptions::default() };
    assert_eq!(refused_with(&text, &options), (400, "http1.unexpected_underscore"));
}

#[test]
fn heads_are_limited_in_bytes_and_lines() {
    let with = |n: usize| get(&(0..n).map(|i| format!("x-{i}: 1\r\n")).collect::<String>());
    assert_eq!(parse(&with(99)).head.headers.len(), 99);
    assert_eq!(refused(&with(100)), (431, "http1.too_many_headers"));
    let options = ServerOptions { max_headers_count: 500, ..ServerOptions::default() };
    assert!(parse_with(&with(499), &options).unwrap().is_some());
    assert_eq!(refused_with(&with(500), &options), (431, "http1.too_many_headers"));
    parse(&get(&format!("x: {}\r\n", "a".repeat(59_000))));
    assert_eq!(refused(&get(&format!("x: {}\r\n", "a".repeat(62_000)))), (431, "http1.headers_too_large"));
    let endless = format!("GET /{}", "a".repeat(61_500));
    assert_eq!(refused(&endless), (431, "http1.headers_too_large"));
    assert_eq!(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_u16(), 431);
}
