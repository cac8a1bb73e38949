//! Whether a request that failed is tried again, and when.
//!
//! A [`RetryState`] exists only for requests that may be retried at all: by the policy of the route
//! or by what an internal client asks for in `x-envoy-retry-on` and its like. What would be retried
//! is decided by pure functions of the outcome; [`RetryState::decide`] adds the number of retries
//! left and the cluster's retry breaker (`max_retries`, `retry_budget`), counts, and gives the wait
//! before the next try: fully jittered and exponential, or what the upstream asked for in one of
//! `rate_limited_retry_back_off.reset_headers`. Follows Envoy's `RetryStateImpl`.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderName, HeaderValue, StatusCode};
use nuncio_api::{Headers, RequestHead, ResponseHead, Runtime, names};
use nuncio_config::model::route::{HostPredicate, ResetHeaderFormat, RetryOn, RetryPolicy, RetryPriority};
use nuncio_stats::{
    Counter,
    templates::{cluster_stats as c, vcluster_stats as v},
};
use nuncio_upstream::{Cluster, Host, PreviousPriorities, RetryPermit};
use serde_json::{Map, Value};

use super::{charge::Charged, told::told};
use crate::{reply::Failure, route::conditions};

/// `upstream.base_retry_backoff_ms`
const BASE_KEY: &str = "upstream.base_retry_backoff_ms";
const BASE_MS: u64 = 25;
/// Of the base, when a policy names no maximum.
const MAX_FACTOR: u32 = 10;

/// What is known about retrying one request.
pub(crate) struct RetryState {
    policy: Option<Arc<RetryPolicy>>,
    on: RetryOn,
    remaining: u64,
    /// From `x-envoy-retriable-status-codes`.
    more_codes: Vec<u32>,
    /// From `x-envoy-retriable-header-names`.
    more_headers: Vec<HeaderName>,
    /// Upper end of the next wait.
    interval: Duration,
    max_interval: Duration,
    /// Held from the decision to retry until the outcome of that try is known.
    permit: Option<RetryPermit>,
    /// Hosts tried so far, when a host predicate asks.
    tried: Vec<Rc<Host>>,
    /// Priorities tried so far, when `retry_priority` asks.
    priorities: Option<PreviousPriorities>,
}

/// What became of the wish to retry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The outcome stands.
    No,
    /// It would be retried, but all retries are used up.
    LimitExceeded,
    /// It would be retried, but too many retries are active in the cluster.
    Overflow,
    /// It is retried after this.
    After(Duration),
}

impl RetryState {
    /// Reads what the route and the request say; `None` when nothing will ever be retried.
    pub(crate) fn new(policy: Option<&Arc<RetryPolicy>>, request: &RequestHead, runtime: &Runtime) -> Option<Self> {
        // What the upstream is told about the time is there by now.
        let headers = told(&request.headers, Some(&names::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS));
        let asked = |name: HeaderName| headers.get_str(&name);
        let by_header: Option<RetryOn> = asked(names::X_ENVOY_RETRY_ON).map(RetryOn::from_names);
        let by_grpc_header: Option<RetryOn> = asked(names::X_ENVOY_RETRY_GRPC_ON).map(RetryOn::from_grpc_names);
        let configured = policy.map_or(RetryOn::empty(), |policy| policy.on);
        if by_header.is_none() && by_grpc_header.is_none() && configured.is_empty() {
            return None;
        }
        let mut on = configured | by_header.unwrap_or_default() | by_grpc_header.unwrap_or_default();
        let limited = policy.map_or(&[][..], |policy| &policy.request_headers);
        if !limited.is_empty() && !limited.iter().any(|matcher| conditions::header_matches(matcher, request)) {
            on = RetryOn::empty();
        }
        let mut remaining = policy.map_or(1, |policy| u64::from(policy.num_retries));
        if let (false, Some(max)) = (on.is_empty(), asked(names::X_ENVOY_MAX_RETRIES).and_then(number)) {
            remaining = max;
        }
        let (interval, max_interval) = intervals(policy, runtime);
        Some(Self {
            on,
            remaining,
            more_codes: tokens(asked(names::X_ENVOY_RETRIABLE_STATUS_CODES)).filter_map(|t| t.parse().ok()).collect(),
            more_headers: tokens(asked(names::X_ENVOY_RETRIABLE_HEADER_NAMES)).filter_map(|t| t.parse().ok()).collect(),
            interval,
            max_interval,
            permit: None,
            tried: Vec::new(),
            priorities: policy.and_then(|policy| policy.priority).map(|asked| match asked {
                RetryPriority::PreviousPriorities { update_frequency } => PreviousPriorities::new(update_frequency),
            }),
            policy: policy.cloned(),
        })
    }

    /// Whether anything is retried at all; when not, nothing needs to be kept of the request.
    pub(crate) fn is_enabled(&self) -> bool {
        !self.on.is_empty()
    }

    /// What is retried.
    pub(crate) fn on(&self) -> RetryOn {
        self.on
    }

