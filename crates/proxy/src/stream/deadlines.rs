//! The deadlines of one stream over one timer: the earliest is armed, the rest wait.
//!
//! | deadline | starts | Envoy field |
//! |---|---|---|
//! | idle | at every frame in either direction | `stream_idle_timeout`, route `idle_timeout` |
//! | request | with the request head | `request_timeout` |
//! | response | when the request is complete | route `timeout` |
//! | duration | with the request head | `max_stream_duration` |
//! | alarm | as the tries say | `per_try_timeout`, `per_try_idle_timeout`, the wait before a retry |

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use nuncio_api::Timer;
use tokio::time::Instant;

use crate::reply::Failure;

/// Deadlines of one stream.
pub(super) struct Deadlines {
    timer: Rc<Timer>,
    idle: Option<Duration>,
    idle_at: Option<Instant>,
    request_at: Option<Instant>,
    response_at: Option<Instant>,
    duration_at: Option<Instant>,
    alarm_at: Option<Instant>,
    pub(super) request_complete: bool,
}

impl Deadlines {
    pub(super) fn new(timer: Rc<Timer>) -> Self {
        Self {
            timer,
            idle: None,
            idle_at: None,
            request_at: None,
            response_at: None,
            duration_at: None,
            alarm_at: None,
            request_complete: false,
        }
    }

    /// Sets the idle time and starts it now.
    pub(super) fn set_idle(&mut self, idle: Option<Duration>, now: Instant) {
        self.idle = idle;
        self.idle_at = idle.map(|d| now + d);
    }

    /// `request_timeout`, until the request is complete.
    pub(super) fn set_request(&mut self, at: Option<Instant>) {
        self.request_at = at;
    }

    /// The route's timeout.
    pub(super) fn set_response(&mut self, at: Option<Instant>) {
        self.response_at = at;
    }

    /// `max_stream_duration`.
    pub(super) fn set_duration(&mut self, at: Option<Instant>) {
        self.duration_at = at;
    }

    /// When the tries want to be looked at, whatever else happens.
    pub(super) fn set_alarm(&mut self, at: Option<Instant>) {
        self.alarm_at = at;
    }

    /// A frame moved.
    pub(super) fn touch(&mut self, now: Instant) {
        self.idle_at = self.idle.map(|d| now + d);
    }

    /// The request is complete.
    pub(super) fn complete_request(&mut self) {
        self.request_complete = true;
        self.request_at = None;
    }

    /// Arms the timer for the earliest deadline. Call before waiting.
    pub(super) fn arm(&self) {
        self.timer.set(self.earliest());
    }

    fn earliest(&self) -> Option<Instant> {
        [self.idle_at, self.request_at, self.response_at, self.duration_at, self.alarm_at].into_iter().flatten().min()
    }

    /// The failure of the deadline that has passed, when one has; `None` for the alarm.
    pub(super) fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<Option<Failure>> {
        loop {
            std::task::ready!(self.timer.poll_expired(cx));
            let now = Instant::now();
            let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            let request_complete = self.request_complete;
            if passed(self.response_at) {
                return Poll::Ready(Some(Failure::RouteTimeout));
            }
            if passed(self.duration_at) {
                return Poll::Ready(Some(Failure::MaxStreamDuration { request_complete }));
            }
            if passed(self.request_at) {
                return Poll::Ready(Some(Failure::RequestTimeout));
            }
            if passed(self.idle_at) {
                return Poll::Ready(Some(Failure::StreamIdle { request_complete }));
            }
            if passed(self.alarm_at) {
                return Poll::Ready(None);
            }
            // Moved later since the timer was armed.
            self.arm();
        }
    }
}
