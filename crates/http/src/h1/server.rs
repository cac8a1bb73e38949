//! The downstream side: a connection that requests arrive on, one after another.
//!
//! [`ServerConn`] owns the socket from accept to close and is itself the [`ServerExchange`] of the
//! request that it handed out last. The layer above drives it:
//!
//! ```text
//!             poll_request              send_head, data...            finish_exchange
//! Idle ---------------------> Received -----------------> Responding ----------------> Idle | close
//!   \-- None: clean close        \-- bad head: the error is answered like a request, then close
//! ```
//!
//! It frames, it does not decide: status and body of an error, timeouts and stats are the layer
//! above. `connection: close` is added when the client asks for it, when the connection drains, and
//! when the request has not been read to its end (Envoy does the same): after such a response the
//! connection is shut down. Bytes of the next request stay in the buffer. An idle connection
//! holds no buffers. Limits: head size and count, [`ServerOptions::buffer_limit`] on what waits to
//! be sent, 64 KiB on what arrives unasked.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use nuncio_api::{Frame, Headers, Protocol, ResponseHead};
use nuncio_net::Stream;

use super::body::{self, BodyReader, BodyRules};
use super::chunked::TrailerLimits;
use super::details;
use super::encode::{self, ResponseContext};
use super::head::{self, HeadScan};
use super::options::{Counters, ServerOptions};
use super::request::{ParsedRequest, parse_request};
use super::wire::Wire;
use super::writer::BodyWriter;
use crate::error::{ProtocolError, StreamError};
use crate::exchange::{Exchange, ResetReason, ServerExchange, WireBytes};

/// What becomes of the connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for the next request.
    KeepAlive,
    /// Shut down: [`ServerConn::poll_shutdown`], then [`ServerConn::poll_discard`] for as long as
    /// the delayed close allows.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Received,
    Responding,
}

/// A downstream HTTP/1 connection.
#[derive(Debug)]
pub struct ServerConn {
    wire: Wire,
    options: Arc<ServerOptions>,
    phase: Phase,
    scan: HeadScan,
    body: BodyReader,
    writer: BodyWriter,
    context: ResponseContext,
    failed: Option<ProtocolError>,
    draining: bool,
    spent: bool,
    /// Something of the next request has arrived, if only empty lines before it.
    begun: bool,
    bytes: WireBytes,
    /// What the codec counted; take it whenever convenient.
    pub counters: Counters,
}

impl ServerConn {
    /// A connection that nothing was read from yet.
    pub fn new(stream: Stream, options: Arc<ServerOptions>) -> Self {
        Self::with_buffered(stream, options, BytesMut::new())
    }

    /// A connection whose first bytes were read already (to tell HTTP/1 from HTTP/2).
    pub fn with_buffered(stream: Stream, options: Arc<ServerOptions>, buffered: BytesMut) -> Self {
        Self {
            wire: Wire::new(stream, buffered),
            context: ResponseContext { format: options.header_key_format, ..ResponseContext::default() },
            options,
            phase: Phase::Idle,
            scan: HeadScan::default(),
            body: BodyReader::Done,
            writer: BodyWriter::default(),
            failed: None,
            draining: false,
            spent: false,
            begun: false,
            bytes: WireBytes::default(),
            counters: Counters::default(),
        }
    }

