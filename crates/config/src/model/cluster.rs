//! `envoy.config.cluster.v3.Cluster`.

use std::{sync::Arc, time::Duration};

use super::{
    address::Address,
    bootstrap::Locality,
    hcm::{CommonOptions, Http1Options, Http2Options},
    listener::{SocketOption, TcpKeepalive},
    route::MirrorPolicy,
};

/// Settings of one cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// `name`
    pub name: Arc<str>,
    /// `alt_stat_name`, else the name.
    pub stat_name: String,
    /// `track_cluster_stats`: optional groups of stats.
    pub tracked: TrackClusterStats,
    /// How hosts are found.
    pub discovery: Discovery,
    /// `connect_timeout` (5 s)
    pub connect_timeout: Duration,
    /// `per_connection_buffer_limit_bytes` (1 MiB)
    pub per_connection_buffer_limit: usize,
    /// Load balancing.
    pub lb: LbPolicy,
    /// How load is shared among localities.
    pub localities: LocalityBalancing,
    /// `slow_start_config` of ROUND_ROBIN and LEAST_REQUEST.
    pub slow_start: Option<SlowStart>,
    /// `common_lb_config.close_connections_on_host_set_change`
    pub close_connections_on_host_set_change: bool,
    /// `common_lb_config.healthy_panic_threshold` in percent (50).
    pub healthy_panic_threshold: f64,
    /// Endpoints as configured.
    pub endpoints: Vec<LocalityEndpoints>,
    /// Circuit breakers of the default priority.
    pub breakers_default: Breakers,
    /// Circuit breakers of the high priority.
    pub breakers_high: Breakers,
    /// Protocol towards the hosts.
    pub protocol: UpstreamProtocol,
    /// `request_mirror_policies` of its protocol options; they take the place of the route's.
    pub mirrors: Arc<[MirrorPolicy]>,
    /// Options common to HTTP/1 and HTTP/2 (upstream defaults: idle 1 h).
    pub common: CommonOptions,
    /// HTTP/1 options.
    pub http1: Http1Options,
    /// HTTP/2 options.
    pub http2: Http2Options,
    /// DNS settings of STRICT_DNS and LOGICAL_DNS.
    pub dns: Dns,
    /// `upstream_bind_config.source_address`
    pub bind_address: Option<std::net::SocketAddr>,
    /// `upstream_bind_config.freebind`: the source address need not be there yet.
    pub freebind: bool,
    /// `upstream_bind_config.socket_options`
    pub socket_options: Vec<SocketOption>,
    /// `upstream_connection_options.tcp_keepalive`
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// `upstream_connection_options.happy_eyeballs_config`
    pub happy_eyeballs: HappyEyeballs,
    /// `load_assignment.policy.drop_overloads`: percent of requests to drop.
    pub drop_overload_percent: f64,
    /// `load_assignment.policy.overprovisioning_factor` (140)
    pub overprovisioning_factor: u32,
    /// `load_assignment.policy.weighted_priority_health`: what priorities can take follows the
    /// weights of their hosts, not the number.
    pub weighted_priority_health: bool,
    /// `metadata.filter_metadata`
    pub metadata: Arc<Metadata>,
    /// The cluster's own wire bytes, for config_dump.
    pub wire: Arc<[u8]>,
    /// True when it came by xDS.
    pub added_via_api: bool,
}

/// In which order the addresses of one host are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HappyEyeballs {
    /// `first_address_family_version`; that of the first address when it is not said.
    pub first_family: Option<AddressFamily>,
    /// `first_address_family_count` (1): so many before one of another family.
    pub first_family_count: u32,
}

impl Default for HappyEyeballs {
    fn default() -> Self {
        Self { first_family: None, first_family_count: 1 }
    }
}

/// What kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFamily {
    /// IPv4
    V4,
    /// IPv6
    V6,
    /// A Unix socket
    Pipe,
}

/// How hosts are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// STATIC
    Static,
    /// STRICT_DNS: every address of every name is a host.
    StrictDns,
    /// LOGICAL_DNS: one host, the first address of one name at connect time.
    LogicalDns,
}

/// `lb_policy` or `load_balancing_policy`.
#[derive(Clone, Debug, PartialEq)]
pub enum LbPolicy {
    /// ROUND_ROBIN
    RoundRobin,
    /// LEAST_REQUEST: `choice_count` (2), `active_request_bias` (1.0)
    LeastRequest {
        /// Hosts looked at per pick.
        choice_count: u32,
        /// Exponent of the active request count when weights differ.
        active_request_bias: f64,
        /// `selection_method: FULL_SCAN`: all hosts are looked at.
        full_scan: bool,
    },
    /// RANDOM
    Random,
    /// RING_HASH
    RingHash(RingHash),
    /// MAGLEV
    Maglev(Maglev),
}

impl LbPolicy {
    /// True for policies that pick by the request's hash.
    pub fn is_hashing(&self) -> bool {
        matches!(self, Self::RingHash(_) | Self::Maglev(_))
    }
}

/// `locality_lb_config` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalityBalancing {
    /// `locality_weighted_lb_config`: by `load_balancing_weight` of the localities.
    Weighted,
    /// `zone_aware_lb_config`, and the default: to the own locality as far as it has room.
    ZoneAware(ZoneAware),
}

/// `ZoneAwareLbConfig`. Counts only when `cluster_manager.local_cluster_name` is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneAware {
    /// `routing_enabled` (100) in percent of the requests
    pub routing_enabled: u8,
    /// `min_cluster_size` (6)
    pub min_cluster_size: u64,
    /// `fail_traffic_on_panic`
    pub fail_traffic_on_panic: bool,
    /// `force_locality_direct_routing`
    pub force_direct: bool,
}

