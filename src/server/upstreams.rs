//! Clusters on the main thread: where their hosts come from and who is told.
//!
//! One [`ClusterSource`] per cluster, one discovery task for each that is not static. Workers get
//! all clusters with the hosts known so far when they start, and every later host set as a
//! command. Clusters with the same name servers share one resolver.

use std::{collections::HashMap, future::Future, rc::Rc, sync::Arc, time::Duration};

use nuncio_api::{Runtime, Timers};
use nuncio_config::model::{
    Bootstrap, Cluster,
    bootstrap::Locality,
    cluster::{Discovery, DnsServers},
};
use nuncio_stats::{Store, WorkerId};
use nuncio_upstream::{ClusterManager, ClusterSource, HostSet, Resolve, run_discovery};

/// Far beyond any waiting: whoever waits has a limit of their own.
const LONG: Duration = Duration::from_secs(3600);

/// Hands a cluster's new hosts to every worker.
pub(crate) type Publisher = Rc<dyn Fn(&Arc<str>, Arc<HostSet>)>;

/// All clusters of the process.
pub(crate) struct Upstreams {
    sources: Vec<Rc<ClusterSource>>,
    local: Local,
}

/// Where this process is (`node.locality`), and its own cluster (`local_cluster_name`).
#[derive(Clone)]
struct Local {
    locality: Arc<Locality>,
    cluster: Option<Arc<str>>,
}

/// What a worker makes its own view of the clusters from.
#[derive(Clone)]
pub(crate) struct UpstreamsSeed {
    clusters: Arc<[(Arc<Cluster>, Arc<HostSet>)]>,
    store: Arc<Store>,
    local: Local,
}

impl Upstreams {
    /// Registers the clusters; nothing is resolved yet.
    pub(super) fn new(bootstrap: &Bootstrap, store: &Arc<Store>, runtime: &Runtime) -> Self {
        let source = |settings: &Arc<Cluster>| {
            let source = ClusterSource::new(Arc::clone(settings), Arc::clone(store));
            source.follow_runtime(runtime.clone());
            source
        };
        let sources = bootstrap.clusters.iter().map(source).collect();
        let local = Local {
            locality: Arc::new(bootstrap.node.locality.clone()),
            cluster: bootstrap.local_cluster_name.as_deref().map(Arc::from),
        };
        Self { sources, local }
    }

    /// What workers start from.
    pub(super) fn seed(&self, store: &Arc<Store>) -> UpstreamsSeed {
        UpstreamsSeed { clusters: self.clusters().into(), store: Arc::clone(store), local: self.local.clone() }
    }

    /// Starts resolving names; `publish` gets every new host set.
    pub(super) fn discover(&self, publish: &Publisher) -> Result<(), String> {
        let mut resolvers: HashMap<DnsServers, Rc<dyn Resolve>> = HashMap::new();
        for source in &self.sources {
            let settings = source.settings();
            if settings.discovery == Discovery::Static {
                continue;
            }
            let resolver = match resolvers.get(&settings.dns.resolver) {
                Some(known) => Rc::clone(known),
                None => {
                    let made = source.resolver();
                    let made = made.map_err(|error| format!("cluster '{}': DNS: {error}", settings.name))?;
                    let made: Rc<dyn Resolve> = Rc::new(made);
                    resolvers.insert(settings.dns.resolver.clone(), Rc::clone(&made));
                    made
                }
            };
            let (name, publish) = (Arc::clone(&settings.name), Rc::clone(publish));
            tokio::task::spawn_local(run_discovery(Rc::clone(source), resolver, move |hosts| publish(&name, hosts)));
        }
        Ok(())
    }

    /// Resolves when every cluster has had its first answer. Cancel-safe.
    pub(super) fn initialized(&self) -> impl Future<Output = ()> + use<> {
        let sources = self.sources.clone();
        async move {
            for source in sources {
                source.wait_initialized(LONG).await;
            }
        }
    }

    /// Settings and present hosts of each cluster, in the order of the configuration.
    pub(crate) fn clusters(&self) -> Vec<(Arc<Cluster>, Arc<HostSet>)> {
        self.sources.iter().map(|source| (Arc::clone(source.settings()), source.hosts())).collect()
    }

    /// Brings the gauges of circuit breakers up to date.
    pub(super) fn publish_breakers(&self) {
        self.sources.iter().for_each(|source| source.publish_breakers());
    }
}

impl UpstreamsSeed {
    /// One worker's view.
    pub(super) fn for_worker(&self, worker: WorkerId, timers: &Timers, runtime: Runtime) -> Rc<ClusterManager> {
        let manager = ClusterManager::new(worker, Arc::clone(&self.store), timers.clone())
            .with_local(&self.local.locality, self.local.cluster.as_deref())
            .with_runtime(runtime);
        for (settings, hosts) in self.clusters.iter() {
            manager.add_or_update(Arc::clone(settings), Arc::clone(hosts));
        }
        Rc::new(manager)
    }
}
