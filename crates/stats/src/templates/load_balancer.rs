//! Stats of load balancers with tables, below a cluster's scope.

use crate::stat_template;

stat_template! {
    /// `cluster.<name>.ring_hash_lb.`
    pub mod ring_hash_stats {
        gauges {
            max_hashes_per_host, min_hashes_per_host, size,
        }
    }
}

stat_template! {
    /// `cluster.<name>.maglev_lb.`
    pub mod maglev_stats {
        gauges {
            max_entries_per_host, min_entries_per_host,
        }
    }
}

stat_template! {
    /// What a cluster with `lb_subset_config` has on top.
    pub mod subset_stats {
        gauges {
            lb_subsets_single_host_per_subset_duplicate,
        }
    }
}
