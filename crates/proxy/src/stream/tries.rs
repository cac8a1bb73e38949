//! The tries of one request: a host, a connection, the request up, until a response head is taken.
//!
//! Mostly there is one. Another starts when the one before failed in a way that is retried, after
//! the back-off, with the body that was kept; with `hedge_on_per_try_timeout` a late one stays in
//! the race, and the first good response wins. All are polled from the stream's own task. What a
//! failure or a bad response means is decided in [`crate::router::retry`]; here is what follows.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use http::{HeaderValue, StatusCode};
use nuncio_api::{Protocol, ResponseFlag, ResponseHead, names};
use nuncio_config::model::{cluster::UpstreamProtocol, route::HostRewrite};
use nuncio_http::{ClientExchange, Exchange, ServerExchange, exchange::ResetReason};
use nuncio_stats::templates::{cluster_stats as c, vcluster_stats as v};
use nuncio_upstream::{Acquire, AcquireError, AcquireOptions, Host, LbContext, PoolProtocol, UpstreamStream};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{
    Flow, Stream,
    exchange::upstream_failure,
    forward::Job,
    pump::{Broken, Pump},
    upload::Upload,
};
use crate::{
    headers,
    phase::phase,
    reply::Failure,
    router::{
        charge::{Bodies, Measured, PerTry},
        retry::{Decision, RetryScope, RetryState},
        rewrite,
    },
};

/// All tries that are alive, and what the next one needs.
pub(super) struct Tries {
    pub(super) active: SmallVec<[Try; 1]>,
    pub(super) upload: Upload,
    retry: Option<Box<RetryState>>,
    /// The next try.
    due: Option<Due>,
    /// Bytes of the request have gone to some upstream.
    started: bool,
}

#[derive(Clone, Copy)]
struct Due {
    at: Instant,
    /// The try before was too slow (`x-envoy-is-timeout-retry`).
    after_timeout: bool,
}

/// One try.
pub(super) struct Try {
    pub(super) host: Rc<Host>,
    link: Link,
    measured: Measured,
    /// The request on its way up.
    pub(super) pump: Pump,
    /// Body bytes of its response.
    pub(super) received: u64,
    /// Frames of the body given to it.
    given: usize,
    /// The upstream no longer takes the request; its response may still come.
    pub(super) upload_broken: bool,
    /// Too late, but still in the race: another was started in its place.
    superseded: bool,
    late_at: Option<Instant>,
    pub(super) idle_at: Option<Instant>,
    pub(super) ends_at: Option<Instant>,
}

enum Link {
    Connecting(Acquire),
    Open(UpstreamStream),
}

/// What happened to a try, by its place.
enum Event {
    Head(usize, ResponseHead, bool),
    Failed(usize, Failure),
    /// `per_try_timeout` has passed.
    Late(usize),
    RetryDue,
    Ended(Failure),
}

/// The response head that is passed on.
pub(super) struct Taken {
    pub(super) head: ResponseHead,
    pub(super) ended: bool,
}

/// What becomes of a response head.
enum Verdict {
    /// It is not passed on; another try is due or under way.
    Wait,
    Take(Taken),
    /// It redirects, and the proxy follows.
    Follow,
}

impl Tries {
    pub(super) fn new(retry: Option<RetryState>, upload: Upload) -> Self {
        Self { active: SmallVec::new(), upload, retry: retry.map(Box::new), due: None, started: false }
    }

    /// There will be no other try.
    fn settle(&mut self) {
        self.retry = None;
        self.due = None;
        self.upload.forget();
    }

    fn earliest(&self) -> Option<Instant> {
        let tries = self.active.iter().flat_map(|one| [one.late_at, one.idle_at, one.ends_at]);
        tries.chain([self.due.map(|due| due.at)]).flatten().min()
    }
}

impl Try {
    /// The stream to the upstream, once connected.
    pub(super) fn stream(&mut self) -> Option<&mut UpstreamStream> {
        match &mut self.link {
            Link::Open(stream) => Some(stream),
            Link::Connecting(_) => None,
        }
    }

