//! A small HTTP/2 server on the codec alone, to be put under load by hand (`h2load`, `h2spec`):
//! `h2_server 127.0.0.1:8443` answers `/1024` with so many bytes, anything else with the request
//! body or, if there is none, with `ok`. With a second address it forwards every request there
//! over one HTTP/2 connection instead. Clear text, one thread.

use std::{future::poll_fn, rc::Rc};

use bytes::Bytes;
use nuncio_api::{Frame, RequestHead, ResponseHead, StatusCode};
use nuncio_http::{
    StreamError,
    exchange::{ClientExchange, Exchange, ResetReason, ServerExchange},
    h2::{Accepted, ClientConnection, ClientOptions, H2Counters, ServerOptions, ServerStream, connect, serve},
};
use nuncio_net::Stream;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
    time::{Duration, timeout},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    LocalSet::new().run_until(listen()).await
}

async fn listen() -> std::io::Result<()> {
    let mut addresses = std::env::args().skip(1);
    let listener = TcpListener::bind(addresses.next().unwrap_or_else(|| "127.0.0.1:0".into())).await?;
    let counters = Rc::new(H2Counters::default());
    let upstream = match addresses.next() {
        Some(address) => Some(dial(&address, &counters).await?),
        None => None,
    };
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        spawn_local(connection(socket, upstream.clone(), counters.clone()));
    }
}

async fn dial(address: &str, counters: &Rc<H2Counters>) -> std::io::Result<ClientConnection> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (connection, driver) =
        connect(Stream::Tcp(socket), &ClientOptions::default(), counters.clone()).map_err(std::io::Error::other)?;
    spawn_local(async move { println!("upstream ended: {:?}", driver.await) });
    Ok(connection)
}

async fn connection(socket: TcpStream, upstream: Option<ClientConnection>, counters: Rc<H2Counters>) {
    let mut connection = serve(Stream::Tcp(socket), Bytes::new(), &ServerOptions::default(), counters);
    loop {
        match poll_fn(|cx| connection.poll_accept(cx)).await {
            Some(Ok(accepted)) => drop(spawn_local(stream(accepted, upstream.clone()))),
            Some(Err(error)) => {
                println!("connection ended: {error}");
                break;
            }
            None => break,
        }
    }
    // The last frame may be lost if the socket is closed with input unread.
    let _ = timeout(Duration::from_secs(1), poll_fn(|cx| connection.poll_peer_closed(cx))).await;
}

async fn stream((head, _, mut stream): Accepted, upstream: Option<ClientConnection>) {
    let result = match upstream {
        Some(upstream) => forward(&head, &mut stream, &upstream).await,
        None => answer(&head, &mut stream).await,
    };
    if result.is_err() {
        stream.reset(ResetReason::InternalError);
    }
}

async fn answer(head: &RequestHead, stream: &mut ServerStream) -> Result<(), StreamError> {
    let response = ResponseHead::new(StatusCode::OK);
    if let Ok(size) = head.path.trim_start_matches('/').parse() {
        stream.send_head(&response, false);
        stream.send_data(Bytes::from(vec![b'x'; size]), true);
        return Ok(());
    }
    let mut sent = false;
    loop {
        let frame = poll_fn(|cx| stream.poll_frame(cx)).await?;
        if !std::mem::replace(&mut sent, true) {
            stream.send_head(&response, false);
        }
        poll_fn(|cx| stream.poll_ready(cx)).await?;
        match frame {
            Frame::Data { data, end } => {
                stream.send_data(data, end);
                if end {
                    return Ok(());
                }
            }
            Frame::Trailers(trailers) => {
                stream.send_trailers(&trailers);
                return Ok(());
            }
        }
    }
}

/// Requests without a body only.
async fn forward(
    head: &RequestHead,
    stream: &mut ServerStream,
    upstream: &ClientConnection,
) -> Result<(), StreamError> {
    poll_fn(|cx| upstream.poll_ready(cx)).await?;
    let mut exchange = upstream.try_open().ok_or(StreamError::Refused)?;
    exchange.send_head(head, true);
    let (response, mut end) = poll_fn(|cx| exchange.poll_head(cx)).await?;
    stream.send_head(&response, end);
    while !end {
        poll_fn(|cx| stream.poll_ready(cx)).await?;
        match poll_fn(|cx| exchange.poll_frame(cx)).await? {
            Frame::Data { data, end: last } => {
                stream.send_data(data, last);
                end = last;
            }
            Frame::Trailers(trailers) => {
                stream.send_trailers(&trailers);
                end = true;
            }
        }
    }
    Ok(())
}
