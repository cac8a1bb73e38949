//! The limits and policies that hold for a request, each with where it comes from.

use std::time::Duration;

use http::HeaderName;
use nuncio_api::{RequestHead, names};
use nuncio_config::model::{
    HttpConnectionManager,
    route::{Forward, HedgePolicy, RetryOn, RetryPolicy},
};

use super::{Place, Setting, Sources};
use crate::router::{plan::Plan, retry::RetryState};

/// Paths of the config that values may come from, from the bootstrap's root.
pub(super) struct Roots {
    /// The connection manager.
    pub(super) manager: String,
    /// The virtual host.
    pub(super) host: String,
    /// `route` of the route.
    pub(super) route: String,
}

/// Collects settings.
struct Collector<'a> {
    sources: Sources<'a>,
    found: Vec<Setting>,
}

impl Collector<'_> {
    /// A value that one of these fields gives, the first that is written; else it is a default.
    fn add(&mut self, name: &'static str, value: String, fields: &[String], is_default: bool) {
        let mut from = "default".to_owned();
        for field in fields {
            match self.sources.places.find(field) {
                Place::At(place) => {
                    from = place;
                    break;
                }
                Place::Unknown if !is_default => {
                    from.clone_from(field);
                    break;
                }
                Place::Absent | Place::Unknown => {}
            }
        }
        self.found.push(Setting { name, value, from });
    }

    /// Where a policy is that a route has as a whole, else its virtual host.
    fn written(&self, roots: &Roots, policy: &str) -> String {
        let [own, hosts] = [&roots.route, &roots.host].map(|root| format!("{root}.{policy}"));
        match self.sources.places.find(&own) {
            Place::Absent => hosts,
            Place::At(_) | Place::Unknown => own,
        }
    }

    /// A value that a header of the request gives.
    fn by_header(&mut self, name: &'static str, value: String, header: &HeaderName) {
        self.found.push(Setting { name, value, from: format!("header {header}") });
    }
}

/// All of them, for a request that is forwarded.
pub(super) fn collect(
    forward: &Forward,
    manager: &HttpConnectionManager,
    plan: &Plan,
    request: &RequestHead,
    roots: &Roots,
    sources: Sources<'_>,
) -> Vec<Setting> {
    let mut all = Collector { sources, found: Vec::new() };
    let own = |field: &str| format!("{}.{field}", roots.route);
    let managers = |field: &str| format!("{}.{field}", roots.manager);
    timeouts(&mut all, forward, plan, request, &own);
    let is_default = plan.idle_timeout == manager.stream_idle_timeout;
    let fields = [own("idle_timeout"), managers("stream_idle_timeout")];
    all.add("idle_timeout", limit(plan.idle_timeout), &fields, is_default);
    let fields = [
        own("max_stream_duration.grpc_timeout_header_max"),
        own("max_stream_duration.max_stream_duration"),
        managers("common_http_protocol_options.max_stream_duration"),
    ];
    all.add("max_stream_duration", limit(plan.duration.limit), &fields, plan.duration.limit.is_none());
    let priority = if forward.high_priority { "HIGH" } else { "DEFAULT" };
    all.add("priority", priority.to_owned(), &[own("priority")], !forward.high_priority);
    retries(&mut all, forward, plan, request, roots);
    if !forward.hash.is_empty() {
        all.add("hash_policy", format!("{} policies", forward.hash.len()), &[own("hash_policy")], false);
    }
    if let Some(policy) = &forward.internal_redirect {
        let codes: Vec<&str> = policy.codes.iter().map(|code| code.as_str()).collect();
        let value = format!("up to {} of {}", policy.max, codes.join(","));
        all.add("internal_redirect_policy", value, &[own("internal_redirect_policy")], false);
    }
    all.found
}

fn timeouts(
    all: &mut Collector<'_>,
    forward: &Forward,
    plan: &Plan,
    request: &RequestHead,
    own: &impl Fn(&str) -> String,
) {
    let global = limit(plan.timeouts.global);
    let asked = [names::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS];
    let by_header = asked.iter().find(|name| request.headers.contains(name));
    match by_header.filter(|_| plan.timeouts.global != forward.timeout) {
        Some(header) => all.by_header("timeout", global, header),
        None => {
            let fields = [own("timeout"), own("max_stream_duration"), own("max_grpc_timeout")];
            all.add("timeout", global, &fields, plan.timeouts.global == Some(Duration::from_secs(15)));
        }
    }
}

