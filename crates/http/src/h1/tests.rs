//! Tests of the codec: tables over the pure core, splits at every byte, and whole connections
//! over socket pairs.

mod chunks;
mod client;
mod encoding;
mod requests;
mod responses;
mod server;
mod spelling;
mod splits;

use std::{future::poll_fn, sync::Arc};

use bytes::BytesMut;
use nuncio_api::{Frame, Headers};
use nuncio_net::Stream;
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::UnixStream};

use super::{ClientConn, ClientOptions, ServerConn, ServerOptions};
use crate::exchange::Exchange;
use crate::{ProtocolError, StreamError};

/// Headers as lines, to compare at a glance.
fn lines(headers: &Headers) -> Vec<String> {
    headers.iter().map(|(n, v)| format!("{n}: {}", String::from_utf8_lossy(v.as_bytes()))).collect()
}

fn server_pair(options: ServerOptions) -> (ServerConn, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ServerConn::new(Stream::Unix(ours), Arc::new(options)), theirs)
}

fn client_pair(options: ClientOptions) -> (ClientConn, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ClientConn::new(Stream::Unix(ours), Arc::new(options)), theirs)
}

/// Reads exactly as many bytes as `expected` has, and compares.
async fn expect(peer: &mut UnixStream, expected: &str) {
    let mut got = vec![0; expected.len()];
    let read = peer.read_exact(&mut got).await;
    assert_eq!(String::from_utf8_lossy(&got), expected, "{read:?}");
}

async fn rest(peer: &mut UnixStream) -> String {
    let mut got = Vec::new();
    peer.read_to_end(&mut got).await.unwrap();
    String::from_utf8_lossy(&got).into_owned()
}

async fn write(peer: &mut UnixStream, bytes: &str) {
    peer.write_all(bytes.as_bytes()).await.unwrap();
}

async fn flush(exchange: &mut impl Exchange) {
    poll_fn(|cx| exchange.poll_flush(cx)).await.unwrap();
}

/// The body and trailers of a message, to its end.
async fn body(exchange: &mut impl Exchange) -> Result<(String, Headers), StreamError> {
    let mut all = BytesMut::new();
    loop {
        match poll_fn(|cx| exchange.poll_frame(cx)).await? {
            Frame::Data { data, end } => {
                all.extend_from_slice(&data);
                if end {
                    return Ok((String::from_utf8_lossy(&all).into_owned(), Headers::new()));
                }
            }
            Frame::Trailers(trailers) => {
                return Ok((String::from_utf8_lossy(&all).into_owned(), trailers));
            }
        }
    }
}

fn protocol_error(error: StreamError) -> ProtocolError {
    match error {
        StreamError::Protocol(error) => error,
        other => panic!("not a protocol error: {other}"),
    }
}
