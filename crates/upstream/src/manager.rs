//! All clusters of one worker, by name.
//!
//! Fed by the main thread's snapshots, between two polls of the worker. A lookup is one hash and
//! no allocation; a request keeps the `Rc` it got, so a cluster that is replaced or removed ends
//! with its last request. Until somebody asks for it a cluster is two pointers here.

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
};

use nuncio_api::{Runtime, Timers};
use nuncio_config::model::{bootstrap::Locality, cluster::Cluster as Settings};
use nuncio_stats::{Store, WorkerId};
use rustc_hash::FxHashMap;

use crate::{
    cluster::Cluster,
    context::{Environment, LocalCluster},
    host_set::HostSet,
    pool::Sweeper,
};

/// The clusters of one worker.
pub struct ClusterManager {
    environment: Environment,
    clusters: RefCell<FxHashMap<Arc<str>, Entry>>,
    rng: RefCell<fastrand::Rng>,
}

/// A cluster before and after somebody asked for it.
struct Entry {
    settings: Arc<Settings>,
    hosts: Arc<HostSet>,
    used: OnceCell<Rc<Cluster>>,
}

impl ClusterManager {
    /// No clusters yet.
    pub fn new(worker: WorkerId, store: Arc<Store>, timers: Timers) -> Self {
        Self::seeded(worker, store, timers, fastrand::u64(..))
    }

    /// With dice that always fall the same way.
    pub fn seeded(worker: WorkerId, store: Arc<Store>, timers: Timers, seed: u64) -> Self {
        let sweeper = Sweeper::new(timers.clone());
        Self {
            environment: Environment {
                worker,
                store,
                timers,
                sweeper,
                local_zone: "".into(),
                local: Rc::default(),
                local_cluster: Rc::default(),
                runtime: Runtime::default(),
            },
            clusters: RefCell::default(),
            rng: RefCell::new(fastrand::Rng::with_seed(seed)),
        }
    }

    /// Says where this process is (`node.locality`): requests to hosts with a zone are then counted
    /// by zones too. With the name of its own cluster (`local_cluster_name`) requests stay in their
    /// locality where they can. To be said before any cluster is added.
    #[must_use]
    pub fn with_local(mut self, locality: &Locality, cluster: Option<&str>) -> Self {
        self.environment.local_zone = locality.zone.as_str().into();
        self.environment.local = Rc::new(locality.clone());
        self.environment.local_cluster = Rc::new(LocalCluster::new(cluster.unwrap_or_default()));
        self
    }

    /// The runtime that may override limits of circuit breakers.
    #[must_use]
    pub fn with_runtime(mut self, runtime: Runtime) -> Self {
        self.environment.runtime = runtime;
        self
    }

    /// Adds a cluster. One of the same name with other settings is replaced, and drains; with the
    /// same settings it gets the host set.
    pub fn add_or_update(&self, settings: Arc<Settings>, hosts: Arc<HostSet>) {
        self.environment.local_cluster.note(&settings.name, &hosts);
        let mut clusters = self.clusters.borrow_mut();
        let same = clusters.get_mut(&settings.name).filter(|entry| Arc::ptr_eq(&entry.settings, &settings));
        if let Some(entry) = same {
            entry.set_hosts(hosts);
            return;
        }
        let name = Arc::clone(&settings.name);
        let old = clusters.insert(name, Entry { settings, hosts, used: OnceCell::new() });
        drop(clusters);
        drain(old);
    }

    /// New hosts for a cluster that is known; otherwise nothing happens.
    pub fn set_hosts(&self, name: &str, hosts: Arc<HostSet>) {
        self.environment.local_cluster.note(name, &hosts);
        if let Some(entry) = self.clusters.borrow_mut().get_mut(name) {
            entry.set_hosts(hosts);
        }
    }

    /// Removes a cluster; it drains.
    pub fn remove(&self, name: &str) {
        let old = self.clusters.borrow_mut().remove(name);
        drain(old);
    }

    /// The cluster of this name.
    pub fn cluster(&self, name: &str) -> Option<Rc<Cluster>> {
        let clusters = self.clusters.borrow();
        let entry = clusters.get(name)?;
        let cluster = entry.used.get_or_init(|| {
            let rng = self.rng.borrow_mut().fork();
            Cluster::new(Arc::clone(&entry.settings), Arc::clone(&entry.hosts), &self.environment, rng)
        });
        Some(Rc::clone(cluster))
    }

    /// Drains every cluster: the worker ends.
    pub fn drain_all(&self) {
        for (_, entry) in self.clusters.take() {
            drain(Some(entry));
        }
    }
}

impl Entry {
    fn set_hosts(&mut self, hosts: Arc<HostSet>) {
        self.hosts = Arc::clone(&hosts);
        if let Some(cluster) = self.used.get() {
            cluster.set_hosts(hosts);
        }
    }
}

fn drain(entry: Option<Entry>) {
    if let Some(cluster) = entry.and_then(|mut entry| entry.used.take()) {
        cluster.drain();
    }
}
