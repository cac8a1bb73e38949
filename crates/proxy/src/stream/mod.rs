//! The stream driver: one request from its head to its last byte. Read [`Stream::run`] and you
//! know the proxy; the phases stand there in order of time, and each reports itself as a trace
//! event under `nuncio::phase` (docs/life-of-a-request.md lists the same names).
//!
//! ```text
//! head ─ normalize ─ client ─ route match ─┬─ direct response / redirect ───────────────┐
//!                                          └─ plan ─ admission ─┬─ host pick ─ connection │
//!                                             (retry) ──────────┘  ─ attempt              │
//!                                             ─ response head ─ bodies ──────────────────┴─ finish
//! ```
//!
//! It owns the order and the failures; deciding is done by pure functions (`route`, `router`,
//! `hcm::request_headers`), moving bytes by the codecs. One future drives both sides, so there is
//! no channel between them. Whatever ends a stream, also dropping the future, [`record::Record`]
//! writes its log line and counts it exactly once.
//!
//! Limits: bodies are never held beyond each side's buffer limit; deadlines in [`deadlines`].

mod deadlines;
mod exchange;
mod follow;
mod forward;
mod local;
mod pump;
pub(crate) mod record;
mod respond;
mod shadow;
mod tries;
mod tunnel;
mod upload;

use std::{rc::Rc, sync::Arc};

use nuncio_api::{Protocol, RequestHead, ResponseFlag, Text, Timer, message::BodyLength, names};
use nuncio_config::model::route::{Forward, Route, RouteAction, VirtualHost, WeightedCluster};
use nuncio_http::ServerExchange;
use nuncio_stats::templates::{http_stats, router_stats};

use self::{deadlines::Deadlines, record::Record};
use crate::{
    hcm::{Hcm, path, request_headers, upgrades},
    headers,
    phase::phase,
    reply::{Failure, is_grpc_request},
    route::{MatchContext, Matched},
    stream_info::ConnectionInfo,
};

/// One stream being served.
pub(crate) struct Stream {
    hcm: Rc<Hcm>,
    record: Record,
    deadlines: Deadlines,
    request_body: BodyLength,
    is_grpc: bool,
    /// Draws fractions and weights, the same for every question about the request.
    random: u64,
    /// The response head has gone downstream.
    responded: bool,
    /// The response was cut, which has been counted.
    is_cut: bool,
    /// The drain sequence closes the connection after this response.
    chosen_by_drain: bool,
    /// An upgrade or CONNECT.
    tunnel: Option<tunnel::Tunnel>,
    /// Internal redirects so far.
    journey: Option<Box<follow::Journey>>,
    /// Mirrors of the request.
    shadows: shadow::Shadows,
}

/// How a stream came to its end without a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Done,
    /// Another takes its place ([`Stream::replaced`]).
    Redirected,
}

/// What the connection should do after a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The drain sequence chose this response: HTTP/2 announces the end with GOAWAY. (HTTP/1 has
    /// said `connection: close` in the response.)
    pub(crate) drain: bool,
    /// The client went away before its response was complete.
    pub(crate) gone: bool,
}

/// How a stream came: everything its driver is given besides the request.
pub(crate) struct Arrival<'a> {
    pub(crate) hcm: &'a Rc<Hcm>,
    pub(crate) connection: &'a Rc<ConnectionInfo>,
    pub(crate) timer: Rc<Timer>,
    /// The client asked for `100 Continue`.
    pub(crate) expects_continue: bool,
}

/// Serves one request. The stream begins at once: the future holds it, and the request nowhere else.
pub(crate) fn serve<'a, D: ServerExchange>(
    arrival: Arrival<'a>,
    request: RequestHead,
    body: BodyLength,
    down: &'a mut D,
) -> impl Future<Output = Outcome> + use<'a, D> {
    let mut stream = Stream::new(&arrival, request, body);
    async move {
        if arrival.expects_continue {
            stream.answer_expectation(down);
        }
        let mut gone = false;
        loop {
            match stream.run(down).await {
                Ok(Flow::Redirected) => stream = stream.replaced(&arrival),
                Ok(Flow::Done) => break,
                Err(failure) => {
                    gone = failure == Failure::DownstreamTermination;
                    Box::pin(stream.end_failed(failure, down)).await;
                    break;
                }
            }
        }
        stream.deadlines.set_alarm(None);
        stream.flush(down).await;
        Outcome { drain: stream.chosen_by_drain, gone }
    }
}

