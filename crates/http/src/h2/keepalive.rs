//! `connection_keepalive`: PINGs on an otherwise quiet connection.
//!
//! ```text
//! resting --interval, or a new stream after silence--> PING sent, waiting --answer--> resting
//!                                                                         --timeout-> dead
//! ```
//!
//! Death is counted in `keepalive_timeout`. Without an `interval` only `connection_idle_interval`
//! sends PINGs: with a new stream on a connection whose peer was silent so long. One timer per
//! connection, and only where keepalive is configured.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep};

use super::options::KeepaliveOptions;

/// The PING cycle of one connection.
pub(super) struct Keepalive {
    options: KeepaliveOptions,
    pings: PingPong,
    /// Until when the state lasts; nothing waits for it where that is for ever.
    timer: Pin<Box<Sleep>>,
    state: State,
    /// When the peer was last heard of.
    heard: Instant,
    opened: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Until the interval is over.
    Resting,
    /// Until a stream is opened.
    Idle,
    /// For the answer to a PING.
    Waiting,
}

impl Keepalive {
    /// Starts resting. `pings` is the connection's.
    pub(super) fn new(options: KeepaliveOptions, pings: PingPong) -> Self {
        let now = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(now));
        let mut keepalive = Self { options, pings, timer, state: State::Idle, heard: now, opened: 0 };
        keepalive.rest();
        keepalive
    }

    /// Something came from the peer.
    pub(super) fn peer_spoke(&mut self) {
        if self.options.idle_interval.is_some() {
            self.heard = Instant::now();
        }
    }

    /// So many streams were opened so far: the first after a silence goes out with a PING.
    pub(super) fn streams_opened(&mut self, count: u64) {
        let Some(silence) = self.options.idle_interval.filter(|_| count > self.opened) else { return };
        self.opened = count;
        if self.state != State::Waiting && self.heard.elapsed() >= silence {
            self.ping();
        }
    }

    /// Ready when the peer is dead. Poll before h2, which sends the PING.
    pub(super) fn poll_dead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.state == State::Waiting && self.pings.poll_pong(cx).is_ready() {
                self.rest();
            }
            if self.state == State::Idle {
                return Poll::Pending;
            }
            ready!(self.timer.as_mut().poll(cx));
            match self.state {
                State::Waiting => return Poll::Ready(()),
                State::Resting | State::Idle => self.ping(),
            }
        }
    }

    fn ping(&mut self) {
        if self.pings.send_ping(Ping::opaque()).is_ok() {
            self.state = State::Waiting;
            self.timer.as_mut().reset(Instant::now() + self.options.timeout);
        } else {
            self.rest();
        }
    }

    fn rest(&mut self) {
        self.state = match interval(&self.options) {
            Some(interval) => {
                self.timer.as_mut().reset(Instant::now() + interval);
                State::Resting
            }
            None => State::Idle,
        };
    }
}

fn interval(options: &KeepaliveOptions) -> Option<Duration> {
    let interval = options.interval?;
    let share = (options.jitter_percent / 100.0).clamp(0.0, 1.0) * fastrand::f64();
    // A zero interval would spin; Envoy's validation asks for a millisecond at least.
    Some(interval.max(Duration::from_millis(1)) + interval.mul_f64(share))
}
