//! Internal redirects: an upstream's redirect that the proxy follows itself.
//!
//! As in Envoy the request begins anew, with the same headers and the body that was kept: the
//! stream so far is logged with `internal_redirect`, another takes its place. When a redirect cannot
//! be followed the response goes down as it is, and the reason is counted.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use nuncio_api::{RequestHead, ResponseHead, names};
use nuncio_config::model::route::{InternalRedirectPolicy, Route, RouteAction};
use nuncio_stats::{
    Counter,
    templates::{cluster_stats as c, router_stats},
};
use tokio::time::Instant;

use super::{Arrival, Stream, forward::Job, tries::Tries, upload::Upload};
use crate::{
    phase::phase,
    route::Matched,
    router::{
        internal_redirect::{Target, copy_headers, is_followed, is_refused},
        plan,
    },
};

/// What a request that was redirected takes along.
#[derive(Debug, Default)]
pub(super) struct Journey {
    /// Redirects so far.
    count: u32,
    /// From route to route, by name.
    travelled: Vec<(String, String)>,
    /// The body, whole.
    upload: Option<Upload>,
}

impl Stream {
    /// Tries to follow a redirect; true when the stream is to be replaced by [`Self::replaced`].
    pub(super) fn follow(&mut self, head: &ResponseHead, job: &Job<'_>, tries: &mut Tries) -> bool {
        let Some(policy) = job.forward.internal_redirect.as_deref().filter(|policy| is_followed(policy, head)) else {
            return false;
        };
        let is_whole = tries.upload.ended && !tries.upload.overflowed;
        let next = head.headers.get(&header::LOCATION).filter(|_| is_whole);
        let next = next.map(HeaderValue::as_bytes).map(String::from_utf8_lossy);
        let stats = job.cluster.stats();
        let found = next.and_then(|location| {
            let found = self.redirected(policy, head, &location);
            found.inspect_err(|why| self.hcm.router_stats.inc(*why)).ok()
        });
        let Some((request, route)) = found else {
            stats.inc(c::UPSTREAM_INTERNAL_REDIRECT_FAILED_TOTAL);
            return false;
        };
        phase!("internal redirect");
        stats.inc(c::UPSTREAM_INTERNAL_REDIRECT_SUCCEEDED_TOTAL);
        self.record.info.bytes_received = tries.upload.bytes;
        let drops_body = self.record.request().method != request.method;
        let upload = std::mem::take(&mut tries.upload);
        let from = self.record.info.route_name().to_owned();
        let journey = self.journey.get_or_insert_default();
        journey.count += 1;
        journey.travelled.push((from, route.name.clone()));
        journey.upload = Some(upload.again(drops_body));
        self.log_as(Some(&route), &request);
        let info = &mut self.record.info;
        info.request = Some(request);
        info.upstream_first_rx = Some(Instant::now());
        info.details = Some("internal_redirect".into());
        info.response = Some(ResponseHead::new(head.status));
        self.record.continues = true;
        self.record.ended = true;
        true
    }

    /// The request that the redirect makes, and the route it takes; or why not.
    fn redirected(
        &mut self,
        policy: &InternalRedirectPolicy,
        head: &ResponseHead,
        location: &str,
    ) -> Result<(RequestHead, Arc<Route>), Counter> {
        let Some(target) = Target::parse(location) else {
            return Err(router_stats::PASSTHROUGH_INTERNAL_REDIRECT_BAD_LOCATION);
        };
        let before = self.record.request();
        let schemes = (before.scheme, target.scheme);
        if !policy.allow_cross_scheme && schemes.0 != schemes.1 {
            return Err(router_stats::PASSTHROUGH_INTERNAL_REDIRECT_UNSAFE_SCHEME);
        }
        let journey = self.journey.as_deref();
        if journey.map_or(0, |journey| journey.count) >= policy.max {
            return Err(router_stats::PASSTHROUGH_INTERNAL_REDIRECT_TOO_MANY_REDIRECTS);
        }
        let original = format!("{}://{}{}", before.scheme.as_str(), before.authority, before.path);
        let mut request = before.clone();
        copy_headers(policy, &head.headers, &mut request.headers);
        target.apply(&mut request);
        let hcm = std::rc::Rc::clone(&self.hcm);
        let Matched::Route(_, route) = hcm.routes.find(&request, self.match_context(&request)) else {
            self.log_as(None, &request);
            return Err(router_stats::PASSTHROUGH_INTERNAL_REDIRECT_NO_ROUTE);
        };
        let travelled = journey.map_or(&[][..], |journey| &journey.travelled);
        let from = self.record.info.route_name();
        let refused = is_refused(policy, from, &route.name, schemes, travelled);
        if refused {
            self.log_as(Some(route), &request);
            return Err(router_stats::PASSTHROUGH_INTERNAL_REDIRECT_PREDICATE);
        }
        if head.status == StatusCode::SEE_OTHER && !matches!(request.method, Method::GET | Method::HEAD) {
            request.method = Method::GET;
            request.headers.remove(&header::CONTENT_LENGTH);
        }
        if let Ok(value) = HeaderValue::try_from(original) {
            request.headers.set(names::X_ENVOY_ORIGINAL_URL, value);
        }
        Ok((request, Arc::clone(route)))
    }

    /// The log names the route that the redirect leads to, and its cluster, as in Envoy.
    fn log_as(&mut self, route: Option<&Arc<Route>>, request: &RequestHead) {
        let cluster = match route.map(|route| &route.action) {
            Some(RouteAction::Forward(forward)) => {
                plan::choose_cluster(forward, request, &self.record.info, self.circumstances()).0
            }
            _ => None,
        };
        self.record.info.upstream.cluster = cluster;
        self.record.info.route = route.cloned();
    }

    /// The stream that takes the place of this one.
    pub(super) fn replaced(mut self, arrival: &Arrival<'_>) -> Self {
        let request = self.record.request().clone();
        let (client, internal) = (self.record.info.client, self.record.info.internal);
        let body = self.request_body;
        let journey = self.journey.take();
        // Logs it.
        drop(self);
        let mut next = Self::new(arrival, request, body);
        next.record.info.client = client;
        next.record.info.internal = internal;
        next.journey = journey;
        next.request_completed(Instant::now());
        next
    }

    /// The body of the request: what a redirect took along, or what is still to come.
    pub(super) fn take_upload(&mut self, keep: Option<u64>) -> Upload {
        let carried = self.journey.as_mut().and_then(|journey| journey.upload.take());
        carried.unwrap_or_else(|| Upload::new(self.request_body, keep))
    }
}
