//! A downstream HTTP/2 connection: one task polls the connection and spawns one task per stream.
//!
//! Timeouts of the connection: `idle_timeout` while no stream is open, `max_connection_duration`
//! (then a graceful GOAWAY), `max_requests_per_connection` likewise; `drain_timeout` from the GOAWAY
//! or the last request on, whatever is later, to the end. `stream_flush_timeout` for what a peer does
//! not take of a response.

use std::{
    cell::Cell,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use nuncio_api::{ResponseFlag, Timer};
use nuncio_http::{
    Exchange as _,
    exchange::ResetReason,
    h2::{Accepted, Refused, ServerConnection, ServerStream, serve as handshake},
};
use nuncio_net::Stream;
use nuncio_stats::templates::http_stats;
use tokio::time::Instant;

use super::connection::{Ended, Served};
use crate::{
    context::{Command, Control},
    stream::{self, Arrival},
};

/// What came of waiting on the connection.
enum Event {
    Request(Box<Accepted>),
    /// It is over.
    Ended(Ended),
    /// The owner's word changed.
    Told(Command),
    /// A deadline passed: look which.
    Deadline,
}

/// Serves the connection to its end.
pub(super) async fn serve(served: Served, stream: Stream, first: BytesMut) -> Ended {
    let served = Rc::new(served);
    let stats = served.hcm.stats.clone();
    stats.inc(http_stats::DOWNSTREAM_CX_HTTP2_TOTAL);
    let _active = stats.gauge_guard(http_stats::DOWNSTREAM_CX_HTTP2_ACTIVE);
    served.hcm.context.count_http2_connection();
    let counters = Rc::clone(&served.hcm.context.http2_counters);
    let mut connection = handshake(stream, first.freeze(), &served.hcm.http2_options, counters);
    let mut life = Life::new(Rc::clone(&served));
    loop {
        match life.next(&mut connection).await {
            Event::Request(accepted) => life.take(accepted, &mut connection),
            Event::Told(command) => life.obey(command, &mut connection),
            Event::Deadline => life.expire(&mut connection),
            Event::Ended(ended) => {
                if ended == Ended::Local {
                    life.close(&mut connection).await;
                }
                served.hcm.context.move_codec_stats();
                return ended;
            }
        }
    }
}

/// Waits until the peer has opened the window for the rest of a response, for `stream_flush_timeout`
/// at most. The request has been answered, counted and logged by then.
async fn flush(served: &Served, timer: &Timer, stream: &mut ServerStream) {
    let mut armed = false;
    let is_flushed = poll_fn(|cx| {
        if stream.poll_flush(cx).is_ready() {
            return Poll::Ready(true);
        }
        if !armed {
            armed = true;
            timer.set(served.hcm.settings.stream_flush_timeout.map(|d| Instant::now() + d));
        }
        timer.poll_expired(cx).map(|()| false)
    })
    .await;
    if !is_flushed {
        served.hcm.context.count_flush_timeout();
        stream.reset(ResetReason::InternalError);
    }
}

/// How the codec names a connection whose peer resets most of its requests early.
const PREMATURE_RESETS: &str = "too_many_premature_resets";

/// The connection's own state.
struct Life {
    served: Rc<Served>,
    seen: Command,
    requests: u32,
    /// When the last stream ended.
    quiet_since: Rc<Cell<Instant>>,
    /// When the peer was told that the end is near.
    shutting: Option<Instant>,
    /// We asked for the end.
    local: bool,
    /// A request that never became a stream ends the connection.
    ended_by_request: bool,
}

impl Life {
    fn new(served: Rc<Served>) -> Self {
        let quiet_since = Rc::new(Cell::new(Instant::now()));
        let life = Self {
            served,
            seen: Command::Serve,
            requests: 0,
            quiet_since,
            shutting: None,
            local: false,
            ended_by_request: false,
        };
        life.arm();
        life
    }

    async fn next(&mut self, connection: &mut ServerConnection) -> Event {
        poll_fn(|cx| self.poll_next(connection, cx)).await
    }

    fn poll_next(&mut self, connection: &mut ServerConnection, cx: &mut Context<'_>) -> Poll<Event> {
        let polled = connection.poll_accept(cx);
        for refused in connection.take_refused() {
            self.refuse(refused);
            self.ended_by_request |= matches!(polled, Poll::Ready(Some(Err(_))));
        }
        match polled {
            Poll::Ready(Some(Ok(accepted))) => return Poll::Ready(Event::Request(Box::new(accepted))),
            Poll::Ready(Some(Err(error))) => {
                if let nuncio_http::StreamError::Protocol(error) = error {
                    let stats = &self.served.hcm.stats;
                    stats.inc(match error.details {
                        PREMATURE_RESETS => http_stats::DOWNSTREAM_RQ_TOO_MANY_PREMATURE_RESETS,
                        _ => http_stats::DOWNSTREAM_CX_PROTOCOL_ERROR,
                    });
                    return Poll::Ready(Event::Ended(Ended::Local));
                }
                return Poll::Ready(Event::Ended(Ended::Remote));
            }
            Poll::Ready(None) => {
                let ended = if self.local { Ended::Local } else { Ended::Remote };
                return Poll::Ready(Event::Ended(ended));
            }
            Poll::Pending => {}
        }
        if let Poll::Ready(command) = self.control().poll_changed(self.seen, cx) {
            return Poll::Ready(Event::Told(command));
        }
        self.served.timer.poll_expired(cx).map(|()| Event::Deadline)
    }

    /// Gives the peer `delayed_close_timeout` to read the GOAWAY and close its side: closing at
    /// once, with bytes of the peer unread, could destroy it on its way.
    async fn close(&self, connection: &mut ServerConnection) {
        let control = self.control();
        control.was_active_at_end.set(Some(self.ended_by_request || control.active_requests.get() > 0));
        let Some(delay) = self.served.hcm.settings.delayed_close_timeout else { return };
        self.served.timer.set(Some(Instant::now() + delay));
        poll_fn(|cx| {
            if control.command() == Command::Cut || connection.poll_peer_closed(cx).is_ready() {
                return Poll::Ready(());
            }
            if self.served.timer.poll_expired(cx).is_ready() {
                self.served.hcm.stats.inc(http_stats::DOWNSTREAM_CX_DELAYED_CLOSE_TIMEOUT);
                return Poll::Ready(());
            }
            // Only being cut matters now, and a command that comes meanwhile wakes this.
            let _ = control.poll_changed(control.command(), cx);
            Poll::Pending
        })
        .await;
    }

    fn control(&self) -> &Rc<Control> {
        &self.served.registered.control
    }

    fn take(&mut self, accepted: Box<Accepted>, connection: &mut ServerConnection) {
        self.requests = self.requests.saturating_add(1);
        let limit = self.served.hcm.settings.common.max_requests_per_connection;
        if limit > 0 && self.requests >= limit && self.shutting.is_none() {
            self.served.hcm.stats.inc(http_stats::DOWNSTREAM_CX_MAX_REQUESTS_REACHED);
            self.shut(connection);
        }
        let open = OpenStream::new(self.control(), &self.quiet_since);
        let served = Rc::clone(&self.served);
        // Boxed: the runtime moves a task's future about when it starts and when it ends.
        tokio::task::spawn_local(Box::pin(async move {
            let (head, body, mut stream) = *accepted;
            let timer = Rc::new(served.hcm.context.timers.timer());
            let arrival = Arrival {
                hcm: &served.hcm,
                connection: &served.info,
                timer: Rc::clone(&timer),
                expects_continue: stream::expects_continue(&head),
            };
            let outcome = stream::serve(arrival, head, body, &mut stream).await;
            if outcome.drain {
                served.registered.control.drain();
            }
            drop(open);
            flush(&served, &timer, &mut stream).await;
        }));
    }

    /// A request that never became a stream.
    fn refuse(&self, refused: Refused) {
        let hcm = &self.served.hcm;
        let timer = Rc::new(hcm.context.timers.timer());
        let arrival = Arrival { hcm, connection: &self.served.info, timer, expects_continue: false };
        let flag = match refused.limit {
            true => ResponseFlag::DownstreamRemoteReset,
            false => ResponseFlag::DownstreamProtocolError,
        };
        stream::note_refused(&arrival, flag, refused.details);
    }

    fn obey(&mut self, command: Command, connection: &mut ServerConnection) {
        self.seen = command;
        match command {
            Command::Serve => {}
            Command::Drain => self.shut(connection),
            Command::Cut => {
                self.local = true;
                connection.abrupt_shutdown();
            }
        }
    }

    fn shut(&mut self, connection: &mut ServerConnection) {
        self.local = true;
        if self.shutting.is_none() {
            self.shutting = Some(Instant::now());
            connection.graceful_shutdown();
            self.arm();
        }
    }

    fn idle_at(&self) -> Option<Instant> {
        let idle = self.served.hcm.settings.common.idle_timeout?;
        Some(self.quiet_since.get() + idle)
    }

    fn lives_until(&self) -> Option<Instant> {
        self.served.hcm.lives_until(&self.served.info).filter(|_| self.shutting.is_none())
    }

    /// A connection that is to end, and has no request any more, does not wait longer for its peer,
    /// be it for an acknowledgement or for the window of a response.
    fn ends_at(&self) -> Option<Instant> {
        Some(self.shutting?.max(self.quiet_since.get()) + self.served.hcm.settings.drain_timeout)
    }

    fn arm(&self) {
        let deadlines = [self.idle_at(), self.lives_until(), self.ends_at()];
        self.served.timer.set(deadlines.into_iter().flatten().min());
    }

    fn expire(&mut self, connection: &mut ServerConnection) {
        let now = Instant::now();
        let stats = self.served.hcm.stats.clone();
        if self.lives_until().is_some_and(|at| at <= now) {
            stats.inc(http_stats::DOWNSTREAM_CX_MAX_DURATION_REACHED);
            self.shut(connection);
        }
        let quiet = self.control().active_requests.get() == 0;
        let passed = |at: Option<Instant>| quiet && at.is_some_and(|at| at <= now);
        let is_idle = passed(self.idle_at());
        if is_idle || passed(self.ends_at()) {
            if is_idle {
                stats.inc(http_stats::DOWNSTREAM_CX_IDLE_TIMEOUT);
            }
            self.local = true;
            connection.abrupt_shutdown();
            self.served.timer.set(None);
            return;
        }
        if !quiet {
            // Not idle: look again one idle time from now.
            self.quiet_since.set(now);
        }
        self.arm();
    }
}

/// Counts a stream as in flight while it lives.
struct OpenStream {
    control: Rc<Control>,
    quiet_since: Rc<Cell<Instant>>,
}

impl OpenStream {
    fn new(control: &Rc<Control>, quiet_since: &Rc<Cell<Instant>>) -> Self {
        control.active_requests.set(control.active_requests.get().saturating_add(1));
        Self { control: Rc::clone(control), quiet_since: Rc::clone(quiet_since) }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let left = self.control.active_requests.get().saturating_sub(1);
        self.control.active_requests.set(left);
        if left == 0 {
            self.quiet_since.set(Instant::now());
        }
    }
}
