//! What an outcome means: pass it on, try again, wait for another try, give up; and the counting.

use std::time::{Duration, SystemTime};

use http::{HeaderValue, StatusCode};
use nuncio_api::{ResponseFlag, ResponseHead, names};
use nuncio_http::{Exchange, exchange::ResetReason};
use nuncio_upstream::Host;
use tokio::time::Instant;

use super::{Due, Taken, Tries, Try, Verdict};
use crate::{
    phase::phase,
    reply::Failure,
    router::{
        charge::{Bodies, PerTry},
        retry::{Decision, RetryScope},
    },
    stream::{Stream, forward::Job},
};

impl Stream {
    /// A response head is there: pass it on, or try again.
    pub(super) fn judge_response(
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
        if tries.active.len() > 1 {
            tries.active.swap(0, at);
            for other in tries.active.drain(1..) {
                self.note_end(&other, None, job);
            }
        }
        Verdict::Take(Taken { head, ended })
    }

    /// A try ended without a response: try again, wait for another, or give up.
    pub(super) fn judge_failure(
        &mut self,
        at: usize,
        failure: Failure,
        job: &Job<'_>,
        tries: &mut Tries,
    ) -> Result<(), Failure> {
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
    pub(super) fn judge_late(&mut self, at: usize, job: &Job<'_>, tries: &mut Tries) -> Result<(), Failure> {
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

    pub(super) fn retry(&mut self, job: &Job<'_>, tries: &mut Tries) -> Result<(), Failure> {
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
    pub(super) fn charge_losers(&self, failure: &Failure, waiting: usize) {
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
    pub(in crate::stream) fn note_end(&self, one: &Try, failure: Option<&Failure>, job: &Job<'_>) {
        let limit = match failure {
            Some(Failure::RouteTimeout) if !self.responded => PerTry::RouteTimeout,
            _ => PerTry::Limit(job.timeouts.per_try),
        };
        self.record.try_ended(one.measured, Bodies { sent: one.pump.bytes, received: one.received }, limit);
    }

    /// Ends a try that failed, and counts what its host did.
    pub(in crate::stream) fn abandon(&self, one: Try, failure: &Failure, job: &Job<'_>) {
        self.note_end(&one, Some(failure), job);
        if let Some(charged) = &self.record.charged {
            charged.try_failed(&one.host, failure, self.responded && !self.record.awaits_grpc_status);
        }
        if let Some(mut stream) = one.into_stream() {
            stream.reset(ResetReason::Cancel);
        }
    }
}
