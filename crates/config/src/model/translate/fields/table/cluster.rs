//! Clusters, endpoints, load balancing and DNS.

use super::{HEALTH, METADATA, Support};

const WARMING: &str = "clusters that are found by a control plane are refused";
const RESOLVER: &str = "it tunes c-ares, which is not the resolver here";

pub(super) const TABLE: &[Support] = &[
    Support::of(
        "envoy.config.cluster.v3.Cluster",
        &[
            "name",
            "alt_stat_name",
            "type",
            "cluster_type",
            "connect_timeout",
            "per_connection_buffer_limit_bytes",
            "lb_policy",
            "load_assignment",
            "max_requests_per_connection",
            "circuit_breakers",
            "common_http_protocol_options",
            "http_protocol_options",
            "http2_protocol_options",
            "typed_extension_protocol_options",
            "dns_refresh_rate",
            "dns_jitter",
            "dns_failure_refresh_rate",
            "respect_dns_ttl",
            "dns_lookup_family",
            "dns_resolvers",
            "dns_resolution_config",
            "typed_dns_resolver_config",
            "use_tcp_for_dns_lookups",
            "upstream_bind_config",
            "least_request_lb_config",
            "round_robin_lb_config",
            "ring_hash_lb_config",
            "maglev_lb_config",
            "common_lb_config",
            "transport_socket",
            "protocol_selection",
            "upstream_connection_options",
            "load_balancing_policy",
            "track_timeout_budgets",
            "track_cluster_stats",
            "metadata",
        ],
    )
    .ignoring(&[
        ("wait_for_warm_on_init", WARMING),
        ("cleanup_interval", "it matters only for ORIGINAL_DST clusters, which are refused"),
        ("original_dst_lb_config", "it matters only for ORIGINAL_DST clusters, which are refused"),
        ("ignore_health_on_host_removal", HEALTH),
        ("upstream_http_protocol_options", "it matters only with TLS, which is refused"),
    ]),
    Support::of("envoy.config.cluster.v3.TrackClusterStats", &["timeout_budgets", "request_response_sizes"]),
    Support::of("envoy.config.cluster.v3.Cluster.CustomClusterType", &["*"]),
    Support::of("envoy.config.cluster.v3.Cluster.RefreshRate", &["*"]),
    Support::of("envoy.config.cluster.v3.Cluster.LeastRequestLbConfig", &["*"]),
    Support::of("envoy.config.cluster.v3.Cluster.RoundRobinLbConfig", &["*"]),
    Support::of("envoy.config.cluster.v3.Cluster.SlowStartConfig", &["*"]),
    Support::of("envoy.config.cluster.v3.Cluster.RingHashLbConfig", &["*"]),
    Support::of("envoy.config.cluster.v3.Cluster.MaglevLbConfig", &["*"]),
    Support::of(
        "envoy.config.cluster.v3.Cluster.CommonLbConfig",
        &[
            "healthy_panic_threshold",
            "consistent_hashing_lb_config",
            "locality_weighted_lb_config",
            "zone_aware_lb_config",
            "close_connections_on_host_set_change",
        ],
    )
    .ignoring(&[
        ("update_merge_window", "it delays updates of control planes only"),
        ("ignore_new_hosts_until_first_hc", HEALTH),
    ]),
    Support::of("envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig", &["*"]),
    Support::of("envoy.config.cluster.v3.UpstreamConnectionOptions", &["tcp_keepalive", "happy_eyeballs_config"])
        .ignoring(&[("set_local_interface_name_on_upstream_connections", "only filters that are not built read it")]),
    Support::of("envoy.config.cluster.v3.UpstreamConnectionOptions.HappyEyeballsConfig", &["*"]),
    Support::of("envoy.config.core.v3.BindConfig", &["source_address", "socket_options", "freebind"]),
    Support::of("envoy.config.cluster.v3.LoadBalancingPolicy", &["*"]),
    Support::of("envoy.config.cluster.v3.LoadBalancingPolicy.Policy", &["*"]),
    Support::of("envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig", &["*"]),
    Support::of("envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig", &["*"]),
    Support::of("envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin", &["*"]),
    Support::of("envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest", &["*"]),
    Support::of("envoy.extensions.load_balancing_policies.random.v3.Random", &["*"]),
    Support::of("envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig", &["*"]),
    Support::of("envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig", &["*"]),
    Support::of("envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig", &["*"]),
    Support::of(
        "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig",
        &["routing_enabled", "min_cluster_size", "fail_traffic_on_panic", "force_locality_direct_routing"],
    ),
    Support::of(
        "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
        &[
            "hash_function",
            "minimum_ring_size",
            "maximum_ring_size",
            "use_hostname_for_hashing",
            "hash_balance_factor",
            "consistent_hashing_lb_config",
            "locality_weighted_lb_config",
        ],
    ),
    Support::of("envoy.extensions.load_balancing_policies.maglev.v3.Maglev", &["*"]),
    Support::of(
        "envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig",
        &["use_hostname_for_hashing", "hash_balance_factor"],
    ),
    Support::of("envoy.config.core.v3.RuntimeDouble", &["default_value"])
        .ignoring(&[("runtime_key", "the default value counts")]),
    Support::of("envoy.config.cluster.v3.CircuitBreakers", &["*"]),
    Support::of("envoy.config.cluster.v3.CircuitBreakers.Thresholds", &["*"]),
    Support::of("envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget", &["*"]),
    Support::of(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        &[
            "common_http_protocol_options",
            "explicit_http_config",
            "use_downstream_protocol_config",
            "request_mirror_policies",
        ],
    )
    .ignoring(&[("upstream_http_protocol_options", "it matters only with TLS, which is refused")]),
    Support::of(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
        &["http_protocol_options", "http2_protocol_options"],
    ),
    Support::of(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
        &["http_protocol_options", "http2_protocol_options"],
    )
    .ignoring(&[("http3_protocol_options", "a downstream never speaks HTTP/3 here")]),
    Support::of("envoy.config.endpoint.v3.ClusterLoadAssignment", &["cluster_name", "endpoints", "policy"]),
    Support::of(
        "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy",
        &["drop_overloads", "overprovisioning_factor", "weighted_priority_health"],
    )
    .ignoring(&[("endpoint_stale_after", "it concerns control planes only")]),
    Support::of("envoy.config.endpoint.v3.ClusterLoadAssignment.Policy.DropOverload", &["*"]),
    Support::of(
        "envoy.config.endpoint.v3.LocalityLbEndpoints",
        &["locality", "lb_endpoints", "priority", "load_balancing_weight"],
    )
    .ignoring(&[("metadata", METADATA), ("proximity", "Envoy does not read it either")]),
    Support::of(
        "envoy.config.endpoint.v3.LbEndpoint",
        &["endpoint", "health_status", "metadata", "load_balancing_weight"],
    ),
    Support::of("envoy.config.endpoint.v3.Endpoint", &["address", "hostname", "additional_addresses"]).ignoring(&[
        ("health_check_config", HEALTH),
        ("observability_name", "only a feature that is not built shows it"),
    ]),
    Support::of("envoy.config.endpoint.v3.Endpoint.AdditionalAddress", &["*"]),
    Support::of(
        "envoy.extensions.clusters.dns.v3.DnsCluster",
        &[
            "dns_refresh_rate",
            "dns_failure_refresh_rate",
            "respect_dns_ttl",
            "dns_jitter",
            "typed_dns_resolver_config",
            "dns_lookup_family",
            "all_addresses_in_single_endpoint",
            "dns_min_refresh_rate",
        ],
    ),
    Support::of("envoy.extensions.clusters.dns.v3.DnsCluster.RefreshRate", &["*"]),
    Support::of("envoy.config.core.v3.DnsResolutionConfig", &["resolvers", "dns_resolver_options"]),
    Support::of("envoy.config.core.v3.DnsResolverOptions", &["*"]),
    Support::of(
        "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        &["resolvers", "dns_resolver_options", "query_timeout_seconds", "query_tries", "rotate_nameservers"],
    )
    .ignoring(&[
        ("use_resolvers_as_fallback", RESOLVER),
        ("filter_unroutable_families", RESOLVER),
        ("udp_max_queries", RESOLVER),
        ("edns0_max_payload_size", RESOLVER),
        ("max_udp_channel_duration", RESOLVER),
        ("reinit_channel_on_timeout", RESOLVER),
        ("qcache_max_ttl", RESOLVER),
    ]),
    Support::of("envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig", &[]).ignoring(&[
        ("num_retries", "the system's resolver is set up by its own files"),
        ("num_resolver_threads", "the system's resolver is set up by its own files"),
    ]),
];
