//! Conversations over loopback sockets, with the h2 crate itself or hand-made frames as the peer.

mod client;
mod floods;
mod refused;
mod server;
mod wire;

use std::{future::poll_fn, rc::Rc, time::Duration};

use bytes::Bytes;
use nuncio_api::{Frame, HeaderName, HeaderValue, Headers, RequestHead, ResponseHead};
use nuncio_net::Stream;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
    time::timeout,
};

use super::*;
use crate::{
    error::StreamError,
    exchange::{ClientExchange, Exchange, ServerExchange},
};

/// Runs a conversation with a deadline, since a missed wake-up would hang it.
async fn conversation<T>(talk: impl Future<Output = T>) -> T {
    let local = LocalSet::new();
    timeout(Duration::from_secs(20), local.run_until(talk)).await.expect("the conversation stands still")
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

fn headers(list: &[(&str, &str)]) -> Headers {
    list.iter()
        .map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        })
        .collect()
}

fn list(headers: &Headers) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

fn ok() -> ResponseHead {
    ResponseHead::new(http::StatusCode::OK)
}

/// How a server under test ended.
type Ending = tokio::task::JoinHandle<Option<StreamError>>;

/// Runs the server under test on `socket`; each stream goes to `handle`.
fn serve_with<F, R>(socket: TcpStream, options: &ServerOptions, counters: &Rc<H2Counters>, handle: F) -> Ending
where
    F: Fn(RequestHead, ServerStream) -> R + 'static,
    R: Future<Output = ()> + 'static,
{
    let mut connection = serve(Stream::Tcp(socket), Bytes::new(), options, counters.clone());
    spawn_local(async move {
        loop {
            match poll_fn(|cx| connection.poll_accept(cx)).await {
                Some(Ok((head, _, stream))) => drop(spawn_local(handle(head, stream))),
                Some(Err(error)) => {
                    poll_fn(|cx| connection.poll_peer_closed(cx)).await;
                    return Some(error);
                }
                None => return None,
            }
        }
    })
}

/// Reads a body to its end.
async fn body(exchange: &mut impl Exchange) -> Result<(Vec<u8>, Option<Headers>), StreamError> {
    let mut bytes = Vec::new();
    loop {
        match poll_fn(|cx| exchange.poll_frame(cx)).await? {
            Frame::Data { data, end } => {
                bytes.extend_from_slice(&data);
                if end {
                    return Ok((bytes, None));
                }
            }
            Frame::Trailers(trailers) => return Ok((bytes, Some(trailers))),
        }
    }
}

async fn ready(exchange: &mut impl Exchange) -> Result<(), StreamError> {
    poll_fn(|cx| exchange.poll_ready(cx)).await
}

/// The h2 crate as a client, its connection spawned.
async fn h2_client(socket: TcpStream) -> h2::client::SendRequest<Bytes> {
    let (send, connection) = h2::client::handshake(socket).await.unwrap();
    spawn_local(connection);
    send.ready().await.unwrap()
}

/// Waits for a condition that other tasks bring about.
async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}
