//! Counting of requests: downstream per listener and connection manager, upstream per cluster,
//! virtual cluster, route, zone and alternative name (Envoy's `CodeStats` and router counters).
//!
//! [`Charged`] is made once per request, when its cluster is known, and holds everything that the
//! request is charged to; the phases of a stream tell it what happened. It decides what counts
//! where and keeps no policy of its own. Nothing is looked up by name on the way, but for zones and
//! alternative names, which few deployments have.
//!
//! | who tells | what |
//! |---|---|
//! | host pick | [`Charged::host`] |
//! | connection ready | [`Charged::connected`] |
//! | response head, also 1xx | [`Charged::measure`], then [`Charged::response`] if it counts |
//! | response that is retried | [`Charged::retried_response`] |
//! | failure of a try | [`Charged::try_failed`] |
//! | end of a try | [`Charged::try_ended`] |
//! | complete response | [`Charged::complete`] |
//! | local reply of the router | [`Charged::response`] |
//! | retries, the route's timeout | [`Charged::count`] |

mod table;

use std::{rc::Rc, time::Duration};

use http::{HeaderValue, StatusCode};
use nuncio_api::{Headers, RequestHead, ResponseHead, names};
use nuncio_stats::{
    Counter, Dynamic, Histogram, Shard,
    templates::{
        alternative_stats as alternative, cluster_stats as c, http_class, http_stats, listener_http_class,
        listener_http_stats, request_response_size_stats as sizes, response_code_stats as zone,
        timeout_budget_stats as budgets, vcluster_stats as v,
    },
};
use nuncio_upstream::{Cluster, Host};
use tokio::time::Instant;

pub(crate) use table::RouteStats;

use crate::{
    access_log::sizes::{request_size, response_size},
    reply::Failure,
};

/// Counts a response that went downstream.
pub(crate) fn downstream(manager: &Shard, listener: &Shard, status: StatusCode) {
    manager.inc(http_stats::DOWNSTREAM_RQ_COMPLETED);
    listener.inc(listener_http_stats::DOWNSTREAM_RQ_COMPLETED);
    if let Some(class) = http_class(status.as_u16()) {
        manager.inc(class);
    }
    if let Some(class) = listener_http_class(status.as_u16()) {
        listener.inc(class);
    }
}

/// How one request is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charging {
    /// `dynamic_stats` of the router: whether responses are counted by code and time.
    pub(crate) dynamic_stats: bool,
    /// The request comes from the inside.
    pub(crate) internal: bool,
}

/// What the router found a request to belong to.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteShards {
    /// The virtual cluster, or `other`.
    pub(crate) vcluster: Option<Rc<Shard>>,
    /// The route's own, when it has a `stat_prefix`.
    pub(crate) route: Option<Rc<Shard>>,
}

/// Everything that one request is charged to. Every stream holds one, so that what is rare is apart.
pub(crate) struct Charged {
    cluster: Rc<Cluster>,
    shards: RouteShards,
    zone: Option<Rc<Shard>>,
    alternative: Option<Box<Alternative>>,
    how: Charging,
    host_is_canary: bool,
    /// The response came from a canary.
    canary: bool,
}

/// `x-envoy-upstream-alt-stat-name`.
struct Alternative {
    name: Box<str>,
    shard: Rc<Shard>,
    zone: Option<Rc<Shard>>,
}

/// What is measured of one try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// When it began, where that is asked.
    started: Option<Instant>,
    /// Bytes and number of the response's headers; no header, no response.
    heads: (u32, u32),
}

impl Measured {
    /// A try that starts now, in this cluster.
    pub(crate) fn start(cluster: &Cluster) -> Self {
        Self { started: cluster.tracked().budgets.as_ref().map(|_| Instant::now()), heads: (0, 0) }
    }
}

impl Charged {
    /// A request that goes to `cluster`. `request` is as it came out of the connection manager,
    /// before the route has changed it.
    pub(crate) fn new(cluster: &Rc<Cluster>, shards: RouteShards, request: &RequestHead, how: Charging) -> Self {
        let alternative = request.headers.get_str(&names::X_ENVOY_UPSTREAM_ALT_STAT_NAME).and_then(|name| {
            let shard = cluster.tracked().alternative(name)?;
            Some(Box::new(Alternative { name: name.into(), shard, zone: None }))
        });
        Self { alternative, cluster: Rc::clone(cluster), shards, zone: None, how, host_is_canary: false, canary: false }
    }

