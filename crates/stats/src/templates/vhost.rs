//! Stats of virtual clusters, `vhost.<virtual host>.vcluster.<name>.`, and of routes
//! with a `stat_prefix`.
//!
//! A virtual host lists its `other` virtual cluster from the start.

use crate::scope::{ScopeName, tags};
use crate::stat_template;

stat_template! {
    /// One virtual cluster.
    pub mod vcluster_stats {
        counters {
            upstream_rq_retry, upstream_rq_retry_limit_exceeded, upstream_rq_retry_overflow,
            upstream_rq_retry_success, upstream_rq_timeout, upstream_rq_total,
        }
        histograms_when_used {
            upstream_rq_time: Milliseconds,
        }
        codes {
            upstream_rq,
        }
    }
}

/// `vhost.<virtual host>.vcluster.<name>.`
#[must_use]
pub fn vcluster_scope(virtual_host: &str, name: &str) -> ScopeName {
    let host = ScopeName::root().part("vhost").tag(tags::VIRTUAL_HOST, virtual_host);
    host.part("vcluster").tag(tags::VIRTUAL_CLUSTER, name)
}
