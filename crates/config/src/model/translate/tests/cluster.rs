//! Clusters, endpoints, load balancing, DNS.

use std::time::Duration;

use super::*;
use crate::model::cluster::{
    AddressFamily, Breakers, ConsistentHashing, Discovery, DnsFamily, EndpointHealth, HappyEyeballs, HashFunction,
    LbPolicy, LocalityBalancing, Maglev, RingHash, SlowStart, UpstreamProtocol, ZoneAware,
};

fn cluster(fields: &str) -> Arc<Cluster> {
    quiet(&with_cluster(fields)).clusters.remove(0)
}

fn endpoints(hosts: &str) -> String {
    format!("load_assignment: {{cluster_name: c, endpoints: [{{lb_endpoints: [{hosts}]}}]}}")
}

fn host(address: &str) -> String {
    format!("{{endpoint: {{address: {{socket_address: {{address: {address}, port_value: 1}}}}}}}}")
}

const OPTIONS: &str = "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: \
                       {\"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, ";

#[test]
fn a_cluster_without_settings_has_envoys_defaults() {
    let cluster = cluster(LOCAL_HOST);
    assert_eq!(cluster.discovery, Discovery::Static);
    assert_eq!((&*cluster.name, cluster.stat_name.as_str()), ("c", "c"));
    assert_eq!(cluster.connect_timeout, Duration::from_secs(5));
    assert_eq!(cluster.per_connection_buffer_limit, 1 << 20);
    assert_eq!(cluster.lb, LbPolicy::RoundRobin);
    assert_eq!(cluster.healthy_panic_threshold, 50.0);
    assert_eq!((cluster.breakers_default, cluster.breakers_high), (Breakers::default(), Breakers::default()));
    assert_eq!(cluster.protocol, UpstreamProtocol::Http1);
    assert_eq!(cluster.common.idle_timeout, Some(Duration::from_secs(3600)));
    assert_eq!((cluster.common.max_headers_count, cluster.common.max_response_headers), (100, None));
    assert_eq!((cluster.http2.initial_stream_window, cluster.http2.initial_connection_window), (16 << 20, 24 << 20));
    assert_eq!((cluster.http2.max_concurrent_streams, cluster.http2.hpack_table_size), (1024, 4096));
    assert_eq!((cluster.drop_overload_percent, cluster.overprovisioning_factor), (0.0, 140));
    assert_eq!(cluster.dns.refresh_rate, Duration::from_secs(5));
    assert_eq!(cluster.dns.failure_refresh, (Duration::from_secs(5), Duration::from_secs(5)));
    assert_eq!((cluster.dns.family, cluster.dns.jitter), (DnsFamily::Auto, Duration::ZERO));
    assert!(!cluster.wire.is_empty() && !cluster.added_via_api);
}

#[test]
fn endpoints_keep_what_they_say() {
    let cluster = cluster(
        "alt_stat_name: s, load_assignment: {cluster_name: c, policy: {overprovisioning_factor: 200, weighted_priority_health: true, drop_overloads: \
         [{category: a, drop_percentage: {numerator: 50}}, {category: b, drop_percentage: {numerator: 50}}]}, endpoints: \
         [{locality: {region: r, zone: z}, priority: 2, lb_endpoints: [{endpoint: {hostname: h, address: \
         {socket_address: {address: '::1', port_value: 9}}}, load_balancing_weight: 3, health_status: DRAINING, \
         metadata: {filter_metadata: {envoy.lb: {canary: true}}}}, {endpoint: {address: {pipe: {path: /s}}}, \
         health_status: DEGRADED}]}]}",
    );
    assert_eq!(cluster.stat_name, "s");
    assert_eq!((cluster.drop_overload_percent, cluster.overprovisioning_factor), (75.0, 200));
    assert!(cluster.weighted_priority_health);
    let locality = &cluster.endpoints[0];
    assert_eq!((locality.priority, locality.locality.zone.as_str()), (2, "z"));
    let [first, second] = locality.endpoints.as_slice() else { panic!("two") };
    assert_eq!((first.address.to_string().as_str(), first.hostname.as_str()), ("[::1]:9", "h"));
    assert_eq!((first.weight, first.health, first.canary), (3, EndpointHealth::Unhealthy, true));
    assert_eq!((second.address.to_string().as_str(), second.health), ("/s", EndpointHealth::Degraded));
}

