//! HTTP/2 facing upstream: a connection that many streams share, and its driver. One stream is a
//! [`ClientStream`].
//!
//! [`connect`] splits a socket into a handle that opens streams and a future that moves bytes;
//! the future ends when the connection does: on an error, on GOAWAY once its streams have ended,
//! or when the last handle and stream are dropped.
//!
//! A stream takes its place at [`ClientConnection::try_open`] and reaches h2 when its head is
//! sent. Limits: `max_concurrent_streams` or the peer's SETTINGS, whichever is lower. Failures
//! say whether the peer refused before it began ([`StreamError::Refused`]: REFUSED_STREAM, or
//! GOAWAY below the id), which makes a retry safe.

mod stream;

use std::{
    cell::{Cell, RefCell},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use nuncio_net::Stream;

pub use stream::ClientStream;

use super::{
    convert,
    counters::{H2Counters, bump},
    failure,
    halves::Link,
    keepalive::Keepalive,
    meter::{FrameMeter, Role},
    options::ClientOptions,
    wire::{GatherIo, Wire},
};
use crate::error::StreamError;

/// Streams of which late frames are ignored after this side reset them. h2's default (50) is
/// passed as soon as a busy downstream connection goes away.
const RESET_STREAMS: usize = 4096;

/// Streams that may be opened before the peer's SETTINGS have come: what RFC 9113 section 6.5.2
/// wants every server to allow. More of them a server with a usual limit (128) refuses, and in a
/// burst all that queue up behind them.
const STREAMS_BEFORE_SETTINGS: usize = 100;

/// Starts HTTP/2 on a connected stream. The preface and SETTINGS leave with the first request.
pub fn connect(
    stream: Stream,
    options: &ClientOptions,
    counters: Rc<H2Counters>,
) -> Result<(ClientConnection, ClientDriver), StreamError> {
    let meter = FrameMeter::new(Role::Client, options.limits, &options.headers, counters.clone());
    let wire = Wire::new(stream, Bytes::new(), meter, options.buffer_limit);
    let link = Rc::new(Link {
        role: Role::Client,
        wire: wire.clone(),
        counters,
        headers: options.headers,
        known: convert::KnownNames::default(),
    });
    let (send, mut connection) = handshake(options, GatherIo(wire))?;
    let keepalive =
        options.keepalive.and_then(|options| connection.ping_pong().map(|pings| Keepalive::new(options, pings)));
    let limit = usize::try_from(options.max_concurrent_streams).unwrap_or(usize::MAX);
    let state = Rc::new(Shared { limit, ..Shared::default() });
    let handle = ClientConnection { send, link: link.clone(), state: state.clone() };
    Ok((handle, ClientDriver { connection: Some(Box::new(connection)), link, state, keepalive }))
}

fn handshake(
    options: &ClientOptions,
    io: GatherIo,
) -> Result<(SendRequest<Bytes>, Connection<GatherIo, Bytes>), StreamError> {
    let windows = &options.windows;
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .header_table_size(windows.header_table_size)
        .initial_window_size(windows.stream)
        .initial_connection_window_size(windows.connection)
        .max_frame_size(windows.max_frame_size)
        .max_concurrent_streams(options.max_concurrent_streams)
        .initial_max_send_streams(STREAMS_BEFORE_SETTINGS)
        .max_header_list_size(options.headers.list_size())
        .max_send_buffer_size(options.buffer_limit.max(1))
        .max_concurrent_reset_streams(RESET_STREAMS)
        // Aborting many requests is our business with this upstream, not an attack.
        .max_local_error_reset_streams(None);
    // Only writes the preface, which the gather buffer takes at once.
    match pin!(builder.handshake(io)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(pair)) => Ok(pair),
        Poll::Ready(Err(error)) => Err(StreamError::Connection(io::Error::other(error))),
        Poll::Pending => Err(StreamError::Connection(io::ErrorKind::WouldBlock.into())),
    }
}

/// A handle on an upstream connection; cheap to clone.
#[derive(Clone)]
pub struct ClientConnection {
    send: SendRequest<Bytes>,
    link: Rc<Link>,
    state: Rc<Shared>,
}

#[derive(Default)]
struct Shared {
    limit: usize,
    active: Cell<usize>,
    opened: Cell<u64>,
    draining: Cell<bool>,
    closed: Cell<bool>,
    /// Those who wait for the peer's SETTINGS were told that they have come.
    settled: Cell<bool>,
    waiters: RefCell<Vec<Waker>>,
}

impl Shared {
    /// Whether somebody waits for a place and there is one (the peer may have raised its limit).
    fn has_room(&self, peer: usize) -> bool {
        !self.waiters.borrow().is_empty() && self.active.get() < self.limit.min(peer)
    }

    fn wait(&self, cx: &Context<'_>) {
        let mut waiters = self.waiters.borrow_mut();
        if !waiters.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiters.push(cx.waker().clone());
        }
    }

    fn wake_all(&self) {
        for waker in self.waiters.take() {
            waker.wake();
        }
    }
}

