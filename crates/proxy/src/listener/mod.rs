//! Listeners: accepting, limits, choosing the filter chain.
//!
//! One accept loop per listener, address and worker. Chains are matched by address here; a
//! connection that none matches is closed and counted. Limits: `global_downstream_max_connections`
//! over all workers, the listener's own `connection_limit`, and accepts per wake-up.

pub(crate) mod chain;

use std::{cell::Cell, rc::Rc, sync::Arc};

use nuncio_config::model::{
    Listener as Settings,
    listener::{FilterChain, TerminalFilter},
};
use nuncio_net::{Listener as Socket, SocketAddress, Stream};
use nuncio_stats::{
    Group, Shard,
    templates::{
        admin_listener_scope, listener_extension_stats, listener_scope, listener_stats, listener_worker_stats,
    },
};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    context::{ConnectionPermit, WorkerContext},
    hcm::{Hcm, connection},
    stream::record::millis,
    stream_info::ConnectionInfo,
};

/// A running accept loop; dropping it does not stop it.
pub struct ListenerHandle {
    accepting: JoinHandle<()>,
    stop: Rc<Notify>,
}

impl ListenerHandle {
    /// Closes the socket. Connections that wait in its accept queue, or are about to, are taken
    /// first, for their peers believe in them; open connections go on. Takes a quarter of a second with TCP.
    ///
    /// Stopping begins with the call, not with the first poll, so that many stop at the same time.
    pub fn stop_accepting(self) -> impl Future<Output = ()> {
        self.stop.notify_one();
        // Ends with an error only if the loop panicked, which stops it too.
        async move { self.accepting.await.unwrap_or(()) }
    }
}

/// How long a handshake may still take when its listener closes: a round trip around the world.
const HANDSHAKES: Duration = Duration::from_millis(250);

/// More than a queue holds (`net.core.somaxconn`), so that a flood of new ones is no endless work.
const MAX_QUEUED: usize = 4096;

/// One listener on one worker.
struct Listener {
    context: Rc<WorkerContext>,
    settings: Arc<Settings>,
    group: Arc<Group>,
    stats: Shard,
    worker_stats: Shard,
    /// Connection managers, by the chain they belong to; the default chain's last.
    chains: Vec<Rc<Hcm>>,
    open: Cell<u64>,
    /// The runtime key of the listener's own connection limit.
    limit_key: String,
    name: Arc<str>,
}

/// Starts accepting on `socket`. Must run on the worker's own thread.
pub fn start_listener(context: &Rc<WorkerContext>, settings: Arc<Settings>, socket: Socket) -> ListenerHandle {
    let listener = Rc::new(Listener::new(context, settings));
    let stop = Rc::new(Notify::new());
    let accepting = tokio::task::spawn_local(listener.accept_until(socket, Rc::clone(&stop)));
    ListenerHandle { accepting, stop }
}

impl Listener {
    fn new(context: &Rc<WorkerContext>, settings: Arc<Settings>) -> Self {
        let is_local = context.local_service().is_some();
        let scope = || if is_local { admin_listener_scope() } else { listener_scope(&settings.stat_prefix) };
        let group = context.store.group(&listener_stats::TEMPLATE, scope());
        let manager = |chain: &FilterChain| {
            let TerminalFilter::Http(manager) = &chain.terminal;
            Hcm::new(context, manager, scope(), settings.per_connection_buffer_limit)
        };
        let chains = settings.filter_chains.iter().chain(&settings.default_filter_chain).map(manager).collect();
        // Envoy numbers workers from 0; 0 is our main thread.
        // Listed as in Envoy; configs found by a control plane cannot be missing yet.
        if !is_local {
            let _ = context.store.group(&listener_extension_stats::TEMPLATE, scope());
        }
        let worker_scope = match context.id.checked_sub(1) {
            Some(worker) => scope().worker(worker),
            None => scope().part("main_thread"),
        };
        let worker_stats = context.store.group(&listener_worker_stats::TEMPLATE, worker_scope).shard(context.id);
        Self {
            worker_stats,
            context: Rc::clone(context),
            stats: group.shard(context.id),
            group,
            chains,
            open: Cell::new(0),
            name: Arc::from(settings.name.as_str()),
            limit_key: format!("envoy.resource_limits.listener.{}.connection_limit", settings.name),
            settings,
        }
    }