#[test]
fn hosts_may_have_several_addresses() {
    let more = "additional_addresses: [{address: {socket_address: {address: '::1', port_value: 2}}}]";
    let fields = endpoints(&host("10.0.0.1").replacen("}}}}", &format!("}}}}, {more}}}}}"), 1));
    let options = "happy_eyeballs_config: {first_address_family_version: V6, first_address_family_count: 3}";
    let cluster = cluster(&format!("upstream_connection_options: {{{options}}}, {fields}"));
    let more = &cluster.endpoints[0].endpoints[0].additional_addresses;
    assert_eq!(more.iter().map(ToString::to_string).collect::<Vec<_>>(), ["[::1]:2"]);
    let wanted = HappyEyeballs { first_family: Some(AddressFamily::V6), first_family_count: 3 };
    assert_eq!(cluster.happy_eyeballs, wanted);
}

#[test]
fn names_are_for_dns_clusters() {
    let (code, path) = only_error(&with_cluster(&endpoints(&host("example.com"))));
    assert_eq!(code, "malformed-ip");
    assert_eq!(
        path,
        "static_resources.clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address"
    );
    for (kind, discovery) in [
        ("type: STRICT_DNS", Discovery::StrictDns),
        ("type: LOGICAL_DNS", Discovery::LogicalDns),
        ("cluster_type: {name: envoy.cluster.strict_dns}", Discovery::StrictDns),
        ("cluster_type: {name: envoy.cluster.logical_dns}", Discovery::LogicalDns),
    ] {
        assert_eq!(cluster(&format!("{kind}, {}", endpoints(&host("example.com")))).discovery, discovery, "{kind}");
    }
}

#[test]
fn a_logical_dns_cluster_has_one_endpoint() {
    let two = format!("{}, {}", host("a"), host("b"));
    assert_eq!(
        only_error(&with_cluster(&format!("type: LOGICAL_DNS, {}", endpoints(&two)))).0,
        "logical-dns-endpoints"
    );
    assert_eq!(only_error(&with_cluster("type: LOGICAL_DNS")).0, "logical-dns-endpoints");
    quiet(&with_cluster("type: STRICT_DNS"));
}

#[test]
fn a_typed_dns_cluster_brings_its_own_settings() {
    let cluster = cluster(&format!(
        "cluster_type: {{name: envoy.cluster.dns, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster, dns_refresh_rate: 7s, dns_lookup_family: \
         V4_ONLY, respect_dns_ttl: true, all_addresses_in_single_endpoint: true, dns_failure_refresh_rate: \
         {{base_interval: 2s}}}}}}, {}",
        endpoints(&host("a"))
    ));
    assert_eq!((cluster.discovery, cluster.dns.refresh_rate), (Discovery::LogicalDns, Duration::from_secs(7)));
    assert_eq!((cluster.dns.family, cluster.dns.respect_ttl), (DnsFamily::V4Only, true));
    assert_eq!(cluster.dns.failure_refresh, (Duration::from_secs(2), Duration::from_secs(20)));
}

