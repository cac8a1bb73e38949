//! HTTP/2 facing downstream: the connection, accepting streams, and one stream as a
//! [`ServerExchange`].
//!
//! ```text
//! Handshake --preface--> Open --end, error, limit--> Closed
//! ```
//!
//! The owner's task polls [`ServerConnection::poll_accept`] until it yields `None` or an error
//! and spawns one task per accepted stream; that poll alone moves bytes. Whoever drops the
//! connection earlier cuts its streams off, which is also how an end that waits for a peer that
//! does not read is cut short.
//!
//! Limits: `max_concurrent_streams` (refused above), [`super::HeaderLimits`] (RST_STREAM
//! INTERNAL_ERROR), [`super::FloodLimits`] (GOAWAY ENHANCE_YOUR_CALM), premature resets (the
//! same). A malformed request is reset by h2 and ends the connection unless
//! `override_stream_error_on_invalid_http_message` is set. What was refused before it could become
//! a stream is told by [`ServerConnection::take_refused`].

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    server::{Builder, Connection, Handshake, SendResponse},
};
use http::{Request, StatusCode};
use nuncio_api::{Frame, Headers, RequestHead, ResponseHead, message::BodyLength};
use nuncio_net::Stream;
use tokio::time::Instant;

use super::{
    convert,
    counters::{H2Counters, bump},
    failure,
    halves::{Halves, Link},
    keepalive::Keepalive,
    meter::{Flood, FrameMeter, Role},
    options::{FloodLimits, ServerOptions},
    wire::{GatherIo, Wire},
};
use crate::{
    error::StreamError,
    exchange::{Exchange, ResetReason, ServerExchange, WireBytes},
};

/// One request: its head, how long its body is, and the stream to read it from and answer on.
pub type Accepted = (RequestHead, BodyLength, ServerStream);

/// Takes over a connection whose client speaks HTTP/2. `initial` holds the bytes that were read
/// while sniffing, the preface among them.
pub fn serve(stream: Stream, initial: Bytes, options: &ServerOptions, counters: Rc<H2Counters>) -> ServerConnection {
    let mut meter = FrameMeter::new(Role::Server, options.limits, &options.headers, counters.clone());
    if options.stream_error_on_invalid_http_message {
        meter.forgive_messages();
    }
    let wire = Wire::new(stream, initial, meter, options.buffer_limit);
    let handshake = builder(options).handshake(GatherIo(wire.clone()));
    let known = convert::KnownNames::default();
    let link = Rc::new(Link { role: Role::Server, wire, counters, headers: options.headers, known });
    ServerConnection {
        state: State::Handshake(Box::new(handshake)),
        link,
        resets: Rc::new(Resets { limits: options.limits, ..Resets::default() }),
        keepalive: None,
        options: options.clone(),
        shutdown: None,
        refused: Vec::new(),
        malformed: false,
        waker: None,
    }
}

fn builder(options: &ServerOptions) -> Builder {
    let mut builder = Builder::new();
    let windows = &options.windows;
    let early_resets = options.limits.premature_reset_total_stream_count / 2;
    builder
        .header_table_size(windows.header_table_size)
        .initial_window_size(windows.stream)
        .initial_connection_window_size(windows.connection)
        .max_frame_size(windows.max_frame_size)
        .max_concurrent_streams(options.max_concurrent_streams)
        .max_header_list_size(options.headers.list_size())
        .max_send_buffer_size(options.buffer_limit.max(1))
        // Streams that this side reset and whose late frames are to be ignored. Forgetting one
        // too early would turn each of its frames into another reset.
        .max_concurrent_reset_streams(usize::try_from(options.max_concurrent_streams).unwrap_or(usize::MAX))
        // Cancelled before they were accepted: one read may bring many, Envoy's measure applies.
        .max_pending_accept_reset_streams(usize::try_from(early_resets).unwrap_or(usize::MAX).max(20))
        // A cap over the lifetime would end long-lived connections; premature resets are judged
        // by their share instead.
        .max_local_error_reset_streams(None);
    if options.allow_connect {
        builder.enable_connect_protocol();
    }
    builder
}

