//! Connection pools: one for each worker, host, protocol and routing priority.
//!
//! A request gets an idle connection at once ([`Pool::checkout`]), or waits in line while
//! connections are made ([`Pool::enqueue`]). As in Envoy a connection is made when more requests
//! wait than connections are on their way; above `max_connections` none is made
//! (`upstream_cx_overflow`) unless this pool has none at all. Whichever connection becomes free
//! first serves whoever waits longest; a connection that fails fails everybody in line, so that
//! each can be retried elsewhere.
//!
//! ```text
//! acquire --idle--> UpstreamStream --finish--> idle --checkout--> ...
//!    |                                  |        +-- sweep: peer closed, idle timeout, max duration
//!    +--none--> in line --connected-----+        +-- host removed
//!                  +-- overflow, connect failure or timeout --> AcquireError
//! ```
//!
//! The pool owns waiting and keeping; it knows nothing of retries, routes or responses. Limits:
//! `max_connections` (in all and per host), `max_pending_requests`, `max_requests` and
//! `max_connection_pools` (a pool counts while it has a connection); idle connections are bounded
//! by the first. Nothing here takes a lock: a pool belongs to one worker.

mod acquire;
mod connecting;
mod connection;
mod http1;
mod http2;
mod request;
mod sweep;
#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use nuncio_stats::templates::cluster_stats as stats;

pub(crate) use acquire::Waiter;
pub use acquire::{Acquire, AcquireError, AcquireOptions, PoolProtocol};
pub(crate) use connection::{ClosedBy, ConnectionGuard};
pub(crate) use http1::Http1Connection;
pub(crate) use http2::Http2Connection;
pub(crate) use request::RequestPermit;
pub(crate) use sweep::Sweeper;

use crate::{
    context::PendingPermit,
    host::Host,
    shared::{Breaker, RoutingPriority},
    stream::UpstreamStream,
    tally::HostStat,
};

/// Which of a host's pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolKey {
    pub(crate) protocol: PoolProtocol,
    pub(crate) priority: RoutingPriority,
}

impl PoolKey {
    pub(crate) const COUNT: usize = 6;

    pub(crate) fn index(self) -> usize {
        let protocol = match self.protocol {
            PoolProtocol::Http1 => 0,
            PoolProtocol::Http2 => 2,
            PoolProtocol::Tcp => 4,
        };
        protocol + self.priority.index()
    }
}

/// One pool.
pub(crate) struct Pool {
    pub(crate) key: PoolKey,
    /// Requests in line, longest wait first.
    waiting: RefCell<VecDeque<Rc<Waiter>>>,
    /// Streams that connections on their way will carry.
    connecting_capacity: Cell<usize>,
    /// HTTP/1 and TCP: idle ones, the most recently used last.
    #[expect(clippy::vec_box, reason = "the box goes to the stream and comes back")]
    http1: RefCell<Vec<Box<Http1Connection>>>,
    /// HTTP/2: all that still take streams.
    http2: RefCell<Vec<Rc<Http2Connection>>>,
}

impl Pool {
    pub(crate) fn new(key: PoolKey) -> Self {
        Self {
            key,
            waiting: RefCell::default(),
            connecting_capacity: Cell::new(0),
            http1: RefCell::default(),
            http2: RefCell::default(),
        }
    }

    /// True while it has no connection, not even one on its way.
    pub(crate) fn is_unused(&self, host: &Host) -> bool {
        host.state.open.get(self.key.index()).is_none_or(|open| open.get() == 0)
    }

    /// True when all its connections are idle and nobody is in line.
    fn is_quiet(&self, host: &Host) -> bool {
        let open = host.state.open.get(self.key.index()).map_or(0, Cell::get);
        let idle = match self.key.protocol {
            PoolProtocol::Http1 | PoolProtocol::Tcp => self.http1.borrow().len(),
            PoolProtocol::Http2 => self.http2.borrow().iter().filter(|c| c.handle.active_streams() == 0).count(),
        };
        self.waiting.borrow().is_empty() && usize::try_from(open).is_ok_and(|open| open == idle)
    }

