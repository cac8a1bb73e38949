//! The stats of a route table's virtual clusters and routes on one worker.
//!
//! Made with the route index, so that a request finds its numbers by the place of its virtual host
//! and route, not by their names. A table that asks for no such stats costs nothing.

use std::{rc::Rc, sync::Arc};

use nuncio_api::RequestHead;
use nuncio_config::model::{
    RouteTable,
    route::{Route, VirtualHost},
};
use nuncio_stats::{
    ScopeName, Shard, Store, WorkerId,
    templates::{route_scope, vcluster_scope, vcluster_stats},
};
use rustc_hash::FxHashMap;

use super::RouteShards;
use crate::route::conditions;

/// What counts the requests that no virtual cluster takes.
const OTHER: &str = "other";

/// One worker's views. Given back to the registry when dropped.
pub(crate) struct RouteStats {
    hosts: FxHashMap<*const VirtualHost, HostShards>,
    routes: FxHashMap<*const Route, Rc<Shard>>,
    store: Arc<Store>,
    /// Keeps the places above from being given to others.
    _table: Arc<RouteTable>,
}

/// Of one virtual host that has virtual clusters.
struct HostShards {
    /// In the order of the config.
    clusters: Vec<Rc<Shard>>,
    other: Rc<Shard>,
}

impl RouteStats {
    /// Registers everything that `table` asks for.
    pub(crate) fn new(table: &Arc<RouteTable>, store: &Arc<Store>, worker: WorkerId) -> Self {
        let shard = |scope: ScopeName| Rc::new(store.group(&vcluster_stats::TEMPLATE, scope).shard(worker));
        let mut stats = Self {
            hosts: FxHashMap::default(),
            routes: FxHashMap::default(),
            store: Arc::clone(store),
            _table: Arc::clone(table),
        };
        for host in &table.virtual_hosts {
            if !host.virtual_clusters.is_empty() {
                let named = host.virtual_clusters.iter();
                let clusters = named.map(|cluster| shard(vcluster_scope(&host.name, &cluster.name))).collect();
                let other = shard(vcluster_scope(&host.name, OTHER));
                stats.hosts.insert(Arc::as_ptr(host), HostShards { clusters, other });
            }
            let in_tree = host.matcher.iter().flat_map(|tree| tree.routes());
            for route in host.routes.iter().chain(in_tree) {
                if let Some(prefix) = &route.stat_prefix {
                    stats.routes.insert(Arc::as_ptr(route), shard(route_scope(&host.name, prefix)));
                }
            }
        }
        stats
    }

    /// What a request is charged to that takes `route` of `host`, and the name of its virtual
    /// cluster (`other` has none).
    pub(crate) fn find(
        &self,
        host: &Arc<VirtualHost>,
        route: &Arc<Route>,
        request: &RequestHead,
    ) -> (RouteShards, Option<Arc<str>>) {
        let mut found = RouteShards::default();
        if !self.routes.is_empty() {
            found.route = self.routes.get(&Arc::as_ptr(route)).map(Rc::clone);
        }
        if self.hosts.is_empty() {
            return (found, None);
        }
        let Some(shards) = self.hosts.get(&Arc::as_ptr(host)) else { return (found, None) };
        let mut clusters = host.virtual_clusters.iter().zip(&shards.clusters);
        let taken = clusters
            .find(|(cluster, _)| cluster.headers.iter().all(|matcher| conditions::header_matches(matcher, request)));
        match taken {
            Some((cluster, shard)) => {
                found.vcluster = Some(Rc::clone(shard));
                (found, Some(Arc::clone(&cluster.name)))
            }
            None => {
                found.vcluster = Some(Rc::clone(&shards.other));
                (found, None)
            }
        }
    }
}

impl Drop for RouteStats {
    fn drop(&mut self) {
        let hosts = self.hosts.values().flat_map(|host| host.clusters.iter().chain([&host.other]));
        for shard in hosts.chain(self.routes.values()) {
            self.store.remove(shard.group());
        }
    }
}
