//! The upstream side: a connection that requests are sent on, one after another.
//!
//! [`ClientConn`] owns the socket and is itself the [`ClientExchange`] of the request sent last.
//! `send_head` begins an exchange; [`ClientConn::is_reusable`] tells afterwards whether the
//! connection may carry another one: both messages complete, the upstream keeps the connection,
//! and not one byte more than the response arrived. [`ClientConn::is_open`] looks again before
//! it is used.
//!
//! A write that fails is not the end: an upstream may answer (413, say) and close while the
//! request is still on its way. The response is read first, the failure surfaces only if there is
//! none. What is sent after an upgrade or CONNECT request stays here until the upstream has
//! agreed, so that an upstream that refuses never reads it as a request of its own.
//!
//! Limits: head size and count of [`ClientOptions`], informational responses, and
//! [`ClientOptions::buffer_limit`] on what waits to be sent. A broken response is a
//! [`StreamError::Protocol`] with status 502; a close before the head is
//! [`StreamError::Connection`].

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{Method, StatusCode};
use nuncio_api::{Frame, Headers, RequestHead, ResponseHead};
use nuncio_net::Stream;

use super::body::{self, BodyReader, BodyRules};
use super::chunked::TrailerLimits;
use super::details;
use super::encode;
use super::head::HeadScan;
use super::options::ClientOptions;
use super::response::{Asked, ParsedResponse, parse_response};
use super::wire::Wire;
use super::writer::BodyWriter;
use crate::error::{ProtocolError, StreamError};
use crate::exchange::{ClientExchange, Exchange, ResetReason, WireBytes};
use crate::held::Held;

/// An upstream that sends more 1xx responses than this to one request never means to answer it.
const MAX_INFORMATIONAL: u32 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No request was sent yet.
    Idle,
    /// The final response head has not come.
    AwaitingHead,
    /// It has.
    Receiving,
}

/// An upstream HTTP/1 connection.
#[derive(Debug)]
pub struct ClientConn {
    wire: Wire,
    options: Arc<ClientOptions>,
    phase: Phase,
    scan: HeadScan,
    asked: Asked,
    body: BodyReader,
    writer: BodyWriter,
    held: Option<Box<Held>>,
    /// The tunnel is all there is: no request was sent, no response is expected.
    raw: bool,
    keep_alive: bool,
    write_failed: Option<io::ErrorKind>,
    failed: Option<ProtocolError>,
    informational: u32,
    bytes: WireBytes,
}

impl ClientConn {
    /// A connection that nothing was sent on yet.
    pub fn new(stream: Stream, options: Arc<ClientOptions>) -> Self {
        Self {
            wire: Wire::new(stream, bytes::BytesMut::new()),
            options,
            phase: Phase::Idle,
            scan: HeadScan::default(),
            asked: Asked::Plain,
            body: BodyReader::Done,
            writer: BodyWriter::default(),
            held: None,
            raw: false,
            keep_alive: true,
            write_failed: None,
            failed: None,
            informational: 0,
            bytes: WireBytes::default(),
        }
    }

    /// Begins a tunnel without a request, on a connection that never carries one: `preamble` goes
    /// first, and the response that there is not is a 200.
    pub fn open_raw(&mut self, preamble: Bytes) {
        self.bytes = WireBytes::default();
        self.raw = true;
        self.phase = Phase::AwaitingHead;
        self.body = BodyReader::Tunnel;
        self.writer = BodyWriter::start(encode::OutgoingBody::Tunnel, false);
        self.queue(|c| c.wire.out.push(preamble));
    }

    /// True when another request may be sent after this exchange.
    pub fn is_reusable(&self) -> bool {
        let finished = self.phase == Phase::Idle
            || (self.phase == Phase::Receiving && self.body.is_done() && self.writer.is_complete());
        finished
            && self.keep_alive
            && !self.writer.is_tunnel()
            && self.failed.is_none()
            && self.write_failed.is_none()
            && self.wire.out.is_empty()
            && self.wire.read.is_empty()
            && !self.wire.eof
            && !self.wire.is_spoilt()
    }

    /// True when the upstream sent more than its response: the connection cannot be trusted.
    pub fn has_unasked_bytes(&self) -> bool {
        self.body.is_done() && (!self.wire.read.is_empty() || self.wire.is_spoilt())
    }

