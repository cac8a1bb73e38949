//! The wait for a connection, as the stream driver sees it.

use std::{
    cell::{Cell, RefCell},
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::{
    context::PendingPermit,
    host::Host,
    pool::PoolKey,
    shared::{Breaker, RoutingPriority},
    stream::UpstreamStream,
};

/// Protocol of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolProtocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
    /// Bytes alone: a CONNECT that ends here goes on as a connection of its own.
    Tcp,
}

/// What is asked of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireOptions {
    /// Protocol to speak.
    pub protocol: PoolProtocol,
    /// The route's priority is HIGH.
    pub high_priority: bool,
}

impl AcquireOptions {
    pub(crate) fn key(self) -> PoolKey {
        let priority = if self.high_priority { RoutingPriority::High } else { RoutingPriority::Default };
        PoolKey { protocol: self.protocol, priority }
    }
}

/// Why there is no stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcquireError {
    /// A circuit breaker is open. Reset reason `overflow`.
    Overflow(Breaker),
    /// `connect_timeout` passed. Reset reason `connection timeout`.
    ConnectTimeout,
    /// The connection failed. Reset reason `remote connection failure`, or `local connection
    /// failure` when the socket could not be prepared.
    ConnectFailed {
        /// Transport failure reason, for example `delayed connect error: Connection refused`.
        source: Rc<str>,
        /// Nothing was sent: the socket could not be prepared or bound.
        local: bool,
    },
    /// `max_connection_pools` pools are in use. To Envoy that is no healthy upstream.
    NoPool,
    /// The pool is gone.
    Shutdown,
}

impl AcquireError {
    /// Envoy's reset reason, with spaces.
    pub fn reset_reason(&self) -> &'static str {
        match self {
            Self::Overflow(_) | Self::NoPool => "overflow",
            Self::ConnectTimeout => "connection timeout",
            Self::ConnectFailed { local: false, .. } => "remote connection failure",
            Self::ConnectFailed { local: true, .. } | Self::Shutdown => "local connection failure",
        }
    }

    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`; empty when there is none.
    pub fn transport_failure_reason(&self) -> &str {
        match self {
            Self::ConnectFailed { source, .. } => source,
            Self::Overflow(_) | Self::NoPool | Self::ConnectTimeout | Self::Shutdown => "",
        }
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reset_reason())?;
        match self.transport_failure_reason() {
            "" => Ok(()),
            reason => write!(f, ", transport failure reason: {reason}"),
        }
    }
}

impl std::error::Error for AcquireError {}

/// One request in line.
pub(crate) struct Waiter {
    outcome: RefCell<Option<Result<UpstreamStream, AcquireError>>>,
    waker: Cell<Option<Waker>>,
    permit: Cell<Option<PendingPermit>>,
}

impl Waiter {
    pub(crate) fn new(permit: PendingPermit) -> Self {
        Self { outcome: RefCell::default(), waker: Cell::default(), permit: Cell::new(Some(permit)) }
    }

    /// Ends the wait. The one who waits may be gone a moment later: see `Acquire::drop`.
    pub(crate) fn settle(&self, outcome: Result<UpstreamStream, AcquireError>) {
        drop(self.permit.take());
        self.outcome.replace(Some(outcome));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Not boxed: it lives in the driver's future, and the fast path must not allocate.
enum State {
    Settled(Result<UpstreamStream, AcquireError>),
    Waiting { waiter: Rc<Waiter>, host: Rc<Host>, key: PoolKey },
    Done,
}

/// Resolves to a stream on a connection of the pool. Cancel-safe: dropped while in line it leaves
/// the line, dropped with an unused stream it hands the connection back.
#[must_use = "dropping it leaves the line"]
pub struct Acquire {
    state: State,
}

impl Acquire {
    /// Asks `host` for a stream.
    pub(crate) fn start(host: &Rc<Host>, options: AcquireOptions) -> Self {
        let key = options.key();
        let Some(pool) = host.pool(key) else { return Self::settled(Err(AcquireError::Shutdown)) };
        if !pool.is_admitted(host) {
            return Self::settled(Err(AcquireError::NoPool));
        }
        if let Some(outcome) = pool.checkout(host) {
            return Self::settled(outcome);
        }
        match pool.enqueue(host) {
            Ok(waiter) => Self { state: State::Waiting { waiter, host: Rc::clone(host), key } },
            Err(error) => Self::settled(Err(error)),
        }
    }

    fn settled(outcome: Result<UpstreamStream, AcquireError>) -> Self {
        Self { state: State::Settled(outcome) }
    }

    /// The same as polling it as a future. Must not be called again after it was ready.
    pub fn poll_acquire(&mut self, cx: &mut Context<'_>) -> Poll<Result<UpstreamStream, AcquireError>> {
        if let State::Waiting { waiter, .. } = &self.state {
            match waiter.outcome.take() {
                Some(outcome) => {
                    self.state = State::Done;
                    return Poll::Ready(outcome);
                }
                None => {
                    waiter.waker.set(Some(cx.waker().clone()));
                    return Poll::Pending;
                }
            }
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Settled(outcome) => Poll::Ready(outcome),
            State::Waiting { .. } | State::Done => Poll::Ready(Err(AcquireError::Shutdown)),
        }
    }
}

impl Future for Acquire {
    type Output = Result<UpstreamStream, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_acquire(cx)
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if matches!(self.state, State::Done) {
            return;
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Settled(Ok(stream)) => stream.hand_back(),
            State::Waiting { waiter, host, key } => match waiter.outcome.take() {
                Some(Ok(stream)) => stream.hand_back(),
                Some(Err(_)) => {}
                None => {
                    if let Some(pool) = host.pool(key) {
                        pool.forget(&host, &waiter);
                    }
                    drop(waiter.permit.take());
                }
            },
            State::Settled(Err(_)) | State::Done => {}
        }
    }
}
