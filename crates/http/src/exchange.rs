//! The codec boundary: what the stream driver may ask of one side of one exchange.
//!
//! Everything is poll-based and single-task: the driver polls both sides of an exchange from one
//! future, so no channel and no lock stands between downstream and upstream. Sending never
//! waits: `send_*` encodes or queues, `poll_ready` is the back-pressure (Pending while more than
//! the side's buffer limit is queued), `poll_flush` moves queued bytes on. A driver sends one
//! frame per `poll_ready`, so what a side holds is bounded by its limit plus one frame.
//!
//! Order of calls on the sending half: informational*, head, data*, trailers?. A head or data
//! with `end` set, or trailers, closes the half; later sends are ignored.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use nuncio_api::{Frame, Headers, RequestHead, ResponseHead};

use crate::error::StreamError;

/// Why a stream is abandoned, as it is told to the peer (HTTP/2 error code; HTTP/1 closes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// NO_ERROR: a complete response was sent, the rest of the request is not wanted.
    NoError,
    /// CANCEL
    Cancel,
    /// INTERNAL_ERROR
    InternalError,
    /// PROTOCOL_ERROR
    Protocol,
    /// REFUSED_STREAM
    Refused,
    /// CONNECT_ERROR
    Connect,
}

/// Body and flow control of either side of an exchange.
pub trait Exchange {
    /// The next piece of the incoming body. After a frame that ends the message it must not be
    /// called again. An incoming message with an empty body yields nothing: its head said so.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, StreamError>>;

    /// Queues a piece of the outgoing body.
    fn send_data(&mut self, data: Bytes, end: bool);

    /// Queues trailers and ends the outgoing message.
    fn send_trailers(&mut self, trailers: &Headers);

    /// Ready when less than the buffer limit is queued for sending; moves queued bytes on if not.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>>;

    /// Moves queued bytes on; Ready when nothing is left in this side's own buffer.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>>;

    /// Resolves when the peer is gone (reset, connection closed) although neither reading nor
    /// writing is wanted right now. Bytes that arrive meanwhile stay buffered (bounded).
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<StreamError>;

    /// Abandons the exchange.
    fn reset(&mut self, reason: ResetReason);

    /// Bytes of heads and trailers read and written so far on this exchange (`%..._HEADER_BYTES%`,
    /// wire bytes), and body bytes with framing.
    fn wire_bytes(&self) -> WireBytes;
}

/// Wire-level byte counts of one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireBytes {
    /// Header bytes received.
    pub header_received: u64,
    /// Header bytes sent.
    pub header_sent: u64,
    /// All bytes received, framing included.
    pub received: u64,
    /// All bytes sent, framing included.
    pub sent: u64,
}

/// Downstream side: the request was received, a response is to be sent.
pub trait ServerExchange: Exchange {
    /// Sends a 1xx response.
    fn send_informational(&mut self, status: StatusCode, headers: &Headers);

    /// Sends the response head; `end` says no body and no trailers follow.
    ///
    /// Framing headers are the codec's: `content-length` in `head` is honoured when it is valid,
    /// HTTP/1 adds `content-length: 0` or `transfer-encoding: chunked` (last) where needed and
    /// `connection: close` when the connection will not be kept. Hop-by-hop headers in `head`
    /// (connection, keep-alive, proxy-connection, transfer-encoding, upgrade) are skipped.
    fn send_head(&mut self, head: &ResponseHead, end: bool);

    /// The connection shall not be kept after this response: HTTP/1 says `connection: close` in
    /// the head that follows. HTTP/2 streams come and go without that, so there it does nothing.
    fn close_after_response(&mut self) {}
}

/// Upstream side: a request is to be sent, the response to be received.
pub trait ClientExchange: Exchange {
    /// Sends the request head; `end` says no body and no trailers follow. Framing headers as for
    /// [`ServerExchange::send_head`].
    fn send_head(&mut self, head: &RequestHead, end: bool);

    /// The next response head: any number of 1xx, then the final one. The flag says whether the
    /// head ended the message.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, bool), StreamError>>;
}
