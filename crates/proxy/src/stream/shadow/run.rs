//! One shadow: a request of its own, from the pick of a host to the last byte of an answer that is
//! read and forgotten.
//!
//! It goes the way of a try: admission, host, connection, head, body up and response down, with the
//! same counting; it is never tried again. Its limit is the route's timeout from the end of the
//! request on, and `max_stream_duration` of its cluster.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use http::StatusCode;
use nuncio_api::{Frame, RequestHead, ResponseHead, Timer};
use nuncio_config::model::cluster::UpstreamProtocol;
use nuncio_http::{ClientExchange, Exchange, exchange::ResetReason};
use nuncio_stats::templates::cluster_stats as c;
use nuncio_upstream::{AcquireOptions, Cluster, Host, LbContext, PoolProtocol, UpstreamStream};
use tokio::time::Instant;

use super::feed::Body;
use crate::{
    reply::Failure,
    router::charge::{Bodies, Charged, Measured, PerTry},
    stream::{
        deadlines::Deadlines,
        exchange::upstream_failure,
        forward::admit,
        pump::{Broken, Pump},
        tries::acquire_failure,
    },
};

/// A shadow that has not started.
pub(super) struct Shadow {
    pub(super) cluster: Rc<Cluster>,
    pub(super) request: RequestHead,
    pub(super) charged: Charged,
    /// The route's timeout.
    pub(super) timeout: Option<Duration>,
    pub(super) timer: Rc<Timer>,
}

/// Why a shadow ended before its response did.
enum Stop {
    Failed(Failure),
    /// The rest of its body does not come.
    Cut,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What has become of the one try.
struct Attempt {
    host: Rc<Host>,
    measured: Measured,
    upload: Pump,
    /// The mirror no longer takes the request; its response may still come.
    upload_broken: bool,
    responded: bool,
    received: u64,
}

impl Shadow {
    /// Runs it to its end. `body` is `None` when the head is the whole request.
    pub(super) async fn run(mut self, body: Option<Body>) {
        let mut limits = Limits::new(&self, body);
        let mut attempt = match self.begin() {
            Ok(attempt) => attempt,
            Err(failure) => return self.charge(&failure, false, &limits),
        };
        let outcome = self.exchange(&mut attempt, &mut limits).await;
        let mut limit = PerTry::Limit(None);
        if let Err(Stop::Failed(failure)) = &outcome {
            if *failure == Failure::RouteTimeout && !attempt.responded {
                limit = PerTry::RouteTimeout;
            }
            self.charged.try_failed(&attempt.host, failure, attempt.responded);
            self.charge(failure, attempt.responded, &limits);
        }
        let bodies = Bodies { sent: attempt.upload.bytes, received: attempt.received };
        self.charged.try_ended(attempt.measured, &self.request, bodies, limit);
    }

    fn begin(&mut self) -> Result<Attempt, Failure> {
        admit(&self.cluster)?;
        let host = self.cluster.choose_host(&LbContext::default());
        self.charged.host(host.as_deref());
        let host = host.ok_or_else(|| {
            self.cluster.stats().inc(c::UPSTREAM_CX_NONE_HEALTHY);
            Failure::NoHealthyUpstream
        })?;
        let (measured, upload) = (Measured::start(&self.cluster), Pump::default());
        Ok(Attempt { host, measured, upload, upload_broken: false, responded: false, received: 0 })
    }

    async fn exchange(&mut self, attempt: &mut Attempt, limits: &mut Limits) -> Result<(), Stop> {
        let settings = self.cluster.settings();
        let protocol = match settings.protocol {
            UpstreamProtocol::Http2 => PoolProtocol::Http2,
            // Nobody is downstream of a shadow: Envoy takes HTTP/1.
            UpstreamProtocol::Http1 | UpstreamProtocol::SameAsDownstream => PoolProtocol::Http1,
        };
        let mut acquire = self.cluster.acquire(&attempt.host, AcquireOptions { protocol, high_priority: false });
        let connected = |cx: &mut Context<'_>, _: &Option<Body>| acquire.poll_acquire(cx);
        let mut stream = limits.within(connected, |error| acquire_failure(&error)).await?;
        self.charged.connected();
        limits.allow(settings.common.max_stream_duration.filter(|limit| !limit.is_zero()));
        let bodiless = limits.body.is_none();
        if bodiless {
            attempt.upload = Pump::already_ended();
        }
        stream.send_head(&self.request, bodiless);
        let mut ended = self.response_head(attempt, limits, &mut stream).await?;
        while !ended {
            let next = |cx: &mut Context<'_>, body: &Option<Body>| {
                attempt.poll_upload(cx, body.as_ref(), &mut stream);
                stream.poll_frame(cx)
            };
            ended = match limits.within(next, |error| upstream_failure(&error)).await? {
                Frame::Data { data, end } => {
                    attempt.received += data.len() as u64;
                    end
                }
                Frame::Trailers(_) => true,
            };
        }
        if let Some(since) = limits.request_complete() {
            self.charged.complete(since.elapsed(), self.timeout);
        }
        if attempt.upload.done && !attempt.upload_broken {
            stream.finish();
        } else {
            stream.reset(ResetReason::NoError);
        }
        Ok(())
    }

