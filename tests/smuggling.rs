//! Requests that two parsers could cut at different places: refused, and nothing of them or of
//! what follows them reaches an upstream.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use nuncio_testkit::{Config, Proxy, Upstream, Version, Wire};

/// The request that hides behind a doubtful one.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";

/// Status, name, head fields, body. Every one must be refused before any byte is forwarded.
const HEADS: &[(u16, &str, &str, &str)] = &[
    (400, "length and chunked", "content-length: 4\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
    (400, "chunked and length", "transfer-encoding: chunked\r\ncontent-length: 4\r\n", "0\r\n\r\n"),
    (400, "two different lengths", "content-length: 4\r\ncontent-length: 5\r\n", "abcd"),
    (400, "a list of different lengths", "content-length: 4, 5\r\n", "abcd"),
    (400, "two same lengths", "content-length: 4\r\ncontent-length: 4\r\n", "abcd"),
    (400, "a negative length", "content-length: -4\r\n", "abcd"),
    (400, "a length with a plus", "content-length: +4\r\n", "abcd"),
    (400, "a length in hex", "content-length: 0x4\r\n", "abcd"),
    (400, "a length with a space inside", "content-length: 4 4\r\n", "abcd"),
    (400, "an empty length", "content-length:\r\n", ""),
    (400, "a length beyond 64 bits", "content-length: 18446744073709551617\r\n", "a"),
    (501, "chunked before gzip", "transfer-encoding: chunked, gzip\r\n", "0\r\n\r\n"),
    (501, "chunked twice in one", "transfer-encoding: chunked, chunked\r\n", "0\r\n\r\n"),
    (501, "chunked twice", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
    (501, "chunked, then identity", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "0\r\n\r\n"),
    (501, "an unknown coding", "transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
    (501, "a quoted coding", "transfer-encoding: \"chunked\"\r\n", "0\r\n\r\n"),
    (400, "a vertical tab before the coding", "transfer-encoding: \x0bchunked\r\n", "0\r\n\r\n"),
    (400, "a space before the colon", "transfer-encoding : chunked\r\n", "0\r\n\r\n"),
    (400, "a bare CR in a value", "x: a\rtransfer-encoding: chunked\r\n", ""),
    (400, "a NUL in a value", "x: a\0b\r\n", ""),
    (400, "a line without a colon", "nocolon\r\n", ""),
    (400, "a second host", "host: b\r\n", ""),
];

/// Name and body of a chunked request: the head is good, so that it may be forwarded, the body is
/// not, so that it must not end as if it were.
const CHUNKS: &[(&str, &str)] = &[
    ("data longer than its size", "3\r\nabcd\r\n0\r\n\r\n"),
    ("a negative size", "-3\r\nabc\r\n0\r\n\r\n"),
    ("a size with 0x", "0x3\r\nabc\r\n0\r\n\r\n"),
    ("a size with a plus", "+3\r\nabc\r\n0\r\n\r\n"),
    ("a size with a leading space", " 3\r\nabc\r\n0\r\n\r\n"),
    ("an empty size", "\r\nabc\r\n0\r\n\r\n"),
    ("a size that overflows", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("a size with an underscore", "1_0\r\n0123456789abcdef\r\n0\r\n\r\n"),
    ("lines ended by LF", "3\nabc\n0\n\n"),
    ("lines ended by CR", "3\rabc\r\n0\r\n\r\n"),
    ("LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
    ("CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ("NUL in an extension", "3;a\0b\r\nabc\r\n0\r\n\r\n"),
    ("a trailer without a colon", "0\r\nnocolon\r\n\r\n"),
];

#[tokio::test]
async fn a_doubtful_head_is_refused_and_nothing_is_forwarded() {
    let upstream = Upstream::echo(Version::Http1);
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    for (index, (status, name, fields, body)) in HEADS.iter().enumerate() {
        let mut wire = Wire::connect(proxy.address()).await;
        wire.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}{HIDDEN}")).await;
        let response = wire.response().await;
        assert_eq!(response.status(), *status, "{name}");
        assert_eq!(response.header("connection"), Some("close"), "{name}");
        wire.expect_close().await;
        let line = proxy.log_line(index + 1).await;
        assert_eq!((line.field("code"), line.field("flags")), (status.to_string().as_str(), "DPE"), "{name}");
        assert!(line.field("details").starts_with("http1."), "{name}: {}", line.text);
    }
    assert_eq!(upstream.connections(), 0);
    let count = HEADS.len() as u64;
    proxy.stats().expect(&[
        ("http.main.downstream_cx_protocol_error", count),
        ("http.main.downstream_rq_completed", count),
        ("cluster.up.upstream_cx_total", 0),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_doubtful_body_ends_the_request_and_nothing_behind_it_is_read() {
    let upstream = Upstream::echo(Version::Http1);
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    for (index, (name, body)) in CHUNKS.iter().enumerate() {
        let mut wire = Wire::connect(proxy.address()).await;
        wire.send(format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}{HIDDEN}")).await;
        let (answer, _) = wire.read_to_end().await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer}");
        assert!(!answer.ends_with("0\r\n\r\n"), "{name}: the echo must not look whole: {answer}");
        proxy.log_line(index + 1).await.expect(&[("flags", "DPE")]);
    }
    assert!(upstream.requests().iter().all(|seen| seen.path == "/"), "{:?}", upstream.requests());
    proxy.stats().expect(&[("http.main.downstream_cx_protocol_error", CHUNKS.len() as u64)]);
    proxy.stop().await;
}

#[tokio::test]
async fn what_is_allowed_is_forwarded_with_one_framing() {
    let upstream = Upstream::echo(Version::Http1);
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    for (fields, body) in [
        ("content-length: 0004\r\n", "abcd"),
        ("transfer-encoding:\tchunked\r\n", "4;ext=1\r\nabcd\r\n0\r\n\r\n"),
        ("transfer-encoding:\r\n chunked\r\n", "4\r\nabcd\r\n0\r\n\r\n"),
        ("transfer-encoding: Chunked\r\n", "2\r\nab\r\n2\r\ncd\r\n0\r\nx-t: 1\r\n\r\n"),
    ] {
        let mut wire = Wire::connect(proxy.address()).await;
        wire.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}")).await;
        let response = wire.response().await;
        assert_eq!((response.status(), response.text().as_str()), (200, "abcd"), "{fields}");
        let seen = upstream.last();
        let framings = [seen.header("content-length").is_some(), seen.header("transfer-encoding").is_some()];
        assert_eq!(framings.iter().filter(|framed| **framed).count(), 1, "{fields}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn an_absolute_target_overrules_the_host() {
    let upstream = Upstream::echo(Version::Http1);
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("GET http://real/path HTTP/1.1\r\nhost: fake\r\n\r\n").await;
    assert_eq!(wire.response().await.status(), 200);
    let seen = upstream.last();
    assert_eq!((seen.host.as_str(), seen.path.as_str()), ("real", "/path"));
    proxy.stop().await;
}

#[tokio::test]
async fn heads_beyond_the_limits_get_431() {
    let upstream = Upstream::echo(Version::Http1);
    let proxy = Proxy::start(&Config::forwarding_to(Version::Http1, upstream.address())).await;
    let long = format!("x-long: {}\r\n", "a".repeat(61 * 1024));
    let many = (0..101).map(|index| format!("x-{index}: 1\r\n")).collect::<String>();
    for (index, fields) in [long, many].into_iter().enumerate() {
        let mut wire = Wire::connect(proxy.address()).await;
        wire.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await;
        assert_eq!(wire.response().await.status(), 431);
        wire.expect_close().await;
        proxy.log_line(index + 1).await.expect(&[("code", "431"), ("flags", "DPE")]);
    }
    assert_eq!(upstream.connections(), 0);
    proxy.stats().expect(&[("http.main.downstream_cx_protocol_error", 2), ("http.main.downstream_rq_4xx", 2)]);
    proxy.stop().await;
}