impl ClientConnection {
    /// Takes a place for one stream; `None` when all are taken, or the connection takes no more.
    pub fn try_open(&self) -> Option<ClientStream> {
        if self.is_draining() || self.active_streams() >= self.max_streams() {
            return None;
        }
        self.state.active.set(self.state.active.get() + 1);
        self.state.opened.set(self.state.opened.get().saturating_add(1));
        Some(ClientStream::new(self.send.clone(), self.link.clone(), self.state.clone()))
    }

    /// Ready when [`ClientConnection::try_open`] has a place; an error when it never will again.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if self.is_closed() {
            return Poll::Ready(Err(StreamError::Connection(io::ErrorKind::NotConnected.into())));
        }
        if self.is_draining() {
            return Poll::Ready(Err(StreamError::Refused));
        }
        if self.active_streams() < self.max_streams() {
            return Poll::Ready(Ok(()));
        }
        self.state.wait(cx);
        Poll::Pending
    }

    /// Streams that hold a place.
    pub fn active_streams(&self) -> usize {
        self.state.active.get()
    }

    /// Places: `max_concurrent_streams` or what the peer's SETTINGS allow, if that is less.
    pub fn max_streams(&self) -> usize {
        self.state.limit.min(self.send.current_max_send_streams())
    }

    /// Streams opened so far (`max_requests_per_connection`).
    pub fn opened_streams(&self) -> u64 {
        self.state.opened.get()
    }

    /// True when no more streams can be opened: GOAWAY was received, [`ClientConnection::drain`]
    /// was called, or the connection has ended.
    pub fn is_draining(&self) -> bool {
        self.state.draining.get() || self.is_closed() || self.link.wire.peer_is_going_away()
    }

    /// True when the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.state.closed.get()
    }

    /// Whether the peer takes extended CONNECT (RFC 8441); false until its SETTINGS arrived.
    pub fn supports_upgrades(&self) -> bool {
        self.send.is_extended_connect_protocol_enabled()
    }

    /// True once the peer has sent GOAWAY.
    pub fn is_peer_going_away(&self) -> bool {
        self.link.wire.peer_is_going_away()
    }

    /// Opens no more streams. The connection ends when all streams and handles are dropped.
    pub fn drain(&self) {
        self.state.draining.set(true);
        self.state.wake_all();
    }

    #[cfg(test)]
    pub(super) fn wire(&self) -> Rc<Wire> {
        self.link.wire.clone()
    }
}

/// Moves the bytes of one upstream connection; to be spawned on the local set.
#[must_use = "streams stand still until the driver is polled"]
pub struct ClientDriver {
    connection: Option<Box<Connection<GatherIo, Bytes>>>,
    link: Rc<Link>,
    state: Rc<Shared>,
    keepalive: Option<Keepalive>,
}

impl Future for ClientDriver {
    type Output = Result<(), StreamError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        loop {
            if let Some(end) = ready!(me.poll_open(cx)) {
                me.link.wire.finish(cx);
                me.state.closed.set(true);
                // Dropping h2's half ends every stream.
                me.connection = None;
                me.state.wake_all();
                return Poll::Ready(end);
            }
        }
    }
}

impl ClientDriver {
    /// Ready to be polled again (`None`) or to close (`Some`).
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), StreamError>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Some(Ok(()))) };
        let Link { role, wire, counters, .. } = &*self.link;
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.streams_opened(self.state.opened.get());
        }
        if self.keepalive.as_mut().is_some_and(|keepalive| keepalive.poll_dead(cx).is_ready()) {
            bump(&counters.keepalive_timeout);
            return Poll::Ready(Some(Err(StreamError::Connection(io::ErrorKind::TimedOut.into()))));
        }
        if let Poll::Ready(result) = Pin::new(connection.as_mut()).poll(cx) {
            return Poll::Ready(Some(match (wire.flood(), result) {
                (Some(flood), _) => {
                    wire.say_goaway(flood.reason());
                    Err(failure::flood(*role, flood))
                }
                (None, Ok(())) => Ok(()),
                (None, Err(error)) => failure::of_connection(*role, error).map_or(Ok(()), Err),
            }));
        }
        if wire.take_heard()
            && let Some(keepalive) = &mut self.keepalive
        {
            keepalive.peer_spoke();
        }
        if wire.peer_has_settled() && !self.state.settled.replace(true) {
            self.state.wake_all();
        }
        if wire.peer_is_going_away() && !self.state.draining.replace(true) {
            self.state.wake_all();
        }
        if self.state.has_room(connection.max_concurrent_send_streams()) {
            self.state.wake_all();
        }
        match ready!(wire.poll_drain(cx)) {
            Ok(true) => Poll::Ready(None),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(Some(Err(StreamError::Connection(error)))),
        }
    }
}

impl Drop for ClientDriver {
    fn drop(&mut self) {
        self.state.closed.set(true);
        self.state.wake_all();
        self.link.wire.release();
    }
}
