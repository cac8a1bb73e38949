//! A hyper client of either protocol on one connection.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Builder};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::{body, body::Body, wait::within};

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

impl Version {
    /// As `%PROTOCOL%` prints it.
    #[must_use]
    pub fn as_logged(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// One connection to the proxy.
pub struct Client {
    sender: Sender,
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers.
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// The value of a header field as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects. Must run within a tokio runtime, which drives the connection.
    pub async fn connect(version: Version, address: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await.expect("a connection");
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        let sender = match version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(io).await.unwrap();
                tokio::spawn(connection.with_upgrades());
                Sender::Http1(sender)
            }
            Version::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.initial_stream_window_size(1 << 20).initial_connection_window_size(1 << 20);
                let (sender, connection) = builder.handshake(io).await.unwrap();
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
        };
        Self { sender }
    }

    /// A request for `path` at host `test`, in the form that the protocol wants.
    pub fn request(&self, method: Method, path: &str) -> Builder {
        let builder = Request::builder().method(method);
        match self.sender {
            Sender::Http1(_) => builder.uri(path).header("host", "test"),
            Sender::Http2(_) => builder.uri(format!("http://test{path}")),
        }
    }

    /// Sends a request; its response head.
    pub async fn try_send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        within("a response head", async {
            match &mut self.sender {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::Http2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
            }
        })
        .await
    }

    /// Sends a request that must be answered.
    pub async fn send(&mut self, request: Request<Body>) -> Response<Incoming> {
        self.try_send(request).await.expect("a response")
    }

    /// Sends a request and reads the whole response.
    pub async fn exchange(&mut self, request: Request<Body>) -> Answer {
        let response = self.send(request).await;
        collect(response).await.expect("a whole response")
    }

    /// GET.
    pub async fn get(&mut self, path: &str) -> Answer {
        let request = self.request(Method::GET, path).body(body::empty()).unwrap();
        self.exchange(request).await
    }

    /// POST with a body of known length.
    pub async fn post(&mut self, path: &str, bytes: impl Into<Bytes>) -> Answer {
        let request = self.request(Method::POST, path).body(body::full(bytes)).unwrap();
        self.exchange(request).await
    }

    /// Resolves when the peer has said that this connection takes no more requests.
    pub async fn closed(&mut self) {
        crate::wait::until("the end of a client's connection", || {
            let closed = match &self.sender {
                Sender::Http1(sender) => sender.is_closed(),
                Sender::Http2(sender) => sender.is_closed(),
            };
            if closed { Ok(()) } else { Err("open") }
        })
        .await;
    }
}

/// Reads a response to its end.
pub async fn collect(response: Response<Incoming>) -> hyper::Result<Answer> {
    let (head, incoming) = response.into_parts();
    let collected = within("a whole response", incoming.collect()).await?;
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        trailers: collected.trailers().cloned(),
        body: collected.to_bytes(),
    })
}
