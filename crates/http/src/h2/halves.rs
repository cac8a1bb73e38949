//! The two body halves of a stream, the same facing downstream and upstream.
//!
//! Receiving: a frame is pulled from h2 only when the exchange asks for it, and only then is its
//! window given back, so a slow other side slows this peer down. Sending: [`Halves::poll_ready`]
//! answers once the peer's windows cover everything queued on the stream and the connection is
//! under its buffer limit; one frame more may then be queued. A response whose last frame the
//! windows do not cover is over only when they do: see [`Halves::poll_flush`].
//!
//! Wire byte counts are estimates: header blocks are counted before compression, frame heads as
//! nine bytes each, padding not at all.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use nuncio_api::{Frame, Headers};

use super::{
    convert,
    counters::{H2Counters, bump, drop_one},
    failure,
    meter::Role,
    options::HeaderLimits,
    wire::Wire,
};
use crate::{error::StreamError, exchange::WireBytes};

const FRAME_HEAD: u64 = 9;
/// The size that nearly every peer accepts; only for counting.
const USUAL_FRAME: u64 = 16 * 1024;

/// What streams share with their connection.
pub(super) struct Link {
    pub(super) role: Role,
    pub(super) wire: Rc<Wire>,
    pub(super) counters: Rc<H2Counters>,
    pub(super) headers: HeaderLimits,
    pub(super) known: convert::KnownNames,
}

/// Body and trailers of one stream, both ways.
pub(super) struct Halves {
    pub(super) link: Rc<Link>,
    pub(super) recv: Option<RecvStream>,
    /// Kept after the end of the sending half: it is how resets are sent and noticed.
    send: Option<SendStream<Bytes>>,
    sending: bool,
    /// All data was handed to h2, the peer's windows do not cover it, and END_STREAM waits here.
    owes_end: bool,
    /// Data was handed to h2.
    has_sent: bool,
    pub(super) bytes: WireBytes,
    /// The failure that ended this stream was the peer's doing.
    pub(super) ended_by_peer: bool,
}

impl Halves {
    pub(super) fn new(link: Rc<Link>) -> Self {
        let active = &link.counters.streams_active;
        active.set(active.get() + 1);
        Self {
            link,
            recv: None,
            send: None,
            sending: false,
            owes_end: false,
            has_sent: false,
            bytes: WireBytes::default(),
            ended_by_peer: false,
        }
    }

    /// The head was sent; `end` says that nothing follows.
    pub(super) fn sent_head(&mut self, send: SendStream<Bytes>, headers: &Headers, end: bool) {
        self.send = Some(send);
        self.sending = !end;
        self.header_sent(headers);
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, StreamError>> {
        let Some(recv) = &mut self.recv else {
            return Poll::Ready(Ok(Frame::Data { data: Bytes::new(), end: true }));
        };
        let data = loop {
            match ready!(recv.poll_data(cx)) {
                Some(Ok(data)) => {
                    let end = recv.is_end_stream();
                    if !data.is_empty() || end {
                        break Some((data, end));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(self.failed(error))),
                None => break None,
            }
        };
        if let Some((data, end)) = data {
            // Cannot fail: exactly what was just received is given back.
            let _ = recv.flow_control().release_capacity(data.len());
            self.bytes.received += length(data.len()) + FRAME_HEAD;
            return Poll::Ready(Ok(Frame::Data { data, end }));
        }
        match ready!(recv.poll_trailers(cx)) {
            Ok(Some(map)) => Poll::Ready(self.trailers_in(map).map(Frame::Trailers)),
            Ok(None) => Poll::Ready(Ok(Frame::Data { data: Bytes::new(), end: true })),
            Err(error) => Poll::Ready(Err(self.failed(error))),
        }
    }

    fn trailers_in(&mut self, map: http::HeaderMap) -> Result<Headers, StreamError> {
        let Link { role, counters, headers, .. } = &*self.link;
        let trailers = convert::headers_in(map, 0, false, headers, counters)
            .map_err(|refusal| failure::protocol(*role, refusal.details()));
        match trailers {
            Ok(trailers) => {
                bump(&counters.trailers);
                self.header_received(&trailers);
                Ok(trailers)
            }
            Err(error) => {
                self.reset(Reason::INTERNAL_ERROR);
                Err(error)
            }
        }
    }

    pub(super) fn send_data(&mut self, data: Bytes, end: bool) {
        if data.is_empty() && !end {
            return;
        }
        let size = data.len();
        let Some(send) = self.send.as_mut().filter(|_| self.sending) else { return };
        // Once h2 has the end it no longer tells when the windows open. A response that a stalled
        // peer does not take must be noticed, so its end is kept back until they do.
        self.owes_end = end && size > 0 && self.link.role == Role::Server && {
            send.reserve_capacity(size);
            send.capacity() < size
        };
        let end = end && !self.owes_end;
        // A stream that has ended meanwhile says so at the next poll.
        if send.send_data(data, end).is_ok() {
            self.has_sent = true;
            self.link.wire.queue(size);
            self.bytes.sent += length(size) + FRAME_HEAD * length(size).div_ceil(USUAL_FRAME).max(1);
        }
        self.sending &= !end;
    }

    /// Ready when nothing is kept back any more; what is queued belongs to the connection's task.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if !self.owes_end {
            return Poll::Ready(Ok(()));
        }
        let outcome = ready!(self.poll_ready(cx));
        self.owes_end = false;
        if outcome.is_ok() {
            self.send_data(Bytes::new(), true);
        }
        Poll::Ready(outcome)
    }

