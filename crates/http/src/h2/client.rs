//! HTTP/2 facing upstream: a connection that many streams share, its driver, and one stream as a
//! [`ClientExchange`].
//!
//! [`connect`] splits a socket into a handle that opens streams and a future that moves bytes;
//! the future ends when the connection does: on an error, on GOAWAY once its streams have ended,
//! or when the last handle and stream are dropped.
//!
//! A stream takes its place at [`ClientConnection::try_open`] and reaches h2 when its head is
//! sent. Limits: `max_concurrent_streams` or the peer's SETTINGS, whichever is lower. Failures
//! say whether the peer refused before it began ([`StreamError::Refused`]: REFUSED_STREAM, or
//! GOAWAY below the id), which makes a retry safe.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use http::{Method, StatusCode};
use nuncio_api::{Frame, Headers, RequestHead, ResponseHead};
use nuncio_net::Stream;

use super::{
    convert,
    counters::{H2Counters, bump},
    failure,
    halves::{Halves, Link},
    keepalive::Keepalive,
    meter::{FrameMeter, Role},
    options::ClientOptions,
    wire::{GatherIo, Wire},
};
use crate::{
    error::StreamError,
    exchange::{ClientExchange, Exchange, ResetReason, WireBytes},
    held::Held,
};

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
        Some(ClientStream {
            send: Some(self.send.clone()),
            response: None,
            halves: Halves::new(self.link.clone()),
            state: self.state.clone(),
            upgrade: None,
            early: None,
            held: None,
            sent: false,
            failed: None,
        })
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

/// One request and its response.
pub struct ClientStream {
    send: Option<SendRequest<Bytes>>,
    response: Option<ResponseFuture>,
    halves: Halves,
    state: Rc<Shared>,
    upgrade: Option<nuncio_api::Text>,
    /// An extended CONNECT that waits until the peer has said whether it takes one.
    early: Option<Box<(RequestHead, bool)>>,
    /// What was sent into a tunnel that the peer has not agreed to yet.
    held: Option<Box<Held>>,
    sent: bool,
    failed: Option<StreamError>,
}

impl ClientStream {
    #[cfg(test)]
    pub(super) fn is_sending(&self) -> bool {
        self.halves.is_sending()
    }

    /// Sends the head that waits for the peer's SETTINGS.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.early.is_none() {
            return Poll::Ready(());
        }
        if !self.state.settled.get() && !self.state.closed.get() {
            self.state.wait(cx);
            return Poll::Pending;
        }
        if let Some(early) = self.early.take() {
            self.failed = self.send_request(&early.0, early.1).err();
        }
        Poll::Ready(())
    }

    /// The peer has answered what asks for a tunnel: what waited for it goes out, or nowhere.
    fn settle_tunnel(&mut self, status: StatusCode) {
        let Some(held) = self.held.take() else { return };
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            let (pieces, end) = held.release();
            for piece in pieces {
                self.halves.send_data(piece, false);
            }
            if end {
                self.halves.send_data(Bytes::new(), true);
            }
        } else {
            self.halves.stop_sending();
        }
    }

    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, bool), StreamError>> {
        let Some(response) = &mut self.response else {
            return Poll::Ready(Err(self.failed.take().unwrap_or(StreamError::LocalReset)));
        };
        match ready!(response.poll_informational(cx)) {
            Some(Ok(head)) => return Poll::Ready(self.head_in(head).map(|(head, ())| (head, false))),
            Some(Err(error)) => return Poll::Ready(Err(self.halves.failed(error))),
            None => {}
        }
        let response = match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => response,
            Err(error) => return Poll::Ready(Err(self.halves.failed(error))),
        };
        self.response = None;
        let (mut head, body) = match self.head_in(response) {
            Ok(parts) => parts,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let end = body.is_end_stream();
        self.halves.recv = (!end).then_some(body);
        self.switch_protocols(&mut head);
        self.settle_tunnel(head.status);
        Poll::Ready(Ok((head, end)))
    }

    fn head_in<B>(&mut self, response: http::Response<B>) -> Result<(ResponseHead, B), StreamError> {
        let Link { role, counters, headers, .. } = &*self.halves.link;
        match convert::response_in(response, headers, counters) {
            Ok((head, body)) => {
                self.halves.header_received(&head.headers);
                Ok((head, body))
            }
            Err(refusal) => {
                let error = failure::protocol(*role, refusal.details());
                self.reset(ResetReason::InternalError);
                Err(error)
            }
        }
    }

    /// 200 to an extended CONNECT is what 101 is to an upgrade.
    fn switch_protocols(&mut self, head: &mut ResponseHead) {
        let Some(protocol) = self.upgrade.take().filter(|_| head.status == StatusCode::OK) else { return };
        head.status = StatusCode::SWITCHING_PROTOCOLS;
        if let Ok(value) = http::HeaderValue::from_maybe_shared(protocol.to_bytes()) {
            head.headers.set(http::header::UPGRADE, value);
            head.headers.set(http::header::CONNECTION, http::HeaderValue::from_static("upgrade"));
        }
    }

    fn send_request(&mut self, head: &RequestHead, end: bool) -> Result<(), StreamError> {
        let role = Role::Client;
        let mut send = self.send.take().ok_or(StreamError::LocalReset)?;
        if head.upgrade.is_some() && !send.is_extended_connect_protocol_enabled() {
            return Err(failure::protocol(role, "http2.extended_connect_not_enabled"));
        }
        let request = convert::request_out(head, &self.halves.link.known)
            .ok_or_else(|| failure::protocol(role, failure::MESSAGING))?;
        let (response, body) = send.send_request(request, end).map_err(|error| {
            if error.reason().is_none() && !error.is_io() {
                // All stream ids are used up: nothing was sent, another connection can take it.
                self.state.draining.set(true);
                return StreamError::Refused;
            }
            failure::of_stream(role, error, &self.halves.link.counters)
        })?;
        self.response = Some(response);
        self.upgrade = head.upgrade.clone();
        self.halves.sent_head(body, &head.headers, end);
        Ok(())
    }
}

