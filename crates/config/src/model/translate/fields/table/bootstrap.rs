//! The bootstrap message and what stands directly in it.

use super::Support;

const CONTROL_PLANE: &str = "only sent to control planes";

pub(super) const TABLE: &[Support] = &[
    Support::of(
        "envoy.config.bootstrap.v3.Bootstrap",
        &[
            "node",
            "static_resources",
            "cluster_manager",
            "stats_config",
            "stats_flush_interval",
            "layered_runtime",
            "admin",
            "overload_manager",
            "header_prefix",
            "dns_resolution_config",
            "typed_dns_resolver_config",
            "use_tcp_for_dns_lookups",
        ],
    )
    .ignoring(&[
        ("node_context_params", CONTROL_PLANE),
        ("watchdog", "there are no watchdog threads"),
        ("watchdogs", "there are no watchdog threads"),
        ("memory_allocator_manager", "it tunes Envoy's allocator"),
        ("grpc_async_client_manager_config", "it tunes gRPC clients, and none is built"),
        ("perf_tracing_file_path", "there are no performance traces to write"),
        ("deferred_stat_options", "statistics cost too little to be put off"),
        ("default_regex_engine", "expressions are always RE2's"),
    ])
    .never(&[
        ("flags_path", "start-up flag files are not read; use the command line"),
        ("enable_dispatcher_stats", "they describe Envoy's event loop"),
    ]),
    Support::of("envoy.config.bootstrap.v3.Bootstrap.StaticResources", &["listeners", "clusters"]),
    Support::of(
        "envoy.config.bootstrap.v3.Admin",
        &["access_log", "access_log_path", "profile_path", "address", "ignore_global_conn_limit"],
    ),
    Support::of("envoy.config.bootstrap.v3.LayeredRuntime", &["layers"]),
    Support::of("envoy.config.bootstrap.v3.RuntimeLayer", &["name", "static_layer", "admin_layer"]),
    Support::of("envoy.config.bootstrap.v3.RuntimeLayer.AdminLayer", &["*"]),
    Support::of("envoy.config.bootstrap.v3.ClusterManager", &["local_cluster_name"])
        .ignoring(&[("enable_deferred_cluster_creation", "a cluster without traffic costs little here")]),
    Support::of("envoy.config.core.v3.Node", &["id", "cluster", "locality"]).ignoring(&[
        ("metadata", CONTROL_PLANE),
        ("dynamic_parameters", CONTROL_PLANE),
        ("user_agent_name", CONTROL_PLANE),
        ("user_agent_version", CONTROL_PLANE),
        ("user_agent_build_version", CONTROL_PLANE),
        ("extensions", CONTROL_PLANE),
        ("client_features", CONTROL_PLANE),
        ("listening_addresses", CONTROL_PLANE),
    ]),
    Support::of("envoy.config.core.v3.Locality", &["*"]),
    Support::of("envoy.config.metrics.v3.StatsConfig", &["stats_tags", "use_all_default_tags"]),
    Support::of("envoy.config.metrics.v3.TagSpecifier", &["tag_name", "fixed_value"]),
    Support::of("envoy.config.overload.v3.OverloadManager", &["resource_monitors"])
        .ignoring(&[("refresh_interval", "the monitor that is built counts, it does not poll")]),
    Support::of("envoy.config.overload.v3.ResourceMonitor", &["*"]),
    Support::of("envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig", &["*"]),
];
