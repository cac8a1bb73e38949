//! Stats: counters, gauges, histograms and text readouts under Envoy's names.
//!
//! | word | what it is |
//! |---|---|
//! | [`Template`] | the stats that every group of one sort has; [`templates`] holds Envoy's |
//! | [`ScopeName`] | what stands before them: dotted name, tag-extracted name, tags |
//! | [`Group`] | one template under one scope, for example cluster `foo` |
//! | [`Shard`] | one worker's view of a group; the only thing that writes |
//! | [`Store`] | the registry: finds or creates groups, makes snapshots, flushes |
//! | [`StatsSnapshot`] | all stats merged and sorted; [`output`] prints it |
//!
//! ```
//! use nuncio_stats::templates::{cluster_scope, cluster_stats};
//! use nuncio_stats::{StatsQuery, Store, output};
//!
//! let store = Store::new(2); // workers; thread 0 is the main thread
//! let group = store.group(&cluster_stats::TEMPLATE, cluster_scope("foo"));
//! let stats = group.shard(1); // kept by worker 1
//! stats.inc(cluster_stats::UPSTREAM_RQ_TOTAL);
//! stats.dynamic_inc(cluster_stats::UPSTREAM_RQ, 200);
//! assert_eq!(group.counter(cluster_stats::UPSTREAM_RQ_TOTAL), 1);
//!
//! let mut text = String::new();
//! output::text(&store.snapshot(), &StatsQuery::default(), &mut text);
//! assert!(text.contains("cluster.foo.upstream_rq_2xx: 1\n"));
//! ```
//!
//! The crate knows names and numbers. It knows no cluster, no request, no
//! socket: sinks and the admin endpoint take a snapshot and send it themselves.

mod codes;
pub mod facade;
mod group;
mod histogram;
mod macros;
pub mod output;
mod scope;
mod shard;
mod snapshot;
mod store;
mod template;
pub mod templates;
#[cfg(test)]
mod tests;

pub use group::{Group, WorkerId};
pub use histogram::{DEFAULT_BUCKETS, Distribution, QUANTILES};
pub use output::{HistogramShape, KindFilter, StatsQuery};
pub use scope::{ScopeName, Tag, address_part, sanitized, split_code_suffix, tags};
pub use shard::{GaugeGuard, Shard};
pub use snapshot::{HistogramSample, Number, NumberKind, StatName, StatsSnapshot, TextSample};
pub use store::{BucketChoice, Census, MAX_GROUPS, NamePredicate, Store, StoreSettings};
pub use template::{CodeFamily, Counter, Dynamic, Gauge, Histogram, Kind, StatDef, Template, Text, Unit};

#[doc(hidden)]
pub use pastey as __pastey;
