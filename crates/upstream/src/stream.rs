//! One request's stream on an upstream connection, whatever the connection speaks.
//!
//! Stands between the stream driver and the codec: forwards every call (an enum, no dynamic
//! dispatch), remembers how the exchange went, and settles with the pool at the end.
//! [`UpstreamStream::finish`] gives the connection back if it can carry another request; dropping
//! the stream abandons the request: an HTTP/1 connection closes, an HTTP/2 stream is reset.

use std::{
    cell::Cell,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use nuncio_api::{Frame, Headers, RequestHead, ResponseHead};
use nuncio_http::{
    ClientExchange, Exchange, StreamError,
    exchange::{ResetReason, WireBytes},
    h2,
};
use nuncio_net::SocketAddress;
use nuncio_stats::templates::cluster_stats as stats;

use crate::{
    host::Host,
    pool::{ClosedBy, ConnectionGuard, Http1Connection, Http2Connection, PoolProtocol, RequestPermit},
};

/// What carries the request.
/// Both are boxed: a stream is moved several times on its way to the driver, and tries lie within the
/// driver's future.
pub(crate) enum Carrier {
    /// A connection of its own.
    Http1(Box<Http1Connection>),
    /// A place on a shared connection.
    Http2 { stream: Box<h2::ClientStream>, connection: Rc<Http2Connection> },
}

/// How an exchange ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Protocol,
    Connection,
    RemoteReset,
    Refused,
    Local,
}

impl Failure {
    fn of(error: &StreamError) -> Self {
        match error {
            StreamError::Protocol(_) => Self::Protocol,
            StreamError::RemoteReset(_) => Self::RemoteReset,
            StreamError::Refused => Self::Refused,
            StreamError::LocalReset => Self::Local,
            StreamError::Connection(_) => Self::Connection,
        }
    }
}

/// A stream that [`Acquire`](crate::Acquire) resolved to.
pub struct UpstreamStream {
    /// `None` once settled, which only `finish`, `hand_back` and `drop` do.
    carrier: Option<Carrier>,
    permit: RequestPermit,
    failure: Cell<Option<Failure>>,
}

macro_rules! forward {
    ($self:ident, $carrier:ident => $call:expr, $settled:expr) => {
        match &mut $self.carrier {
            Some(Carrier::Http1(connection)) => {
                let $carrier = &mut connection.conn;
                $call
            }
            Some(Carrier::Http2 { stream: $carrier, .. }) => $call,
            None => $settled,
        }
    };
}

impl UpstreamStream {
    pub(crate) fn new(carrier: Carrier, permit: RequestPermit) -> Self {
        Self { carrier: Some(carrier), permit, failure: Cell::new(None) }
    }

    /// The host.
    pub fn host(&self) -> &Rc<Host> {
        &self.permit.host
    }

    /// The protocol.
    pub fn protocol(&self) -> PoolProtocol {
        self.permit.key.protocol
    }

    /// Address of the other end, which for LOGICAL_DNS differs between connections.
    pub fn remote_address(&self) -> Option<&SocketAddress> {
        self.guard()?.remote_address()
    }

    /// Address of this end; `None` on a Unix socket.
    pub fn local_address(&self) -> Option<&SocketAddress> {
        self.guard()?.local_address()
    }

    /// `%UPSTREAM_CONNECTION_ID%`
    pub fn connection_id(&self) -> u64 {
        self.guard().map_or(0, ConnectionGuard::id)
    }

    /// Requests on the connection so far, this one included (`%UPSTREAM_REQUEST_ATTEMPT_COUNT%`
    /// is the router's; this is the connection's).
    pub fn requests_on_connection(&self) -> u64 {
        self.guard().map_or(0, ConnectionGuard::requests)
    }

    /// How long the connection took to be made.
    pub fn connected_after(&self) -> Duration {
        self.guard().map_or(Duration::ZERO, ConnectionGuard::connected_after)
    }

    /// Begins a tunnel on a connection of [`PoolProtocol::Tcp`]: `preamble` goes first, and the
    /// response is a 200 that nobody sent. `end` says that nothing follows.
    pub fn open_raw(&mut self, preamble: Bytes, end: bool) {
        if let Some(Carrier::Http1(connection)) = &mut self.carrier {
            connection.conn.open_raw(preamble);
            if end {
                connection.conn.send_data(Bytes::new(), true);
            }
        }
    }

    /// The exchange is over: the response was received completely. Keeps the connection when it
    /// can be used again, which after a failure or [`Exchange::reset`] it cannot.
    pub fn finish(mut self) {
        self.settle(true);
    }

    /// Nothing was sent: the connection goes back as it came.
    pub(crate) fn hand_back(mut self) {
        let host = Rc::clone(&self.permit.host);
        let Some(pool) = host.pool(self.permit.key) else { return };
        match self.carrier.take() {
            Some(Carrier::Http1(connection)) => {
                connection.guard.uncount_request();
                drop(self);
                pool.release_http1(&host, connection);
            }
            Some(Carrier::Http2 { stream, connection }) => {
                drop(stream);
                drop(self);
                pool.release_http2(&host, connection);
            }
            None => {}
        }
    }

    fn guard(&self) -> Option<&ConnectionGuard> {
        match self.carrier.as_ref()? {
            Carrier::Http1(connection) => Some(&connection.guard),
            Carrier::Http2 { connection, .. } => Some(&connection.guard),
        }
    }

