//! HTTP/1 connections: one request at a time, the most recently used one first. Connections that
//! carry bytes alone are kept the same way, but used once.
//!
//! Last in, first out keeps few connections warm and lets the others run into their idle timeout.
//! Whether the host closed an idle connection is seen from the readiness that the reactor already
//! cached, without a system call; a close that is under way at that moment fails the request, and
//! `reset-before-request` retries cover it.

use std::{rc::Rc, sync::Arc};

use nuncio_http::h1;
use nuncio_net::Stream;
use nuncio_stats::templates::cluster_stats as stats;
use tokio::time::Instant;

use super::{AcquireError, ClosedBy, ConnectionGuard, Pool, PoolProtocol, RequestPermit};
use crate::{
    host::Host,
    stream::{Carrier, UpstreamStream},
};

/// One connection; the socket closes before the guard counts it as closed.
pub(crate) struct Http1Connection {
    pub(crate) conn: h1::ClientConn,
    pub(crate) guard: ConnectionGuard,
    idle_since: Instant,
}

impl Pool {
    pub(super) fn add_http1(&self, host: &Host, stream: Stream, guard: ConnectionGuard) {
        let conn = h1::ClientConn::new(stream, Arc::clone(host.state.context.http1_options()));
        self.http1.borrow_mut().push(Box::new(Http1Connection { conn, guard, idle_since: Instant::now() }));
    }

    pub(super) fn checkout_http1(&self, host: &Rc<Host>) -> Option<Result<UpstreamStream, AcquireError>> {
        loop {
            // Bound first: what happens below may come back to this list.
            let next = self.http1.borrow_mut().pop();
            let connection = next?;
            // A TCP server may speak first: to ask whether it has would take a byte of what it said.
            if self.key.protocol == PoolProtocol::Http1 && !is_usable(host, &connection) {
                continue;
            }
            return Some(match RequestPermit::take(host, self.key) {
                Ok(permit) => {
                    connection.guard.count_request();
                    Ok(UpstreamStream::new(Carrier::Http1(connection), permit))
                }
                Err(error) => {
                    self.http1.borrow_mut().push(connection);
                    Err(error)
                }
            });
        }
    }

    /// Takes a connection back after its request.
    pub(crate) fn release_http1(&self, host: &Rc<Host>, mut connection: Box<Http1Connection>) {
        let guard = &connection.guard;
        if host.state.draining.get() || guard.is_used_up() {
            guard.close(ClosedBy::Local);
        } else if guard.is_expired() {
            host.state.context.stats.inc(stats::UPSTREAM_CX_MAX_DURATION_REACHED);
            guard.close(ClosedBy::Local);
        } else {
            if host.state.context.settings.common.idle_timeout.is_some() {
                connection.idle_since = Instant::now();
            }
            self.http1.borrow_mut().push(connection);
            self.serve(host);
            host.state.context.sweeper.watch(host);
            return;
        }
        drop(connection);
        self.after_close(host);
    }

    /// Drops a connection that cannot carry another request.
    pub(crate) fn discard_http1(&self, host: &Rc<Host>, connection: Box<Http1Connection>) {
        drop(connection);
        self.after_close(host);
    }

    pub(super) fn sweep_http1(&self, host: &Rc<Host>) -> bool {
        let mut idle = self.http1.take();
        let limit = host.state.context.settings.common.idle_timeout;
        let before = idle.len();
        idle.retain(|connection| {
            if !is_usable(host, connection) {
                return false;
            }
            let is_stale = limit.is_some_and(|limit| connection.idle_since.elapsed() >= limit);
            if is_stale {
                host.state.context.stats.inc(stats::UPSTREAM_CX_IDLE_TIMEOUT);
            }
            !is_stale
        });
        let closed_some = idle.len() < before;
        self.http1.replace(idle);
        if closed_some {
            self.after_close(host);
        }
        !self.http1.borrow().is_empty()
    }
}

/// Whether an idle connection can carry a request; says why not in the stats.
fn is_usable(host: &Host, connection: &Http1Connection) -> bool {
    if !connection.conn.is_open() {
        connection.guard.close(ClosedBy::Remote);
        return false;
    }
    if connection.guard.is_expired() {
        host.state.context.stats.inc(stats::UPSTREAM_CX_MAX_DURATION_REACHED);
        return false;
    }
    true
}