/// Answers a request that could not be read, and logs it.
pub(crate) async fn refuse<D: ServerExchange>(arrival: Arrival<'_>, failure: Failure, down: &mut D) {
    let mut stream = Stream::unread(&arrival);
    stream.fail(failure, down);
    stream.flush(down).await;
}

/// Counts and logs a request that HTTP/2 refused before it could become a stream.
pub(crate) fn note_refused(arrival: &Arrival<'_>, flag: ResponseFlag, details: &'static str) {
    let mut record = Record::begin(arrival, None, Protocol::Http2);
    arrival.hcm.stats.inc(http_stats::DOWNSTREAM_RQ_RX_RESET);
    record.info.flags.insert(flag);
    record.info.details = Some(details.into());
    record.ended = true;
}

impl Stream {
    fn new(arrival: &Arrival<'_>, request: RequestHead, body: BodyLength) -> Self {
        let is_grpc = is_grpc_request(&request.headers);
        Self::with(arrival, Record::begin(arrival, Some(request), Protocol::Http11), body, is_grpc)
    }

    fn unread(arrival: &Arrival<'_>) -> Self {
        Self::with(arrival, Record::begin(arrival, None, Protocol::Http11), BodyLength::Unknown, false)
    }

    fn with(arrival: &Arrival<'_>, record: Record, body: BodyLength, is_grpc: bool) -> Self {
        let settings = &arrival.hcm.settings;
        let start = record.info.start;
        let mut deadlines = Deadlines::new(Rc::clone(&arrival.timer));
        deadlines.set_idle(settings.stream_idle_timeout, start);
        deadlines.set_request(settings.request_timeout.map(|d| start + d));
        deadlines.set_duration(settings.common.max_stream_duration.map(|d| start + d));
        let mut stream = Self {
            hcm: Rc::clone(arrival.hcm),
            record,
            deadlines,
            request_body: body,
            is_grpc,
            responded: false,
            random: fastrand::u64(..),
            is_cut: false,
            chosen_by_drain: false,
            journey: None,
            tunnel: None,
            shadows: shadow::Shadows::default(),
        };
        if body.is_empty() {
            stream.request_completed(start);
        }
        stream
    }

    /// A failure is answered, or the response cut.
    async fn end_failed<D: ServerExchange>(&mut self, failure: Failure, down: &mut D) {
        if self.responded {
            // The cut must not overtake what is already queued: an HTTP/2 connection moves that in
            // a task of its own, which has been woken for it and comes first.
            tokio::task::yield_now().await;
        }
        if matches!(failure, Failure::ConnectFailed(_) | Failure::ConnectTimeout) {
            self.take_arrived(down).await;
        }
        self.fail(failure, down);
    }

    /// The phases of a request, in order of time.
    async fn run<D: ServerExchange>(&mut self, down: &mut D) -> Result<Flow, Failure> {
        phase!("normalize");
        if let Some(location) = self.normalize()? {
            self.redirect_to_normalized(location, down);
            return Ok(Flow::Done);
        }
        if self.journey.is_none() {
            phase!("client");
            self.identify_client()?;
        }
        if let Some(service) = self.hcm.context.local_service() {
            let service = Rc::clone(service);
            return Box::pin(self.answer_locally(&service, down)).await.map(|()| Flow::Done);
        }
        phase!("route match");
        // The table stays as long as this manager: nothing else needs to hold its routes.
        let hcm = Rc::clone(&self.hcm);
        let (host, route) = match self.match_route(&hcm)? {
            Decision::RequireTls => {
                self.redirect_to_https(down);
                return Ok(Flow::Done);
            }
            Decision::Take(host, route) => (host, route),
        };
        match &route.action {
            RouteAction::Direct(direct) => {
                phase!("direct response");
                self.hcm.router_stats.inc(router_stats::RQ_DIRECT_RESPONSE);
                self.reply_directly(direct, down);
                Ok(Flow::Done)
            }
            RouteAction::Redirect(redirect) => {
                phase!("redirect");
                self.hcm.router_stats.inc(router_stats::RQ_DIRECT_RESPONSE);
                self.redirect(redirect, route, down);
                Ok(Flow::Done)
            }
            // To Envoy this is a cluster without a name.
            RouteAction::NonForwarding => {
                self.hcm.router_stats.inc(router_stats::NO_CLUSTER);
                Err(Failure::NoCluster(http::StatusCode::SERVICE_UNAVAILABLE))
            }
            RouteAction::Forward(forward) => self.forward(host, route, forward, down).await,
        }
    }