    /// Whether `max_connection_pools` allows this pool to be used. At the limit a quiet pool of
    /// the same host and priority makes place, as in Envoy.
    pub(crate) fn is_admitted(&self, host: &Rc<Host>) -> bool {
        let context = &host.state.context;
        let limit = context.limit(self.key.priority, Breaker::Pools);
        if limit == u64::MAX || !self.is_unused(host) || context.admits(self.key.priority, Breaker::Pools) {
            return true;
        }
        let is_quiet =
            |pool: &&Self| pool.key.priority == self.key.priority && !pool.is_unused(host) && pool.is_quiet(host);
        match host.pools().find(is_quiet) {
            Some(pool) => {
                pool.close_idle();
                true
            }
            None => {
                context.stats.inc(stats::UPSTREAM_CX_POOL_OVERFLOW);
                false
            }
        }
    }

    /// A stream on a connection that is open already. `None` when there is none.
    pub(crate) fn checkout(&self, host: &Rc<Host>) -> Option<Result<UpstreamStream, AcquireError>> {
        match self.key.protocol {
            PoolProtocol::Http1 | PoolProtocol::Tcp => self.checkout_http1(host),
            PoolProtocol::Http2 => self.checkout_http2(host),
        }
    }

    /// Puts a request in line and sees to it that a connection is on its way.
    pub(crate) fn enqueue(&self, host: &Rc<Host>) -> Result<Rc<Waiter>, AcquireError> {
        let permit = PendingPermit::take(&host.state.context, self.key.priority)
            .ok_or(AcquireError::Overflow(Breaker::Pending))?;
        host.state.count(HostStat::RqPendingActive);
        let waiter = Rc::new(Waiter::new(permit));
        self.waiting.borrow_mut().push_back(Rc::clone(&waiter));
        self.connect_if_needed(host);
        Ok(waiter)
    }

    /// Takes a request out of the line again.
    pub(crate) fn forget(&self, host: &Host, waiter: &Rc<Waiter>) {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(at) = waiting.iter().position(|other| Rc::ptr_eq(other, waiter)) {
            waiting.remove(at);
            host.state.discount(HostStat::RqPendingActive);
            host.state.context.stats.inc(stats::UPSTREAM_RQ_CANCELLED);
        }
    }

    fn next_waiting(&self, host: &Host) -> Option<Rc<Waiter>> {
        let waiter = self.waiting.borrow_mut().pop_front()?;
        host.state.discount(HostStat::RqPendingActive);
        Some(waiter)
    }

    /// Gives free connections to those in line.
    pub(crate) fn serve(&self, host: &Rc<Host>) {
        while !self.waiting.borrow().is_empty() {
            let Some(outcome) = self.checkout(host) else { break };
            match self.next_waiting(host) {
                Some(waiter) => waiter.settle(outcome),
                None => break,
            }
        }
    }

    /// A connection is gone: those in line may need another one.
    pub(crate) fn after_close(&self, host: &Rc<Host>) {
        self.connect_if_needed(host);
    }

    /// Everybody in line fails the same way; new requests of those who retry come after.
    fn fail_all(&self, host: &Rc<Host>, error: &AcquireError) {
        let waiting = self.waiting.take();
        for waiter in waiting {
            host.state.discount(HostStat::RqPendingActive);
            host.state.context.stats.inc(stats::UPSTREAM_RQ_PENDING_FAILURE_EJECT);
            waiter.settle(Err(error.clone()));
        }
    }

    /// One connection more if those on their way cannot carry everybody in line.
    fn connect_if_needed(&self, host: &Rc<Host>) {
        if self.waiting.borrow().len() <= self.connecting_capacity.get() {
            return;
        }
        let context = &host.state.context;
        let has_none = self.is_unused(host);
        let limit = context.limits(self.key.priority).max_connections_per_host;
        let host_admits = limit == u64::MAX || host.state.description.stat(HostStat::CxActive) < limit;
        if !(host_admits && context.admits(self.key.priority, Breaker::Connections)) {
            context.stats.inc(stats::UPSTREAM_CX_OVERFLOW);
            if !has_none {
                return;
            }
        }
        self.start_connecting(host);
    }

    /// The host left: connections that carry nothing close.
    pub(crate) fn close_idle(&self) {
        // Taken out first: closing a connection must find the list unborrowed.
        drop(self.http1.take());
        self.drain_http2();
    }

    /// Looks after idle connections; false when there are none left.
    pub(crate) fn sweep(&self, host: &Rc<Host>) -> bool {
        match self.key.protocol {
            PoolProtocol::Http1 | PoolProtocol::Tcp => self.sweep_http1(host),
            PoolProtocol::Http2 => self.sweep_http2(host),
        }
    }
}