    /// Takes the stream, to end it one way or the other.
    pub(super) fn into_stream(self) -> Option<UpstreamStream> {
        match self.link {
            Link::Open(stream) => Some(stream),
            Link::Connecting(_) => None,
        }
    }

    fn passed(&self, now: Instant) -> Option<Passed> {
        let is_past = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_past(self.ends_at) {
            Some(Passed::Duration)
        } else if is_past(self.late_at) {
            Some(Passed::Timeout)
        } else {
            is_past(self.idle_at).then_some(Passed::Idle)
        }
    }

    pub(super) fn touch(&mut self, now: Instant, idle: Option<Duration>) {
        self.idle_at = idle.map(|idle| now + idle);
    }
}

enum Passed {
    Timeout,
    Idle,
    Duration,
}

impl Stream {
    /// Tries until a response head is taken, then carries the response down.
    pub(super) async fn try_until_done<D: ServerExchange>(
        &mut self,
        job: &Job<'_>,
        tries: &mut Tries,
        down: &mut D,
    ) -> Result<Flow, Failure> {
        let taken = match self.take_response(job, tries, down).await {
            Ok(Some(taken)) => taken,
            Ok(None) => return Ok(Flow::Redirected),
            Err(failure) => {
                self.record.info.bytes_received = tries.upload.bytes;
                self.charge_losers(&failure, tries.active.len());
                for one in tries.active.drain(..) {
                    self.abandon(one, &failure, job);
                }
                return Err(failure);
            }
        };
        self.exchange(job, tries, taken, down).await.map(|()| Flow::Done)
    }

    /// The head that is passed on; `None` when the proxy follows a redirect.
    async fn take_response<D: ServerExchange>(
        &mut self,
        job: &Job<'_>,
        tries: &mut Tries,
        down: &mut D,
    ) -> Result<Option<Taken>, Failure> {
        self.start_try(job, tries)?;
        loop {
            match poll_fn(|cx| self.poll_tries(cx, job, tries, down)).await {
                Event::Head(at, head, ended) => match self.judge_response(at, head, ended, job, tries) {
                    Verdict::Wait => {}
                    Verdict::Take(taken) => return Ok(Some(taken)),
                    Verdict::Follow => return Ok(None),
                },
                Event::Failed(at, failure) => self.judge_failure(at, failure, job, tries)?,
                Event::Late(at) => self.judge_late(at, job, tries)?,
                Event::RetryDue => self.retry(job, tries)?,
                Event::Ended(failure) => return Err(failure),
            }
        }
    }

    /// Picks a host and asks for a connection to it.
    fn start_try(&mut self, job: &Job<'_>, tries: &mut Tries) -> Result<(), Failure> {
        phase!("host pick");
        self.record.info.upstream.attempts += 1;
        let picked = self.pick_host(job, tries.retry.as_deref());
        if let Some(charged) = &mut self.record.charged {
            charged.host(picked.as_deref());
        }
        let host = picked.ok_or_else(|| {
            job.cluster.stats().inc(c::UPSTREAM_CX_NONE_HEALTHY);
            Failure::NoHealthyUpstream
        })?;
        if let Some(retry) = &mut tries.retry {
            retry.note_host(&host);
        }
        self.use_host(&host, job);
        phase!("connection");
        let options = AcquireOptions { protocol: self.protocol_towards(job), high_priority: job.forward.high_priority };
        tries.active.push(Try {
            link: Link::Connecting(job.cluster.acquire(&host, options)),
            host,
            measured: Measured::start(),
            pump: Pump::default(),
            received: 0,
            given: 0,
            upload_broken: false,
            superseded: false,
            late_at: None,
            idle_at: None,
            ends_at: None,
        });
        Ok(())
    }

    fn pick_host(&self, job: &Job<'_>, retry: Option<&RetryState>) -> Option<Rc<Host>> {
        match retry.filter(|_| self.record.retried) {
            None => job.cluster.choose_host(&LbContext::default()),
            Some(retry) => {
                let rejects = |host: &Host| retry.rejects(host);
                let context =
                    LbContext { rejects: Some(&rejects), max_attempts: retry.host_attempts(), ..LbContext::default() };
                job.cluster.choose_host(&context)
            }
        }
    }