#[test]
fn resolvers_come_from_the_cluster_or_the_bootstrap() {
    let typed = "typed_dns_resolver_config: {name: envoy.network.dns_resolver.cares, typed_config: {\"@type\": \
                 type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig, resolvers: \
                 [{socket_address: {address: 10.0.0.1, port_value: 53}}]}}";
    let resolvers = |cluster: &str, rest: &str| {
        let yaml = bootstrap("", ROUTER, ALL_TO_C, cluster, rest);
        let (bootstrap, _) = accepted(&yaml);
        bootstrap.clusters[0].dns.resolver.servers.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(resolvers(typed, ""), ["10.0.0.1:53"]);
    assert_eq!(resolvers("", typed), ["10.0.0.1:53"]);
    assert!(resolvers("", "").is_empty());
}

#[test]
fn load_balancing_policies_translate() {
    let typed = |names: &[&str]| {
        let policies: Vec<_> = names
            .iter()
            .map(|name| format!("{{typed_extension_config: {{name: nm, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.load_balancing_policies.{name}}}}}}}"))
            .collect();
        format!("lb_policy: RANDOM, load_balancing_policy: {{policies: [{}]}}", policies.join(", "))
    };
    let least = |choice_count, active_request_bias| LbPolicy::LeastRequest {
        choice_count,
        active_request_bias,
        full_scan: false,
    };
    for (fields, policy) in [
        ("lb_policy: RANDOM".to_owned(), LbPolicy::Random),
        ("lb_policy: LEAST_REQUEST".to_owned(), least(2, 1.0)),
        (
            "lb_policy: LEAST_REQUEST, least_request_lb_config: {choice_count: 5, active_request_bias: {default_value: 0.5, runtime_key: k}}"
                .to_owned(),
            least(5, 0.5),
        ),
        (typed(&["round_robin.v3.RoundRobin"]), LbPolicy::RoundRobin),
        (typed(&["pick_first.v3.PickFirst", "random.v3.Random"]), LbPolicy::Random),
        (typed(&["least_request.v3.LeastRequest, choice_count: 3"]), least(3, 1.0)),
    ] {
        assert_eq!(accepted(&with_cluster(&fields)).0.clusters[0].lb, policy, "{fields}");
    }
    for fields in ["lb_policy: CLUSTER_PROVIDED", &typed(&["pick_first.v3.PickFirst"])] {
        assert_eq!(only_error(&with_cluster(fields)).0, "not-supported-yet", "{fields}");
    }
    assert_eq!(only_error(&with_cluster("lb_policy: LOAD_BALANCING_POLICY_CONFIG")).0, "missing-policy");
}

#[test]
fn localities_and_slow_start_translate() {
    let cluster = |fields: &str| accepted(&with_cluster(fields)).0.clusters.remove(0);
    let typed = |config: &str| {
        format!(
            "load_balancing_policy: {{policies: [{{typed_extension_config: {{name: nm, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.load_balancing_policies.{config}}}}}}}]}}"
        )
    };
    let zones =
        ZoneAware { routing_enabled: 33, min_cluster_size: 2, fail_traffic_on_panic: true, force_direct: false };
    let fields = "routing_enabled: {value: 33.4}, min_cluster_size: 2, fail_traffic_on_panic: true";
    for (fields, wanted) in [
        ("lb_policy: RANDOM".to_owned(), LocalityBalancing::ZoneAware(ZoneAware::default())),
        ("common_lb_config: {locality_weighted_lb_config: {}}".to_owned(), LocalityBalancing::Weighted),
        (format!("common_lb_config: {{zone_aware_lb_config: {{{fields}}}}}"), LocalityBalancing::ZoneAware(zones)),
        (
            typed(&format!("random.v3.Random, locality_lb_config: {{zone_aware_lb_config: {{{fields}}}}}")),
            LocalityBalancing::ZoneAware(zones),
        ),
        (typed("maglev.v3.Maglev, locality_weighted_lb_config: {}"), LocalityBalancing::Weighted),
    ] {
        assert_eq!(cluster(&fields).localities, wanted, "{fields}");
    }
    let slow = |window, aggression, min_weight_percent| {
        Some(SlowStart { window: Duration::from_secs(window), aggression, min_weight_percent })
    };
    for (fields, wanted) in [
        ("round_robin_lb_config: {slow_start_config: {slow_start_window: 9s}}".to_owned(), slow(9, 1.0, 10.0)),
        ("round_robin_lb_config: {slow_start_config: {}}".to_owned(), None),
        ("lb_policy: RANDOM, round_robin_lb_config: {slow_start_config: {slow_start_window: 9s}}".to_owned(), None),
        (
            typed(
                "least_request.v3.LeastRequest, slow_start_config: {slow_start_window: 2s, aggression: {default_value: \
                 2, runtime_key: k}, min_weight_percent: {value: 1}}",
            ),
            slow(2, 2.0, 1.0),
        ),
    ] {
        assert_eq!(cluster(&fields).slow_start, wanted, "{fields}");
    }
    let full = cluster(&typed("least_request.v3.LeastRequest, selection_method: FULL_SCAN")).lb.clone();
    assert!(matches!(full, LbPolicy::LeastRequest { full_scan: true, .. }));
}

#[test]
fn hashing_policies_translate() {
    let lb = |fields: &str| accepted(&with_cluster(fields)).0.clusters[0].lb.clone();
    let typed = |config: &str| {
        lb(&format!(
            "load_balancing_policy: {{policies: [{{typed_extension_config: {{name: nm, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.load_balancing_policies.{config}}}}}}}]}}"
        ))
    };
    let ring = |minimum_size, maximum_size, function, common| {
        LbPolicy::RingHash(RingHash { minimum_size, maximum_size, function, common })
    };
    let plain = ConsistentHashing::default();
    let bounded = ConsistentHashing { use_hostname: true, balance_factor: Some(150) };
    let common = "consistent_hashing_lb_config: {use_hostname_for_hashing: true, hash_balance_factor: 150}";
    assert_eq!(lb("lb_policy: RING_HASH"), ring(1024, 8 << 20, HashFunction::Xx, plain));
    assert_eq!(
        lb(&format!(
            "type: STRICT_DNS, lb_policy: RING_HASH, common_lb_config: {{{common}}}, ring_hash_lb_config: {{minimum_ring_size: 2, \
             maximum_ring_size: 9, hash_function: MURMUR_HASH_2}}"
        )),
        ring(2, 9, HashFunction::Murmur2, bounded)
    );
    assert_eq!(typed(&format!("ring_hash.v3.RingHash, {common}")), ring(1024, 8 << 20, HashFunction::Xx, bounded));
    assert_eq!(lb("lb_policy: MAGLEV"), LbPolicy::Maglev(Maglev { table_size: 65537, common: plain }));
    assert_eq!(
        lb(&format!(
            "type: STRICT_DNS, lb_policy: MAGLEV, common_lb_config: {{{common}}}, maglev_lb_config: {{table_size: 7}}"
        )),
        LbPolicy::Maglev(Maglev { table_size: 7, common: bounded })
    );
    assert_eq!(
        typed(&format!("maglev.v3.Maglev, table_size: 11, {common}")),
        LbPolicy::Maglev(Maglev { table_size: 11, common: bounded })
    );
    for (fields, code) in [
        ("lb_policy: MAGLEV, maglev_lb_config: {table_size: 9}", "bad-table-size"),
        ("common_lb_config: {consistent_hashing_lb_config: {use_hostname_for_hashing: true}}", "hashing-by-name"),
        ("lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 3, maximum_ring_size: 2}", "bad-ring-size"),
    ] {
        assert_eq!(only_error(&with_cluster(fields)).0, code, "{fields}");
    }
}

#[test]
fn protocols_translate_from_typed_and_old_fields() {
    let protocol = |fields: &str| accepted(&with_cluster(fields)).0.clusters[0].protocol;
    assert_eq!(
        protocol(&format!("{OPTIONS} explicit_http_config: {{http2_protocol_options: {{}}}}}}}}")),
        UpstreamProtocol::Http2
    );
    assert_eq!(
        protocol(&format!("{OPTIONS} explicit_http_config: {{http_protocol_options: {{}}}}}}}}")),
        UpstreamProtocol::Http1
    );
    assert_eq!(
        protocol(&format!("{OPTIONS} use_downstream_protocol_config: {{}}}}}}")),
        UpstreamProtocol::SameAsDownstream
    );
    let (code, path) = only_error(&with_cluster(&format!("{OPTIONS} auto_config: {{}}}}}}")));
    assert_eq!(code, "not-supported-yet");
    assert!(path.ends_with("[\"envoy.extensions.upstreams.http.v3.HttpProtocolOptions\"].auto_config"), "{path}");
}

#[test]
fn options_for_an_extension_that_does_not_exist_are_refused() {
    let options = OPTIONS.replacen("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "1", 1);
    let (code, path) =
        only_error(&with_cluster(&format!("{options} explicit_http_config: {{http_protocol_options: {{}}}}}}}}")));
    assert_eq!(code, "unknown-extension");
    assert!(path.ends_with(".typed_extension_protocol_options[\"1\"]"), "{path}");
}

#[test]
fn typed_options_reach_the_model() {
    let cluster = cluster(&format!(
        "{OPTIONS} common_http_protocol_options: {{idle_timeout: 0s, max_requests_per_connection: 7}}, \
         explicit_http_config: {{http2_protocol_options: {{max_concurrent_streams: 9, initial_stream_window_size: 65535, \
         connection_keepalive: {{interval: 30s, timeout: 5s, connection_idle_interval: 7s}}}}}}}}}}"
    ));
    assert_eq!((cluster.common.idle_timeout, cluster.common.max_requests_per_connection), (None, 7));
    assert_eq!((cluster.http2.max_concurrent_streams, cluster.http2.initial_stream_window), (9, 65_535));
    let keepalive = cluster.http2.keepalive.unwrap();
    let seconds = |count| Some(Duration::from_secs(count));
    assert_eq!(
        (keepalive.interval, keepalive.idle_interval, keepalive.jitter_percent),
        (seconds(30), seconds(7), 15.0)
    );
    assert_eq!(Some(keepalive.timeout), seconds(5));
}

#[test]
fn circuit_breakers_are_per_priority_and_the_first_counts() {
    let cluster = cluster(
        "circuit_breakers: {thresholds: [{max_connections: 1, max_requests: 0, track_remaining: true}, {priority: HIGH, \
         max_retries: 9}, {max_connections: 2}]}",
    );
    assert_eq!((cluster.breakers_default.max_connections, cluster.breakers_default.max_requests), (1, 0));
    assert!(cluster.breakers_default.track_remaining);
    assert_eq!((cluster.breakers_high.max_retries, cluster.breakers_high.max_connections), (9, 1024));
    assert_eq!(cluster.breakers_high.retry_budget, None);
}

#[test]
fn retry_budgets_and_limits_per_host_translate() {
    let cluster = cluster(
        "circuit_breakers: {thresholds: [{retry_budget: {}}, {priority: HIGH, retry_budget: {budget_percent: {value: 50}, \
         min_retry_concurrency: 1}}], per_host_thresholds: [{max_connections: 7}]}",
    );
    let budget = |breakers: &Breakers| breakers.retry_budget.map(|budget| (budget.percent, budget.min_concurrency));
    assert_eq!(budget(&cluster.breakers_default), Some((20.0, 3)));
    assert_eq!(budget(&cluster.breakers_high), Some((50.0, 1)));
    assert_eq!(cluster.breakers_default.max_connections_per_host, 7);
    assert_eq!(cluster.breakers_high.max_connections_per_host, u64::MAX);
    let more = with_cluster("circuit_breakers: {per_host_thresholds: [{max_connections: 1, max_requests: 1}]}");
    assert_eq!(only_error(&more).0, "unsupported-threshold");
}

#[test]
fn names_of_clusters_are_unique() {
    let yaml = with_cluster("").replace("clusters: [{name: c, }]", "clusters: [{name: c}, {name: d}, {name: c}]");
    assert_eq!(only_error(&yaml), ("duplicate-cluster", "static_resources.clusters[2].name".into()));
}

#[test]
fn what_is_not_built_is_refused_with_its_place() {
    for (fields, path) in [
        ("type: EDS, eds_cluster_config: {eds_config: {ads: {}}}", "type"),
        ("outlier_detection: {}", "outlier_detection"),
        (
            "health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {}}]",
            "health_checks[0]",
        ),
        (
            "transport_socket: {name: tls, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext}}",
            "transport_socket",
        ),
        ("lb_subset_config: {}", "lb_subset_config"),
        ("preconnect_policy: {}", "preconnect_policy"),
        ("track_cluster_stats: {per_endpoint_stats: true}", "track_cluster_stats.per_endpoint_stats"),
        (
            "cluster_type: {name: envoy.clusters.aggregate, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [c]}}",
            "cluster_type",
        ),
    ] {
        let errors = refused(&with_cluster(fields));
        assert!(errors.contains(&("not-supported-yet", format!("static_resources.clusters[0].{path}"))), "{errors:#?}");
    }
    quiet(&with_cluster(
        "upstream_bind_config: {freebind: false, source_address: {address: 127.0.0.1, port_value: 0}}",
    ));
}

#[test]
fn an_xds_cluster_says_so() {
    let loaded = crate::load("envoy.config.cluster.v3.Cluster", source("name: x"), LoadOptions::default());
    let (cluster, found) = translate_cluster(&loaded.wire, &Options::default());
    assert!(found.is_empty(), "{found:#?}");
    assert!(cluster.unwrap().added_via_api);
}