    /// Retries left.
    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Upper ends of the next wait and of the longest.
    pub(crate) fn intervals(&self) -> (Duration, Duration) {
        (self.interval, self.max_interval)
    }

    /// Whether a response with this head would be retried.
    pub(crate) fn would_retry_response(&self, head: &ResponseHead) -> bool {
        if head.headers.contains(&names::X_ENVOY_RATELIMITED) {
            return self.on.contains(RetryOn::ENVOY_RATE_LIMITED);
        }
        let has = |on| self.on.contains(on);
        (has(RetryOn::FIVE_XX) && head.status.is_server_error())
            || (has(RetryOn::GATEWAY_ERROR) && matches!(head.status.as_u16(), 502..=504))
            || (has(RetryOn::RETRIABLE_4XX) && head.status == StatusCode::CONFLICT)
            || (has(RetryOn::RETRIABLE_STATUS_CODES) && self.is_retriable_code(head.status))
            || (has(RetryOn::RETRIABLE_HEADERS) && self.has_retriable_header(&head.headers))
            || self.is_retriable_grpc(&head.headers)
    }

    fn is_retriable_code(&self, status: StatusCode) -> bool {
        let code = u32::from(status.as_u16());
        self.policy.as_ref().is_some_and(|policy| policy.status_codes.contains(&code))
            || self.more_codes.contains(&code)
    }

    fn has_retriable_header(&self, headers: &Headers) -> bool {
        let configured = self.policy.as_ref().map_or(&[][..], |policy| &policy.headers);
        configured.iter().any(|matcher| conditions::response_header_matches(matcher, headers))
            || self.more_headers.iter().any(|name| headers.contains(name))
    }

    fn is_retriable_grpc(&self, headers: &Headers) -> bool {
        let wanted = |on| self.on.contains(on);
        match headers.get_str(&names::GRPC_STATUS) {
            Some("1") => wanted(RetryOn::GRPC_CANCELLED),
            Some("4") => wanted(RetryOn::GRPC_DEADLINE_EXCEEDED),
            Some("8") => wanted(RetryOn::GRPC_RESOURCE_EXHAUSTED),
            Some("13") => wanted(RetryOn::GRPC_INTERNAL),
            Some("14") => wanted(RetryOn::GRPC_UNAVAILABLE),
            _ => false,
        }
    }

    /// Whether a try that ended without a response would be retried. `started` says that bytes of
    /// the request have gone to some upstream.
    pub(crate) fn would_retry_failure(&self, failure: &Failure, started: bool) -> bool {
        let has = |on| self.on.intersects(on);
        match failure {
            Failure::Overflow => return false,
            Failure::ConnectFailed(_) | Failure::ConnectTimeout if has(RetryOn::CONNECT_FAILURE) => return true,
            _ => {}
        }
        (has(RetryOn::RESET_BEFORE_REQUEST) && !started)
            || has(RetryOn::RESET | RetryOn::FIVE_XX | RetryOn::GATEWAY_ERROR)
            || (has(RetryOn::REFUSED_STREAM) && *failure == Failure::UpstreamRefused)
    }

    /// Settles the try before, and retries when `would` and allowed. `asked` is the wait that the
    /// response asks for ([`Self::rate_limited_wait`]).
    pub(crate) fn decide(&mut self, would: bool, asked: Option<Duration>, at: &RetryScope<'_>) -> Decision {
        // A retry was under way, and its outcome is no reason for another.
        if self.permit.take().is_some() && !would {
            at.count(Outcome::Success);
        }
        if !would {
            return Decision::No;
        }
        if self.remaining == 0 {
            at.count(Outcome::LimitExceeded);
            return Decision::LimitExceeded;
        }
        self.remaining -= 1;
        let Some(permit) = at.cluster.try_retry(at.high_priority) else {
            // The cluster has counted it for itself.
            at.count_request(v::UPSTREAM_RQ_RETRY_OVERFLOW);
            return Decision::Overflow;
        };
        if !at.runtime.feature_enabled("upstream.use_retry", 100, 100, fastrand::u64(..)) {
            return Decision::No;
        }
        self.permit = Some(permit);
        at.count(Outcome::Retry);
        let stats = at.cluster.stats();
        match asked {
            Some(wait) => {
                stats.inc(c::UPSTREAM_RQ_RETRY_BACKOFF_RATELIMITED);
                // Jittered upwards by half, as Envoy does: never earlier than asked.
                Decision::After(wait + fraction_of(wait / 2))
            }
            None => {
                stats.inc(c::UPSTREAM_RQ_RETRY_BACKOFF_EXPONENTIAL);
                let interval = self.interval;
                self.interval = (interval * 2).min(self.max_interval);
                Decision::After(fraction_of(interval))
            }
        }
    }

