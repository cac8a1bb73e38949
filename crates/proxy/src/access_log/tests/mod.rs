//! Lines as Envoy 1.40 wrote them for the same requests, and what becomes of them.

mod filter;
mod lines;
mod sinks;

use std::{
    rc::Rc,
    time::{Duration, UNIX_EPOCH},
};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use nuncio_api::{Headers, Protocol, RequestHead, ResponseHead, Scheme, Text};
use nuncio_net::SocketAddress;
use tokio::time::Instant;

use crate::stream_info::{ConnectionInfo, StreamInfo};

fn headers(list: &[(&'static str, &str)]) -> Headers {
    list.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_bytes(v.as_bytes()).unwrap())).collect()
}

fn address(text: &str) -> SocketAddress {
    SocketAddress::Ip(text.parse().unwrap())
}

fn connection() -> Rc<ConnectionInfo> {
    Rc::new(ConnectionInfo {
        id: 7,
        remote: address("127.0.0.1:58778"),
        local: address("127.0.0.1:21017"),
        listener: "l".into(),
        tls: false,
        start: Instant::now(),
    })
}

fn request(path: &str, list: &[(&'static str, &str)]) -> RequestHead {
    RequestHead {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: Text::from("h.example"),
        path: Text::from(path),
        protocol: Protocol::Http11,
        upgrade: None,
        headers: headers(list),
    }
}

/// A stream that began at 2026-11-22T15:10:46.613Z and lasted 1 ms.
fn stream(request: Option<RequestHead>) -> StreamInfo {
    let mut info = StreamInfo::new(connection(), request);
    info.start_time = UNIX_EPOCH + Duration::from_millis(1_795_360_246_613);
    info.end = Some(info.start + Duration::from_millis(1));
    info
}

fn respond(info: &mut StreamInfo, status: u16, list: &[(&'static str, &str)]) {
    let mut response = ResponseHead::new(StatusCode::from_u16(status).unwrap());
    response.headers = headers(list);
    info.response = Some(response);
    info.upstream_first_rx = Some(info.start);
}
