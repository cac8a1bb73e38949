//! Making a connection, bounded by `connect_timeout`.
//!
//! Runs as a task of its own: whoever asked for the connection may go away, and the connection
//! then serves the next in line or waits idle, as in Envoy.

use std::{future::poll_fn, pin::pin, rc::Rc, task::Poll};

use nuncio_net::{
    SocketAddress, Stream,
    connect::{ConnectError, connect},
};
use nuncio_stats::templates::cluster_stats as stats;
use tokio::time::Instant;

use super::{AcquireError, ClosedBy, ConnectionGuard, Pool, PoolProtocol};
use crate::{happy_eyeballs::connect_any, host::Host, tally::HostStat};

impl Pool {
    /// Streams that a new connection is expected to carry.
    fn expected_capacity(&self, host: &Host) -> usize {
        match self.key.protocol {
            PoolProtocol::Http1 | PoolProtocol::Tcp => 1,
            PoolProtocol::Http2 => {
                let settings = &host.state.context.settings;
                let streams = usize::try_from(settings.http2.max_concurrent_streams).unwrap_or(usize::MAX);
                match settings.common.max_requests_per_connection {
                    0 => streams.max(1),
                    limit => streams.min(usize::try_from(limit).unwrap_or(usize::MAX)).max(1),
                }
            }
        }
    }

    pub(super) fn start_connecting(&self, host: &Rc<Host>) {
        let capacity = self.expected_capacity(host);
        self.connecting_capacity.set(self.connecting_capacity.get().saturating_add(capacity));
        let guard = ConnectionGuard::new(&host.state, self.key);
        host.state.context.list_codec_stats(self.key.protocol);
        let (host, key) = (Rc::clone(host), self.key);
        tokio::task::spawn_local(async move {
            let outcome = connect_in_time(&host).await;
            let Some(pool) = host.pool(key) else { return };
            pool.connecting_capacity.set(pool.connecting_capacity.get().saturating_sub(capacity));
            match outcome {
                Ok((stream, remote)) => pool.connected(&host, stream, guard, remote),
                Err(error) => pool.connect_failed(&host, guard, &error),
            }
        });
    }

    fn connected(&self, host: &Rc<Host>, stream: Stream, guard: ConnectionGuard, remote: SocketAddress) {
        guard.connected(&stream, remote);
        let (cluster, address) = (&*host.state.context.settings.name, guard.remote_address());
        tracing::debug!(cluster, ?address, id = guard.id(), "upstream connection");
        let kept = match self.key.protocol {
            PoolProtocol::Http1 | PoolProtocol::Tcp => {
                self.add_http1(host, stream, guard);
                Ok(())
            }
            PoolProtocol::Http2 => self.add_http2(host, stream, guard),
        };
        match kept {
            Ok(()) => self.serve(host),
            Err(error) => self.fail_all(host, &error),
        }
        if host.state.draining.get() {
            self.close_idle();
        } else {
            host.state.context.sweeper.watch(host);
        }
    }

    fn connect_failed(&self, host: &Rc<Host>, guard: ConnectionGuard, error: &AcquireError) {
        let counters = &host.state.context.stats;
        counters.inc(stats::UPSTREAM_CX_CONNECT_FAIL);
        host.state.count(HostStat::CxConnectFail);
        let by = match error {
            AcquireError::ConnectTimeout => {
                counters.inc(stats::UPSTREAM_CX_CONNECT_TIMEOUT);
                ClosedBy::Local
            }
            AcquireError::ConnectFailed { local: true, .. } => {
                counters.inc(stats::BIND_ERRORS);
                ClosedBy::Local
            }
            _ => ClosedBy::Remote,
        };
        let (cluster, address) = (&*host.state.context.settings.name, &*host.address());
        tracing::debug!(cluster, %address, id = guard.id(), %error, "no upstream connection");
        guard.close(by);
        drop(guard);
        self.fail_all(host, error);
        self.connect_if_needed(host);
    }
}

async fn connect_in_time(host: &Host) -> Result<(Stream, SocketAddress), AcquireError> {
    let context = &host.state.context;
    let timer = context.timers.timer();
    timer.set(Instant::now().checked_add(context.settings.connect_timeout));
    let mut connecting = pin!(connect_host(host));
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = connecting.as_mut().poll(cx) {
            return Poll::Ready(outcome.map_err(|error| AcquireError::ConnectFailed {
                local: matches!(error, ConnectError::Local(_)),
                source: error.to_string().into(),
            }));
        }
        timer.poll_expired(cx).map(|()| Err(AcquireError::ConnectTimeout))
    })
    .await
}

async fn connect_host(host: &Host) -> Result<(Stream, SocketAddress), ConnectError> {
    let context = &host.state.context;
    let attempts = host.attempts();
    if attempts.is_empty() {
        let target = host.address().clone();
        let stream = connect(&target, context.connect_options()).await?;
        return Ok((stream, target));
    }
    let also = || {
        context.stats.inc(stats::UPSTREAM_CX_TOTAL);
        host.state.count(HostStat::CxTotal);
    };
    connect_any(&attempts, context.connect_options(), &context.timers, also).await
}
