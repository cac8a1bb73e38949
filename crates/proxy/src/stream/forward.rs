//! A route that forwards: plan, admission, what the request looks like upstream, then the tries.

use std::{rc::Rc, sync::Arc, time::Duration};

use nuncio_config::model::route::{Forward, Route, VirtualHost, WeightedCluster};
use nuncio_http::ServerExchange;
use nuncio_stats::templates::router_stats;
use nuncio_upstream::Cluster;
use tokio::time::Instant;

use super::{Flow, Stream, tries::Tries, weighted_of};
use crate::{
    headers,
    phase::phase,
    reply::Failure,
    router::{
        hash, plan,
        retry::{self, RetryState},
        strict,
        timeouts::Timeouts,
    },
};

/// What the tries of one request have in common.
pub(super) struct Job<'a> {
    pub(super) cluster: &'a Rc<Cluster>,
    pub(super) host: &'a VirtualHost,
    pub(super) forward: &'a Forward,
    /// Limits of the request and of each try.
    pub(super) timeouts: Timeouts,
    /// One try, its response included.
    pub(super) duration: Option<Duration>,
    /// For load balancers that pick by it.
    pub(super) hash: Option<u64>,
}

/// What [`Job`] needs of the plan.
struct Limits {
    timeouts: Timeouts,
    duration: Option<Duration>,
    hash: Option<u64>,
}

impl Stream {
    /// Plan, admission, rewriting, then the tries.
    pub(super) async fn forward<D: ServerExchange>(
        &mut self,
        host: &Arc<VirtualHost>,
        route: &Arc<Route>,
        forward: &Forward,
        down: &mut D,
    ) -> Result<Flow, Failure> {
        let (cluster, mut tries, limits) = self.prepare(host, route, forward)?;
        let Limits { timeouts, duration, hash } = limits;
        let job = Job { cluster: &cluster, host, forward, timeouts, duration, hash };
        self.try_until_done(&job, &mut tries, down).await
    }

    /// All that comes before the first try, and does not wait.
    fn prepare(
        &mut self,
        host: &Arc<VirtualHost>,
        route: &Arc<Route>,
        forward: &Forward,
    ) -> Result<(Rc<Cluster>, Tries, Limits), Failure> {
        phase!("plan");
        let mut plan = self.plan(forward);
        // What it does to responses concerns also the one that no cluster is there.
        self.record.weighted = plan.weighted;
        let cluster = self.find_cluster(plan.cluster.take(), forward)?;
        self.record.charge_to(&cluster, host, route);
        phase!("admission");
        if let Some((name, value)) = strict::improper(&self.hcm.settings.router, self.record.request()) {
            return Err(Failure::InvalidEnvoyHeader(name, value));
        }
        admit(&cluster)?;
        self.apply_timeouts(&plan);
        let weighted = weighted_of(forward, plan.weighted);
        let hash = self.hash(forward, &cluster);
        self.rewrite_request(host, route, forward, weighted, &plan);
        let retry = RetryState::new(forward.retry.as_ref(), self.record.request(), &self.hcm.context.runtime);
        if let Some(request) = &mut self.record.info.request {
            retry::strip(&mut request.headers);
        }
        let keeps = retry.as_ref().is_some_and(RetryState::is_enabled) || forward.internal_redirect.is_some();
        let limit = route.request_buffer_limit.unwrap_or(u64::MAX).min(self.hcm.buffer_limit as u64);
        self.mirror(forward, &cluster, limit);
        let tries = Tries::new(retry, self.take_upload(keeps.then_some(limit)));
        let duration = plan.timeouts.per_try_duration.or(cluster.settings().common.max_stream_duration);
        let duration = duration.filter(|limit| !limit.is_zero());
        Ok((cluster, tries, Limits { timeouts: plan.timeouts, duration, hash }))
    }

    fn plan(&self, forward: &Forward) -> plan::Plan {
        plan::plan(forward, self.record.request(), &self.record.info, self.circumstances())
    }

    /// What planning depends on besides the route.
    pub(super) fn circumstances(&self) -> plan::Circumstances<'_> {
        plan::Circumstances {
            manager: &self.hcm.settings,
            runtime: &self.hcm.context.runtime,
            random: self.random,
            is_grpc: self.is_grpc,
        }
    }

    /// Hashes the request, for a cluster that asks; remembers the cookies that come of it.
    fn hash(&mut self, forward: &Forward, cluster: &Cluster) -> Option<u64> {
        if forward.hash.is_empty() || !cluster.settings().lb.is_hashing() {
            return None;
        }
        let hashed = hash::of(&forward.hash, &self.record.info);
        self.record.cookies = hashed.cookies.into();
        hashed.value
    }

    fn find_cluster(&mut self, name: Option<Arc<str>>, forward: &Forward) -> Result<Rc<Cluster>, Failure> {
        let clusters = &self.hcm.context.clusters;
        let found = name.and_then(|name| Some((clusters.cluster(&name)?, name)));
        let Some((cluster, name)) = found else {
            self.hcm.router_stats.inc(router_stats::NO_CLUSTER);
            return Err(Failure::NoCluster(forward.cluster_not_found));
        };
        self.record.info.upstream.cluster = Some(name);
        let metadata = &cluster.settings().metadata;
        self.record.info.upstream.cluster_metadata = (!metadata.is_empty()).then(|| Arc::clone(metadata));
        self.record.cluster = Some(Rc::clone(&cluster));
        Ok(cluster)
    }

    fn apply_timeouts(&mut self, plan: &plan::Plan) {
        let start = self.record.info.start;
        self.deadlines.set_idle(plan.idle_timeout, start);
        self.deadlines.set_duration(plan.duration.limit.map(|d| start + d));
        self.record.timeout = plan.timeouts.global;
        self.record.alt_timeout = plan.timeouts.alternative;
        self.record.flush_timeout = Some(plan.flush_timeout);
        if self.deadlines.request_complete || self.tunnel_has_timeout() {
            self.deadlines.set_response(plan.timeouts.global.map(|d| start + d));
        }
    }

    fn rewrite_request(
        &mut self,
        host: &VirtualHost,
        route: &Route,
        forward: &Forward,
        weighted: Option<&WeightedCluster>,
        plan: &plan::Plan,
    ) {
        let router = &self.hcm.settings.router;
        let info = &mut self.record.info;
        let used = Timeouts::used_before(&self.hcm.context.runtime, info.start);
        let taken = headers::Taken { table: self.hcm.routes.table(), host, route, forward, weighted };
        headers::towards_upstream(info, taken, plan, used, router);
    }

    /// The request has been received completely.
    pub(super) fn request_completed(&mut self, now: Instant) {
        self.deadlines.complete_request();
        self.record.info.request_complete = Some(now);
        if let Some(timeout) = self.record.timeout {
            self.deadlines.set_response(Some(now + timeout));
        }
    }
}

/// `drop_overloads`
pub(super) fn admit(cluster: &Cluster) -> Result<(), Failure> {
    let percent = cluster.settings().drop_overload_percent;
    if percent > 0.0 && fastrand::f64() * 100.0 < percent { Err(Failure::DropOverload) } else { Ok(()) }
}
