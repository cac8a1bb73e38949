//! The life of one upstream connection in numbers, whatever it speaks.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use nuncio_net::{SocketAddress, Stream};
use nuncio_stats::templates::cluster_stats as stats;
use tokio::time::Instant;

use crate::{
    host::HostState,
    pool::{PoolKey, PoolProtocol},
    shared::Breaker,
    tally::HostStat,
};

/// Ids of all upstream connections of the process (`%UPSTREAM_CONNECTION_ID%`).
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClosedBy {
    /// This side.
    Local,
    /// The host, or the network.
    Remote,
}

/// One of `max_connections`: counts the beginning when made and the end when dropped. Held by
/// whatever holds the socket, so that a socket is never uncounted.
pub(crate) struct ConnectionGuard {
    state: Rc<HostState>,
    key: PoolKey,
    id: u64,
    opened: Instant,
    connected_after: Cell<Option<Duration>>,
    requests: Cell<u64>,
    closed_by: Cell<Option<ClosedBy>>,
    had_active_request: Cell<bool>,
    addresses: OnceCell<(Option<SocketAddress>, SocketAddress)>,
    expires: Option<Instant>,
}

impl ConnectionGuard {
    pub(crate) fn new(state: &Rc<HostState>, key: PoolKey) -> Self {
        let context = &state.context;
        context.shared.take(context.worker, key.priority, Breaker::Connections);
        context.stats.inc(stats::UPSTREAM_CX_TOTAL);
        context.stats.gauge_inc(stats::UPSTREAM_CX_ACTIVE);
        match key.protocol {
            PoolProtocol::Http1 => context.stats.inc(stats::UPSTREAM_CX_HTTP1_TOTAL),
            PoolProtocol::Http2 => context.stats.inc(stats::UPSTREAM_CX_HTTP2_TOTAL),
            PoolProtocol::Tcp => {}
        }
        state.count(HostStat::CxTotal);
        state.count(HostStat::CxActive);
        state.cx_active.set(state.cx_active.get() + 1);
        if let Some(open) = state.open.get(key.index())
            && open.replace(open.get() + 1) == 0
        {
            context.shared.take(context.worker, key.priority, Breaker::Pools);
        }
        let opened = Instant::now();
        Self {
            state: Rc::clone(state),
            key,
            id: NEXT_ID.fetch_add(1, Relaxed),
            opened,
            connected_after: Cell::new(None),
            requests: Cell::new(0),
            closed_by: Cell::new(None),
            had_active_request: Cell::new(false),
            addresses: OnceCell::new(),
            expires: context.settings.common.max_connection_duration.map(|limit| opened + limit),
        }
    }

    /// The connection stands.
    pub(crate) fn connected(&self, stream: &Stream, remote: SocketAddress) {
        let took = self.opened.elapsed();
        self.connected_after.set(Some(took));
        self.state.context.stats.record(stats::UPSTREAM_CX_CONNECT_MS, milliseconds(took));
        let local = match stream {
            Stream::Tcp(tcp) => tcp.local_addr().ok().map(SocketAddress::from),
            Stream::Unix(_) => None,
        };
        // Set once: a connection connects once.
        let _ = self.addresses.set((local, remote));
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn connected_after(&self) -> Duration {
        self.connected_after.get().unwrap_or_default()
    }

    pub(crate) fn local_address(&self) -> Option<&SocketAddress> {
        self.addresses.get()?.0.as_ref()
    }

    pub(crate) fn remote_address(&self) -> Option<&SocketAddress> {
        self.addresses.get().map(|(_, remote)| remote)
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// One more request; true when it is the last that `max_requests_per_connection` allows.
    pub(crate) fn count_request(&self) -> bool {
        let requests = self.requests.get() + 1;
        self.requests.set(requests);
        let limit = u64::from(self.state.context.settings.common.max_requests_per_connection);
        let is_last = limit != 0 && requests == limit;
        if is_last {
            self.state.context.stats.inc(stats::UPSTREAM_CX_MAX_REQUESTS);
        }
        is_last
    }

    /// A request that was counted was never sent.
    pub(crate) fn uncount_request(&self) {
        self.requests.set(self.requests.get().saturating_sub(1));
    }

    /// True when the connection has carried all the requests it may.
    pub(crate) fn is_used_up(&self) -> bool {
        let limit = u64::from(self.state.context.settings.common.max_requests_per_connection);
        limit != 0 && self.requests.get() >= limit
    }

    /// True once `max_connection_duration` has passed.
    pub(crate) fn is_expired(&self) -> bool {
        self.expires.is_some_and(|at| at <= Instant::now())
    }

    /// Says who ends the connection; the first one counts. Without it this side does.
    pub(crate) fn close(&self, by: ClosedBy) {
        if self.closed_by.get().is_none() {
            self.closed_by.set(Some(by));
        }
    }

    /// A request was under way when the connection ended.
    pub(crate) fn lost_request(&self) {
        self.had_active_request.set(true);
    }

    fn count_end(&self) {
        let stats_of = &self.state.context.stats;
        let (by, by_with_request) = match self.closed_by.get().unwrap_or(ClosedBy::Local) {
            ClosedBy::Local => (stats::UPSTREAM_CX_DESTROY_LOCAL, stats::UPSTREAM_CX_DESTROY_LOCAL_WITH_ACTIVE_RQ),
            ClosedBy::Remote => (stats::UPSTREAM_CX_DESTROY_REMOTE, stats::UPSTREAM_CX_DESTROY_REMOTE_WITH_ACTIVE_RQ),
        };
        stats_of.inc(stats::UPSTREAM_CX_DESTROY);
        stats_of.inc(by);
        if self.had_active_request.get() {
            stats_of.inc(stats::UPSTREAM_CX_DESTROY_WITH_ACTIVE_RQ);
            stats_of.inc(by_with_request);
        }
        stats_of.record(stats::UPSTREAM_CX_LENGTH_MS, milliseconds(self.opened.elapsed()));
        if self.connected_after.get().is_some() {
            stats_of.record(stats::UPSTREAM_RQ_PER_CX, self.requests.get());
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.count_end();
        let context = &self.state.context;
        context.shared.give_back(context.worker, self.key.priority, Breaker::Connections);
        context.stats.gauge_dec(stats::UPSTREAM_CX_ACTIVE);
        self.state.discount(HostStat::CxActive);
        self.state.cx_active.set(self.state.cx_active.get().saturating_sub(1));
        if let Some(open) = self.state.open.get(self.key.index()) {
            open.set(open.get().saturating_sub(1));
            if open.get() == 0 {
                context.shared.give_back(context.worker, self.key.priority, Breaker::Pools);
            }
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
