//! All tries of a request, polled from its one task: connections, uploads, response heads, time.

use std::task::{Context, Poll};

use http::StatusCode;
use nuncio_http::{ClientExchange, ServerExchange};
use nuncio_stats::templates::cluster_stats as c;
use tokio::time::Instant;

use super::{Event, Link, Passed, Tries, start::acquire_failure};
use crate::{
    phase::phase,
    reply::Failure,
    stream::{Stream, exchange::upstream_failure, forward::Job, pump::Broken},
};

impl Stream {
    pub(super) fn poll_tries<D: ServerExchange>(
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
                Poll::Ready(Ok((head, _)))
                    if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS =>
                {
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

    /// Ready when the upload of a try is over (or the upstream does not take more of it).
    pub(in crate::stream) fn poll_upload<D: ServerExchange>(
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
        let (upload, given, shadows) = (&mut tries.upload, &mut one.given, &mut self.shadows);
        let next = |cx: &mut Context<'_>| {
            if shadows.want_turn(cx) {
                return Poll::Pending;
            }
            upload.poll_frame(cx, given, down).map(|frame| shadows.follow(*given, frame))
        };
        let polled = one.pump.poll(cx, next, stream);
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
}
