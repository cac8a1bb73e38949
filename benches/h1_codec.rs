//! What reading the heads of HTTP/1 messages costs.

use std::hint::black_box;

use bytes::BytesMut;
use nuncio_http::h1::{Asked, ClientOptions, ServerOptions, parse_request, parse_response};

const SMALL: &str = "GET / HTTP/1.1\r\nHost: svc.example.test\r\n\r\n";
const USUAL: &str = "GET /api/v1/items/42?verbose=1 HTTP/1.1\r\nHost: svc.example.test\r\n\
    User-Agent: curl/8.5.0\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate\r\n\
    Authorization: Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl\r\n\
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\
    Cache-Control: no-store\r\nServer: upstream\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\n\r\n";

fn main() {
    divan::main();
}

fn read(bencher: divan::Bencher<'_, '_>, text: &str) {
    let options = ServerOptions::default();
    let bytes = divan::counter::BytesCount::new(text.len());
    bencher.counter(bytes).with_inputs(|| BytesMut::from(text)).bench_local_values(|mut buf| {
        let _ = black_box(parse_request(&mut buf, &options));
        buf
    });
}

#[divan::bench]
fn small_request(bencher: divan::Bencher<'_, '_>) {
    read(bencher, SMALL);
}

#[divan::bench]
fn usual_request(bencher: divan::Bencher<'_, '_>) {
    read(bencher, USUAL);
}

#[divan::bench]
fn response(bencher: divan::Bencher<'_, '_>) {
    let options = ClientOptions::default();
    let bytes = divan::counter::BytesCount::new(RESPONSE.len());
    bencher.counter(bytes).with_inputs(|| BytesMut::from(RESPONSE)).bench_local_values(|mut buf| {
        let _ = black_box(parse_response(&mut buf, Asked::Plain, &options));
        buf
    });
}
