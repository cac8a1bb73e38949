//! What all listeners of one worker share.
//!
//! A worker is one thread: everything here is `Rc` and `Cell`, except what the main thread also
//! reads (the drain state, the global limits, the log sinks).

use std::{
    cell::{Cell, OnceCell, RefCell},
    net::IpAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::HeaderValue;
use nuncio_api::{Drain, Runtime, Timers};
use nuncio_config::model::bootstrap::Node;
use nuncio_http::h2::H2Counters;
use nuncio_stats::{Counter, Gauge, ScopeName, Shard, Store, templates::http2_stats};
use nuncio_upstream::ClusterManager;
use slab::Slab;
use tokio::time::Instant;

use crate::{access_log::LogSinks, date::DateCache, local::LocalService};

/// One worker's surroundings.
pub struct WorkerContext {
    /// Worker number, from 1 (0 is the main thread).
    pub id: usize,
    /// The stats registry.
    pub store: Arc<Store>,
    /// Deadlines.
    pub timers: Timers,
    /// Clusters as this worker sees them.
    pub clusters: Rc<ClusterManager>,
    /// Drain state of the process.
    pub drain: Arc<Drain>,
    /// Access log destinations.
    pub logs: Arc<LogSinks>,
    /// Limits over all workers.
    pub limits: Arc<GlobalLimits>,
    /// Who we are.
    pub node: Arc<Node>,
    /// Values an operator may change while we run: overrides of fractions, weights and limits.
    pub runtime: Runtime,
    /// This machine's own address (x-forwarded-for behind a loopback peer).
    pub machine_address: Option<IpAddr>,
    local_service: OnceCell<Rc<dyn LocalService>>,
    pub(crate) date: DateCache,
    pub(crate) connections: Connections,
    pub(crate) http2_counters: Rc<H2Counters>,
    /// Listed once the first HTTP/2 connection comes, as in Envoy.
    http2_stats: OnceCell<Shard>,
}

/// Counts that hold over all workers. Touched per connection, never per request.
#[derive(Debug)]
pub struct GlobalLimits {
    max_connections: u64,
    connections: AtomicU64,
    next_connection_id: AtomicU64,
}

impl GlobalLimits {
    /// `global_downstream_max_connections`, or no limit.
    pub fn new(max_connections: Option<u64>) -> Self {
        Self {
            max_connections: max_connections.unwrap_or(u64::MAX),
            connections: AtomicU64::new(0),
            next_connection_id: AtomicU64::new(0),
        }
    }

    /// Admits one connection, or `None` at the limit.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<ConnectionPermit> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let permit = ConnectionPermit { limits: Arc::clone(self) };
        (before < self.max_connections).then_some(permit)
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_connection_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Open downstream connections over all workers.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// One admitted connection.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    limits: Arc<GlobalLimits>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limits.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the owner tells a connection to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Command {
    /// Go on.
    #[default]
    Serve,
    /// Finish what runs or is under way: idle HTTP/1 connections close, HTTP/2 sends GOAWAY.
    Drain,
    /// Close now.
    Cut,
}

/// The open connections of a worker.
#[derive(Default)]
pub(crate) struct Connections {
    open: RefCell<Slab<Rc<Control>>>,
    idle_waker: RefCell<Option<Waker>>,
    finished_while_draining: Cell<u64>,
    cut: Cell<u64>,
}

/// One connection's mailbox: the last command, and who to wake.
#[derive(Default)]
pub(crate) struct Control {
    command: Cell<Command>,
    waker: RefCell<Option<Waker>>,
    /// Requests in flight on the connection.
    pub(crate) active_requests: Cell<u32>,
    /// Whether there were any when the connection ended, if it lingers after that.
    pub(crate) was_active_at_end: Cell<Option<bool>>,
}

impl Control {
    pub(crate) fn command(&self) -> Command {
        self.command.get()
    }

    /// Registers for the next command.
    pub(crate) fn poll_changed(&self, seen: Command, cx: &mut Context<'_>) -> Poll<Command> {
        if self.command.get() != seen {
            return Poll::Ready(self.command.get());
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The drain sequence chose this connection.
    pub(crate) fn drain(&self) {
        if self.command.get() == Command::Serve {
            self.tell(Command::Drain);
        }
    }

    fn tell(&self, command: Command) {
        self.command.set(command);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// A registered connection; leaves the list when dropped.
pub(crate) struct Registered {
    context: Rc<WorkerContext>,
    key: usize,
    pub(crate) control: Rc<Control>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let connections = &self.context.connections;
        let mut open = connections.open.borrow_mut();
        open.try_remove(self.key);
        if open.is_empty()
            && let Some(waker) = connections.idle_waker.borrow_mut().take()
        {
            waker.wake();
        }
    }
}

impl WorkerContext {
    /// A context for worker `id`.
    #[allow(clippy::too_many_arguments, reason = "the one place where a worker's parts meet")]
    pub fn new(
        id: usize,
        store: Arc<Store>,
        timers: Timers,
        clusters: Rc<ClusterManager>,
        drain: Arc<Drain>,
        logs: Arc<LogSinks>,
        limits: Arc<GlobalLimits>,
        node: Arc<Node>,
        runtime: Runtime,
        machine_address: Option<IpAddr>,
    ) -> Rc<Self> {
        Rc::new(Self {
            http2_stats: OnceCell::new(),
            id,
            store,
            timers,
            clusters,
            drain,
            logs,
            limits,
            node,
            runtime,
            machine_address,
            local_service: OnceCell::new(),
            date: DateCache::default(),
            connections: Connections::default(),
            http2_counters: Rc::default(),
        })
    }

    /// Makes `service` answer every request of this context's listeners. To be called before any
    /// of them starts; the first service stays.
    pub fn serve_locally(&self, service: Rc<dyn LocalService>) {
        let _ = self.local_service.set(service);
    }

    pub(crate) fn local_service(&self) -> Option<&Rc<dyn LocalService>> {
        self.local_service.get()
    }

    /// Moves what the codecs counted to the stats, once a second. One task per worker runs this
    /// for ever.
    pub async fn run_housekeeping(self: Rc<Self>) {
        loop {
            self.timers.sleep(Duration::from_secs(1)).await;
            self.move_codec_stats();
        }
    }

    /// A peer did not take the end of its response in time.
    pub(crate) fn count_flush_timeout(&self) {
        let counter = &self.http2_counters.tx_flush_timeout;
        counter.set(counter.get().wrapping_add(1));
    }

    /// One more HTTP/2 connection, under the name that dashboards know.
    pub(crate) fn count_http2_connection(&self) {
        let stats = self
            .http2_stats
            .get_or_init(|| self.store.group(&http2_stats::TEMPLATE, ScopeName::root().part("http2")).shard(self.id));
        stats.inc(http2_stats::NGHTTP2_DOWNSTREAM_CONNECTIONS);
    }

    /// Moves what the codecs counted to the stats.
    pub fn move_codec_stats(&self) {
        let Some(stats) = self.http2_stats.get() else { return };
        let template = &http2_stats::TEMPLATE;
        let place = |list: &[nuncio_stats::StatDef], name: &str| {
            list.iter().position(|stat| stat.name == name).and_then(|at| u16::try_from(at).ok())
        };
        self.http2_counters.take(|name, moved| {
            if let Some(at) = place(template.counters, name) {
                stats.add(Counter(at), moved);
            }
        });
        self.http2_counters.gauges(|name, present| {
            if let Some(at) = place(template.gauges, name) {
                stats.gauge_set(Gauge(at), present);
            }
        });
    }

    pub(crate) fn register(self: &Rc<Self>) -> Registered {
        let control = Rc::new(Control::default());
        let key = self.connections.open.borrow_mut().insert(Rc::clone(&control));
        Registered { context: Rc::clone(self), key, control }
    }

    /// Open downstream connections of this worker.
    pub fn active_connections(&self) -> usize {
        self.connections.open.borrow().len()
    }

    /// Requests in flight on this worker.
    pub fn active_requests(&self) -> u64 {
        self.connections.open.borrow().iter().map(|(_, c)| u64::from(c.active_requests.get())).sum()
    }

    /// Resolves when no connection is left. Cancel-safe.
    pub async fn drained(&self) {
        std::future::poll_fn(|cx| {
            if self.connections.open.borrow().is_empty() {
                return Poll::Ready(());
            }
            *self.connections.idle_waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Idle connections close, busy ones after their current requests; HTTP/2 peers get GOAWAY.
    pub fn drain_connections(&self) {
        self.tell_all(Command::Drain);
    }

    /// Closes everything now; answers how many requests were in flight.
    pub fn cut(&self) -> u64 {
        let active = self.active_requests();
        self.connections.cut.set(self.connections.cut.get() + active);
        self.tell_all(Command::Cut);
        active
    }

    /// Requests that ended while the process was draining.
    pub fn requests_finished_while_draining(&self) -> u64 {
        self.connections.finished_while_draining.get()
    }

    pub(crate) fn count_finished(&self) {
        if self.drain.is_draining() {
            let count = &self.connections.finished_while_draining;
            count.set(count.get() + 1);
        }
    }

    pub(crate) fn date(&self, now: Instant) -> HeaderValue {
        self.date.value(now)
    }

    fn tell_all(&self, command: Command) {
        // Waking may not run a task here, but keep the list unborrowed all the same.
        let all: Vec<_> = self.connections.open.borrow().iter().map(|(_, c)| Rc::clone(c)).collect();
        for control in all {
            control.tell(command);
        }
    }
}
