//! Stats of virtual clusters, `vhost.<virtual host>.vcluster.<name>.`, and of routes with a
//! `stat_prefix`, `vhost.<virtual host>.route.<stat_prefix>.`: the same names for both.
//!
//! A virtual host that has virtual clusters lists `other` besides them, which counts the requests
//! that none of them takes. Names stand as they were written; Envoy finds the tags by tokens, so
//! that a name with dots in it is a tag up to its first dot, and what stands behind such a virtual
//! host's name is no tag any more.

use crate::scope::{ScopeName, tags};
use crate::stat_template;

stat_template! {
    /// One virtual cluster, or one route.
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
    below(virtual_host, "vcluster", tags::VIRTUAL_CLUSTER, name)
}

/// `vhost.<virtual host>.route.<stat_prefix>.`
#[must_use]
pub fn route_scope(virtual_host: &str, stat_prefix: &str) -> ScopeName {
    below(virtual_host, "route", tags::ROUTE, stat_prefix)
}

fn below(virtual_host: &str, part: &str, tag: &'static str, name: &str) -> ScopeName {
    let host = ScopeName::root().part("vhost").first_token(Some(tags::VIRTUAL_HOST), virtual_host);
    let tag = (!virtual_host.contains('.')).then_some(tag);
    host.part(part).first_token(tag, name)
}
