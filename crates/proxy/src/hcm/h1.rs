//! A downstream HTTP/1 connection: requests one after another.
//!
//! The future of an idle connection is small; the stream driver is boxed per request. Timeouts of
//! the connection: `idle_timeout` between requests, `request_headers_timeout` once a head has
//! begun, `max_connection_duration`, `max_requests_per_connection`, `delayed_close_timeout` after
//! the last response. A connection that is to drain takes one more request if that comes soon.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use nuncio_http::{
    StreamError,
    h1::{Next, ParsedRequest, ServerConn},
};
use nuncio_net::Stream;
use nuncio_stats::templates::{http_stats, http1_stats};
use tokio::time::Instant;

use super::connection::{DRAIN_LINGER, Ended, Served};
use crate::{
    context::Command,
    reply::Failure,
    stream::{self, Arrival},
};

/// What came of waiting for a request.
enum Waited {
    Request(Box<ParsedRequest>),
    /// The peer closed between requests.
    Closed,
    /// The peer closed in mid-head.
    Left,
    /// The peer sent something that is not a request.
    Refused(Failure),
    /// The connection is too old, but shall take one more request.
    TooOld,
    /// A timeout without an answer, or the owner said so.
    Stop,
}

/// Serves the connection to its end.
pub(super) async fn serve(served: Served, stream: Stream, first: BytesMut) -> Ended {
    let stats = &served.hcm.stats;
    stats.inc(http_stats::DOWNSTREAM_CX_HTTP1_TOTAL);
    let _active = stats.gauge_guard(http_stats::DOWNSTREAM_CX_HTTP1_ACTIVE);
    let mut codec = ServerConn::with_buffered(stream, served.hcm.http1_options.clone(), first);
    let ended = requests(&served, &mut codec).await;
    count_codec(&served, &mut codec);
    if ended == Ended::Local {
        close(&served, &mut codec).await;
    }
    ended
}

async fn requests(served: &Served, codec: &mut ServerConn) -> Ended {
    let limit = served.hcm.settings.common.max_requests_per_connection;
    let mut count: u32 = 0;
    let mut softly_drained = None;
    loop {
        let waited = wait(served, codec, softly_drained.is_some()).await;
        match waited {
            Waited::Closed => return Ended::Remote,
            Waited::Left => {
                served.registered.control.active_requests.set(1);
                Box::pin(refuse(served, codec, Failure::DownstreamTermination)).await;
                return Ended::Remote;
            }
            Waited::Stop => return Ended::Local,
            Waited::TooOld => {
                softly_drained = Some(served.hcm.stats.gauge_guard(http_stats::DOWNSTREAM_CX_HTTP1_SOFT_DRAIN));
                codec.close_after_response();
            }
            Waited::Refused(failure) => {
                Box::pin(refuse(served, codec, failure)).await;
                return Ended::Local;
            }
            Waited::Request(request) => {
                count = count.saturating_add(1);
                if limit > 0 && count >= limit {
                    served.hcm.stats.inc(http_stats::DOWNSTREAM_CX_MAX_REQUESTS_REACHED);
                    codec.close_after_response();
                }
                let control = &served.registered.control;
                if control.command() == Command::Drain {
                    codec.close_after_response();
                }
                control.active_requests.set(1);
                match Box::pin(exchange(served, codec, *request)).await {
                    Exchanged::Cut => return Ended::Local,
                    Exchanged::Gone => return Ended::Remote,
                    Exchanged::Done => {}
                }
                control.active_requests.set(0);
                if codec.finish_exchange() == Next::Close {
                    return Ended::Local;
                }
            }
        }
    }
}

/// What became of a request.
enum Exchanged {
    /// It was answered, or its response cut.
    Done,
    /// The owner cut it.
    Cut,
    /// The client went away.
    Gone,
}

