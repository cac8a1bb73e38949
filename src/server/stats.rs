//! Stats that the main thread owns: `server.`, `listener_manager.`, `cluster_manager.`, the
//! watchdogs' and a few that are listed because Envoy lists them.
//!
//! Written by the main thread only, as writer 0 of the store.

use std::time::Duration;

use nuncio_config::model::Bootstrap;
use nuncio_stats::{
    Group, ScopeName, Shard, Store, Template,
    templates::{
        admin_listener_scope, cluster_manager_stats as clusters, hot_restart_stats,
        listener_manager_stats as listeners, listener_stats, overload_stats, overload_stream_stats, server_stats,
        server_worker_scope, thread_local_cluster_manager_scope, thread_local_cluster_manager_stats as inflated,
        watchdog_stats,
    },
};

use super::{Server, process, version};
use crate::cli::Flags;

/// The main thread's writers.
pub(crate) struct ServerStats {
    server: Shard,
    listeners: Shard,
}

impl ServerStats {
    /// Registers everything and writes what does not change.
    pub(super) fn new(
        store: &Store,
        flags: &Flags,
        workers: usize,
        listener_count: usize,
        bootstrap: &Bootstrap,
    ) -> Self {
        let named =
            |template: &'static Template, name: &str| store.group(template, ScopeName::root().part(name)).shard(0);
        let stats = Self {
            server: named(&server_stats::TEMPLATE, "server"),
            listeners: named(&listeners::TEMPLATE, "listener_manager"),
        };
        if !flags.disable_hot_restart {
            named(&hot_restart_stats::TEMPLATE, "server").gauge_set(hot_restart_stats::HOT_RESTART_GENERATION, 1);
        }
        for scope in ["main_thread", "workers", "server.main_thread"] {
            named(&watchdog_stats::TEMPLATE, scope);
        }
        let count = bootstrap.clusters.len() as u64;
        let main = named(&inflated::TEMPLATE, "thread_local_cluster_manager.main_thread");
        main.gauge_set(inflated::CLUSTERS_INFLATED, count);
        for index in 0..workers {
            let _ = store.group(&watchdog_stats::TEMPLATE, server_worker_scope(index));
            let scope = thread_local_cluster_manager_scope(index);
            // The main thread speaks for the workers here: their views do not change.
            store.group(&inflated::TEMPLATE, scope).shard(0).gauge_set(inflated::CLUSTERS_INFLATED, count);
        }
        named(&overload_stats::TEMPLATE, "overload");
        named(&overload_stream_stats::TEMPLATE, "envoy.overload_actions");
        stats.write_fixed(workers, listener_count as u64);
        write_clusters(&named(&clusters::TEMPLATE, "cluster_manager"), count);
        stats
    }

    fn write_fixed(&self, workers: usize, listener_count: u64) {
        let server = &self.server;
        server.gauge_set(server_stats::CONCURRENCY, workers as u64);
        server.gauge_set(server_stats::HOT_RESTART_EPOCH, 0);
        server.gauge_set(server_stats::VERSION, version::number());
        server.gauge_set(server_stats::FIPS_MODE, 0);
        server.gauge_set(server_stats::PARENT_CONNECTIONS, 0);
        // No certificate: Envoy shows the largest 32-bit number.
        server.gauge_set(server_stats::DAYS_UNTIL_FIRST_CERT_EXPIRING, u64::from(u32::MAX));
        server.add(server_stats::STATIC_UNKNOWN_FIELDS, 0);
        server.add(server_stats::DYNAMIC_UNKNOWN_FIELDS, 0);
        server.add(server_stats::WIP_PROTOS, 0);
        self.listeners.add(listeners::LISTENER_ADDED, listener_count);
        self.listeners.add(listeners::LISTENER_CREATE_SUCCESS, listener_count);
        self.listeners.gauge_set(listeners::TOTAL_LISTENERS_WARMING, listener_count);
    }

    /// Every worker accepts.
    pub(super) fn live(&self, took: Duration) {
        let created = self.listeners.group().counter(listeners::LISTENER_ADDED);
        self.listeners.gauge_set(listeners::TOTAL_LISTENERS_WARMING, 0);
        self.listeners.gauge_set(listeners::TOTAL_LISTENERS_ACTIVE, created);
        self.listeners.gauge_set(listeners::WORKERS_STARTED, 1);
        self.set_live(true);
        self.server.record(server_stats::INITIALIZATION_TIME_MS, millis(took));
    }

    /// Whether probes are told that the server lives.
    pub(crate) fn set_live(&self, is_live: bool) {
        self.server.gauge_set(server_stats::LIVE, is_live.into());
    }

    /// One listener stopped accepting.
    pub(super) fn listener_stopped(&self) {
        self.listeners.inc(listeners::LISTENER_STOPPED);
    }
}

impl Server {
    /// Brings the gauges that only a reader needs up to date; called before every read.
    pub(crate) fn refresh_stats(&self) {
        let server = &self.stats.server;
        let memory = process::memory();
        server.gauge_set(server_stats::MEMORY_ALLOCATED, memory.allocated);
        server.gauge_set(server_stats::MEMORY_HEAP_SIZE, memory.heap);
        server.gauge_set(server_stats::MEMORY_PHYSICAL_SIZE, memory.resident);
        server.gauge_set(server_stats::UPTIME, self.started.elapsed().as_secs());
        server.gauge_set(server_stats::STATE, self.state().number());
        server.gauge_set(
            server_stats::TOTAL_CONNECTIONS,
            self.limits.connections().saturating_sub(self.admin_connections()),
        );
        self.upstreams.publish_breakers();
    }

    /// Those connections within the process's limit that are the admin server's.
    fn admin_connections(&self) -> u64 {
        let limited = self.bootstrap.admin.as_ref().is_some_and(|admin| !admin.ignore_global_conn_limit);
        let open = |group: &Group| group.gauge(listener_stats::DOWNSTREAM_CX_ACTIVE);
        if limited { open(&self.store.group(&listener_stats::TEMPLATE, admin_listener_scope())) } else { 0 }
    }
}

fn write_clusters(stats: &Shard, count: u64) {
    stats.add(clusters::CLUSTER_ADDED, count);
    stats.gauge_set(clusters::ACTIVE_CLUSTERS, count);
    stats.gauge_set(clusters::WARMING_CLUSTERS, 0);
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