fn retries(all: &mut Collector<'_>, forward: &Forward, plan: &Plan, request: &RequestHead, roots: &Roots) {
    let Some(state) = RetryState::new(forward.retry.as_ref(), request, all.sources.runtime) else {
        all.add("retry_policy", "none".to_owned(), &[], true);
        return;
    };
    let policy_at = all.written(roots, "retry_policy");
    let fields = |field: &str| [format!("{policy_at}.{field}")];
    let headers = [names::X_ENVOY_RETRY_ON, names::X_ENVOY_RETRY_GRPC_ON];
    let configured = forward.retry.as_ref().map_or(RetryOn::empty(), |policy| policy.on);
    match headers.iter().find(|name| request.headers.contains(name)).filter(|_| state.on() != configured) {
        Some(header) => all.by_header("retry_on", conditions(state.on()), header),
        None => all.add("retry_on", conditions(state.on()), &fields("retry_on"), false),
    }
    let count = state.remaining().to_string();
    if request.headers.contains(&names::X_ENVOY_MAX_RETRIES) {
        all.by_header("num_retries", count, &names::X_ENVOY_MAX_RETRIES);
    } else {
        all.add("num_retries", count, &fields("num_retries"), state.remaining() == 1);
    }
    let per_try = limit(plan.timeouts.per_try);
    if request.headers.contains(&names::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS) {
        all.by_header("per_try_timeout", per_try, &names::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS);
    } else {
        all.add("per_try_timeout", per_try, &fields("per_try_timeout"), plan.timeouts.per_try.is_none());
    }
    if let Some(idle) = plan.timeouts.per_try_idle {
        all.add("per_try_idle_timeout", limit(Some(idle)), &fields("per_try_idle_timeout"), false);
    }
    let (base, most) = state.intervals();
    let policy = forward.retry.as_deref();
    all.add(
        "retry_back_off",
        format!("{} to {}, jittered", limit(Some(base)), limit(Some(most))),
        &fields("retry_back_off"),
        policy.is_none_or(|policy| policy.back_off.is_none()),
    );
    if let Some(predicates) = policy.filter(|policy| !policy.host_predicates.is_empty()).map(host_predicates) {
        all.add("retry_host_predicate", predicates, &fields("retry_host_predicate"), false);
    }
    if plan.timeouts.hedge != HedgePolicy::default().on_per_try_timeout {
        if request.headers.contains(&names::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT) {
            all.by_header("hedge_on_per_try_timeout", "true".to_owned(), &names::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT);
        } else {
            let field = all.written(roots, "hedge_policy");
            all.add("hedge_on_per_try_timeout", "true".to_owned(), &[field], false);
        }
    }
}

fn host_predicates(policy: &RetryPolicy) -> String {
    format!("{} predicates, {} attempts", policy.host_predicates.len(), policy.host_attempts)
}

/// As the config spells them.
fn conditions(on: RetryOn) -> String {
    const NAMES: [(RetryOn, &str); 16] = [
        (RetryOn::FIVE_XX, "5xx"),
        (RetryOn::GATEWAY_ERROR, "gateway-error"),
        (RetryOn::CONNECT_FAILURE, "connect-failure"),
        (RetryOn::RETRIABLE_4XX, "retriable-4xx"),
        (RetryOn::REFUSED_STREAM, "refused-stream"),
        (RetryOn::GRPC_CANCELLED, "cancelled"),
        (RetryOn::GRPC_DEADLINE_EXCEEDED, "deadline-exceeded"),
        (RetryOn::GRPC_RESOURCE_EXHAUSTED, "resource-exhausted"),
        (RetryOn::GRPC_UNAVAILABLE, "unavailable"),
        (RetryOn::GRPC_INTERNAL, "internal"),
        (RetryOn::RETRIABLE_STATUS_CODES, "retriable-status-codes"),
        (RetryOn::RESET, "reset"),
        (RetryOn::RETRIABLE_HEADERS, "retriable-headers"),
        (RetryOn::ENVOY_RATE_LIMITED, "envoy-ratelimited"),
        (RetryOn::HTTP3_POST_CONNECT_FAILURE, "http3-post-connect-failure"),
        (RetryOn::RESET_BEFORE_REQUEST, "reset-before-request"),
    ];
    let names: Vec<_> = NAMES.iter().filter(|(flag, _)| on.contains(*flag)).map(|(_, name)| *name).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(",") }
}

/// A limit as people write it.
fn limit(limit: Option<Duration>) -> String {
    match limit {
        None => "no limit".to_owned(),
        Some(limit) if limit.subsec_nanos() == 0 => format!("{}s", limit.as_secs()),
        Some(limit) => format!("{}ms", limit.as_secs_f64() * 1000.0),
    }
}