impl Default for ZoneAware {
    fn default() -> Self {
        Self { routing_enabled: 100, min_cluster_size: 6, fail_traffic_on_panic: false, force_direct: false }
    }
}

/// `SlowStartConfig`: a new host takes its full part of the load only after a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStart {
    /// `slow_start_window`
    pub window: Duration,
    /// `aggression` (1.0)
    pub aggression: f64,
    /// `min_weight_percent` (10)
    pub min_weight_percent: f64,
}

/// `RingHash` and `Cluster.RingHashLbConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingHash {
    /// `minimum_ring_size` (1024)
    pub minimum_size: u64,
    /// `maximum_ring_size` (8 Mi)
    pub maximum_size: u64,
    /// `hash_function`
    pub function: HashFunction,
    /// What MAGLEV has too.
    pub common: ConsistentHashing,
}

/// `Maglev` and `Cluster.MaglevLbConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maglev {
    /// `table_size` (65537), a prime.
    pub table_size: u64,
    /// What RING_HASH has too.
    pub common: ConsistentHashing,
}

/// `ConsistentHashingLbConfig`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsistentHashing {
    /// `use_hostname_for_hashing`: the key of a host is its name, not its address.
    pub use_hostname: bool,
    /// `hash_balance_factor`: percent of the average load that a host may bear; `None` is no limit.
    pub balance_factor: Option<u32>,
}

/// Where a host stands on a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFunction {
    /// XX_HASH
    Xx,
    /// MURMUR_HASH_2
    Murmur2,
}

/// Endpoints of one locality.
#[derive(Clone, Debug, Default)]
pub struct LocalityEndpoints {
    /// The locality.
    pub locality: Locality,
    /// Priority, 0 first.
    pub priority: u32,
    /// `load_balancing_weight` among localities; none takes no load where weights count.
    pub weight: u32,
    /// Hosts.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// `additional_addresses`, tried along with the first one.
    pub additional_addresses: Vec<Address>,
    /// `hostname`, else empty.
    pub hostname: String,
    /// `load_balancing_weight` (1)
    pub weight: u32,
    /// `health_status`
    pub health: EndpointHealth,
    /// `metadata.filter_metadata["envoy.lb"].canary`
    pub canary: bool,
    /// `metadata.filter_metadata`
    pub metadata: Arc<Metadata>,
}

/// `filter_metadata`: an object for each namespace.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// `HealthStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointHealth {
    /// UNKNOWN or HEALTHY
    Healthy,
    /// DEGRADED
    Degraded,
    /// UNHEALTHY, DRAINING or TIMEOUT
    Unhealthy,
}

/// `CircuitBreakers.Thresholds` of one priority.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breakers {
    /// `max_connections` (1024)
    pub max_connections: u64,
    /// `max_pending_requests` (1024)
    pub max_pending_requests: u64,
    /// `max_requests` (1024)
    pub max_requests: u64,
    /// `max_retries` (3)
    pub max_retries: u64,
    /// `max_connection_pools` (no limit)
    pub max_connection_pools: u64,
    /// `retry_budget`, in place of `max_retries`.
    pub retry_budget: Option<RetryBudget>,
    /// `per_host_thresholds.max_connections`: to each host, over all workers (no limit).
    pub max_connections_per_host: u64,
    /// `track_remaining`
    pub track_remaining: bool,
}

/// `CircuitBreakers.Thresholds.RetryBudget`: retries as a part of the active requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// `budget_percent` (20) of the active and pending requests
    pub percent: f64,
    /// `min_retry_concurrency` (3): so many are allowed anyway.
    pub min_concurrency: u64,
}

impl Default for Breakers {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            max_connection_pools: u64::MAX,
            retry_budget: None,
            max_connections_per_host: u64::MAX,
            track_remaining: false,
        }
    }
}

/// Protocol towards the hosts (`HttpProtocolOptions` of the upstream).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2 by prior knowledge
    Http2,
    /// `use_downstream_protocol_config`
    SameAsDownstream,
}

/// DNS settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// `dns_refresh_rate` (5 s)
    pub refresh_rate: Duration,
    /// `dns_failure_refresh_rate` (base, max); the refresh rate by default.
    pub failure_refresh: (Duration, Duration),
    /// `respect_dns_ttl`
    pub respect_ttl: bool,
    /// `dns_min_refresh_rate`: shorter times to live count as this one.
    pub min_refresh: Duration,
    /// `dns_jitter`
    pub jitter: Duration,
    /// `dns_lookup_family`
    pub family: DnsFamily,
    /// `typed_dns_resolver_config`
    pub resolver: DnsServers,
}

/// Who is asked for names, and how (`CaresDnsResolverConfig`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DnsServers {
    /// `resolvers`, else the system's.
    pub servers: Vec<std::net::SocketAddr>,
    /// `use_tcp_for_dns_lookups`
    pub use_tcp: bool,
    /// `no_default_search_domain`
    pub no_search: bool,
    /// `query_timeout_seconds` (5)
    pub timeout: Option<Duration>,
    /// `query_tries` (4)
    pub tries: Option<u32>,
    /// `rotate_nameservers`: by turns, not in their order.
    pub rotate: bool,
}

/// `DnsLookupFamily`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsFamily {
    /// v6, else v4.
    Auto,
    /// Only v4.
    V4Only,
    /// Only v6.
    V6Only,
    /// v4, else v6.
    V4Preferred,
    /// Both.
    All,
}

/// `TrackClusterStats`: which optional stats a cluster has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackClusterStats {
    /// `timeout_budgets`, also `track_timeout_budgets` of the cluster itself.
    pub timeout_budgets: bool,
    /// `request_response_sizes`
    pub request_response_sizes: bool,
}
