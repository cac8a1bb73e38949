//! The tries of one request: a host, a connection, the request up, until a response head is taken.
//!
//! Mostly there is one. Another starts when the one before failed in a way that is retried, after
//! the back-off, with the body that was kept; with `hedge_on_per_try_timeout` a late one stays in
//! the race, and the first good response wins. All are polled from the stream's own task. What a
//! failure or a bad response means is decided in [`crate::router::retry`]; here is what follows.

mod judge;
mod poll;
mod start;

pub(super) use start::acquire_failure;

use std::{future::poll_fn, rc::Rc, time::Duration};

use nuncio_api::ResponseHead;
use nuncio_http::ServerExchange;
use nuncio_upstream::{Acquire, Host, UpstreamStream};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{Flow, Stream, forward::Job, pump::Pump, upload::Upload};
use crate::{
    reply::Failure,
    router::{charge::Measured, retry::RetryState},
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
        let mut earliest = self.due.map(|due| due.at);
        for one in &self.active {
            for at in [one.late_at, one.idle_at, one.ends_at].into_iter().flatten() {
                earliest = Some(earliest.map_or(at, |before| before.min(at)));
            }
        }
        earliest
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
        let ended = taken.ended;
        if self.pass_head(taken, tries, down) {
            self.exchange(job, tries, ended, down).await?;
        }
        Ok(Flow::Done)
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
}
