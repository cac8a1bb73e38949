//! Mirrored requests (`request_mirror_policies`, of a route or of the cluster it leads to): the same
//! request to another cluster, whose answer nobody waits for.
//!
//! When a request has been rewritten, [`Stream::mirror`] decides which policies apply and makes the
//! heads; with its first try they start, each a task of its own ([`run`]). The frames of the body
//! reach them as the primary pulls them ([`feed`]): a reference each. A retry mirrors nothing again,
//! an internal redirect is a new request with mirrors of its own. CONNECT is never mirrored.
//!
//! The primary never waits for a shadow. What a shadow has not taken yet is bounded by
//! `request_body_buffer_limit`, or the connection's limit when that is smaller; a shadow beyond it is
//! cut (`retry_or_shadow_abandoned` of the primary's cluster), and so is one whose primary ends before
//! its request has. How many there are, the breakers of their clusters say. A cluster that is not
//! there gets nothing, as in Envoy. Shadows are not logged and hold no drain up; the stats of their
//! clusters count them as internal requests.

mod feed;
mod run;
#[cfg(test)]
mod tests;

use std::{rc::Rc, sync::Arc, task::Context};

use http::{HeaderValue, Method};
use nuncio_api::{Frame, RequestHead, Text, names};
use nuncio_config::model::route::{Forward, MirrorPolicy};
use nuncio_stats::templates::cluster_stats as c;
use nuncio_upstream::Cluster;
use smallvec::SmallVec;

use self::{
    feed::{Feed, Pushed},
    run::Shadow,
};
use super::{Stream, record::millis};
use crate::{
    hcm::request_headers::append_xff,
    headers,
    router::{
        charge::{Charged, Charging, RouteShards},
        read,
    },
};

/// A mirror whose cluster has mirrors is mirrored in its turn, so often; clusters may name each other.
const LONGEST_CHAIN: usize = 3;

/// The shadows of one request, as its primary sees them. Most have none.
#[derive(Default)]
pub(super) struct Shadows(Option<Box<Mirrored>>);

struct Mirrored {
    /// Those that have not started.
    waiting: SmallVec<[Shadow; 1]>,
    /// Where the body goes.
    feeds: SmallVec<[Feed; 1]>,
    /// Frames that were fed.
    fed: usize,
    /// Bytes that one of them may lag behind.
    limit: u64,
    /// Where it is counted that one lagged behind too far.
    primary: Rc<Cluster>,
}

impl Shadows {
    /// The primary has a host: the shadows start, once.
    pub(super) fn start(&mut self, bodiless: bool) {
        let Some(mirrored) = &mut self.0 else { return };
        for shadow in mirrored.waiting.drain(..) {
            let body = (!bodiless).then(|| {
                let (feed, body) = feed::channel(mirrored.limit);
                mirrored.feeds.push(feed);
                body
            });
            tokio::task::spawn_local(shadow.run(body));
        }
    }

    /// A frame went to a try, as its `given`th. Another try may have had it before.
    pub(super) fn follow<E>(&mut self, given: usize, frame: Result<Frame, E>) -> Result<Frame, E> {
        if let (Some(mirrored), Ok(frame)) = (&mut self.0, &frame)
            && given > mirrored.fed
        {
            mirrored.fed = given;
            mirrored.feed(frame);
        }
        frame
    }

    /// A frame that no try got.
    pub(super) fn feed(&mut self, frame: &Frame) {
        if let Some(mirrored) = &mut self.0 {
            mirrored.feed(frame);
        }
    }

    /// Whether a shadow has much to take and has not had its turn since; then the primary lets the
    /// other tasks run. That is no wait for the mirror: after its turn it is not asked for again.
    pub(super) fn want_turn(&self, cx: &mut Context<'_>) -> bool {
        let wants = self.0.as_ref().is_some_and(|mirrored| mirrored.feeds.iter().any(Feed::wants_turn));
        if wants {
            cx.waker().wake_by_ref();
        }
        wants
    }
}

impl Mirrored {
    fn feed(&self, frame: &Frame) {
        for feed in &self.feeds {
            if feed.push(frame) == Pushed::Overflow {
                self.primary.stats().inc(c::RETRY_OR_SHADOW_ABANDONED);
            }
        }
    }
}