    /// The host that what follows is charged to; `None` when none could be picked.
    pub(crate) fn host(&mut self, host: Option<&Host>) {
        self.host_is_canary = host.is_some_and(Host::is_canary);
        self.canary = self.host_is_canary;
        self.zone = host.and_then(|host| self.cluster.zone_stats(host));
        if let Some(named) = &mut self.alternative {
            let tracked = self.cluster.tracked();
            named.zone = host.and_then(|host| tracked.alternative_zone(&named.name, &host.locality().zone));
        }
    }

    /// A try has a connection. (The cluster's own `upstream_rq_total` is the pool's.)
    pub(crate) fn connected(&self) {
        self.count(v::UPSTREAM_RQ_TOTAL);
    }

    /// A try has a response head, final or not, as it came.
    pub(crate) fn measure(&self, of: &mut Measured, head: &ResponseHead) {
        if self.cluster.tracked().sizes.is_some() {
            let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
            of.heads.0 = of.heads.0.saturating_add(narrow(response_size(head)));
            of.heads.1 = of.heads.1.saturating_add(narrow(1 + length(&head.headers)));
        }
    }

    /// Counts the status of an upstream's response that goes downstream.
    pub(crate) fn upstream_response(&mut self, head: &ResponseHead) {
        self.canary = self.host_is_canary || says_canary(&head.headers);
        self.response(head.status);
    }

    /// Counts the status of a response that is not passed on because the request is tried again.
    pub(crate) fn retried_response(&self, status: StatusCode) {
        self.cluster.stats().dynamic_inc(c::RETRY_UPSTREAM_RQ, status.as_u16());
    }

    /// Counts something in the virtual cluster and the route.
    pub(crate) fn count(&self, counter: Counter) {
        self.requests().for_each(|shard| shard.inc(counter));
    }

    /// Counts the status of a reply of the router's own.
    pub(crate) fn response(&self, status: StatusCode) {
        if !self.how.dynamic_stats {
            return;
        }
        let code = status.as_u16();
        let split = |shard: &Shard, all: Dynamic, [canary, internal, external]: [Dynamic; 3]| {
            shard.dynamic_inc(all, code);
            if self.canary {
                shard.dynamic_inc(canary, code);
            }
            shard.dynamic_inc(if self.how.internal { internal } else { external }, code);
        };
        let kinds = [c::CANARY_UPSTREAM_RQ, c::INTERNAL_UPSTREAM_RQ, c::EXTERNAL_UPSTREAM_RQ];
        split(self.cluster.stats(), c::UPSTREAM_RQ, kinds);
        if let Some(Alternative { shard, .. }) = self.alternative.as_deref() {
            let kinds =
                [alternative::CANARY_UPSTREAM_RQ, alternative::INTERNAL_UPSTREAM_RQ, alternative::EXTERNAL_UPSTREAM_RQ];
            split(shard, alternative::UPSTREAM_RQ, kinds);
        }
        self.requests().for_each(|shard| shard.dynamic_inc(v::UPSTREAM_RQ, code));
        self.zones().for_each(|shard| shard.dynamic_inc(zone::UPSTREAM_RQ, code));
    }

    /// A response has come completely, so long after its request was complete.
    pub(crate) fn complete(&self, took: Duration, route_timeout: Option<Duration>) {
        self.budget(took, route_timeout);
        if !self.how.dynamic_stats {
            return;
        }
        let ms = millis(took);
        let split = |shard: &Shard, all: Histogram, [canary, internal, external]: [Histogram; 3]| {
            shard.record(all, ms);
            if self.canary {
                shard.record(canary, ms);
            }
            shard.record(if self.how.internal { internal } else { external }, ms);
        };
        let kinds = [c::CANARY_UPSTREAM_RQ_TIME, c::INTERNAL_UPSTREAM_RQ_TIME, c::EXTERNAL_UPSTREAM_RQ_TIME];
        split(self.cluster.stats(), c::UPSTREAM_RQ_TIME, kinds);
        if let Some(Alternative { shard, .. }) = self.alternative.as_deref() {
            let kinds = [
                alternative::CANARY_UPSTREAM_RQ_TIME,
                alternative::INTERNAL_UPSTREAM_RQ_TIME,
                alternative::EXTERNAL_UPSTREAM_RQ_TIME,
            ];
            split(shard, alternative::UPSTREAM_RQ_TIME, kinds);
        }
        self.requests().for_each(|shard| shard.record(v::UPSTREAM_RQ_TIME, ms));
        self.zones().for_each(|shard| shard.record(zone::UPSTREAM_RQ_TIME, ms));
    }

