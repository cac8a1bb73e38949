//! Listeners and filter chains.

use super::{METADATA, Support};

const LISTENER_FILTERS: &str = "it matters only with listener filters, which are refused";

pub(super) const TABLE: &[Support] = &[
    Support::of(
        "envoy.config.listener.v3.Listener",
        &[
            "name",
            "address",
            "additional_addresses",
            "stat_prefix",
            "filter_chains",
            "default_filter_chain",
            "per_connection_buffer_limit_bytes",
            "drain_type",
            "transparent",
            "freebind",
            "socket_options",
            "traffic_direction",
            "enable_reuse_port",
            "access_log",
            "tcp_backlog_size",
            "bind_to_port",
            "ignore_global_conn_limit",
            "tcp_keepalive",
        ],
    )
    .ignoring(&[
        ("metadata", METADATA),
        (
            "max_connections_to_accept_per_socket_event",
            "a worker takes one connection at a time and turns to others between",
        ),
        ("listener_filters_timeout", LISTENER_FILTERS),
        ("continue_on_listener_filters_timeout", LISTENER_FILTERS),
        ("reuse_port", "`enable_reuse_port` took its place and is true by default"),
        ("bypass_overload_manager", "there are no overload actions to bypass"),
    ])
    .never(&[("deprecated_v1", "`bind_to_port` took its place")]),
    Support::of("envoy.config.listener.v3.AdditionalAddress", &["*"]),
    Support::of("envoy.config.core.v3.SocketOptionsOverride", &["*"]),
    Support::of(
        "envoy.config.listener.v3.FilterChain",
        &["filter_chain_match", "filters", "transport_socket", "transport_socket_connect_timeout", "name"],
    )
    .ignoring(&[("metadata", METADATA)]),
    Support::of(
        "envoy.config.listener.v3.FilterChainMatch",
        &[
            "destination_port",
            "prefix_ranges",
            "direct_source_prefix_ranges",
            "source_type",
            "source_prefix_ranges",
            "source_ports",
        ],
    )
    .never(&[("address_suffix", "Envoy never implemented it"), ("suffix_len", "Envoy never implemented it")]),
    Support::of("envoy.config.listener.v3.Filter", &["name", "typed_config"]),
];
