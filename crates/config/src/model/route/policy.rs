//! How persistently a route forwards: retries, hedging, mirrors, hashing, redirects it follows
//! itself, upgrades; and the virtual clusters that count requests.

use std::{sync::Arc, time::Duration};

use bitflags::bitflags;
use http::{HeaderName, StatusCode};
use regex::bytes::Regex;
use serde_json::{Map, Value};

use super::matching::RuntimeFraction;
use crate::model::{
    header::HeaderChange,
    matcher::{HeaderMatcher, MatchedHeader},
};

bitflags! {
    /// What is retried: `retry_on`, `x-envoy-retry-on` and `x-envoy-retry-grpc-on`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RetryOn: u32 {
        /// `5xx`
        const FIVE_XX = 1;
        /// `gateway-error`: 502, 503, 504
        const GATEWAY_ERROR = 1 << 1;
        /// `connect-failure`
        const CONNECT_FAILURE = 1 << 2;
        /// `retriable-4xx`: 409
        const RETRIABLE_4XX = 1 << 3;
        /// `refused-stream`
        const REFUSED_STREAM = 1 << 4;
        /// `cancelled`
        const GRPC_CANCELLED = 1 << 5;
        /// `deadline-exceeded`
        const GRPC_DEADLINE_EXCEEDED = 1 << 6;
        /// `resource-exhausted`
        const GRPC_RESOURCE_EXHAUSTED = 1 << 7;
        /// `unavailable`
        const GRPC_UNAVAILABLE = 1 << 8;
        /// `internal`
        const GRPC_INTERNAL = 1 << 9;
        /// `retriable-status-codes`
        const RETRIABLE_STATUS_CODES = 1 << 10;
        /// `reset`
        const RESET = 1 << 11;
        /// `retriable-headers`
        const RETRIABLE_HEADERS = 1 << 12;
        /// `envoy-ratelimited`
        const ENVOY_RATE_LIMITED = 1 << 13;
        /// `http3-post-connect-failure`
        const HTTP3_POST_CONNECT_FAILURE = 1 << 14;
        /// `reset-before-request`
        const RESET_BEFORE_REQUEST = 1 << 15;
    }
}

impl RetryOn {
    /// The conditions that `retry_on` and `x-envoy-retry-on` list; names that mean nothing are passed over.
    #[must_use]
    pub fn from_names(list: &str) -> Self {
        each_of(list, |name| match name {
            "5xx" => Self::FIVE_XX,
            "gateway-error" => Self::GATEWAY_ERROR,
            "connect-failure" => Self::CONNECT_FAILURE,
            "retriable-4xx" => Self::RETRIABLE_4XX,
            "refused-stream" => Self::REFUSED_STREAM,
            "retriable-status-codes" => Self::RETRIABLE_STATUS_CODES,
            "retriable-headers" => Self::RETRIABLE_HEADERS,
            "reset" => Self::RESET,
            "reset-before-request" => Self::RESET_BEFORE_REQUEST,
            "envoy-ratelimited" => Self::ENVOY_RATE_LIMITED,
            "http3-post-connect-failure" => Self::HTTP3_POST_CONNECT_FAILURE,
            _ => Self::empty(),
        })
    }

    /// The gRPC conditions that `retry_on` and `x-envoy-retry-grpc-on` list.
    #[must_use]
    pub fn from_grpc_names(list: &str) -> Self {
        each_of(list, |name| match name {
            "cancelled" => Self::GRPC_CANCELLED,
            "deadline-exceeded" => Self::GRPC_DEADLINE_EXCEEDED,
            "resource-exhausted" => Self::GRPC_RESOURCE_EXHAUSTED,
            "unavailable" => Self::GRPC_UNAVAILABLE,
            "internal" => Self::GRPC_INTERNAL,
            _ => Self::empty(),
        })
    }
}

fn each_of(list: &str, meaning: impl Fn(&str) -> RetryOn) -> RetryOn {
    list.split(',').map(|name| meaning(name.trim_ascii())).collect()
}

/// `RetryPolicy`.
#[derive(Clone, Debug, Default)]
pub struct RetryPolicy {
    /// `retry_on`, the gRPC conditions included.
    pub on: RetryOn,
    /// `num_retries` (1)
    pub num_retries: u32,
    /// `per_try_timeout`; `None` = the route's.
    pub per_try_timeout: Option<Duration>,
    /// `per_try_idle_timeout`
    pub per_try_idle_timeout: Option<Duration>,
    /// `retriable_status_codes`
    pub status_codes: Vec<u32>,
    /// `retriable_headers`: one that matches the response is enough.
    pub headers: Vec<HeaderMatcher>,
    /// `retriable_request_headers`: one must match the request, when there are any.
    pub request_headers: Vec<HeaderMatcher>,
    /// `retry_back_off`; `None` = 25 ms, at most 10 times that, both from the runtime.
    pub back_off: Option<BackOff>,
    /// `rate_limited_retry_back_off`
    pub rate_limited: Option<RateLimitedBackOff>,
    /// `retry_host_predicate`
    pub host_predicates: Vec<HostPredicate>,
    /// `host_selection_retry_max_attempts` (1)
    pub host_attempts: u32,
    /// `retry_priority`
    pub priority: Option<RetryPriority>,
}

