//! Stats of listeners, `listener.<address or stat_prefix>.`, and of their manager.
//!
//! The admin listener has no `envoy.listener_address` tag and lacks the counters of
//! missing extension configs.

use std::net::SocketAddr;

use crate::scope::{ScopeName, address_part, sanitized, tags};
use crate::stat_template;

stat_template! {
    /// Every listener.
    pub mod listener_stats {
        counters {
            downstream_cx_destroy, downstream_cx_overflow, downstream_cx_overload_reject, downstream_cx_total,
            downstream_cx_transport_socket_connect_timeout, downstream_global_cx_overflow,
            downstream_listener_filter_error, downstream_listener_filter_remote_close,
            downstream_pre_cx_timeout, no_filter_chain_match,
        }
        gauges {
            downstream_cx_active, downstream_pre_cx_active,
        }
        histograms {
            connections_accepted_per_socket_event: Unspecified, downstream_cx_length_ms: Milliseconds,
        }
    }
}

stat_template! {
    /// What every listener but the admin one has on top.
    pub mod listener_extension_stats {
        counters {
            extension_config_missing, network_extension_config_missing,
        }
    }
}

stat_template! {
    /// Connections by worker: `listener.<address>.worker_<n>.`, or `main_thread.` for the
    /// admin listener.
    pub mod listener_worker_stats {
        counters {
            downstream_cx_total,
        }
        gauges {
            downstream_cx_active,
        }
    }
}

stat_template! {
    /// `listener_manager.`
    pub mod listener_manager_stats {
        counters {
            listener_added, listener_create_failure, listener_create_success, listener_in_place_updated,
            listener_modified, listener_removed, listener_stopped,
        }
        gauges {
            total_filter_chains_draining, total_listeners_active, total_listeners_draining,
            total_listeners_warming, workers_pinned, workers_started,
        }
    }
}

stat_template! {
    /// Listener filter `proxy_proto.`
    pub mod proxy_proto_stats {
        counters {
            not_found_allowed, not_found_disallowed,
        }
    }
}

stat_template! {
    /// One version of the PROXY protocol: `proxy_proto_version_scope`.
    pub mod proxy_proto_version_stats {
        counters {
            disallowed, error, found,
        }
    }
}

/// `listener.<address>.`, or `listener.<stat_prefix>.` where one is configured.
#[must_use]
pub fn listener_scope(name: &str) -> ScopeName {
    ScopeName::root().part("listener").tag(tags::LISTENER_ADDRESS, name)
}

/// [`listener_scope`] of a socket address: `listener.0.0.0.0_80.`
#[must_use]
pub fn listener_address_scope(address: SocketAddr) -> ScopeName {
    listener_scope(&address_part(address))
}

/// `listener.admin.`, which carries no address.
#[must_use]
pub fn admin_listener_scope() -> ScopeName {
    ScopeName::root().part("listener").part("admin")
}

/// `<listener>http.<stat_prefix>.`
#[must_use]
pub fn listener_http_scope(listener: ScopeName, stat_prefix: &str) -> ScopeName {
    listener.part("http").first_token(Some(tags::HTTP_CONN_MANAGER_PREFIX), &sanitized(stat_prefix))
}

/// `proxy_proto.versions.v<version>.`
#[must_use]
pub fn proxy_proto_version_scope(version: u8) -> ScopeName {
    let version = version.to_string();
    let dotted = format!("versions.v{version}");
    ScopeName::root().part("proxy_proto").tag_as(tags::PROXY_PROTOCOL_VERSION, &version, &dotted, "")
}