/// One request.
async fn exchange(served: &Served, codec: &mut ServerConn, request: ParsedRequest) -> Exchanged {
    let arrival = Arrival {
        hcm: &served.hcm,
        connection: &served.info,
        timer: Rc::clone(&served.timer),
        expects_continue: request.expect_continue,
    };
    let driver = stream::serve(arrival, request.head, request.body, codec);
    let mut driver = std::pin::pin!(driver);
    let control = &served.registered.control;
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = driver.as_mut().poll(cx) {
            return Poll::Ready(if outcome.gone { Exchanged::Gone } else { Exchanged::Done });
        }
        // A drain while a request runs is seen by the driver when it answers.
        let changed = match control.poll_changed(Command::Serve, cx) {
            Poll::Ready(Command::Drain) => control.poll_changed(Command::Drain, cx),
            changed => changed,
        };
        match changed {
            Poll::Ready(Command::Cut) => Poll::Ready(Exchanged::Cut),
            Poll::Ready(Command::Drain | Command::Serve) | Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn refuse(served: &Served, codec: &mut ServerConn, failure: Failure) {
    let arrival = Arrival {
        hcm: &served.hcm,
        connection: &served.info,
        timer: Rc::clone(&served.timer),
        expects_continue: false,
    };
    stream::refuse(arrival, failure, codec).await;
    codec.finish_exchange();
}

async fn wait(served: &Served, codec: &mut ServerConn, softly_drained: bool) -> Waited {
    let control = &served.registered.control;
    let mut deadlines = Deadlines::new(served, softly_drained);
    let linger_until = Instant::now() + DRAIN_LINGER;
    let mut armed = false;
    poll_fn(|cx| {
        if let Poll::Ready(waited) = poll_request(codec, cx) {
            return Poll::Ready(waited);
        }
        let seen = control.command();
        let lingers = seen == Command::Drain && codec.is_idle();
        if seen == Command::Cut || (lingers && linger_until <= Instant::now()) {
            return Poll::Ready(Waited::Stop);
        }
        if control.poll_changed(seen, cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        if lingers != deadlines.linger.is_some() {
            deadlines.linger = lingers.then_some(linger_until);
            armed = false;
        }
        if codec.is_receiving_head() && deadlines.head.is_none() {
            deadlines.head = head_deadline(served);
            armed = false;
        }
        if !armed {
            armed = true;
            served.timer.set(deadlines.earliest());
        }
        deadlines.poll_passed(served, cx)
    })
    .await
}

fn poll_request(codec: &mut ServerConn, cx: &mut Context<'_>) -> Poll<Waited> {
    codec.poll_request(cx).map(|request| match request {
        Ok(Some(request)) => Waited::Request(Box::new(request)),
        Ok(None) | Err(StreamError::Connection(_)) if codec.is_receiving_head() => Waited::Left,
        Ok(None) => Waited::Closed,
        Err(StreamError::Protocol(error)) if error.details == "low_version" => Waited::Refused(Failure::LowVersion),
        Err(StreamError::Protocol(error)) => Waited::Refused(Failure::Codec(error)),
        Err(_) => Waited::Closed,
    })
}

/// When a head that has begun must be complete, and what it means when it is not.
fn head_deadline(served: &Served) -> Option<(Instant, Failure)> {
    let settings = &served.hcm.settings;
    let now = Instant::now();
    [
        (settings.request_headers_timeout, Failure::RequestHeadersTimeout),
        (settings.request_timeout, Failure::RequestTimeout),
        (settings.stream_idle_timeout, Failure::StreamIdle { request_complete: false }),
    ]
    .into_iter()
    .filter_map(|(limit, failure)| Some((now + limit?, failure)))
    .min_by_key(|(at, _)| *at)
}

/// What ends the wait for a request.
struct Deadlines {
    idle: Option<Instant>,
    lives_until: Option<Instant>,
    /// `http1_safe_max_connection_duration`
    safe: bool,
    /// The connection is to close once no request can be under way any more.
    linger: Option<Instant>,
    /// A head has begun.
    head: Option<(Instant, Failure)>,
}

impl Deadlines {
    fn new(served: &Served, softly_drained: bool) -> Self {
        let common = &served.hcm.settings.common;
        Self {
            idle: common.idle_timeout.map(|d| Instant::now() + d),
            lives_until: served.hcm.lives_until(&served.info).filter(|_| !softly_drained),
            safe: served.hcm.settings.http1_safe_max_connection_duration,
            linger: None,
            head: None,
        }
    }

    /// The end of the connection, which a request that has begun puts off where it is to be safe.
    fn lives_until(&self) -> Option<Instant> {
        self.lives_until.filter(|_| !(self.safe && self.head.is_some()))
    }

    fn earliest(&self) -> Option<Instant> {
        let head = self.head.as_ref().map(|(at, _)| *at);
        [self.idle, self.lives_until(), self.linger, head].into_iter().flatten().min()
    }

    fn poll_passed(&self, served: &Served, cx: &mut Context<'_>) -> Poll<Waited> {
        std::task::ready!(served.timer.poll_expired(cx));
        let now = Instant::now();
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let stats = &served.hcm.stats;
        if let Some((_, failure)) = self.head.as_ref().filter(|(at, _)| *at <= now) {
            return Poll::Ready(Waited::Refused(failure.clone()));
        }
        if passed(self.lives_until()) {
            stats.inc(http_stats::DOWNSTREAM_CX_MAX_DURATION_REACHED);
            return Poll::Ready(if self.safe { Waited::TooOld } else { Waited::Stop });
        }
        if passed(self.linger) {
            return Poll::Ready(Waited::Stop);
        }
        if passed(self.idle) {
            stats.inc(http_stats::DOWNSTREAM_CX_IDLE_TIMEOUT);
            return Poll::Ready(Waited::Stop);
        }
        served.timer.set(self.earliest());
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Flushes and half-closes, then gives the peer `delayed_close_timeout` to close its side, so that
/// it can read the last response before unread bytes of its request cause a reset. Where the
/// request was read to its end there are none, and as in Envoy the connection closes at once.
async fn close(served: &Served, codec: &mut ServerConn) {
    if served.registered.control.command() == Command::Cut || codec.is_spent() {
        return;
    }
    let Some(delay) = served.hcm.settings.delayed_close_timeout else { return };
    served.timer.set(Some(Instant::now() + delay));
    let mut shut = false;
    poll_fn(|cx| {
        if !shut {
            match codec.poll_shutdown(cx) {
                Poll::Ready(Ok(())) => shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        if shut && codec.poll_discard(cx).is_ready() {
            return Poll::Ready(());
        }
        if served.timer.poll_expired(cx).is_ready() {
            served.hcm.stats.inc(http_stats::DOWNSTREAM_CX_DELAYED_CLOSE_TIMEOUT);
            return Poll::Ready(());
        }
        let control = &served.registered.control;
        match control.command() {
            Command::Cut => Poll::Ready(()),
            seen => control.poll_changed(seen, cx).map(|_| ()),
        }
    })
    .await;
}

fn count_codec(served: &Served, codec: &mut ServerConn) {
    let counters = codec.counters.take();
    let stats = &served.hcm.http1_stats;
    if counters.dropped_headers_with_underscores > 0 {
        stats.add(http1_stats::DROPPED_HEADERS_WITH_UNDERSCORES, u64::from(counters.dropped_headers_with_underscores));
    }
    if counters.requests_rejected_with_underscores_in_headers > 0 {
        stats.add(
            http1_stats::REQUESTS_REJECTED_WITH_UNDERSCORES_IN_HEADERS,
            u64::from(counters.requests_rejected_with_underscores_in_headers),
        );
    }
}