/// `RetryBackOff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// `base_interval`
    pub base: Duration,
    /// `max_interval` (10 times the base)
    pub max: Duration,
}

/// `RateLimitedRetryBackOff`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitedBackOff {
    /// `reset_headers`, tried in order.
    pub headers: Vec<ResetHeader>,
    /// `max_interval` (300 s): a longer wait is not obeyed.
    pub max: Duration,
}

/// `ResetHeader`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetHeader {
    /// `name`
    pub name: HeaderName,
    /// `format`
    pub format: ResetHeaderFormat,
}

/// `ResetHeaderFormat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetHeaderFormat {
    /// SECONDS from now
    Seconds,
    /// UNIX_TIMESTAMP
    UnixTimestamp,
}

/// `retry_host_predicate`: hosts that a retry does not take.
#[derive(Clone, Debug, PartialEq)]
pub enum HostPredicate {
    /// `envoy.retry_host_predicates.previous_hosts`
    PreviousHosts,
    /// `envoy.retry_host_predicates.omit_canary_hosts`
    OmitCanary,
    /// `envoy.retry_host_predicates.omit_host_metadata`: those whose `envoy.lb` metadata holds all of this.
    OmitMetadata(Arc<Map<String, Value>>),
}

/// `retry_priority`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryPriority {
    /// `envoy.retry_priorities.previous_priorities`
    PreviousPriorities {
        /// `update_frequency`: attempts after which the loads are computed anew.
        update_frequency: u32,
    },
}

/// `HedgePolicy`. (`initial_requests` and `additional_request_chance` do nothing in Envoy.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HedgePolicy {
    /// `hedge_on_per_try_timeout`: a try that is late stays in the race with the next one.
    pub on_per_try_timeout: bool,
}

/// `RequestMirrorPolicy`.
#[derive(Clone, Debug)]
pub struct MirrorPolicy {
    /// `cluster`
    pub cluster: Arc<str>,
    /// `cluster_header` in its place
    pub cluster_header: Option<MatchedHeader>,
    /// `runtime_fraction`; `None` = all.
    pub fraction: Option<RuntimeFraction>,
    /// `disable_shadow_host_suffix_append`
    pub keep_host: bool,
    /// `host_rewrite_literal`
    pub host_rewrite: Option<String>,
    /// `request_headers_mutations`
    pub request_headers: Vec<HeaderChange>,
    /// `trace_sampled` (None: as the primary)
    pub trace_sampled: Option<bool>,
}

/// `HashPolicy`.
#[derive(Clone, Debug)]
pub struct HashPolicy {
    /// What is hashed.
    pub source: HashSource,
    /// `terminal`: when it gives a hash the rest is not asked.
    pub terminal: bool,
}

/// What a hash is made of.
#[derive(Clone, Debug)]
pub enum HashSource {
    /// `header`, its value rewritten first when asked.
    Header {
        /// `header_name`
        name: MatchedHeader,
        /// `regex_rewrite`
        rewrite: Option<(Regex, String)>,
    },
    /// `cookie`; generated when absent and `ttl` is set.
    Cookie {
        /// `name`
        name: String,
        /// `ttl`; zero makes a session cookie.
        ttl: Option<Duration>,
        /// `path`
        path: String,
        /// `attributes`
        attributes: Vec<CookieAttribute>,
    },
    /// `connection_properties.source_ip`
    SourceIp,
    /// `query_parameter.name`
    QueryParameter(String),
    /// `filter_state.key`
    FilterState(String),
}

/// `CookieAttribute`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieAttribute {
    /// `name`
    pub name: String,
    /// `value`, may be empty.
    pub value: String,
}

/// `InternalRedirectPolicy`.
#[derive(Clone, Debug)]
pub struct InternalRedirectPolicy {
    /// `max_internal_redirects` (1)
    pub max: u32,
    /// `redirect_response_codes` (302 alone)
    pub codes: Vec<StatusCode>,
    /// `predicates`
    pub predicates: Vec<RedirectPredicate>,
    /// `allow_cross_scheme_redirect`
    pub allow_cross_scheme: bool,
    /// `response_headers_to_copy`: from the redirect's answer to the new request.
    pub copy_headers: Vec<HeaderName>,
}

/// What must hold for a redirect to be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectPredicate {
    /// `allow_listed_routes`: route names it may lead to.
    AllowListedRoutes(Vec<String>),
    /// `previous_routes`: not to a route this request has been through.
    PreviousRoutes,
    /// `safe_cross_scheme`: never from a plain-text request to a TLS URL.
    SafeCrossScheme,
}

/// `UpgradeConfig` of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// `upgrade_type`, lower case (`websocket`, `connect`).
    pub kind: String,
    /// `enabled` (true)
    pub enabled: bool,
    /// `connect_config`: CONNECT ends here and its payload goes on as TCP.
    pub connect: Option<ConnectConfig>,
}

/// `ConnectConfig`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectConfig {
    /// `allow_post`
    pub allow_post: bool,
    /// `proxy_protocol_config.version`: 1 or 2.
    pub proxy_protocol: Option<u8>,
}

/// `VirtualCluster`.
#[derive(Clone, Debug)]
pub struct VirtualCluster {
    /// `name`
    pub name: Arc<str>,
    /// `headers`: all must match.
    pub headers: Vec<HeaderMatcher>,
}
