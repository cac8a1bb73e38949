//! The registry of groups.
//!
//! Owns which groups exist, the fixed tags and the settings that decide what is
//! listed. It refuses to know what a stat means. Groups are made at
//! configuration time, by the main thread or while a worker takes over a
//! snapshot; the lock here is never taken by a request.
//!
//! A scope is found or created, so a cluster that is replaced under the same
//! name goes on counting. Each [`Store::group`] has one [`Store::remove`]; the
//! group stops being listed with the last.
//!
//! Limits: [`MAX_GROUPS`] groups and [`facade`](crate::facade)'s own limit on
//! names. Above it `group` still answers, with a group that counts but is not
//! listed, and `stats.groups_overflow` counts the refusals.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustc_hash::FxHashMap;

use crate::facade::FacadeTable;
use crate::group::Group;
use crate::scope::{ScopeName, Tag};
use crate::snapshot::{self, StatsSnapshot};
use crate::template::Template;

/// Most groups that one store lists. A cluster is two to four groups, so this
/// is far above any configuration that fits into memory.
pub const MAX_GROUPS: usize = 1_000_000;

/// Decides by a dotted name.
pub type NamePredicate = Box<dyn Fn(&str) -> bool + Send + Sync>;
/// Upper bounds for the histogram of a dotted name; `None` for the default ones.
pub type BucketChoice = Box<dyn Fn(&str) -> Option<Arc<[f64]>> + Send + Sync>;

/// What the bootstrap says about stats (`stats_config`, `--stats-tag`).
#[derive(Default)]
pub struct StoreSettings {
    /// Tags that every stat carries.
    pub fixed_tags: Vec<Tag>,
    /// Whether a stat of this dotted name is listed (`stats_matcher`); all are
    /// when this is left out.
    pub included: Option<NamePredicate>,
    /// Upper bounds for the histogram of this dotted name
    /// (`histogram_bucket_settings`); `None` for the default ones.
    pub buckets: Option<BucketChoice>,
}

impl fmt::Debug for StoreSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StoreSettings").field("fixed_tags", &self.fixed_tags).finish_non_exhaustive()
    }
}

/// The registry of all stats of one server.
#[derive(Debug)]
pub struct Store {
    threads: usize,
    registry: Mutex<Registry>,
    settings: OnceLock<StoreSettings>,
    pub(crate) facade: Arc<FacadeTable>,
    groups_overflow: AtomicU64,
}

#[derive(Debug, Default)]
struct Registry {
    by_scope: FxHashMap<String, Vec<Listed>>,
    groups: usize,
}

#[derive(Debug)]
struct Listed {
    group: Arc<Group>,
    owners: usize,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Groups that are listed.
    pub groups: usize,
    /// Stats of these groups, used or not, response codes not counted.
    pub stats: usize,
    /// Blocks that workers have allocated.
    pub blocks: usize,
    /// Groups that were refused because of the limit.
    pub groups_overflow: u64,
    /// Names that the `metrics` facade was refused because of the limit.
    pub facade_overflow: u64,
}

impl Store {
    /// A store for the main thread and `workers` workers.
    #[must_use]
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            threads: workers + 1,
            registry: Mutex::default(),
            settings: OnceLock::new(),
            facade: Arc::default(),
            groups_overflow: AtomicU64::new(0),
        })
    }

    /// Applies the bootstrap's settings. Only the first call has an effect;
    /// answers whether this was it.
    pub fn configure(&self, settings: StoreSettings) -> bool {
        self.settings.set(settings).is_ok()
    }

    pub(crate) fn settings(&self) -> &StoreSettings {
        self.settings.get_or_init(StoreSettings::default)
    }

    /// Number of workers, the main thread not counted.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.threads - 1
    }

    /// The group of this template under this scope; made if there is none.
    #[must_use]
    pub fn group(&self, template: &'static Template, scope: ScopeName) -> Arc<Group> {
        let mut registry = self.registry();
        let same = |listed: &&mut Listed| std::ptr::eq(listed.group.template(), template);
        if let Some(listed) = registry.by_scope.get_mut(scope.dotted()).and_then(|all| all.iter_mut().find(same)) {
            listed.owners += 1;
            return Arc::clone(&listed.group);
        }
        let name = scope.dotted().to_owned();
        let group = Arc::new(Group::new(template, scope, self.threads));
        if registry.groups >= MAX_GROUPS {
            self.groups_overflow.fetch_add(1, Relaxed);
            return group;
        }
        registry.groups += 1;
        registry.by_scope.entry(name).or_default().push(Listed { group: Arc::clone(&group), owners: 1 });
        group
    }

    /// Gives back what one call of [`Store::group`] took. After the last one the
    /// group is no longer listed; whoever still holds it can go on counting.
    pub fn remove(&self, group: &Arc<Group>) {
        let mut registry = self.registry();
        let Some(all) = registry.by_scope.get_mut(group.name()) else {
            return;
        };
        let Some(at) = all.iter().position(|listed| Arc::ptr_eq(&listed.group, group)) else {
            return;
        };
        if let Some(listed) = all.get_mut(at) {
            listed.owners -= 1;
            if listed.owners > 0 {
                return;
            }
        }
        all.swap_remove(at);
        if all.is_empty() {
            registry.by_scope.remove(group.name());
        }
        registry.groups -= 1;
    }

    /// Every listed group, in no promised order.
    #[must_use]
    pub fn groups(&self) -> Vec<Arc<Group>> {
        self.registry().by_scope.values().flatten().map(|listed| Arc::clone(&listed.group)).collect()
    }

    /// How much is held now.
    #[must_use]
    pub fn census(&self) -> Census {
        let groups = self.groups();
        Census {
            groups: groups.len(),
            stats: groups.iter().map(|group| group.template().stat_count()).sum(),
            blocks: groups.iter().map(|group| group.allocated_blocks()).sum(),
            groups_overflow: self.groups_overflow.load(Relaxed),
            facade_overflow: self.facade.overflow(),
        }
    }

    /// Counters of what the limits refused.
    pub(crate) fn overflows(&self) -> [(&'static str, u64); 2] {
        [("groups_overflow", self.groups_overflow.load(Relaxed)), ("facade_overflow", self.facade.overflow())]
    }

    /// All stats, sorted by name. Numbers are of this moment, histograms of the
    /// last flush, as in Envoy.
    #[must_use]
    pub fn snapshot(&self) -> StatsSnapshot {
        snapshot::collect(self, snapshot::Purpose::Show)
    }

    /// Like [`Store::snapshot`], without stats that were never used: with many
    /// idle clusters far cheaper than leaving them out while printing.
    #[must_use]
    pub fn snapshot_used(&self) -> StatsSnapshot {
        snapshot::collect(self, snapshot::Purpose::ShowUsed)
    }

    /// Latches counters and merges histograms: the snapshot's deltas and
    /// intervals are what happened since the previous flush. It holds only
    /// stats that were ever used, which is all that sinks are told, so that its
    /// cost follows the traffic and not the configuration.
    pub fn flush(&self) -> StatsSnapshot {
        snapshot::collect(self, snapshot::Purpose::Flush)
    }

    /// Sets every counter to zero as seen by readers. Deltas of the next flush
    /// are not affected: a sink is still told what happened.
    pub fn reset_counters(&self) {
        for group in self.groups() {
            snapshot::reset(&group);
        }
        self.facade.reset_counters();
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
