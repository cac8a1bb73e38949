//! A host as one worker sees it: what is open to it and the pools that hold it.
//!
//! Made when the worker first picks from a cluster and kept for as long as host sets name the
//! same [`HostDescription`]. [`HostState`] is the part that connections hold on to; the pools are
//! in [`Host`], which connections must not own, or the two would keep each other alive.

use std::{
    cell::{Cell, OnceCell, Ref, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use nuncio_config::model::{
    bootstrap::Locality,
    cluster::{EndpointHealth, Metadata},
};
use nuncio_net::SocketAddress;

use crate::{
    context::Context,
    host_set::{HostDescription, HostEntry},
    pool::{Pool, PoolKey},
    tally::HostStat,
};

/// The part of a host that its connections share.
pub(crate) struct HostState {
    pub(crate) context: Rc<Context>,
    pub(crate) description: Arc<HostDescription>,
    pub(crate) entry: RefCell<Arc<HostEntry>>,
    pub(crate) rq_active: Cell<u32>,
    pub(crate) cx_active: Cell<u32>,
    /// Connections of each pool, connecting ones included.
    pub(crate) open: [Cell<u32>; PoolKey::COUNT],
    /// The host left the cluster: what is in use finishes, nothing is kept.
    pub(crate) draining: Cell<bool>,
}

impl HostState {
    pub(crate) fn count(&self, stat: HostStat) {
        self.description.tally.inc(self.context.worker, stat);
    }

    pub(crate) fn discount(&self, stat: HostStat) {
        self.description.tally.dec(self.context.worker, stat);
    }
}

/// One host of a cluster on one worker.
pub struct Host {
    pub(crate) state: Rc<HostState>,
    pools: [OnceCell<Pool>; PoolKey::COUNT],
    /// The sweep has it on its list.
    pub(crate) is_watched: Cell<bool>,
}

impl Host {
    pub(crate) fn new(context: &Rc<Context>, entry: Arc<HostEntry>) -> Rc<Self> {
        Rc::new(Self {
            state: Rc::new(HostState {
                context: Rc::clone(context),
                description: Arc::clone(&entry.description),
                entry: RefCell::new(entry),
                rq_active: Cell::new(0),
                cx_active: Cell::new(0),
                open: Default::default(),
                draining: Cell::new(false),
            }),
            pools: Default::default(),
            is_watched: Cell::new(false),
        })
    }

    /// Where new connections go (`%UPSTREAM_HOST%`; of an established stream ask the stream).
    pub fn address(&self) -> Ref<'_, SocketAddress> {
        Ref::map(self.state.entry.borrow(), |entry| &entry.address)
    }

    /// All its addresses in the order of attempts; empty when there is only one.
    pub(crate) fn attempts(&self) -> Arc<[SocketAddress]> {
        Arc::clone(&self.state.entry.borrow().attempts)
    }

    /// `hostname` of the endpoint, or the resolved name; empty when there is none.
    pub fn hostname(&self) -> &str {
        self.state.description.hostname()
    }

    /// The same to keep; `None` when there is none.
    pub fn shared_hostname(&self) -> Option<Arc<str>> {
        self.state.description.shared_hostname()
    }

    /// The locality.
    pub fn locality(&self) -> Arc<Locality> {
        Arc::clone(&self.state.entry.borrow().locality)
    }

    /// `metadata.filter_metadata` of the endpoint.
    pub fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.state.entry.borrow().metadata)
    }

    /// The same, `None` where there is nothing in it.
    pub fn own_metadata(&self) -> Option<Arc<Metadata>> {
        let entry = self.state.entry.borrow();
        (!entry.metadata.is_empty()).then(|| Arc::clone(&entry.metadata))
    }

    /// Its priority, 0 first.
    pub fn priority(&self) -> u32 {
        self.state.entry.borrow().priority
    }

    /// Marked as a canary.
    pub fn is_canary(&self) -> bool {
        self.state.entry.borrow().canary
    }

    /// Health as configured or found.
    pub fn health(&self) -> EndpointHealth {
        self.state.entry.borrow().health
    }

    /// `load_balancing_weight`
    pub fn weight(&self) -> u32 {
        self.state.entry.borrow().weight
    }

    /// For how long it has been a host of the cluster.
    pub(crate) fn age(&self) -> Duration {
        self.state.description.since.elapsed()
    }

    /// Requests on this host from this worker.
    pub fn rq_active(&self) -> u32 {
        self.state.rq_active.get()
    }

    /// Connections to this host from this worker.
    pub fn cx_active(&self) -> u32 {
        self.state.cx_active.get()
    }

    /// Counts a response that was not an error (`rq_success`); the router decides which is.
    pub fn count_success(&self) {
        self.state.count(HostStat::RqSuccess);
    }

    /// Counts a 5xx, a reset or a failed connection (`rq_error`).
    pub fn count_error(&self) {
        self.state.count(HostStat::RqError);
    }

    /// Counts a timeout (`rq_timeout`).
    pub fn count_timeout(&self) {
        self.state.count(HostStat::RqTimeout);
    }

    pub(crate) fn pool(&self, key: PoolKey) -> Option<&Pool> {
        self.pools.get(key.index()).map(|cell| cell.get_or_init(|| Pool::new(key)))
    }

    pub(crate) fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.pools.iter().filter_map(OnceCell::get)
    }

    /// A newer snapshot of the same host.
    pub(crate) fn update(&self, entry: Arc<HostEntry>) {
        self.state.entry.replace(entry);
    }

    /// The host left: idle connections close now, the others after their requests.
    pub(crate) fn drain(self: &Rc<Self>) {
        self.state.draining.set(true);
        for pool in self.pools() {
            pool.close_idle();
        }
    }
}