    /// Reads heads up to the final one; true when that ends the response.
    async fn response_head(
        &mut self,
        attempt: &mut Attempt,
        limits: &mut Limits,
        stream: &mut UpstreamStream,
    ) -> Result<bool, Stop> {
        loop {
            let next = |cx: &mut Context<'_>, body: &Option<Body>| {
                attempt.poll_upload(cx, body.as_ref(), stream);
                stream.poll_head(cx)
            };
            let (head, ended) = limits.within(next, |error| upstream_failure(&error)).await?;
            self.charged.measure(&mut attempt.measured, &head);
            self.charged.upstream_response(&head);
            if !is_interim(&head) {
                attempt.responded = true;
                if head.status.is_server_error() {
                    attempt.host.count_error();
                } else {
                    attempt.host.count_success();
                }
                return Ok(ended);
            }
        }
    }

    /// Counts what would be the answer, if a client were there.
    fn charge(&self, failure: &Failure, responded: bool, limits: &Limits) {
        if !responded {
            self.charged.response(failure.reply().status);
        }
        if let (true, Some(since)) = (failure.is_upstream_timeout(), limits.request_complete()) {
            self.charged.budget(since.elapsed(), self.timeout);
        }
    }
}

/// After 101 nothing is interim any more.
fn is_interim(head: &ResponseHead) -> bool {
    head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS
}

impl Attempt {
    /// Moves on what there is of the body.
    fn poll_upload(&mut self, cx: &mut Context<'_>, body: Option<&Body>, stream: &mut UpstreamStream) {
        if self.upload_broken || self.upload.done {
            return;
        }
        let next = |cx: &mut Context<'_>| body.map_or(Poll::Pending, |body| body.poll_frame(cx).map(Ok));
        if let Poll::Ready(Err(Broken::Sink(_) | Broken::Source(_))) = self.upload.poll(cx, next, stream) {
            // The response may already be on its way: reading tells what became of it.
            self.upload_broken = true;
        }
    }
}

/// What ends a shadow before its response does: time, and the end of its primary.
struct Limits {
    body: Option<Body>,
    started: Instant,
    timeout: Option<Duration>,
    deadlines: Deadlines,
}

impl Limits {
    fn new(shadow: &Shadow, body: Option<Body>) -> Self {
        let deadlines = Deadlines::new(Rc::clone(&shadow.timer));
        Self { body, started: Instant::now(), timeout: shadow.timeout, deadlines }
    }

    /// When the request was complete.
    fn request_complete(&self) -> Option<Instant> {
        match &self.body {
            Some(body) => body.ended_at(),
            None => Some(self.started),
        }
    }

    /// `max_stream_duration`, from now on.
    fn allow(&mut self, duration: Option<Duration>) {
        self.deadlines.set_alarm(duration.map(|limit| Instant::now() + limit));
    }

    /// Waits for `next` within the limits.
    async fn within<T, E>(
        &mut self,
        mut next: impl FnMut(&mut Context<'_>, &Option<Body>) -> Poll<Result<T, E>>,
        failure: impl Fn(E) -> Failure,
    ) -> Result<T, Stop> {
        poll_fn(|cx| {
            if self.body.as_ref().is_some_and(|body| body.is_cut(cx)) {
                return Poll::Ready(Err(Stop::Cut));
            }
            match next(cx, &self.body) {
                Poll::Ready(outcome) => Poll::Ready(outcome.map_err(|error| failure(error).into())),
                Poll::Pending => self.poll_expired(cx).map(|failure| Err(failure.into())),
            }
        })
        .await
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let complete = self.request_complete();
        let ends = complete.zip(self.timeout).map(|(since, limit)| since + limit);
        self.deadlines.set_response(ends);
        self.deadlines.arm();
        let duration = Failure::UpstreamMaxDuration { request_complete: complete.is_some() };
        self.deadlines.poll_expired(cx).map(|passed| passed.unwrap_or(duration))
    }
}