    /// The next request. `None`: the client closed between requests. After
    /// [`StreamError::Protocol`] a response may be sent, as to a request; the connection closes
    /// after it. Cancel-safe: nothing is lost when it is not polled to the end.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<ParsedRequest>, StreamError>> {
        loop {
            self.begun |= !self.wire.read.is_empty();
            head::skip_blank_lines(&mut self.wire.read);
            if self.scan.worth_parsing(&self.wire.read, self.options.max_head_bytes)
                && let Some(request) = self.parse().transpose()
            {
                return Poll::Ready(request.map(Some).map_err(StreamError::from));
            }
            let Poll::Ready(filled) = self.wire.poll_fill(cx) else {
                if self.wire.read.is_empty() {
                    self.wire.park();
                }
                return Poll::Pending;
            };
            if filled? == 0 {
                return Poll::Ready(match self.wire.read.is_empty() {
                    true => Ok(None),
                    false => Err(unexpected_eof()),
                });
            }
        }
    }

    fn parse(&mut self) -> Result<Option<ParsedRequest>, ProtocolError> {
        let before = self.wire.read.len();
        match parse_request(&mut self.wire.read, &self.options) {
            Ok(None) => Ok(None),
            Ok(Some(request)) => {
                self.begin(&request);
                Ok(Some(request))
            }
            Err(error) => {
                if error == details::UNEXPECTED_UNDERSCORE {
                    self.counters.requests_rejected_with_underscores_in_headers += 1;
                }
                let received = before as u64;
                self.bytes = WireBytes { header_received: received, received, ..WireBytes::default() };
                self.give_up_head();
                Err(self.fail(error))
            }
        }
    }

    /// Makes ready for an answer to a head that is broken or comes too slowly.
    fn give_up_head(&mut self) {
        self.phase = Phase::Received;
        self.body = BodyReader::Done;
        self.context = ResponseContext { close: true, format: self.context.format, ..ResponseContext::default() };
    }

    fn begin(&mut self, request: &ParsedRequest) {
        let head = &request.head;
        let received = request.head_bytes as u64;
        self.bytes = WireBytes { header_received: received, received, ..WireBytes::default() };
        self.counters.dropped_headers_with_underscores += request.dropped_underscores;
        self.body = BodyReader::of_request(request.body, request.is_tunnel());
        self.context = ResponseContext {
            http_10: head.protocol == Protocol::Http10,
            to_head: head.method == Method::HEAD,
            to_connect: head.method == Method::CONNECT,
            upgrade: head.upgrade.clone(),
            close: !request.keep_alive,
            format: self.context.format,
        };
        self.writer = BodyWriter::default();
        self.phase = Phase::Received;
    }

    /// True between requests, with nothing of the next one received, not even an empty line.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle && self.wire.read.is_empty() && !self.begun
    }

    /// True when part of a request head has arrived and the rest has not
    /// (`request_headers_timeout` runs from then on).
    pub fn is_receiving_head(&self) -> bool {
        self.phase == Phase::Idle && (self.begun || !self.wire.read.is_empty())
    }

    /// The next response head says `connection: close`, and is the last.
    pub fn close_after_response(&mut self) {
        self.draining = true;
    }

    /// True when the request was received to its end.
    pub fn is_request_complete(&self) -> bool {
        self.failed.is_none() && self.body.is_done()
    }

    /// True when the exchange that ended the connection at the client's wish left nothing behind:
    /// request read and response sent to their ends, and no byte more. Closing then destroys
    /// nothing.
    pub fn is_spent(&self) -> bool {
        self.spent && self.wire.out.is_empty() && self.wire.read.is_empty()
    }

    /// True when the client will send nothing more.
    pub fn is_half_closed(&self) -> bool {
        self.wire.eof
    }

    /// Ends the exchange, after its response was flushed (or given up).
    pub fn finish_exchange(&mut self) -> Next {
        let keep = self.phase == Phase::Responding
            && self.writer.is_complete()
            && !self.writer.is_tunnel()
            && !self.context.close
            && self.is_request_complete();
        self.spent = !keep && !self.draining && self.writer.is_complete() && self.is_request_complete();
        self.phase = Phase::Idle;
        self.begun = false;
        self.scan = HeadScan::default();
        self.context.upgrade = None;
        if keep { Next::KeepAlive } else { Next::Close }
    }

    /// Writes what is queued, then closes the sending side.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_shutdown(cx)
    }

    /// Reads and forgets until the client closes. Without it, dropping a connection with unread
    /// bytes resets it, and the client may lose the response.
    pub fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wire.poll_discard(cx)
    }

    /// The socket, for addresses and the like.
    pub fn stream(&self) -> &Stream {
        self.wire.stream()
    }

    /// The socket and what was read but not used: for what takes over after an upgrade.
    pub fn into_parts(self) -> (Stream, Bytes) {
        self.wire.into_parts()
    }

    #[cfg(test)]
    pub(super) fn wire_for_tests(&self) -> &Wire {
        &self.wire
    }

    fn rules(&self) -> BodyRules {
        BodyRules {
            trailers: TrailerLimits { bytes: self.options.max_head_bytes, count: self.options.max_headers_count },
            keep_trailers: self.options.enable_trailers,
        }
    }

    fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.failed = Some(error);
        self.context.close = true;
        error
    }

    /// Adds what `encode` queues to the byte counts.
    fn queue<T>(&mut self, encode: impl FnOnce(&mut Self) -> T) -> (T, u64) {
        let before = self.wire.out.len();
        let result = encode(self);
        let added = (self.wire.out.len() - before) as u64;
        self.bytes.sent += added;
        (result, added)
    }
}