    /// Host and path. `Some` is a path to redirect to.
    fn normalize(&mut self) -> Result<Option<String>, Failure> {
        let hcm = Rc::clone(&self.hcm);
        let settings = &hcm.settings;
        let local = &self.record.info.connection.local;
        let Some(request) = &mut self.record.info.request else { return Err(Failure::MissingHost) };
        // An empty Host is kept as a header: no host at all is another thing (RFC 9112 section 3.2).
        if request.authority.as_bytes().is_empty() && request.headers.remove(&http::header::HOST).is_none() {
            return Err(Failure::MissingHost);
        }
        if upgrades::is_connect(request) {
            return Ok(None);
        }
        if !request.path.as_bytes().starts_with(b"/") {
            self.hcm.stats.inc(http_stats::DOWNSTREAM_RQ_NON_RELATIVE_PATH);
            return Err(Failure::AbsolutePath);
        }
        // Without its type nobody can know what the content asks for.
        if request.method.as_str() == "QUERY"
            && request.headers.get(&http::header::CONTENT_TYPE).is_none_or(http::HeaderValue::is_empty)
        {
            return Err(Failure::QueryWithoutContentType);
        }
        request_headers::normalize_host(settings, local, request);
        let normalized = path::normalize(settings, &request.path);
        if let Some(path) = normalized.path {
            request.path = Text::from(path);
        }
        match normalized.verdict {
            path::Verdict::Forward => Ok(None),
            // A gRPC client does not follow redirects.
            path::Verdict::Redirect if !is_grpc_request(&request.headers) => {
                self.hcm.stats.inc(http_stats::DOWNSTREAM_RQ_REDIRECTED_WITH_NORMALIZED_PATH);
                Ok(Some(request.path.as_str().to_owned()))
            }
            path::Verdict::Redirect | path::Verdict::Reject => {
                self.hcm.stats.inc(http_stats::DOWNSTREAM_RQ_FAILED_PATH_NORMALIZATION);
                Err(Failure::PathNormalization)
            }
        }
    }

    fn identify_client(&mut self) -> Result<(), Failure> {
        let hcm = &self.hcm;
        let info = &mut self.record.info;
        headers::apply_changes(&hcm.settings.early_header_mutation, info, headers::Target::Request);
        let Some(request) = &mut info.request else { return Ok(()) };
        let ends = request_headers::Ends {
            remote: &info.connection.remote,
            local: &info.connection.local,
            tls: info.connection.tls,
            machine: hcm.context.machine_address,
        };
        let internal_only = &hcm.routes.table().internal_only_headers;
        let random = || fastrand::u128(..);
        let trust = request_headers::Trust { settings: &hcm.settings, internal_only, node: &hcm.context.node };
        let client = request_headers::mutate(trust, ends, request, random).map_err(Failure::UnknownClient)?;
        info.client = client.address;
        info.internal = client.internal;
        Ok(())
    }

    fn match_context(&self, request: &RequestHead) -> MatchContext<'_> {
        MatchContext {
            is_https: request.headers.get(&names::X_FORWARDED_PROTO).is_some_and(|v| v == "https"),
            is_internal: self.record.info.internal,
            runtime: Some(&self.hcm.context.runtime),
            ..MatchContext::new(self.random)
        }
    }

    fn match_route<'h>(&mut self, hcm: &'h Hcm) -> Result<Decision<'h>, Failure> {
        let request = self.record.request();
        let found = hcm.routes.find(request, self.match_context(request));
        self.admit_tunnel(&found)?;
        hcm.router_stats.inc(router_stats::RQ_TOTAL);
        match found {
            Matched::NoVirtualHost | Matched::NoRoute(_) => {
                hcm.router_stats.inc(router_stats::NO_ROUTE);
                Err(Failure::NoRoute)
            }
            Matched::NeedsTls(_) => Ok(Decision::RequireTls),
            Matched::Route(host, route) => {
                self.record.info.virtual_host = Some(Arc::clone(host));
                self.record.info.route = Some(Arc::clone(route));
                Ok(Decision::Take(host, route))
            }
        }
    }
}

/// `Expect: 100-continue`.
pub(crate) fn expects_continue(request: &RequestHead) -> bool {
    request.headers.get(&http::header::EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// What matching decided.
enum Decision<'h> {
    RequireTls,
    Take(&'h Arc<VirtualHost>, &'h Arc<Route>),
}

pub(crate) fn weighted_of(forward: &Forward, index: Option<usize>) -> Option<&WeightedCluster> {
    use nuncio_config::model::route::ClusterSpecifier;
    match &forward.cluster {
        ClusterSpecifier::Weighted(clusters, _) => clusters.get(index?),
        ClusterSpecifier::Name(_) | ClusterSpecifier::Header(_) => None,
    }
}