    async fn accept_until(self: Rc<Self>, socket: Socket, stop: Rc<Notify>) {
        tokio::select! {
            () = self.accept(&socket) => {}
            () = stop.notified() => {}
        }
        // Handshakes that have begun come to their end; then nobody is left in the queue.
        if socket.refuse_new() {
            tokio::select! {
                () = self.accept(&socket) => {}
                () = self.context.timers.sleep(HANDSHAKES) => {}
            }
        }
        for _ in 0..MAX_QUEUED {
            let Some((stream, peer)) = socket.take_queued() else { break };
            self.accepted(stream, peer, &socket);
        }
    }

    async fn accept(self: &Rc<Self>, socket: &Socket) {
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => {
                    self.stats.record(listener_stats::CONNECTIONS_ACCEPTED_PER_SOCKET_EVENT, 1);
                    self.accepted(stream, peer, socket);
                }
                Err(error) => {
                    // Out of descriptors, most likely: the queue keeps, ask again a little later.
                    tracing::warn!(target: "conn_handler", listener = %self.settings.name, %error, "accept failed");
                    self.context.timers.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Our side of a connection; asked of the kernel only where it may differ from what was bound.
    fn local_address(&self, stream: &Stream, socket: &Socket) -> SocketAddress {
        let bound = socket.local_address();
        let is_one = bound.ip().is_some_and(|address| !address.ip().is_unspecified());
        if is_one && !self.settings.transparent {
            return bound.clone();
        }
        stream.local_address().unwrap_or_else(|_| bound.clone())
    }

    fn accepted(self: &Rc<Self>, stream: Stream, remote: SocketAddress, socket: &Socket) {
        let Some(permit) = self.admit() else { return };
        let local = self.local_address(&stream, socket);
        let chosen = chain::choose(&self.settings, &local, &remote);
        let Some(hcm) = chosen.and_then(|index| self.chains.get(index)) else {
            self.stats.inc(listener_stats::NO_FILTER_CHAIN_MATCH);
            return;
        };
        let info = Rc::new(ConnectionInfo {
            id: self.context.limits.next_id(),
            remote,
            local,
            listener: Arc::clone(&self.name),
            tls: false,
            start: Instant::now(),
        });
        let registered = self.context.register();
        let open = OpenConnection::new(self, permit, info.start);
        let serving = connection::serve(Rc::clone(hcm), info, registered, stream);
        tokio::task::spawn_local(async move {
            serving.await;
            drop(open);
        });
    }

    /// Checks the limits; a connection over one is closed at once, as Envoy does.
    fn admit(&self) -> Option<Option<ConnectionPermit>> {
        let limit = self.context.runtime.u64(&self.limit_key, u64::MAX);
        if limit != u64::MAX && self.group.gauge(listener_stats::DOWNSTREAM_CX_ACTIVE) >= limit {
            self.stats.inc(listener_stats::DOWNSTREAM_CX_OVERFLOW);
            return None;
        }
        if self.settings.ignore_global_conn_limit {
            return Some(None);
        }
        let permit = self.context.limits.admit();
        if permit.is_none() {
            self.stats.inc(listener_stats::DOWNSTREAM_GLOBAL_CX_OVERFLOW);
        }
        permit.map(Some)
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Counts a connection as open while it lives.
struct OpenConnection {
    listener: Rc<Listener>,
    start: Instant,
    _permit: Option<ConnectionPermit>,
}

impl OpenConnection {
    fn new(listener: &Rc<Listener>, permit: Option<ConnectionPermit>, start: Instant) -> Self {
        listener.stats.inc(listener_stats::DOWNSTREAM_CX_TOTAL);
        listener.stats.gauge_inc(listener_stats::DOWNSTREAM_CX_ACTIVE);
        listener.worker_stats.inc(listener_worker_stats::DOWNSTREAM_CX_TOTAL);
        listener.worker_stats.gauge_inc(listener_worker_stats::DOWNSTREAM_CX_ACTIVE);
        listener.open.set(listener.open.get() + 1);
        Self { listener: Rc::clone(listener), start, _permit: permit }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let listener = &self.listener;
        listener.open.set(listener.open.get().saturating_sub(1));
        listener.stats.inc(listener_stats::DOWNSTREAM_CX_DESTROY);
        listener.stats.gauge_dec(listener_stats::DOWNSTREAM_CX_ACTIVE);
        listener.worker_stats.gauge_dec(listener_worker_stats::DOWNSTREAM_CX_ACTIVE);
        listener.stats.record(listener_stats::DOWNSTREAM_CX_LENGTH_MS, millis(self.start.elapsed()));
    }
}