    /// How much of the route's timeout a request took that is over: [`Charged::complete`] says it
    /// of one that was answered; this is for one that was given up by a timeout.
    pub(crate) fn budget(&self, took: Duration, route_timeout: Option<Duration>) {
        if let Some(shard) = &self.cluster.tracked().budgets {
            shard.record(budgets::UPSTREAM_RQ_TIMEOUT_BUDGET_PERCENT_USED, percent(took, route_timeout));
        }
    }

    /// A try failed on this host. `judged` says that its response has begun and was counted: then
    /// the host has no error besides.
    pub(crate) fn try_failed(&self, host: &Host, failure: &Failure, judged: bool) {
        let stats = self.cluster.stats();
        match failure {
            Failure::RouteTimeout => {
                stats.inc(c::UPSTREAM_RQ_TIMEOUT);
                self.count(v::UPSTREAM_RQ_TIMEOUT);
                host.count_timeout();
            }
            Failure::UpstreamMaxDuration { .. } => stats.inc(c::UPSTREAM_RQ_MAX_DURATION_REACHED),
            Failure::PerTryTimeout { idle } => {
                stats.inc(if *idle { c::UPSTREAM_RQ_PER_TRY_IDLE_TIMEOUT } else { c::UPSTREAM_RQ_PER_TRY_TIMEOUT });
                host.count_timeout();
            }
            _ => {}
        }
        let is_error = matches!(
            failure,
            Failure::RouteTimeout
                | Failure::PerTryTimeout { .. }
                | Failure::ConnectFailed(_)
                | Failure::ConnectTimeout
                | Failure::Overflow
                | Failure::UpstreamReset
                | Failure::UpstreamRefused
                | Failure::UpstreamTermination
                | Failure::UpstreamProtocol
        );
        if is_error && !judged {
            host.count_error();
        }
    }

    /// A try is over, however it ended. `request` is what was sent. A try that the route's
    /// timeout ended says nothing about the timeout of a try.
    pub(crate) fn try_ended(&self, of: Measured, request: &RequestHead, bodies: Bodies, limit: PerTry) {
        let tracked = self.cluster.tracked();
        if let (Some(shard), Some(started), PerTry::Limit(timeout)) = (&tracked.budgets, of.started, limit) {
            let used = percent(started.elapsed(), timeout);
            shard.record(budgets::UPSTREAM_RQ_TIMEOUT_BUDGET_PER_TRY_PERCENT_USED, used);
        }
        let Some(shard) = &tracked.sizes else { return };
        let given = [request.authority.as_bytes(), request.path.as_bytes()];
        let pseudo = 2 + given.into_iter().map(|text| u64::from(!text.is_empty())).sum::<u64>();
        shard.record(sizes::UPSTREAM_RQ_HEADERS_SIZE, request_size(request));
        shard.record(sizes::UPSTREAM_RQ_HEADERS_COUNT, pseudo + length(&request.headers));
        shard.record(sizes::UPSTREAM_RQ_BODY_SIZE, bodies.sent);
        let (size, number) = of.heads;
        if number > 0 {
            shard.record(sizes::UPSTREAM_RS_HEADERS_SIZE, size.into());
            shard.record(sizes::UPSTREAM_RS_HEADERS_COUNT, number.into());
            shard.record(sizes::UPSTREAM_RS_BODY_SIZE, bodies.received);
        }
    }

    /// The zones, of the cluster and of the alternative name.
    fn zones(&self) -> impl Iterator<Item = &Shard> {
        let named = self.alternative.as_ref().and_then(|named| named.zone.as_deref());
        self.zone.as_deref().into_iter().chain(named)
    }

    /// The virtual cluster and the route.
    fn requests(&self) -> impl Iterator<Item = &Shard> {
        [&self.shards.vcluster, &self.shards.route].into_iter().flatten().map(|shard| &**shard)
    }
}

/// What limited a try.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PerTry {
    /// Its own timeout, if it had one.
    Limit(Option<Duration>),
    /// The route's timeout has ended it.
    RouteTimeout,
}

/// Body bytes of one try.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bodies {
    /// To the upstream.
    pub(crate) sent: u64,
    /// From the upstream.
    pub(crate) received: u64,
}

/// The upstream says it is a canary.
fn says_canary(headers: &Headers) -> bool {
    headers.get(&names::X_ENVOY_UPSTREAM_CANARY).map(HeaderValue::as_bytes) == Some(b"true")
}

fn length(headers: &Headers) -> u64 {
    u64::try_from(headers.len()).unwrap_or(u64::MAX)
}

/// Whole percents of a timeout; of none at all nothing is ever used.
fn percent(took: Duration, timeout: Option<Duration>) -> u64 {
    let timeout = timeout.map_or(0, millis);
    millis(took).saturating_mul(100).checked_div(timeout).unwrap_or(0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
