//! Stats of the process: server, watchdogs, runtime, files, cluster manager, xDS.

use crate::scope::ScopeName;
use crate::stat_template;

stat_template! {
    /// `server.`
    pub mod server_stats {
        counters {
            debug_assertion_failures, dropped_stat_flushes, dynamic_unknown_fields, envoy_bug_failures,
            envoy_notifications, static_unknown_fields, wip_protos,
        }
        gauges {
            fips_mode => "compilation_settings.fips_mode", concurrency, days_until_first_cert_expiring,
            hot_restart_epoch, live, memory_allocated, memory_heap_size,
            memory_physical_size, parent_connections, seconds_until_first_ocsp_response_expiring, state,
            stats_recent_lookups, total_connections, uptime, version,
        }
        histograms {
            initialization_time_ms: Milliseconds,
        }
    }
}

stat_template! {
    /// `server.`, unless hot restart is disabled.
    pub mod hot_restart_stats {
        gauges {
            hot_restart_generation,
        }
    }
}

stat_template! {
    /// `main_thread.`, `workers.`, `server.main_thread.` and, by `server_worker_scope`, one worker.
    pub mod watchdog_stats {
        counters {
            watchdog_mega_miss, watchdog_miss,
        }
    }
}

stat_template! {
    /// `filesystem.`: access log files.
    pub mod filesystem_stats {
        counters {
            flushed_by_timer, reopen_failed, write_buffered, write_completed, write_failed,
        }
        gauges {
            write_total_buffered,
        }
    }
}

stat_template! {
    /// `runtime.`
    pub mod runtime_stats {
        counters {
            deprecated_feature_use, load_error, load_success, override_dir_exists, override_dir_not_exists,
        }
        gauges {
            admin_overrides_active, deprecated_feature_seen_since_process_start, num_keys, num_layers,
        }
    }
}

stat_template! {
    /// `cluster_manager.`
    pub mod cluster_manager_stats {
        counters {
            cluster_added, cluster_modified, cluster_removed, cluster_updated, cluster_updated_via_merge,
            update_merge_cancelled, update_out_of_merge_window,
        }
        gauges {
            active_clusters, warming_clusters,
        }
    }
}

stat_template! {
    /// `thread_local_cluster_manager.main_thread.` and, by
    /// `thread_local_cluster_manager_scope`, one worker.
    pub mod thread_local_cluster_manager_stats {
        gauges {
            clusters_inflated,
        }
    }
}

stat_template! {
    /// `dns.cares.`: the resolver, under the name that dashboards know.
    pub mod dns_stats {
        counters {
            get_addr_failure, not_found, reinits, resolve_total, timeouts,
        }
        gauges {
            pending_resolutions,
        }
    }
}

stat_template! {
    /// `overload.`
    pub mod overload_stats {
        histograms {
            refresh_interval_delay: Milliseconds,
        }
    }
}

stat_template! {
    /// `envoy.overload_actions.`
    pub mod overload_stream_stats {
        counters {
            reset_high_memory_stream_count => "reset_high_memory_stream.count",
        }
    }
}

stat_template! {
    /// `control_plane.`: the management server.
    pub mod control_plane_stats {
        counters {
            rate_limit_enforced,
        }
        gauges {
            connected_state, pending_requests,
        }
        texts { identifier }
    }
}

stat_template! {
    /// One xDS subscription: `cluster_manager.cds.`, `listener_manager.lds.`,
    /// `http.<stat_prefix>.rds.<route>.`
    pub mod subscription_stats {
        counters {
            init_fetch_timeout, update_attempt, update_failure, update_rejected, update_success,
        }
        gauges {
            update_time, version,
        }
        histograms {
            update_duration: Milliseconds,
        }
        texts { version_text }
    }
}

stat_template! {
    /// What CDS and RDS have on top of a subscription.
    pub mod config_reload_stats {
        counters {
            config_reload,
        }
        gauges {
            config_reload_time_ms,
        }
    }
}

/// `server.worker_<index>.`, for [`watchdog_stats`].
#[must_use]
pub fn server_worker_scope(index: usize) -> ScopeName {
    ScopeName::root().part("server").worker(index)
}

/// `thread_local_cluster_manager.worker_<index>.`
#[must_use]
pub fn thread_local_cluster_manager_scope(index: usize) -> ScopeName {
    ScopeName::root().part("thread_local_cluster_manager").worker(index)
}
