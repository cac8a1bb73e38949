//! HTTP/2 connections: many requests at a time, as a rule one connection per host and worker.
//!
//! A second one is made when the first has no place left (`max_concurrent_streams` or the host's
//! SETTINGS; until those come, the codec allows what every host does). A connection leaves the list as soon as it takes no more streams (GOAWAY,
//! `max_requests_per_connection`, `max_connection_duration`); its streams keep it alive until they
//! end. A task of its own moves the bytes of each connection and says who ended it.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::Pin,
    rc::{Rc, Weak},
};

use nuncio_http::{StreamError, h2};
use nuncio_net::Stream;
use nuncio_stats::{Shard, templates::cluster_stats as stats};
use tokio::time::Instant;

use super::{AcquireError, ClosedBy, ConnectionGuard, Pool, PoolKey, RequestPermit};
use crate::{
    host::Host,
    stream::{Carrier, UpstreamStream},
};

/// One connection, held by the pool while it takes streams and by each of its streams.
pub(crate) struct Http2Connection {
    pub(crate) handle: h2::ClientConnection,
    pub(crate) guard: ConnectionGuard,
    idle_since: Cell<Instant>,
    /// This side ends it: a GOAWAY in answer is not the host's doing.
    retired: Cell<bool>,
    goaway_noted: Cell<bool>,
}

impl Http2Connection {
    /// Counts the host's GOAWAY, once.
    fn note_goaway(&self, counters: &Shard) {
        if self.handle.is_peer_going_away() && !self.goaway_noted.replace(true) {
            counters.inc(stats::UPSTREAM_CX_CLOSE_NOTIFY);
        }
    }

    fn retire(&self) {
        self.retired.set(true);
        self.handle.drain();
    }
}

impl Pool {
    pub(super) fn add_http2(
        &self,
        host: &Rc<Host>,
        stream: Stream,
        guard: ConnectionGuard,
    ) -> Result<(), AcquireError> {
        let (options, counters) = host.state.context.http2_options();
        let (handle, driver) = h2::connect(stream, options, Rc::clone(counters))
            .map_err(|error| AcquireError::ConnectFailed { source: error.to_string().into(), local: false })?;
        let connection = Rc::new(Http2Connection {
            handle,
            guard,
            idle_since: Cell::new(Instant::now()),
            retired: Cell::new(false),
            goaway_noted: Cell::new(false),
        });
        tokio::task::spawn_local(drive(driver, Rc::downgrade(&connection), Rc::downgrade(host), self.key));
        self.http2.borrow_mut().push(connection);
        Ok(())
    }

    pub(super) fn checkout_http2(&self, host: &Rc<Host>) -> Option<Result<UpstreamStream, AcquireError>> {
        self.drop_draining(host);
        let found = self.http2.borrow().iter().find_map(|connection| {
            let stream = connection.handle.try_open()?;
            Some((Rc::clone(connection), stream))
        });
        let (connection, stream) = found?;
        let permit = match RequestPermit::take(host, self.key) {
            Ok(permit) => permit,
            Err(error) => return Some(Err(error)),
        };
        if connection.guard.count_request() {
            connection.retire();
            self.remove_http2(&connection);
        }
        Some(Ok(UpstreamStream::new(Carrier::Http2 { stream: Box::new(stream), connection }, permit)))
    }

    /// A stream has ended and given its place back.
    pub(crate) fn release_http2(&self, host: &Rc<Host>, connection: Rc<Http2Connection>) {
        connection.idle_since.set(Instant::now());
        if connection.guard.is_expired() && !connection.retired.get() {
            host.state.context.stats.inc(stats::UPSTREAM_CX_MAX_DURATION_REACHED);
            connection.retire();
            self.remove_http2(&connection);
        }
        drop(connection);
        if self.waiting.borrow().is_empty() {
            return;
        }
        self.serve(host);
        self.after_close(host);
    }

    /// Connections that the host, or a used-up id space, keeps from taking more streams.
    fn drop_draining(&self, host: &Host) {
        if !self.http2.borrow().iter().any(|connection| connection.handle.is_draining()) {
            return;
        }
        let (gone, kept) = self.http2.take().into_iter().partition(|c: &Rc<_>| c.handle.is_draining());
        self.http2.replace(kept);
        for connection in Vec::into_iter(gone) {
            connection.note_goaway(&host.state.context.stats);
        }
    }

    fn remove_http2(&self, connection: &Rc<Http2Connection>) {
        self.http2.borrow_mut().retain(|other| !Rc::ptr_eq(other, connection));
    }

    /// No new streams on any connection.
    pub(super) fn drain_http2(&self) {
        for connection in self.http2.take() {
            connection.retire();
        }
    }

    pub(super) fn sweep_http2(&self, host: &Rc<Host>) -> bool {
        self.drop_draining(host);
        let limit = host.state.context.settings.common.idle_timeout;
        let connections = self.http2.borrow().clone();
        for connection in connections {
            let is_stale = connection.handle.active_streams() == 0
                && limit.is_some_and(|limit| connection.idle_since.get().elapsed() >= limit);
            let ended_for = if is_stale {
                stats::UPSTREAM_CX_IDLE_TIMEOUT
            } else if connection.guard.is_expired() {
                stats::UPSTREAM_CX_MAX_DURATION_REACHED
            } else {
                continue;
            };
            host.state.context.stats.inc(ended_for);
            connection.retire();
            self.remove_http2(&connection);
        }
        !self.http2.borrow().is_empty()
    }
}

/// Moves the bytes of one connection until it ends.
async fn drive(driver: h2::ClientDriver, connection: Weak<Http2Connection>, host: Weak<Host>, key: PoolKey) {
    let end = drive_serving(driver, &connection, &host, key).await;
    let Some(connection) = connection.upgrade() else { return };
    connection.guard.close(match &end {
        Err(StreamError::Protocol(_)) => ClosedBy::Local,
        Ok(()) if connection.retired.get() => ClosedBy::Local,
        _ => ClosedBy::Remote,
    });
    let Some(host) = host.upgrade() else { return };
    connection.note_goaway(&host.state.context.stats);
    if matches!(end, Err(StreamError::Protocol(_))) {
        host.state.context.stats.inc(stats::UPSTREAM_CX_PROTOCOL_ERROR);
    }
    let Some(pool) = host.pool(key) else { return };
    pool.remove_http2(&connection);
    drop(connection);
    pool.after_close(&host);
}

/// Drives, and serves the line when the host's SETTINGS allow more streams than were known of.
async fn drive_serving(
    mut driver: h2::ClientDriver,
    connection: &Weak<Http2Connection>,
    host: &Weak<Host>,
    key: PoolKey,
) -> Result<(), StreamError> {
    let places = || connection.upgrade().map_or(0, |connection| connection.handle.max_streams());
    let mut known = places();
    poll_fn(|cx| {
        let end = Pin::new(&mut driver).poll(cx);
        let now = places();
        if end.is_pending()
            && std::mem::replace(&mut known, now) < now
            && let Some(host) = host.upgrade()
            && let Some(pool) = host.pool(key)
        {
            pool.serve(&host);
            pool.after_close(&host);
        }
        end
    })
    .await
}