/// A downstream connection.
pub struct ServerConnection {
    state: State,
    link: Rc<Link>,
    resets: Rc<Resets>,
    keepalive: Option<Keepalive>,
    options: ServerOptions,
    shutdown: Option<Shutdown>,
    refused: Vec<Refused>,
    malformed: bool,
    waker: Option<Waker>,
}

/// A request that was refused before it could be handed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Envoy's response code details.
    pub details: &'static str,
    /// It passed a limit of ours; else it broke the protocol.
    pub limit: bool,
}

enum State {
    Handshake(Box<Handshake<GatherIo, Bytes>>),
    Open(Box<Connection<GatherIo, Bytes>>),
    Closed,
}

#[derive(Clone, Copy)]
enum Shutdown {
    Graceful,
    Abrupt,
}

impl ServerConnection {
    /// The next request. `None` after an orderly end, an error after any other; then every stream
    /// has ended too. Must be polled for any stream to move.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Accepted, StreamError>>> {
        self.remember(cx);
        loop {
            let ending = match &mut self.state {
                State::Handshake(handshake) => match Pin::new(handshake.as_mut()).poll(cx) {
                    Poll::Ready(Ok(connection)) => {
                        self.open(connection);
                        continue;
                    }
                    Poll::Ready(Err(error)) => self.ending(error),
                    // Nothing is under way with a peer that has not even said hello.
                    Poll::Pending if self.shutdown.is_some() => Some(None),
                    Poll::Pending => ready!(self.poll_drain(cx)),
                },
                State::Open(connection) => {
                    if self.keepalive.as_mut().is_some_and(|keepalive| keepalive.poll_dead(cx).is_ready()) {
                        bump(&self.link.counters.keepalive_timeout);
                        Some(Some(StreamError::Connection(io::ErrorKind::TimedOut.into())))
                    } else if self.resets.too_many.get() {
                        self.link.wire.say_goaway(Reason::ENHANCE_YOUR_CALM);
                        Some(Some(failure::flood(Role::Server, Flood::PrematureResets)))
                    } else {
                        match connection.poll_accept(cx) {
                            Poll::Ready(Some(Ok((request, respond)))) => match self.admit(request, respond) {
                                Some(accepted) => return Poll::Ready(Some(Ok(accepted))),
                                None => continue,
                            },
                            Poll::Ready(Some(Err(error))) => self.ending(error),
                            Poll::Ready(None) => Some(None),
                            Poll::Pending => match self.malformed() {
                                Some(error) => Some(Some(error)),
                                None => ready!(self.poll_drain(cx)),
                            },
                        }
                    }
                }
                State::Closed => return Poll::Ready(None),
            };
            if let Some(error) = ending {
                if matches!(error, Some(StreamError::Protocol(_))) {
                    self.link.wire.set_broken();
                    self.refuse_waiting();
                }
                self.link.wire.finish(cx);
                // Dropping h2's half ends every stream.
                self.state = State::Closed;
                return Poll::Ready(error.map(Err));
            }
        }
    }

    /// Requests refused since the last call. Ask after each [`Self::poll_accept`].
    pub fn take_refused(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.refused)
    }

    /// Announces the end twice (RFC 9113 section 6.8): at once that no new streams are wanted,
    /// and after one round trip which were taken. Open streams go on; the connection ends when
    /// they have.
    pub fn graceful_shutdown(&mut self) {
        self.shut(Shutdown::Graceful);
    }

    /// Ends all streams and the connection with GOAWAY NO_ERROR.
    pub fn abrupt_shutdown(&mut self) {
        self.shut(Shutdown::Abrupt);
    }

    /// Whether any stream is open.
    pub fn has_streams(&self) -> bool {
        matches!(&self.state, State::Open(connection) if connection.has_streams())
    }

    /// After the end: ready once the peer has closed too. Bound it by `delayed_close_timeout`,
    /// then drop the connection; closing at once may destroy the GOAWAY on its way.
    pub fn poll_peer_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.link.wire.poll_peer_closed(cx)
    }

    fn shut(&mut self, how: Shutdown) {
        match (&mut self.state, how) {
            (State::Open(connection), Shutdown::Graceful) => connection.graceful_shutdown(),
            (State::Open(connection), Shutdown::Abrupt) => connection.abrupt_shutdown(Reason::NO_ERROR),
            _ => self.shutdown = Some(how),
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn remember(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
    }

    fn open(&mut self, mut connection: Connection<GatherIo, Bytes>) {
        if let Some(options) = self.options.keepalive {
            self.keepalive = connection.ping_pong().map(|pings| Keepalive::new(options, pings));
        }
        self.state = State::Open(Box::new(connection));
        if let Some(how) = self.shutdown.take() {
            self.shut(how);
        }
    }

    /// Ready to poll h2 once more (`None`) or to close (`Some`).
    fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<Option<Option<StreamError>>> {
        match ready!(self.link.wire.poll_drain(cx)) {
            Ok(true) => Poll::Ready(None),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(Some(Some(StreamError::Connection(error)))),
        }
    }

    fn ending(&self, error: h2::Error) -> Option<Option<StreamError>> {
        let Link { role, wire, .. } = &*self.link;
        if let Some(flood) = wire.flood() {
            wire.say_goaway(flood.reason());
            return Some(Some(failure::flood(*role, flood)));
        }
        if error.is_library() && error.reason() == Some(Reason::FRAME_SIZE_ERROR) {
            wire.forget_last_head();
        }
        Some(failure::of_connection(*role, error))
    }

    /// Why malformed requests end the connection: heads that h2 refused, and trailers. (A stream
    /// that did come up and breaks its `content-length` later is only reset, as by Envoy.)
    fn malformed(&mut self) -> Option<StreamError> {
        let wire = &self.link.wire;
        if let Some(flood) = wire.end_for_trailers() {
            if flood == Flood::OpenTrailers {
                bump(&self.link.counters.trailers);
            }
            wire.say_goaway(flood.reason());
            return Some(failure::flood(Role::Server, flood));
        }
        for details in wire.take_refused() {
            self.refuse_malformed(details);
        }
        self.malformed.then(|| {
            self.link.wire.say_goaway(Reason::PROTOCOL_ERROR);
            failure::protocol(Role::Server, failure::MESSAGING)
        })
    }

    fn refuse_malformed(&mut self, details: &'static str) {
        bump(&self.link.counters.rx_messaging_error);
        self.refused.push(Refused { details, limit: false });
        self.malformed |= !self.options.stream_error_on_invalid_http_message;
    }

    /// The connection ends: heads that wait will not be handed up.
    fn refuse_waiting(&mut self) {
        for details in self.link.wire.take_waiting() {
            if details != failure::CODEC {
                bump(&self.link.counters.rx_messaging_error);
            }
            self.refused.push(Refused { details, limit: false });
        }
    }

    fn admit(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Option<Accepted> {
        self.link.wire.accepted(respond.stream_id().as_u32());
        let Link { counters, headers, .. } = &*self.link;
        match convert::request_in(request, headers, self.options.scheme, counters) {
            Ok((head, _)) if head.authority.is_empty() => {
                respond.send_reset(Reason::PROTOCOL_ERROR);
                self.refuse_malformed(failure::MESSAGING);
                None
            }
            Ok((head, body)) => {
                let ended = body.is_end_stream();
                let length = convert::body_length(&head.headers, ended);
                let mut halves = Halves::new(self.link.clone());
                halves.header_received(&head.headers);
                halves.recv = (!ended).then_some(body);
                let resets = self.resets.clone();
                let upgraded = head.upgrade.is_some();
                let stream =
                    ServerStream { respond, halves, resets, upgraded, answered: false, accepted: Instant::now() };
                Some((head, length, stream))
            }
            Err(refusal) => {
                respond.send_reset(Reason::INTERNAL_ERROR);
                self.refused.push(Refused { details: refusal.details(), limit: true });
                None
            }
        }
    }

    #[cfg(test)]
    pub(super) fn wire(&self) -> Rc<Wire> {
        self.link.wire.clone()
    }
}

impl Drop for ServerConnection {
    fn drop(&mut self) {
        self.link.wire.release();
    }
}

/// Envoy's measure against rapid resets (CVE-2023-44487): of all requests on the connection, how
/// many were reset by the peer early and without an answer.
#[derive(Default)]
struct Resets {
    limits: FloodLimits,
    ended: Cell<u32>,
    premature: Cell<u32>,
    too_many: Cell<bool>,
}

impl Resets {
    fn ended(&self, premature: bool) {
        self.ended.set(self.ended.get().saturating_add(1));
        if !premature {
            return;
        }
        self.premature.set(self.premature.get().saturating_add(1));
        let total = self.limits.premature_reset_total_stream_count.max(1);
        // Below the total the verdict falls as soon as no number of good requests can turn it.
        let of = self.ended.get().max(total);
        if self.premature.get().saturating_mul(2) >= of {
            self.too_many.set(true);
        }
    }
}

/// One request and its response.
pub struct ServerStream {
    respond: SendResponse<Bytes>,
    halves: Halves,
    resets: Rc<Resets>,
    upgraded: bool,
    answered: bool,
    accepted: Instant,
}

impl ServerStream {
    /// The stream's id on its connection.
    pub fn id(&self) -> u32 {
        self.respond.stream_id().as_u32()
    }
}

impl Exchange for ServerStream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, StreamError>> {
        self.halves.poll_frame(cx)
    }

    fn send_data(&mut self, data: Bytes, end: bool) {
        self.halves.send_data(data, end);
    }

    fn send_trailers(&mut self, trailers: &Headers) {
        self.halves.send_trailers(trailers);
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.halves.poll_ready(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.halves.poll_flush(cx)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        if self.answered {
            return self.halves.poll_reset(cx);
        }
        let result = ready!(self.respond.poll_reset(cx));
        match self.halves.gone(result, cx) {
            Some(error) => Poll::Ready(error),
            None => Poll::Pending,
        }
    }

    fn reset(&mut self, reason: ResetReason) {
        if reason == ResetReason::NoError && self.answered && !self.halves.is_sending() {
            // A reset now would overtake what is still queued; h2 sends this one by itself when
            // the stream is dropped, after the response.
            return;
        }
        self.respond.send_reset(failure::code(reason));
    }

    fn wire_bytes(&self) -> WireBytes {
        self.halves.bytes
    }
}

impl ServerExchange for ServerStream {
    fn send_informational(&mut self, status: StatusCode, headers: &Headers) {
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let response = convert::response_out(status, headers, false, &self.halves.link.known);
        if self.respond.send_informational(response).is_ok() {
            self.halves.header_sent(headers);
        }
    }

    fn send_head(&mut self, head: &ResponseHead, end: bool) {
        if std::mem::replace(&mut self.answered, true) {
            return;
        }
        let response = convert::response_out(head.status, &head.headers, self.upgraded, &self.halves.link.known);
        // A stream that is gone says so at the next poll.
        if let Ok(send) = self.respond.send_response(response, end) {
            self.halves.sent_head(send, &head.headers, end);
        }
    }
}

impl Drop for ServerStream {
    fn drop(&mut self) {
        let premature = self.halves.ended_by_peer
            && !self.answered
            && self.accepted.elapsed() <= self.resets.limits.premature_reset_min_stream_lifetime;
        self.resets.ended(premature);
    }
}