    fn use_host(&mut self, host: &Rc<Host>, job: &Job<'_>) {
        let info = &mut self.record.info;
        info.upstream.host = Some(host.address().clone());
        let name = host.hostname();
        info.upstream.host_name = (!name.is_empty()).then(|| std::sync::Arc::from(name));
        if matches!(job.forward.host_rewrite, HostRewrite::Auto) {
            let Some(request) = &mut info.request else { return };
            if let Some(new) = rewrite::host(job.forward, None, request, Some(name)) {
                headers::replace_host(request, new, job.forward.append_x_forwarded_host);
            }
        }
    }

    fn protocol_towards(&self, job: &Job<'_>) -> PoolProtocol {
        match (job.cluster.settings().protocol, self.record.info.protocol) {
            (UpstreamProtocol::Http2, _) | (UpstreamProtocol::SameAsDownstream, Some(Protocol::Http2)) => {
                PoolProtocol::Http2
            }
            (UpstreamProtocol::Http1 | UpstreamProtocol::SameAsDownstream, _) => PoolProtocol::Http1,
        }
    }

    fn poll_tries<D: ServerExchange>(
        &mut self,
        cx: &mut Context<'_>,
        job: &Job<'_>,
        tries: &mut Tries,
        down: &mut D,
    ) -> Poll<Event> {
        let mut reads = false;
        for at in 0..tries.active.len() {
            if let Poll::Ready(event) = self.poll_try(cx, at, job, tries, down) {
                return Poll::Ready(event);
            }
            reads |= tries
                .active
                .get(at)
                .is_some_and(|one| matches!(one.link, Link::Open(_)) && !one.pump.ended && !one.upload_broken);
        }
        // While the body is being read, reading tells that the client is gone.
        if !reads && let Poll::Ready(error) = down.poll_gone(cx) {
            return Poll::Ready(Event::Ended(Self::downstream_gone(&error)));
        }
        self.deadlines.set_alarm(tries.earliest());
        self.deadlines.arm();
        match self.deadlines.poll_expired(cx) {
            Poll::Ready(Some(failure)) => Poll::Ready(Event::Ended(failure)),
            Poll::Ready(None) => self.alarm(tries, Instant::now()).map_or_else(
                || {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                },
                Poll::Ready,
            ),
            Poll::Pending => Poll::Pending,
        }
    }

    fn alarm(&self, tries: &Tries, now: Instant) -> Option<Event> {
        for (at, one) in tries.active.iter().enumerate() {
            return Some(match one.passed(now) {
                Some(Passed::Timeout) => Event::Late(at),
                Some(Passed::Idle) => Event::Failed(at, Failure::PerTryTimeout { idle: true }),
                Some(Passed::Duration) => Event::Failed(
                    at,
                    Failure::UpstreamMaxDuration { request_complete: self.deadlines.request_complete },
                ),
                None => continue,
            });
        }
        tries.due.filter(|due| due.at <= now).map(|_| Event::RetryDue)
    }

