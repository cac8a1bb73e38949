//! Stats of a cluster that only some clusters have: sizes of messages, timeout budgets, and the
//! names that requests bring along.
//!
//! What `track_cluster_stats` asks for is registered with the cluster, by the main thread, so that
//! it is listed from the start. Alternative names (`x-envoy-upstream-alt-stat-name`, from requests
//! of the inside only) appear with their first request, their zones as well. Each worker keeps the
//! views it has got, so that counting costs one look-up by a short name, and nothing at all in a
//! cluster that has none of this.
//!
//! Limits: [`MOST_NAMES`] names in a cluster on a worker; what comes after is not counted.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use nuncio_config::model::cluster::Cluster as Settings;
use nuncio_stats::{
    Group, ScopeName, Shard, Store, Template, WorkerId,
    templates::{
        alternative_scope, alternative_stats, alternative_zone_scope, cluster_scope,
        request_response_size_stats as sizes, response_code_stats, timeout_budget_stats as budgets,
    },
};
use rustc_hash::FxHashMap;

use crate::{context::Environment, shared::ClusterShared};

/// Names that are counted: a client that makes up names must not fill the memory.
const MOST_NAMES: usize = 64;

/// The groups that a cluster's settings ask for.
#[derive(Debug)]
pub(crate) struct TrackedGroups {
    pub(crate) sizes: Option<Arc<Group>>,
    pub(crate) budgets: Option<Arc<Group>>,
}

impl TrackedGroups {
    pub(crate) fn register(settings: &Settings, store: &Store) -> Self {
        let group =
            |is_wanted: bool, template| is_wanted.then(|| store.group(template, cluster_scope(&settings.stat_name)));
        Self {
            sizes: group(settings.tracked.request_response_sizes, &sizes::TEMPLATE),
            budgets: group(settings.tracked.timeout_budgets, &budgets::TEMPLATE),
        }
    }

    pub(crate) fn unregister(&self, store: &Store) {
        for group in [&self.sizes, &self.budgets].into_iter().flatten() {
            store.remove(group);
        }
    }
}

/// One worker's views of a cluster's optional stats.
pub struct TrackedStats {
    /// `track_cluster_stats.request_response_sizes`
    pub sizes: Option<Shard>,
    /// `track_cluster_stats.timeout_budgets`
    pub budgets: Option<Shard>,
    store: Arc<Store>,
    worker: WorkerId,
    stat_name: String,
    local_zone: Rc<str>,
    alternatives: RefCell<Named>,
    alternative_zones: RefCell<Named>,
}

type Named = FxHashMap<Box<str>, Rc<Shard>>;

impl TrackedStats {
    pub(crate) fn new(shared: &ClusterShared, settings: &Settings, environment: &Environment) -> Self {
        let worker = environment.worker;
        let groups = shared.tracked();
        let shard = |group: &Option<Arc<Group>>| group.as_ref().map(|group| group.shard(worker));
        Self {
            sizes: shard(&groups.sizes),
            budgets: shard(&groups.budgets),
            store: Arc::clone(&environment.store),
            worker,
            stat_name: settings.stat_name.clone(),
            local_zone: Rc::clone(&environment.local_zone),
            alternatives: RefCell::default(),
            alternative_zones: RefCell::default(),
        }
    }

    /// `<name>.zone.<local>.<to>.`; `None` beyond the limit and unless both zones have a name.
    pub fn alternative_zone(&self, name: &str, to: &str) -> Option<Rc<Shard>> {
        if to.is_empty() || self.local_zone.is_empty() {
            return None;
        }
        let scope = || alternative_zone_scope(&self.stat_name, name, &self.local_zone, to);
        self.named(&self.alternative_zones, &format!("{name} {to}"), &response_code_stats::TEMPLATE, scope)
    }

    /// `<name>.`, for `x-envoy-upstream-alt-stat-name`; `None` beyond the limit.
    pub fn alternative(&self, name: &str) -> Option<Rc<Shard>> {
        let scope = || alternative_scope(&self.stat_name, name);
        self.named(&self.alternatives, name, &alternative_stats::TEMPLATE, scope)
    }

    fn named(
        &self,
        known: &RefCell<Named>,
        name: &str,
        template: &'static Template,
        scope: impl FnOnce() -> ScopeName,
    ) -> Option<Rc<Shard>> {
        let mut known = known.borrow_mut();
        if let Some(shard) = known.get(name) {
            return Some(Rc::clone(shard));
        }
        if known.len() >= MOST_NAMES {
            return None;
        }
        let shard = Rc::new(self.store.group(template, scope()).shard(self.worker));
        known.insert(name.into(), Rc::clone(&shard));
        Some(shard)
    }
}

impl Drop for TrackedStats {
    fn drop(&mut self) {
        for named in [&self.alternatives, &self.alternative_zones] {
            for shard in named.take().into_values() {
                self.store.remove(shard.group());
            }
        }
    }
}
