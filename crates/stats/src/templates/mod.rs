//! Envoy's templates, one file for each part of the configuration, and the
//! functions that build their scopes.
//!
//! The names are those that Envoy 1.40 lists; a test checks that each stands in
//! the place where Envoy has it. A filter of the extensions crate declares its
//! own template beside its code.

mod cluster;
mod codec;
mod health;
mod http;
mod listener;
mod load_balancer;
mod server;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod vhost;

pub use cluster::{
    alternative_scope, alternative_stats, alternative_zone_scope, circuit_breaker_remaining_stats, cluster_scope,
    cluster_stats, eds_stats, endpoint_scope, endpoint_stats, request_response_size_stats, response_code_stats,
    timeout_budget_stats, zone_scope,
};
pub use codec::{http1_stats, http2_stats};
pub use health::{health_check_stats, outlier_detection_stats};
pub use http::{
    http_class, http_scope, http_stats, http_tracing_stats, listener_http_class, listener_http_stats, router_stats,
};
pub use listener::{
    admin_listener_scope, listener_address_scope, listener_extension_stats, listener_http_scope,
    listener_manager_stats, listener_scope, listener_stats, listener_worker_stats, proxy_proto_stats,
    proxy_proto_version_scope, proxy_proto_version_stats,
};
pub use load_balancer::{maglev_stats, ring_hash_stats, subset_stats};
pub use server::{
    cluster_manager_stats, config_reload_stats, control_plane_stats, dns_stats, filesystem_stats, hot_restart_stats,
    overload_stats, overload_stream_stats, runtime_stats, server_stats, server_worker_scope, subscription_stats,
    thread_local_cluster_manager_scope, thread_local_cluster_manager_stats, watchdog_stats,
};
pub use tcp::{tcp_scope, tcp_stats};
pub use tls::{
    Negotiated, certificate_scope, certificate_stats, negotiated_scope, negotiated_stats, ssl_socket_factory_stats,
    ssl_stats, tls_inspector_stats,
};
pub use vhost::{route_scope, vcluster_scope, vcluster_stats};