    /// Ends the exchange: gives the buffers back, and says whether the connection may go into
    /// the pool.
    pub fn finish_exchange(&mut self) -> bool {
        let reusable = self.is_reusable();
        if reusable {
            self.wire.park();
            self.phase = Phase::Idle;
        }
        reusable
    }

    /// False when an idle connection was closed or spoken on by the upstream. Asks the kernel
    /// only when the socket is known to be readable.
    pub fn is_open(&self) -> bool {
        self.wire.is_silent()
    }

    /// Ready when an idle connection is of no use any more.
    pub fn poll_unusable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wire.poll_noise(cx)
    }

    /// True when the whole request was written to the socket.
    pub fn is_request_sent(&self) -> bool {
        self.writer.is_complete() && self.wire.out.is_empty() && self.write_failed.is_none()
    }

    /// Writes what is queued, then closes the sending side.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_shutdown(cx)
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

    fn fail(&mut self, error: ProtocolError) -> StreamError {
        self.failed = Some(error);
        error.into()
    }

    fn begin_body(&mut self, response: &ParsedResponse) {
        self.phase = Phase::Receiving;
        self.keep_alive = response.keep_alive;
        self.body = BodyReader::of_response(response.body);
        let held = self.held.take();
        if self.body.is_tunnel() {
            let (pieces, end) = held.map(|held| held.release()).unwrap_or_default();
            self.queue(|c| pieces.into_iter().for_each(|piece| c.wire.out.push(piece)));
            if end {
                self.writer.data(&mut self.wire.out, Bytes::new(), true);
            }
        } else if self.asked == Asked::Connect || self.asked == Asked::Upgrade {
            // Refused: what was meant for the tunnel is dropped, and so is the connection.
            self.writer.abort();
        }
    }

    /// A request shorter than announced is never answered: the upstream waits for the rest.
    fn check_length(&mut self) {
        if self.writer.has_ended() && !self.writer.is_complete() && self.phase == Phase::AwaitingHead {
            self.failed = Some(details::of_upstream(details::CODEC_ERROR));
        }
    }

    /// The upstream is gone before the response head was complete.
    fn ended_before_head(&mut self, error: io::Error) -> StreamError {
        match self.wire.read.is_empty() {
            true => self.write_failed.map_or(error, io::Error::from).into(),
            false => self.fail(details::of_upstream(details::CODEC_ERROR)),
        }
    }

    fn queue<T>(&mut self, encode: impl FnOnce(&mut Self) -> T) -> (T, u64) {
        let before = self.wire.out.len();
        let result = encode(self);
        let added = (self.wire.out.len() - before) as u64;
        self.bytes.sent += added;
        (result, added)
    }

    fn waiting_len(&self) -> usize {
        self.wire.out.len() + self.held.as_ref().map_or(0, |held| held.len())
    }
}

fn unexpected_eof() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

impl Exchange for ClientConn {
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
                Err(error) => return Poll::Ready(Err(self.fail(details::of_upstream(error)))),
            }
            self.wire.expect(self.body.expected());
            match ready!(self.wire.poll_fill(cx)) {
                // Nobody has ended the tunnel on this side: the other has cut it.
                Ok(0) if self.body.is_tunnel() && !self.raw && !self.writer.has_ended() => {
                    return Poll::Ready(Err(unexpected_eof().into()));
                }
                Ok(0) if self.body.ends_with_the_connection() => {
                    self.body = BodyReader::Done;
                    return Poll::Ready(Ok(body::end()));
                }
                Err(error) if self.body.ends_with_the_connection() => {
                    return Poll::Ready(Err(error.into()));
                }
                // A body cut short is a broken message, however the connection ended.
                Ok(0) | Err(_) => {
                    return Poll::Ready(Err(self.fail(details::of_upstream(details::CODEC_ERROR))));
                }
                Ok(_) => {}
            }
        }
    }

    fn send_data(&mut self, data: Bytes, end: bool) {
        if let Some(held) = &mut self.held {
            held.push(data, end);
            return;
        }
        if self.write_failed.is_some() {
            self.writer.abort();
            return;
        }
        self.queue(|c| c.writer.data(&mut c.wire.out, data, end));
        self.check_length();
    }

    fn send_trailers(&mut self, trailers: &Headers) {
        if self.held.is_some() || self.write_failed.is_some() {
            return self.send_data(Bytes::new(), true);
        }
        let keep = self.options.enable_trailers;
        self.queue(|c| c.writer.trailers(&mut c.wire.out, trailers, keep));
        self.check_length();
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if self.waiting_len() < self.options.buffer_limit {
            return Poll::Ready(Ok(()));
        }
        match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ if self.waiting_len() >= self.options.buffer_limit => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let mut flushed = ready!(self.wire.poll_flush(cx));
        if flushed.is_ok() && self.writer.is_tunnel() && self.writer.has_ended() && self.body.is_tunnel() {
            flushed = ready!(self.wire.poll_shutdown(cx));
        }
        if let Err(error) = flushed {
            // The response, or the reason for there being none, is for the reading side to find.
            self.write_failed.get_or_insert(error.kind());
            self.wire.out.discard();
            self.writer.abort();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        if let Err(error) = ready!(self.wire.poll_end(cx)) {
            return Poll::Ready(error.into());
        }
        // What is buffered, or the end itself, is still to be read as part of the response.
        if self.wire.read.is_empty() && !self.body.ends_with_the_connection() {
            return Poll::Ready(unexpected_eof().into());
        }
        Poll::Pending
    }

    fn reset(&mut self, _: ResetReason) {
        if self.body.is_tunnel() {
            // What came into the tunnel before its end still goes out if it can.
            let _ = self.wire.poll_flush(&mut Context::from_waker(Waker::noop()));
        }
        self.wire.out.discard();
        self.held = None;
        self.writer.abort();
        self.keep_alive = false;
    }

    fn wire_bytes(&self) -> WireBytes {
        self.bytes
    }
}