    fn seen<T>(&self, outcome: Poll<Result<T, StreamError>>) -> Poll<Result<T, StreamError>> {
        if let Poll::Ready(Err(error)) = &outcome {
            self.failed(Failure::of(error));
        }
        outcome
    }

    /// The first failure counts.
    fn failed(&self, failure: Failure) {
        if self.failure.get().is_none() {
            self.failure.set(Some(failure));
        }
    }

    fn settle(&mut self, is_over: bool) {
        let Some(carrier) = self.carrier.take() else { return };
        let host = Rc::clone(&self.permit.host);
        let Some(pool) = host.pool(self.permit.key) else { return };
        // Before the connection goes back: whoever gets it next may need this request's place.
        self.permit.end();
        match carrier {
            Carrier::Http1(mut connection) => {
                self.count_bytes(connection.conn.wire_bytes());
                if is_over && self.failure.get().is_none() && connection.conn.finish_exchange() {
                    pool.release_http1(&host, connection);
                    return;
                }
                self.count_http1_end(&connection, is_over);
                pool.discard_http1(&host, connection);
            }
            Carrier::Http2 { mut stream, connection } => {
                if !is_over && self.failure.get().is_none() {
                    stream.reset(ResetReason::Cancel);
                    self.failed(Failure::Local);
                }
                self.count_bytes(stream.wire_bytes());
                self.count_http2_end(&connection);
                drop(stream);
                pool.release_http2(&host, connection);
            }
        }
    }

    fn count_bytes(&self, bytes: WireBytes) {
        let counters = &self.permit.host.state.context.stats;
        counters.add(stats::UPSTREAM_CX_RX_BYTES_TOTAL, bytes.received);
        counters.add(stats::UPSTREAM_CX_TX_BYTES_TOTAL, bytes.sent);
    }

    /// The connection ends with this request: who ended it?
    fn count_http1_end(&self, connection: &Http1Connection, is_over: bool) {
        let counters = &self.permit.host.state.context.stats;
        match self.failure.get() {
            Some(Failure::Protocol) => {
                counters.inc(stats::UPSTREAM_CX_PROTOCOL_ERROR);
                connection.guard.close(ClosedBy::Local);
            }
            Some(Failure::Connection) => connection.guard.close(ClosedBy::Remote),
            Some(Failure::RemoteReset | Failure::Refused | Failure::Local) => {
                connection.guard.close(ClosedBy::Local);
            }
            None => {
                if is_over && connection.conn.has_unasked_bytes() {
                    counters.inc(stats::UPSTREAM_CX_PROTOCOL_ERROR);
                } else if is_over && connection.conn.is_request_sent() {
                    counters.inc(stats::UPSTREAM_CX_CLOSE_NOTIFY);
                }
                connection.guard.close(ClosedBy::Local);
            }
        }
        if !is_over || self.failure.get().is_some() {
            connection.guard.lost_request();
        }
    }

    fn count_http2_end(&self, connection: &Http2Connection) {
        let counters = &self.permit.host.state.context.stats;
        match self.failure.get() {
            Some(Failure::RemoteReset) => counters.inc(stats::UPSTREAM_RQ_RX_RESET),
            Some(Failure::Local | Failure::Protocol) => counters.inc(stats::UPSTREAM_RQ_TX_RESET),
            Some(Failure::Connection) => {
                counters.inc(stats::UPSTREAM_RQ_PENDING_FAILURE_EJECT);
                connection.guard.lost_request();
            }
            Some(Failure::Refused) | None => {}
        }
    }
}

impl Drop for UpstreamStream {
    fn drop(&mut self) {
        self.settle(false);
    }
}

fn gone() -> StreamError {
    StreamError::LocalReset
}

impl Exchange for UpstreamStream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, StreamError>> {
        let outcome = forward!(self, side => side.poll_frame(cx), Poll::Ready(Err(gone())));
        self.seen(outcome)
    }

    fn send_data(&mut self, data: Bytes, end: bool) {
        forward!(self, side => side.send_data(data, end), ());
    }

    fn send_trailers(&mut self, trailers: &Headers) {
        forward!(self, side => side.send_trailers(trailers), ());
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let outcome = forward!(self, side => side.poll_ready(cx), Poll::Ready(Err(gone())));
        self.seen(outcome)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let outcome = forward!(self, side => side.poll_flush(cx), Poll::Ready(Err(gone())));
        self.seen(outcome)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        let outcome = forward!(self, side => side.poll_gone(cx), Poll::Ready(gone()));
        if let Poll::Ready(error) = &outcome {
            self.failed(Failure::of(error));
        }
        outcome
    }

    fn reset(&mut self, reason: ResetReason) {
        self.failed(Failure::Local);
        forward!(self, side => side.reset(reason), ());
    }

    fn wire_bytes(&self) -> WireBytes {
        match &self.carrier {
            Some(Carrier::Http1(connection)) => connection.conn.wire_bytes(),
            Some(Carrier::Http2 { stream, .. }) => stream.wire_bytes(),
            None => WireBytes::default(),
        }
    }
}

impl ClientExchange for UpstreamStream {
    fn send_head(&mut self, head: &RequestHead, end: bool) {
        forward!(self, side => side.send_head(head, end), ());
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, bool), StreamError>> {
        let outcome = forward!(self, side => side.poll_head(cx), Poll::Ready(Err(gone())));
        self.seen(outcome)
    }
}
