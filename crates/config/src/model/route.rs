//! `envoy.config.route.v3.RouteConfiguration`.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, StatusCode};
use regex::bytes::Regex;

use super::{
    header::HeaderMutation,
    matcher::{HeaderMatcher, QueryMatcher},
};

/// A route table.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    /// `name`
    pub name: String,
    /// Virtual hosts in config order; an index over their domains is built by the proxy.
    pub virtual_hosts: Vec<Arc<VirtualHost>>,
    /// Request header changes of the table.
    pub request_headers: HeaderMutation,
    /// Response header changes of the table.
    pub response_headers: HeaderMutation,
    /// `internal_only_headers`
    pub internal_only_headers: Vec<HeaderName>,
    /// `most_specific_header_mutations_wins`
    pub most_specific_header_mutations_wins: bool,
    /// `ignore_port_in_host_matching`
    pub ignore_port_in_host_matching: bool,
    /// `ignore_path_parameters_in_path_matching`
    pub ignore_path_parameters: bool,
    /// `max_direct_response_body_size_bytes` (4096)
    pub max_direct_response_body: usize,
    /// `validate_clusters`: checked at load for static tables by default.
    pub validate_clusters: bool,
}

/// A virtual host.
#[derive(Clone, Debug)]
pub struct VirtualHost {
    /// `name`
    pub name: String,
    /// `domains`, lower case.
    pub domains: Vec<String>,
    /// Routes in order; the first that matches wins.
    pub routes: Vec<Arc<Route>>,
    /// `require_tls`
    pub require_tls: RequireTls,
    /// Request header changes.
    pub request_headers: HeaderMutation,
    /// Response header changes.
    pub response_headers: HeaderMutation,
    /// `include_request_attempt_count`
    pub include_request_attempt_count: bool,
    /// `include_attempt_count_in_response`
    pub include_attempt_count_in_response: bool,
}

/// `VirtualHost.TlsRequirementType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequireTls {
    /// NONE
    #[default]
    None,
    /// EXTERNAL_ONLY
    ExternalOnly,
    /// ALL
    All,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// `name`
    pub name: String,
    /// When it applies.
    pub matches: RouteMatch,
    /// What it does.
    pub action: RouteAction,
    /// Request header changes.
    pub request_headers: HeaderMutation,
    /// Response header changes.
    pub response_headers: HeaderMutation,
    /// `stat_prefix` (`vhost.<v>.route.<r>.`)
    pub stat_prefix: Option<String>,
    /// `per_request_buffer_limit_bytes` / `request_body_buffer_limit`
    pub request_buffer_limit: Option<u64>,
}

/// `RouteMatch`.
#[derive(Clone, Debug)]
pub struct RouteMatch {
    /// The path part.
    pub path: PathMatch,
    /// `case_sensitive` (default true); for prefix, path and path_separated_prefix.
    pub case_sensitive: bool,
    /// `runtime_fraction` as (numerator, denominator, runtime key); `None` = always.
    pub runtime_fraction: Option<(u32, u32, String)>,
    /// All must match.
    pub headers: Vec<HeaderMatcher>,
    /// All must match.
    pub query_parameters: Vec<QueryMatcher>,
    /// `grpc {}`: only requests with a gRPC content-type.
    pub grpc: bool,
}

/// How the path is matched (query excluded, except as the matcher says).
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// `prefix`
    Prefix(String),
    /// `path`
    Exact(String),
    /// `path_separated_prefix`
    SeparatedPrefix(String),
    /// `safe_regex`, anchored at both ends.
    Regex(Regex),
}

/// What a matched route does.
#[derive(Clone, Debug)]
pub enum RouteAction {
    /// `route`
    Forward(Box<Forward>),
    /// `redirect`
    Redirect(Redirect),
    /// `direct_response`
    Direct(DirectResponse),
    /// `non_forwarding_action`
    NonForwarding,
}

/// `RouteAction` of the API: forwarding to a cluster.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Which cluster.
    pub cluster: ClusterSpecifier,
    /// `cluster_not_found_response_code` (503)
    pub cluster_not_found: StatusCode,
    /// `prefix_rewrite`
    pub prefix_rewrite: Option<String>,
    /// `regex_rewrite` of the path: pattern (not anchored) and substitution (`\1`).
    pub regex_rewrite: Option<(Regex, String)>,
    /// Host rewriting.
    pub host_rewrite: HostRewrite,
    /// `append_x_forwarded_host`
    pub append_x_forwarded_host: bool,
    /// `timeout`: 15 s by default, `None` = no limit (0 in the config).
    pub timeout: Option<Duration>,
    /// `idle_timeout`: `None` = the connection manager's stream_idle_timeout; zero = off.
    pub idle_timeout: Option<Duration>,
    /// `max_stream_duration.max_stream_duration`; zero = off even if the manager has one.
    pub max_stream_duration: Option<Duration>,
    /// `priority` HIGH
    pub high_priority: bool,
}

/// Cluster choice.
#[derive(Clone, Debug)]
pub enum ClusterSpecifier {
    /// `cluster`
    Name(Arc<str>),
    /// `cluster_header`
    Header(HeaderName),
    /// `weighted_clusters`
    Weighted(Vec<WeightedCluster>),
}

/// One of `weighted_clusters`.
#[derive(Clone, Debug)]
pub struct WeightedCluster {
    /// Cluster name.
    pub name: Arc<str>,
    /// Weight.
    pub weight: u32,
    /// `cluster_header` in place of a name.
    pub header: Option<HeaderName>,
    /// Request header changes.
    pub request_headers: HeaderMutation,
    /// Response header changes.
    pub response_headers: HeaderMutation,
    /// `host_rewrite_literal`
    pub host_rewrite: Option<String>,
    /// `runtime_key_prefix` and the cluster's name: the runtime key that overrides the weight.
    pub runtime_key: Option<String>,
}

/// Host rewriting.
#[derive(Clone, Debug)]
pub enum HostRewrite {
    /// Leave it.
    None,
    /// `host_rewrite_literal`
    Literal(String),
    /// `auto_host_rewrite`: the chosen upstream host's name (DNS clusters).
    Auto,
    /// `host_rewrite_header`
    Header(HeaderName),
}

/// `RedirectAction`.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// `https_redirect` or `scheme_redirect`
    pub scheme: Option<String>,
    /// `host_redirect`
    pub host: Option<String>,
    /// `port_redirect`
    pub port: Option<u16>,
    /// `path_redirect` / `prefix_rewrite` / `regex_rewrite`
    pub path: RedirectPath,
    /// `response_code`
    pub status: StatusCode,
    /// `strip_query`
    pub strip_query: bool,
}

/// Path part of a redirect.
#[derive(Clone, Debug)]
pub enum RedirectPath {
    /// Unchanged.
    Keep,
    /// `path_redirect` (may carry its own query)
    Replace(String),
    /// `prefix_rewrite`
    Prefix(String),
    /// `regex_rewrite`
    Regex(Regex, String),
}

/// `DirectResponseAction`.
#[derive(Clone, Debug)]
pub struct DirectResponse {
    /// Status.
    pub status: StatusCode,
    /// Body, read at load.
    pub body: bytes::Bytes,
}