impl ClientExchange for ClientConn {
    fn send_head(&mut self, head: &RequestHead, end: bool) {
        self.bytes = WireBytes::default();
        self.scan = HeadScan::default();
        self.informational = 0;
        self.asked = match (&head.method, &head.upgrade) {
            (_, Some(_)) => Asked::Upgrade,
            (&Method::CONNECT, None) => Asked::Connect,
            (&Method::HEAD, None) => Asked::Head,
            _ => Asked::Plain,
        };
        self.phase = Phase::AwaitingHead;
        self.body = BodyReader::Done;
        if !self.wire.read.is_empty() || self.wire.is_spoilt() {
            // An answer before the question belongs to nobody.
            self.failed = Some(details::of_upstream(details::CODEC_ERROR));
            return;
        }
        let (format, absolute) = (self.options.header_key_format, self.options.send_fully_qualified_url);
        let (encoded, added) = self.queue(|c| encode::request_head(c.wire.out.tail(), head, end, format, absolute));
        self.bytes.header_sent += added;
        match encoded {
            Ok(body) => self.writer = BodyWriter::start(body, end && body != encode::OutgoingBody::Tunnel),
            Err(error) => self.failed = Some(error),
        }
        let waits = matches!(self.asked, Asked::Connect | Asked::Upgrade);
        self.held = waits.then(|| Box::new(Held::new(end)));
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, bool), StreamError>> {
        if let Some(error) = self.failed {
            return Poll::Ready(Err(error.into()));
        }
        if self.raw {
            self.phase = Phase::Receiving;
            return Poll::Ready(Ok((ResponseHead::new(StatusCode::OK), false)));
        }
        loop {
            if self.scan.worth_parsing(&self.wire.read, self.options.max_head_bytes) {
                match parse_response(&mut self.wire.read, self.asked, &self.options) {
                    Err(error) => return Poll::Ready(Err(self.fail(error))),
                    Ok(Some(response)) => return Poll::Ready(self.received_head(response)),
                    Ok(None) => {}
                }
            }
            match ready!(self.wire.poll_fill(cx)) {
                Ok(0) => return Poll::Ready(Err(self.ended_before_head(unexpected_eof()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(self.ended_before_head(error))),
            }
        }
    }
}

impl ClientConn {
    fn received_head(&mut self, response: ParsedResponse) -> Result<(ResponseHead, bool), StreamError> {
        self.scan = HeadScan::default();
        self.bytes.header_received += response.head_bytes as u64;
        self.bytes.received += response.head_bytes as u64;
        if response.is_informational() {
            self.informational += 1;
            if self.informational > MAX_INFORMATIONAL {
                return Err(self.fail(details::of_upstream(details::CODEC_ERROR)));
            }
            return Ok((response.head, false));
        }
        self.begin_body(&response);
        Ok((response.head, self.body.is_done()))
    }
}