    /// The wait that a response asks for, when the policy obeys it.
    pub(crate) fn rate_limited_wait(&self, headers: &Headers, now: SystemTime) -> Option<Duration> {
        let limited = self.policy.as_ref()?.rate_limited.as_ref()?;
        let asked = limited.headers.iter().find_map(|reset| {
            let seconds: u64 = headers.get_str(&reset.name)?.trim().parse().ok()?;
            let wait = match reset.format {
                ResetHeaderFormat::Seconds => Duration::from_secs(seconds),
                ResetHeaderFormat::UnixTimestamp => {
                    let now = now.duration_since(UNIX_EPOCH).ok()?;
                    // Whole seconds, as Envoy counts.
                    Duration::from_secs(seconds.checked_sub(now.as_secs()).filter(|left| *left > 0)?)
                }
            };
            (wait <= limited.max).then_some(wait)
        });
        asked.filter(|wait| *wait > Duration::from_millis(1))
    }

    /// Remembers a host that was picked, for the predicates.
    pub(crate) fn note_host(&mut self, host: &Rc<Host>) {
        if let Some(priorities) = &self.priorities {
            priorities.attempted(host);
        }
        if self.policy.as_ref().is_some_and(|policy| policy.host_predicates.contains(&HostPredicate::PreviousHosts)) {
            self.tried.push(Rc::clone(host));
        }
    }

    /// How many picks a predicate may reject; 0 when there is no predicate.
    pub(crate) fn host_attempts(&self) -> u32 {
        self.policy
            .as_ref()
            .map_or(0, |policy| if policy.host_predicates.is_empty() { 0 } else { policy.host_attempts })
    }

    /// Where tries went, for `retry_priority`.
    pub(crate) fn previous_priorities(&self) -> Option<&PreviousPriorities> {
        self.priorities.as_ref()
    }

    /// Whether a predicate does not want `host` for the next try.
    pub(crate) fn rejects(&self, host: &Host) -> bool {
        let predicates = self.policy.as_ref().map_or(&[][..], |policy| &policy.host_predicates);
        predicates.iter().any(|predicate| match predicate {
            HostPredicate::PreviousHosts => self.tried.iter().any(|tried| std::ptr::eq(&**tried, host)),
            HostPredicate::OmitCanary => host.is_canary(),
            HostPredicate::OmitMetadata(wanted) => has_all(&host.metadata(), wanted),
        })
    }
}

/// Where a decision is made and counted.
pub(crate) struct RetryScope<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) charged: Option<&'a Charged>,
    pub(crate) high_priority: bool,
    pub(crate) runtime: &'a Runtime,
}

#[derive(Clone, Copy)]
enum Outcome {
    Retry,
    Success,
    LimitExceeded,
}

impl RetryScope<'_> {
    fn count(&self, outcome: Outcome) {
        let (cluster, request) = match outcome {
            Outcome::Retry => (c::UPSTREAM_RQ_RETRY, v::UPSTREAM_RQ_RETRY),
            Outcome::Success => (c::UPSTREAM_RQ_RETRY_SUCCESS, v::UPSTREAM_RQ_RETRY_SUCCESS),
            Outcome::LimitExceeded => (c::UPSTREAM_RQ_RETRY_LIMIT_EXCEEDED, v::UPSTREAM_RQ_RETRY_LIMIT_EXCEEDED),
        };
        self.cluster.stats().inc(cluster);
        self.count_request(request);
    }

    fn count_request(&self, counter: Counter) {
        if let Some(charged) = self.charged {
            charged.count(counter);
        }
    }
}

/// Whether the `envoy.lb` metadata of a host holds all that is wanted; a list holds each of its elements.
fn has_all(metadata: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    let Some(Value::Object(labels)) = metadata.get("envoy.lb") else { return false };
    !wanted.is_empty()
        && wanted.iter().all(|(key, value)| match labels.get(key) {
            Some(Value::Array(any)) => any.contains(value) || labels.get(key) == Some(value),
            found => found == Some(value),
        })
}

/// A random part of `whole`, in milliseconds.
fn fraction_of(whole: Duration) -> Duration {
    let ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 { Duration::ZERO } else { Duration::from_millis(fastrand::u64(0..ms)) }
}

fn intervals(policy: Option<&Arc<RetryPolicy>>, runtime: &Runtime) -> (Duration, Duration) {
    match policy.and_then(|policy| policy.back_off) {
        Some(back_off) => (back_off.base, back_off.max),
        None => {
            let base = Duration::from_millis(runtime.u64(BASE_KEY, BASE_MS).max(1));
            (base, base * MAX_FACTOR)
        }
    }
}

fn tokens(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or("").split(',').map(str::trim).filter(|token| !token.is_empty())
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

static ABOUT_RETRYING: [HeaderName; 6] = [
    names::X_ENVOY_RETRY_ON,
    names::X_ENVOY_RETRY_GRPC_ON,
    names::X_ENVOY_MAX_RETRIES,
    names::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT,
    names::X_ENVOY_RETRIABLE_HEADER_NAMES,
    names::X_ENVOY_RETRIABLE_STATUS_CODES,
];

/// Headers about retrying end here.
pub(crate) fn strip(headers: &mut Headers) {
    headers.retain(|name, _: &HeaderValue| !(name.as_str().starts_with("x-envoy-") && ABOUT_RETRYING.contains(name)));
}