impl Stream {
    /// Makes the shadows of the request, which has been rewritten for its upstream.
    pub(super) fn mirror(&mut self, forward: &Forward, primary: &Rc<Cluster>, limit: u64) {
        let policies = policies_of(primary, &forward.mirrors);
        if policies.is_empty() || self.record.request().method == Method::CONNECT {
            return;
        }
        let mut waiting = SmallVec::new();
        let request = self.record.request().clone();
        self.add_shadows(policies, &request, LONGEST_CHAIN, &mut waiting);
        if !waiting.is_empty() {
            let primary = Rc::clone(primary);
            self.shadows.0 = Some(Box::new(Mirrored { waiting, feeds: SmallVec::new(), fed: 0, limit, primary }));
        }
    }

    /// Adds the shadows of `request`, and theirs when their clusters have policies.
    fn add_shadows(
        &mut self,
        policies: &[MirrorPolicy],
        request: &RequestHead,
        chain: usize,
        waiting: &mut SmallVec<[Shadow; 1]>,
    ) {
        let Some(left) = chain.checked_sub(1) else { return };
        for policy in policies {
            if !self.is_mirrored(policy) {
                continue;
            }
            let Some(cluster) = self.mirror_cluster(policy, request) else { continue };
            let shadow = self.shadow(policy, cluster, request);
            let settings = Arc::clone(shadow.cluster.settings());
            self.add_shadows(&settings.mirrors, &shadow.request, left, waiting);
            waiting.push(shadow);
        }
    }

    fn is_mirrored(&self, policy: &MirrorPolicy) -> bool {
        policy.fraction.as_ref().is_none_or(|share| {
            let runtime = &self.hcm.context.runtime;
            runtime.feature_enabled(&share.key, share.numerator, share.denominator, self.random)
        })
    }

    fn mirror_cluster(&self, policy: &MirrorPolicy, request: &RequestHead) -> Option<Rc<Cluster>> {
        let clusters = &self.hcm.context.clusters;
        match &policy.cluster_header {
            Some(header) => clusters.cluster(read::first(request, header)?),
            None => clusters.cluster(&policy.cluster),
        }
    }

    fn shadow(&mut self, policy: &MirrorPolicy, cluster: Rc<Cluster>, request: &RequestHead) -> Shadow {
        let mut request = self.changed(policy, request);
        if let Some(host) = &policy.host_rewrite {
            request.authority = Text::from(host.as_str());
        } else if !policy.keep_host {
            request.authority = Text::from(shadow_host(&request.authority));
        }
        request.headers.set(names::X_ENVOY_INTERNAL, HeaderValue::from_static("true"));
        let context = &self.hcm.context;
        if let Some(own) = context.machine_address {
            append_xff(&mut request.headers, own);
        }
        let router = &self.hcm.settings.router;
        let timeout = self.record.timeout;
        if let (Some(limit), false) = (timeout, router.suppress_envoy_headers) {
            request.headers.set(names::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, HeaderValue::from(millis(limit)));
        }
        let how = Charging { dynamic_stats: router.dynamic_stats, internal: true };
        let charged = Charged::new(&cluster, RouteShards::default(), &request, how);
        Shadow { cluster, request, charged, timeout, timer: Rc::new(context.timers.timer()) }
    }

    /// The request after the policy's own changes, whose values are of the stream with this request.
    fn changed(&mut self, policy: &MirrorPolicy, request: &RequestHead) -> RequestHead {
        if policy.request_headers.is_empty() {
            return request.clone();
        }
        let info = &mut self.record.info;
        let own = info.request.replace(request.clone());
        headers::apply_changes(&policy.request_headers, info, headers::Target::Request);
        std::mem::replace(&mut info.request, own).unwrap_or_else(|| request.clone())
    }
}

/// Those of the cluster, when it has any, in the place of the route's.
fn policies_of<'a>(cluster: &'a Cluster, route: &'a [MirrorPolicy]) -> &'a [MirrorPolicy] {
    let own = &cluster.settings().mirrors;
    if own.is_empty() { route } else { own }
}

/// Logs of the mirror shall tell that it is one: `-shadow` behind the name, before the port.
fn shadow_host(host: &str) -> String {
    let port = host.rfind(':').filter(|at| host.rfind(']').is_none_or(|end| end < *at));
    let (name, port) = host.split_at(port.unwrap_or(host.len()));
    format!("{name}-shadow{port}")
}