    /// Connects, uploads, reads the head of one try.
    fn poll_try<D: ServerExchange>(
        &mut self,
        cx: &mut Context<'_>,
        at: usize,
        job: &Job<'_>,
        tries: &mut Tries,
        down: &mut D,
    ) -> Poll<Event> {
        let Some(one) = tries.active.get_mut(at) else { return Poll::Pending };
        if let Link::Connecting(acquire) = &mut one.link {
            match acquire.poll_acquire(cx) {
                Poll::Ready(Ok(stream)) => {
                    phase!("attempt");
                    one.link = Link::Open(stream);
                    self.begin_request(one, &tries.upload, job);
                    tries.started = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Event::Failed(at, acquire_failure(&error))),
                Poll::Pending => return Poll::Pending,
            }
        }
        if let Poll::Ready(Err(failure)) = self.poll_upload(cx, at, job, tries, down) {
            return Poll::Ready(Event::Ended(failure));
        }
        loop {
            let Some(one) = tries.active.get_mut(at) else { return Poll::Pending };
            let Link::Open(stream) = &mut one.link else { return Poll::Pending };
            let polled = stream.poll_head(cx);
            if let (Poll::Ready(Ok((head, _))), Some(charged)) = (&polled, &self.record.charged) {
                charged.measure(&mut one.measured, head);
            }
            match polled {
                Poll::Ready(Ok((head, _))) if head.status.is_informational() => {
                    self.pass_informational(&head, down);
                    // Part of the response has gone down: no other try can follow.
                    tries.settle();
                }
                Poll::Ready(Ok((head, ended))) => return Poll::Ready(Event::Head(at, head, ended)),
                Poll::Ready(Err(error)) => return Poll::Ready(Event::Failed(at, upstream_failure(&error))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Sends the head of the request.
    fn begin_request(&mut self, one: &mut Try, upload: &Upload, job: &Job<'_>) {
        let now = Instant::now();
        let ended = upload.is_bodiless();
        if self.deadlines.request_complete {
            one.late_at = job.timeouts.per_try.map(|limit| now + limit);
        }
        one.touch(now, job.timeouts.per_try_idle);
        one.ends_at = job.duration.map(|limit| now + limit);
        if ended {
            one.pump = Pump::already_ended();
        }
        let Some(stream) = one.stream() else { return };
        self.record_connection(stream);
        if let Some(request) = &self.record.info.request {
            stream.send_head(request, ended);
        }
        self.record.info.upstream_first_tx = Some(now);
        if ended {
            self.record.info.upstream_last_tx = Some(now);
        }
    }

    /// Ready when the upload of a try is over (or the upstream does not take more of it).
    pub(super) fn poll_upload<D: ServerExchange>(
        &mut self,
        cx: &mut Context<'_>,
        at: usize,
        job: &Job<'_>,
        tries: &mut Tries,
        down: &mut D,
    ) -> Poll<Result<(), Failure>> {
        let Some(one) = tries.active.get_mut(at) else { return Poll::Ready(Ok(())) };
        if one.upload_broken || one.pump.done {
            return Poll::Ready(Ok(()));
        }
        let Link::Open(stream) = &mut one.link else { return Poll::Pending };
        let (was_ended, had_overflowed) = (tries.upload.ended, tries.upload.overflowed);
        let (upload, given) = (&mut tries.upload, &mut one.given);
        let polled = one.pump.poll(cx, |cx| upload.poll_frame(cx, given, down), stream);
        if one.pump.take_moved() {
            let now = Instant::now();
            self.deadlines.touch(now);
            self.record.info.bytes_received = tries.upload.bytes;
            if one.pump.ended {
                self.record.info.upstream_last_tx = Some(now);
            }
            if tries.upload.ended && !was_ended {
                self.request_completed(now);
                one.late_at = job.timeouts.per_try.map(|limit| now + limit);
            }
        }
        if tries.upload.overflowed && !had_overflowed {
            job.cluster.stats().inc(c::RETRY_OR_SHADOW_ABANDONED);
            tries.retry = None;
        }
        match polled {
            Poll::Ready(Err(Broken::Source(error))) => Poll::Ready(Err(Self::downstream_gone(&error))),
            Poll::Ready(Err(Broken::Sink(_))) => {
                // The response may already be on its way: reading tells what became of it.
                one.upload_broken = true;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn record_connection(&mut self, upstream: &UpstreamStream) {
        if let Some(charged) = &self.record.charged {
            charged.connected();
        }
        let info = &mut self.record.info.upstream;
        info.host = upstream.remote_address().cloned();
        info.local = upstream.local_address().cloned();
        info.connection_id = Some(upstream.connection_id());
        info.protocol = Some(match upstream.protocol() {
            PoolProtocol::Http1 => Protocol::Http11,
            PoolProtocol::Http2 => Protocol::Http2,
        });
    }

    /// A response head is there: pass it on, or try again.
    fn judge_response(
        &mut self,
        at: usize,
        head: ResponseHead,
        ended: bool,
        job: &Job<'_>,
        tries: &mut Tries,
    ) -> Verdict {
        let superseded = tries.active.get(at).is_some_and(|one| one.superseded);
        let mut could_not_retry = false;
        if let Some(retry) = &mut tries.retry {
            let would = retry.would_retry_response(&head);
            if superseded {
                could_not_retry = would;
            } else {
                let wait = if would { retry.rate_limited_wait(&head.headers, SystemTime::now()) } else { None };
                match retry.decide(would, wait, &self.scope(job)) {
                    Decision::No => {}
                    Decision::After(wait) => {
                        tries.due = Some(Due { at: Instant::now() + wait, after_timeout: false });
                        if let Some(charged) = &self.record.charged {
                            charged.retried_response(head.status);
                        }
                        self.drop_try(at, ended, job, tries, Some(Host::count_error));
                        return Verdict::Wait;
                    }
                    refused => {
                        self.flag_refusal(&refused);
                        could_not_retry = true;
                    }
                }
            }
        }
        if self.follow(&head, job, tries) {
            self.drop_try(at, ended, job, tries, None);
            return Verdict::Follow;
        }
        if could_not_retry && (tries.active.len() > 1 || tries.due.is_some()) {
            // Another may do better.
            self.drop_try(at, ended, job, tries, Some(Host::count_error));
            return Verdict::Wait;
        }
        tries.settle();
        tries.active.swap(0, at);
        for other in tries.active.drain(1..) {
            self.note_end(&other, None, job);
        }
        Verdict::Take(Taken { head, ended })
    }

    /// A try ended without a response: try again, wait for another, or give up.
    fn judge_failure(&mut self, at: usize, failure: Failure, job: &Job<'_>, tries: &mut Tries) -> Result<(), Failure> {
        let one = tries.active.remove(at);
        let timed_out = matches!(failure, Failure::PerTryTimeout { .. });
        if let (Some(retry), false) = (&mut tries.retry, one.superseded) {
            let would = retry.would_retry_failure(&failure, tries.started);
            match retry.decide(would, None, &self.scope(job)) {
                Decision::No => {}
                Decision::After(wait) => {
                    tries.due = Some(Due { at: Instant::now() + wait, after_timeout: timed_out });
                    self.abandon(one, &failure, job);
                    return Ok(());
                }
                refused => self.flag_refusal(&refused),
            }
        }
        self.abandon(one, &failure, job);
        if tries.active.is_empty() && tries.due.is_none() { Err(failure) } else { Ok(()) }
    }

    /// `per_try_timeout`: the end of the try, or with hedging the start of another.
    fn judge_late(&mut self, at: usize, job: &Job<'_>, tries: &mut Tries) -> Result<(), Failure> {
        let failure = Failure::PerTryTimeout { idle: false };
        if !job.timeouts.hedge {
            return self.judge_failure(at, failure, job, tries);
        }
        let Some(one) = tries.active.get_mut(at) else { return Ok(()) };
        one.late_at = None;
        let Some(retry) = &mut tries.retry else { return Ok(()) };
        match retry.decide(true, None, &self.scope(job)) {
            Decision::After(wait) => {
                one.superseded = true;
                tries.due = Some(Due { at: Instant::now() + wait, after_timeout: true });
            }
            Decision::No => {}
            refused => self.flag_refusal(&refused),
        }
        Ok(())
    }

    fn retry(&mut self, job: &Job<'_>, tries: &mut Tries) -> Result<(), Failure> {
        phase!("retry");
        let Some(due) = tries.due.take() else { return Ok(()) };
        self.record.retried = true;
        if let Some(request) = &mut self.record.info.request {
            if job.host.include_request_attempt_count {
                let count = self.record.info.upstream.attempts + 1;
                request.headers.set(names::X_ENVOY_ATTEMPT_COUNT, HeaderValue::from(count));
            }
            if job.host.include_is_timeout_retry_header {
                let value = HeaderValue::from_static(if due.after_timeout { "true" } else { "false" });
                request.headers.set(names::X_ENVOY_IS_TIMEOUT_RETRY, value);
            }
            let used = self.record.info.request_complete.map_or(Duration::ZERO, |since| since.elapsed());
            job.timeouts.tell(used, self.hcm.settings.router.suppress_envoy_headers, &mut request.headers);
        }
        self.start_try(job, tries)
    }

    fn scope<'a>(&'a self, job: &'a Job<'_>) -> RetryScope<'a> {
        RetryScope {
            cluster: job.cluster,
            charged: self.record.charged.as_ref(),
            high_priority: job.forward.high_priority,
            runtime: &self.hcm.context.runtime,
        }
    }

    fn flag_refusal(&mut self, refused: &Decision) {
        self.record.info.flags.insert(match refused {
            Decision::Overflow => ResponseFlag::UpstreamOverflow,
            _ => ResponseFlag::UpstreamRetryLimitExceeded,
        });
    }

    /// Ends a try whose response is not wanted; its connection is kept when the exchange is over.
    fn drop_try(&mut self, at: usize, ended: bool, job: &Job<'_>, tries: &mut Tries, count: Option<fn(&Host)>) {
        let one = tries.active.remove(at);
        self.note_end(&one, None, job);
        if let Some(count) = count {
            count(&one.host);
        }
        let is_over = ended && one.pump.done;
        let Some(mut stream) = one.into_stream() else { return };
        if is_over {
            stream.finish();
        } else {
            stream.reset(ResetReason::Cancel);
        }
    }

    /// The local reply is counted for the cluster once; as in Envoy it counts for each try that
    /// the time-out finds waiting.
    fn charge_losers(&self, failure: &Failure, waiting: usize) {
        if *failure == Failure::RouteTimeout
            && let Some(charged) = &self.record.charged
        {
            let otherwise = self.answers_timeout_otherwise(failure);
            let status = if otherwise { StatusCode::NO_CONTENT } else { StatusCode::GATEWAY_TIMEOUT };
            for _ in 1..waiting {
                charged.response(status);
            }
        }
    }

    /// Measures a try that is over.
    pub(super) fn note_end(&self, one: &Try, failure: Option<&Failure>, job: &Job<'_>) {
        let limit = match failure {
            Some(Failure::RouteTimeout) if !self.responded => PerTry::RouteTimeout,
            _ => PerTry::Limit(job.timeouts.per_try),
        };
        self.record.try_ended(one.measured, Bodies { sent: one.pump.bytes, received: one.received }, limit);
    }

    /// Ends a try that failed, and counts what its host did.
    pub(super) fn abandon(&self, one: Try, failure: &Failure, job: &Job<'_>) {
        let stats = job.cluster.stats();
        self.note_end(&one, Some(failure), job);
        match failure {
            Failure::RouteTimeout => {
                stats.inc(c::UPSTREAM_RQ_TIMEOUT);
                if let Some(charged) = &self.record.charged {
                    charged.count(v::UPSTREAM_RQ_TIMEOUT);
                }
                one.host.count_timeout();
            }
            Failure::UpstreamMaxDuration { .. } => stats.inc(c::UPSTREAM_RQ_MAX_DURATION_REACHED),
            Failure::PerTryTimeout { idle } => {
                stats.inc(if *idle { c::UPSTREAM_RQ_PER_TRY_IDLE_TIMEOUT } else { c::UPSTREAM_RQ_PER_TRY_TIMEOUT });
                one.host.count_timeout();
                one.host.count_error();
            }
            Failure::UpstreamReset
            | Failure::UpstreamRefused
            | Failure::UpstreamTermination
            | Failure::UpstreamProtocol => one.host.count_error(),
            _ => {}
        }
        if let Some(mut stream) = one.into_stream() {
            stream.reset(ResetReason::Cancel);
        }
    }
}

fn acquire_failure(error: &AcquireError) -> Failure {
    match error {
        AcquireError::Overflow(_) => Failure::Overflow,
        AcquireError::NoPool => Failure::NoHealthyUpstream,
        AcquireError::ConnectTimeout => Failure::ConnectTimeout,
        AcquireError::ConnectFailed { source, .. } => Failure::ConnectFailed(source.to_string()),
        AcquireError::Shutdown => Failure::UpstreamTermination,
    }
}