    pub(super) fn send_trailers(&mut self, trailers: &Headers) {
        if let Some(send) = self.send.as_mut().filter(|_| self.sending) {
            let _ = send.send_trailers(convert::headers_out(trailers, false, &self.link.known));
            self.sending = false;
            self.header_sent(trailers);
        }
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        ready!(self.link.wire.poll_room(cx));
        let Some(send) = self.send.as_mut().filter(|_| self.sending) else { return Poll::Ready(Ok(())) };
        // The first piece of a response waits for no window: most consist of nothing else, and their
        // streams are over with it. What is left is h2's, one piece for each stream at most.
        let is_first = self.link.role == Role::Server && !self.has_sent && !self.owes_end;
        if is_first || send.capacity() > 0 {
            return Poll::Ready(Ok(()));
        }
        // One byte beyond what is queued: granted when the windows cover all that is queued.
        send.reserve_capacity(1);
        if send.capacity() > 0 {
            return Poll::Ready(Ok(()));
        }
        match ready!(send.poll_capacity(cx)) {
            Some(Ok(_)) => Poll::Ready(Ok(())),
            Some(Err(error)) => Poll::Ready(Err(self.failed(error))),
            None => match ready!(self.poll_gone(cx)) {
                Some(error) => Poll::Ready(Err(error)),
                None => {
                    self.sending = false;
                    Poll::Ready(Ok(()))
                }
            },
        }
    }

    /// Whether the sending half was reset. `None` for NO_ERROR: the peer has answered completely
    /// and wants no more of the request (RFC 9113 section 8.1); what it sent is still to be read.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Option<StreamError>> {
        let Some(send) = &mut self.send else { return Poll::Pending };
        let result = ready!(send.poll_reset(cx));
        Poll::Ready(self.gone(result, cx))
    }

    /// Resolves when the stream is reset or its connection has ended.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        match ready!(self.poll_gone(cx)) {
            Some(error) => Poll::Ready(error),
            None => Poll::Pending,
        }
    }

    /// What a resolved `poll_reset` of h2 means.
    pub(super) fn gone(&mut self, result: Result<Reason, h2::Error>, cx: &mut Context<'_>) -> Option<StreamError> {
        let Link { role, .. } = &*self.link;
        match result {
            Err(error) => Some(self.failed(error)),
            Ok(Reason::NO_ERROR) if *role == Role::Client => None,
            Ok(reason) => Some(self.explain(reason, cx)),
        }
    }

    /// h2 gives away a bare code; the receiving half knows who reset the stream. What it may
    /// still hold is lost with the stream.
    fn explain(&mut self, reason: Reason, cx: &mut Context<'_>) -> StreamError {
        while let Some(Poll::Ready(Some(frame))) = self.recv.as_mut().map(|recv| recv.poll_data(cx)) {
            if let Err(error) = frame {
                return self.failed(error);
            }
        }
        self.ended_by_peer = true;
        if self.link.wire.is_broken() {
            return failure::protocol(self.link.role, failure::CODEC);
        }
        failure::of_code(self.link.role, reason, &self.link.counters)
    }

    pub(super) fn failed(&mut self, error: h2::Error) -> StreamError {
        let wire = &self.link.wire;
        let trailers = || wire.bad_trailers_of(self.recv.as_ref()?.stream_id().as_u32());
        let flood = wire.flood().or_else(trailers).map(|flood| failure::flood(self.link.role, flood));
        let error = flood.unwrap_or_else(|| match wire.is_broken() {
            true => failure::protocol(self.link.role, failure::CODEC),
            false => failure::of_stream(self.link.role, error, &self.link.counters),
        });
        self.ended_by_peer |= !matches!(error, StreamError::LocalReset);
        error
    }

    /// Nothing (more) is to be sent, though the message is not complete.
    pub(super) fn stop_sending(&mut self) {
        self.sending = false;
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        if let Some(send) = &mut self.send {
            send.send_reset(reason);
        }
    }

    pub(super) fn header_received(&mut self, headers: &Headers) {
        let size = length(headers.byte_size()) + FRAME_HEAD;
        self.bytes.header_received += size;
        self.bytes.received += size;
    }

    pub(super) fn header_sent(&mut self, headers: &Headers) {
        let size = length(headers.byte_size()) + FRAME_HEAD;
        self.bytes.header_sent += size;
        self.bytes.sent += size;
    }
}

impl Drop for Halves {
    fn drop(&mut self) {
        drop_one(&self.link.counters.streams_active);
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