fn unexpected_eof() -> StreamError {
    StreamError::Connection(io::ErrorKind::UnexpectedEof.into())
}

impl Exchange for ServerConn {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, StreamError>> {
        if let Some(error) = self.failed {
            return Poll::Ready(Err(error.into()));
        }
        let rules = self.rules();
        loop {
            let before = self.wire.read.len();
            let decoded = self.body.decode(&mut self.wire.read, rules);
            self.bytes.received += (before - self.wire.read.len()) as u64;
            match decoded {
                Ok(Some(frame)) => return Poll::Ready(Ok(frame)),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(self.fail(error).into())),
            }
            self.wire.expect(self.body.expected());
            if ready!(self.wire.poll_fill(cx))? > 0 {
                continue;
            }
            // A tunnel has no half that could end alone where a half-closed client counts as gone.
            if self.body.is_tunnel() && self.options.half_close {
                self.body = BodyReader::Done;
                return Poll::Ready(Ok(body::end()));
            }
            return Poll::Ready(Err(unexpected_eof()));
        }
    }

    fn send_data(&mut self, data: Bytes, end: bool) {
        if self.phase == Phase::Responding {
            self.queue(|c| c.writer.data(&mut c.wire.out, data, end));
        }
    }

    fn send_trailers(&mut self, trailers: &Headers) {
        if self.phase == Phase::Responding {
            let keep = self.options.enable_trailers;
            self.queue(|c| c.writer.trailers(&mut c.wire.out, trailers, keep));
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if self.wire.out.len() < self.options.buffer_limit {
            return Poll::Ready(Ok(()));
        }
        match self.poll_flush(cx) {
            Poll::Pending if self.wire.out.len() >= self.options.buffer_limit => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        ready!(self.wire.poll_flush(cx))?;
        if self.writer.is_tunnel() && self.writer.has_ended() {
            ready!(self.wire.poll_shutdown(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        if let Err(error) = ready!(self.wire.poll_end(cx)) {
            return Poll::Ready(error.into());
        }
        // The end of the request may still be in the buffer: then the client is only half gone.
        let missing = match &self.body {
            BodyReader::Length(left) => *left > self.wire.read.len() as u64,
            BodyReader::Chunked(_) => self.wire.read.is_empty(),
            BodyReader::Done | BodyReader::Trailers(_) | BodyReader::UntilClose | BodyReader::Tunnel => false,
        };
        let gone = missing || !self.options.half_close;
        if gone { Poll::Ready(unexpected_eof()) } else { Poll::Pending }
    }

    fn reset(&mut self, _: ResetReason) {
        self.writer.abort();
        self.context.close = true;
    }

    fn wire_bytes(&self) -> WireBytes {
        self.bytes
    }
}

impl ServerExchange for ServerConn {
    fn close_after_response(&mut self) {
        self.draining = true;
    }

    fn send_informational(&mut self, status: StatusCode, headers: &Headers) {
        // HTTP/1.0 knows no 1xx (RFC 9110 section 15.2).
        if self.phase == Phase::Received && !self.context.http_10 && self.failed.is_none() {
            let format = self.context.format;
            let ((), added) = self.queue(|c| encode::informational(c.wire.out.tail(), status, headers, format));
            self.bytes.header_sent += added;
        }
    }

    fn send_head(&mut self, head: &ResponseHead, end: bool) {
        if self.is_receiving_head() {
            self.give_up_head();
        }
        if self.phase != Phase::Received {
            return;
        }
        self.phase = Phase::Responding;
        self.context.close |= self.draining || !self.is_request_complete();
        let (body, added) = self.queue(|c| encode::response_head(c.wire.out.tail(), head, end, &c.context));
        self.bytes.header_sent += added;
        self.context.close |= body == encode::OutgoingBody::UntilClose;
        self.writer = BodyWriter::start(body, end && body != encode::OutgoingBody::Tunnel);
    }
}
