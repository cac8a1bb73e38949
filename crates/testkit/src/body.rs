//! Message bodies for hyper peers.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::mpsc;

/// Any body.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// No body.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of known length.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A received body, sent on as it comes, trailers included.
#[must_use]
pub fn echo(incoming: Incoming) -> Body {
    incoming.map_err(io::Error::other).boxed_unsync()
}

/// A body that a test feeds frame by frame; dropping the feed ends it.
#[must_use]
pub fn fed() -> (Feed, Body) {
    let (sender, frames) = mpsc::channel(1);
    (Feed { sender }, Fed { frames }.boxed_unsync())
}

/// Bytes of a recognisable pattern, so that a lost or repeated part shows.
#[must_use]
pub fn pattern(length: usize) -> Bytes {
    (0_u32..).flat_map(u32::to_be_bytes).take(length).collect()
}

/// Trailers or headers from pairs.
#[must_use]
pub fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

/// The writing end of a fed body.
pub struct Feed {
    sender: mpsc::Sender<io::Result<Frame<Bytes>>>,
}

impl Feed {
    /// Waits for room, then adds bytes; false when nobody reads any more.
    pub async fn data(&self, bytes: impl Into<Bytes>) -> bool {
        self.sender.send(Ok(Frame::data(bytes.into()))).await.is_ok()
    }

    /// Adds trailers, which end the body.
    pub async fn trailers(self, trailers: HeaderMap) {
        let _ = self.sender.send(Ok(Frame::trailers(trailers))).await;
    }

    /// Breaks the body off.
    pub async fn fail(self) {
        let _ = self.sender.send(Err(io::Error::other("broken off by the test"))).await;
    }

    /// Resolves when the reader has gone.
    pub async fn abandoned(&self) {
        self.sender.closed().await;
    }
}

struct Fed {
    frames: mpsc::Receiver<io::Result<Frame<Bytes>>>,
}

impl hyper::body::Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.frames.poll_recv(cx)
    }
}
