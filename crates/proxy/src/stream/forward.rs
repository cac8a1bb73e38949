//! A route that forwards: plan, admission, what the request looks like upstream, then the tries.

use std::{rc::Rc, sync::Arc, time::Duration};

use nuncio_api::names;
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
        plan,
        retry::{self, RetryState},
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
        phase!("plan");
        let plan = plan::plan(forward, &self.hcm.settings, self.record.request(), self.random);
        let cluster = self.find_cluster(&plan, forward)?;
        self.record.charge_to(&cluster, host, route);
        phase!("admission");
        self.admit(&cluster)?;
        self.apply_timeouts(&plan);
        self.record.weighted = plan.weighted;
        let weighted = weighted_of(forward, plan.weighted);
        let retry = RetryState::new(forward.retry.as_ref(), self.record.request(), &self.hcm.context.runtime);
        self.rewrite_request(host, route, forward, weighted, &plan);
        let keeps = retry.as_ref().is_some_and(RetryState::is_enabled) || forward.internal_redirect.is_some();
        let limit = route.request_buffer_limit.unwrap_or(u64::MAX).min(self.hcm.buffer_limit as u64);
        let mut tries = Tries::new(retry, self.take_upload(keeps.then_some(limit)));
        let duration = plan.timeouts.per_try_duration.or(cluster.settings().common.max_stream_duration);
        let duration = duration.filter(|limit| !limit.is_zero());
        let job = Job { cluster: &cluster, host, forward, timeouts: plan.timeouts, duration };
        self.try_until_done(&job, &mut tries, down).await
    }

    fn find_cluster(&mut self, plan: &plan::Plan, forward: &Forward) -> Result<Rc<Cluster>, Failure> {
        let clusters = &self.hcm.context.clusters;
        let found = plan.cluster.as_ref().and_then(|name| Some((name, clusters.cluster(name)?)));
        let Some((name, cluster)) = found else {
            self.hcm.router_stats.inc(router_stats::NO_CLUSTER);
            return Err(Failure::NoCluster(forward.cluster_not_found));
        };
        self.record.info.upstream.cluster = Some(Arc::clone(name));
        self.record.cluster = Some(Rc::clone(&cluster));
        Ok(cluster)
    }

    /// `drop_overloads`
    fn admit(&self, cluster: &Cluster) -> Result<(), Failure> {
        let percent = cluster.settings().drop_overload_percent;
        if percent > 0.0 && fastrand::f64() * 100.0 < percent { Err(Failure::DropOverload) } else { Ok(()) }
    }

    fn apply_timeouts(&mut self, plan: &plan::Plan) {
        let start = self.record.info.start;
        self.deadlines.set_idle(plan.idle_timeout, start);
        self.deadlines.set_duration(plan.duration.limit.map(|d| start + d));
        self.record.timeout = plan.timeouts.global;
        self.record.alt_timeout = plan.timeouts.alternative;
        if self.deadlines.request_complete {
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
        let table = Arc::clone(self.hcm.routes.table());
        let suppress = self.hcm.settings.router.suppress_envoy_headers;
        let levels = headers::request_levels(&table, host, route, weighted);
        let used = Timeouts::used_before(&self.hcm.context.runtime, self.record.info.start);
        headers::prepare_upstream_request(&mut self.record.info, plan, used, suppress);
        if let Some(request) = &mut self.record.info.request {
            retry::strip(&mut request.headers);
            if host.include_request_attempt_count {
                request.headers.set(names::X_ENVOY_ATTEMPT_COUNT, http::HeaderValue::from_static("1"));
            }
        }
        headers::apply_levels(&levels, &mut self.record.info, headers::Target::Request);
        headers::rewrite(&mut self.record.info, forward, route, weighted, suppress);
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
