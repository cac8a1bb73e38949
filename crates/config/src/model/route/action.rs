//! What a matched route does: `RouteAction`, `RedirectAction`, `DirectResponseAction`.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use regex::bytes::Regex;

use super::{
    PerFilter,
    policy::{HashPolicy, HedgePolicy, InternalRedirectPolicy, MirrorPolicy, RetryPolicy, Upgrade},
};
use crate::model::{
    format::Format, header::HeaderMutation, local_reply::BodyFormat, matcher::MatchedHeader,
    uri_template::UriTemplateRewrite,
};

/// What a matched route does.
#[derive(Clone, Debug)]
pub enum RouteAction {
    /// `route`
    Forward(Box<Forward>),
    /// `redirect`
    Redirect(Redirect),
    /// `direct_response`
    Direct(DirectResponse),
    /// `non_forwarding_action`, `filter_action`: no cluster is found.
    NonForwarding,
}

/// `RouteAction` of the API: forwarding to a cluster.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Which cluster.
    pub cluster: ClusterSpecifier,
    /// `cluster_not_found_response_code` (503)
    pub cluster_not_found: StatusCode,
    /// Path rewriting.
    pub path_rewrite: PathRewrite,
    /// Host rewriting.
    pub host_rewrite: HostRewrite,
    /// `append_x_forwarded_host`
    pub append_x_forwarded_host: bool,
    /// `timeout`: 15 s by default, `None` = no limit (0 in the config).
    pub timeout: Option<Duration>,
    /// `idle_timeout`: `None` = the connection manager's stream_idle_timeout; zero = off.
    pub idle_timeout: Option<Duration>,
    /// `flush_timeout`: `None` = the idle timeout.
    pub flush_timeout: Option<Duration>,
    /// `max_stream_duration`, and what the `grpc-timeout` header may ask for.
    pub max_stream: MaxStreamDuration,
    /// `priority` HIGH
    pub high_priority: bool,
    /// `retry_policy` of the route, else of its virtual host.
    pub retry: Option<Arc<RetryPolicy>>,
    /// `hedge_policy` of the route, else of its virtual host.
    pub hedge: HedgePolicy,
    /// `request_mirror_policies` of the route, else of its virtual host, else of the table.
    pub mirrors: Arc<[MirrorPolicy]>,
    /// `hash_policy` in order.
    pub hash: Box<[HashPolicy]>,
    /// `internal_redirect_policy`
    pub internal_redirect: Option<Box<InternalRedirectPolicy>>,
    /// `upgrade_configs`
    pub upgrades: Box<[Upgrade]>,
    /// `early_data_policy`: whether 0-RTT requests of any method may go on; `None` = safe methods.
    pub early_data: Option<bool>,
}

/// Path rewriting.
#[derive(Clone, Debug, Default)]
pub enum PathRewrite {
    /// Leave it.
    #[default]
    None,
    /// `prefix_rewrite`
    Prefix(String),
    /// `regex_rewrite`: pattern (not anchored) and substitution (`\1`).
    Regex(Regex, String),
    /// `path_rewrite`, in the substitution format language.
    Format(Format),
    /// `path_rewrite_policy`, of the variables that the route's path matcher has.
    Template(UriTemplateRewrite),
}

/// `RouteAction.MaxStreamDuration` and the older fields about gRPC time-outs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxStreamDuration {
    /// `max_stream_duration` is set, with whatever in it: the older fields are not looked at then.
    pub is_newer: bool,
    /// `max_stream_duration`; zero = off even if the manager has one.
    pub limit: Option<Duration>,
    /// `grpc_timeout_header_max`: `grpc-timeout` sets the duration, up to this (zero: unbounded).
    pub grpc_max: Option<Duration>,
    /// `grpc_timeout_header_offset`: subtracted from `grpc-timeout`.
    pub grpc_offset: Option<Duration>,
    /// `max_grpc_timeout` (deprecated): `grpc-timeout` sets the *route* timeout, up to this.
    pub max_grpc_timeout: Option<Duration>,
    /// `grpc_timeout_offset` (deprecated).
    pub grpc_timeout_offset: Option<Duration>,
}

/// Cluster choice.
#[derive(Clone, Debug)]
pub enum ClusterSpecifier {
    /// `cluster`
    Name(Arc<str>),
    /// `cluster_header`
    Header(MatchedHeader),
    /// `weighted_clusters`
    Weighted(Vec<WeightedCluster>, RandomValue),
}

/// Where the number that draws among weighted clusters comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RandomValue {
    /// A random one.
    #[default]
    Random,
    /// `header_name`: the header's value as an unsigned number; a random one when it is none.
    Header(MatchedHeader),
    /// `use_hash_policy`: the hash of the route's hash policy, a random one when there is none.
    HashPolicy,
}

/// One of `weighted_clusters`.
#[derive(Clone, Debug)]
pub struct WeightedCluster {
    /// Cluster name.
    pub name: Arc<str>,
    /// Weight.
    pub weight: u32,
    /// `cluster_header` in place of a name.
    pub header: Option<MatchedHeader>,
    /// Request header changes.
    pub request_headers: HeaderMutation,
    /// Response header changes.
    pub response_headers: HeaderMutation,
    /// `host_rewrite_literal`
    pub host_rewrite: Option<String>,
    /// `runtime_key_prefix` and the cluster's name: the runtime key that overrides the weight.
    pub runtime_key: Option<String>,
    /// `typed_per_filter_config`
    pub per_filter: PerFilter,
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
    Header(MatchedHeader),
    /// `host_rewrite_path_regex`: pattern over the path and substitution.
    PathRegex(Regex, String),
    /// `host_rewrite`, in the substitution format language.
    Format(Format),
}

/// `RedirectAction`.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// `https_redirect` or `scheme_redirect`
    pub scheme: Option<String>,
    /// `host_redirect`
    pub host: Option<String>,
    /// `port_redirect`, put there as it is.
    pub port: Option<u32>,
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
    /// `path_rewrite`, in the substitution format language.
    Format(Format),
}

/// `DirectResponseAction`.
#[derive(Clone, Debug)]
pub struct DirectResponse {
    /// Status.
    pub status: StatusCode,
    /// Body, read at load.
    pub body: bytes::Bytes,
    /// `body_format`: how the body is dressed.
    pub format: Option<Arc<BodyFormat>>,
}
