//! `envoy.config.route.v3.RouteConfiguration`: the table, its virtual hosts and routes.
//!
//! What a route asks is in `matching`, what it does in `action`, how persistently in
//! `policy`.

mod action;
mod matching;
mod policy;
pub(crate) mod template;
mod tree;

use std::{collections::BTreeMap, sync::Arc};

use http::HeaderName;

use super::{header::HeaderMutation, matcher::MatchedHeader, metadata::Metadata};

pub use action::{
    ClusterSpecifier, DirectResponse, Forward, HostRewrite, MaxStreamDuration, PathRewrite, RandomValue, Redirect,
    RedirectPath, RouteAction, WeightedCluster,
};
pub use matching::{
    CookieMatcher, FilterStateMatcher, FilterStateValue, PathMatch, RouteMatch, RuntimeFraction, TlsMatch,
};
pub use policy::{
    BackOff, ConnectConfig, CookieAttribute, HashPolicy, HashSource, HedgePolicy, HostPredicate,
    InternalRedirectPolicy, MirrorPolicy, RateLimitedBackOff, RedirectPredicate, ResetHeader, ResetHeaderFormat,
    RetryOn, RetryPolicy, RetryPriority, Upgrade, VirtualCluster,
};
pub use template::UriTemplate;
pub use tree::{InputMatcher, MatchInput, MatchTree, OnMatch, Predicate, TreeKind};

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
    /// `vhost_header`: the header whose value chooses the virtual host in place of the host.
    pub vhost_header: Option<MatchedHeader>,
    /// `ignore_path_parameters_in_path_matching`
    pub ignore_path_parameters: bool,
    /// `max_direct_response_body_size_bytes` (4096)
    pub max_direct_response_body: usize,
    /// `validate_clusters`: checked at load for static tables by default.
    pub validate_clusters: bool,
    /// `metadata`
    pub metadata: Option<Metadata>,
    /// `typed_per_filter_config`
    pub per_filter: PerFilter,
}

/// A virtual host.
#[derive(Clone, Debug, Default)]
pub struct VirtualHost {
    /// `name`
    pub name: String,
    /// `domains`, lower case.
    pub domains: Vec<String>,
    /// Routes in order; the first that matches wins. Empty when `matcher` is set.
    pub routes: Vec<Arc<Route>>,
    /// `matcher`: a tree that leads to routes, in place of the list.
    pub matcher: Option<Box<MatchTree>>,
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
    /// `include_is_timeout_retry_header`
    pub include_is_timeout_retry_header: bool,
    /// `virtual_clusters` in order; the first that matches counts the request.
    pub virtual_clusters: Vec<VirtualCluster>,
    /// `metadata`
    pub metadata: Option<Metadata>,
    /// `typed_per_filter_config`
    pub per_filter: PerFilter,
}

/// `typed_per_filter_config` of one level, by the name of the HTTP filter.
pub type PerFilter = BTreeMap<String, FilterOverride>;

/// What a level says about one filter.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterOverride {
    /// `FilterConfig.disabled`
    pub disabled: bool,
    /// `FilterConfig.is_optional`
    pub is_optional: bool,
    /// Type URL of the filter's own config, empty when only `disabled` is said.
    pub type_url: String,
    /// The filter's own config as protobuf.
    pub config: bytes::Bytes,
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
    /// `per_request_buffer_limit_bytes` / `request_body_buffer_limit`, of the route or its virtual
    /// host: how much of a request body is kept for retries; `None` = the listener's limit.
    pub request_buffer_limit: Option<u64>,
    /// `metadata`
    pub metadata: Option<Metadata>,
    /// `typed_per_filter_config`
    pub per_filter: PerFilter,
}

impl Default for Route {
    /// A route for every path that answers nothing by itself (`non_forwarding_action`).
    fn default() -> Self {
        Self {
            name: String::new(),
            matches: RouteMatch::default(),
            action: RouteAction::NonForwarding,
            request_headers: HeaderMutation::default(),
            response_headers: HeaderMutation::default(),
            stat_prefix: None,
            request_buffer_limit: None,
            metadata: None,
            per_filter: PerFilter::new(),
        }
    }
}