impl Exchange for ClientStream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, StreamError>> {
        self.halves.poll_frame(cx)
    }

    fn send_data(&mut self, data: Bytes, end: bool) {
        match &mut self.held {
            Some(held) => held.push(data, end),
            None => self.halves.send_data(data, end),
        }
    }

    fn send_trailers(&mut self, trailers: &Headers) {
        match &mut self.held {
            Some(held) => held.push(Bytes::new(), true),
            None => self.halves.send_trailers(trailers),
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match (self.failed.take(), &self.held) {
            (Some(error), _) => Poll::Ready(Err(error)),
            // The response, which whoever sends waits for too, makes room.
            (None, Some(held)) if held.len() >= self.halves.link.wire.limit() => Poll::Pending,
            (None, Some(_)) => Poll::Ready(Ok(())),
            (None, None) => self.halves.poll_ready(cx),
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        // Queued frames belong to the connection, whose task moves them.
        Poll::Ready(Ok(()))
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        match self.failed.take() {
            Some(error) => Poll::Ready(error),
            None => self.halves.poll_reset(cx),
        }
    }

    fn reset(&mut self, reason: ResetReason) {
        self.halves.reset(failure::code(reason));
    }

    fn wire_bytes(&self) -> WireBytes {
        self.halves.bytes
    }
}

impl ClientExchange for ClientStream {
    fn send_head(&mut self, head: &RequestHead, end: bool) {
        if std::mem::replace(&mut self.sent, true) {
            return;
        }
        let is_tunnel = head.upgrade.is_some() || head.method == Method::CONNECT;
        self.held = is_tunnel.then(|| Box::new(Held::new(end)));
        let end = end && !is_tunnel;
        let offers = || self.send.as_ref().is_none_or(SendRequest::is_extended_connect_protocol_enabled);
        if head.upgrade.is_some() && !self.state.settled.get() && !offers() {
            self.early = Some(Box::new((head.clone(), end)));
            return;
        }
        self.failed = self.send_request(head, end).err();
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, bool), StreamError>> {
        ready!(self.poll_early(cx));
        match self.failed.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => self.poll_response(cx),
        }
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        self.state.active.set(self.state.active.get().saturating_sub(1));
        self.state.wake_all();
    }
}
