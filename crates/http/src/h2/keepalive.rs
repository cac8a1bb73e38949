//! `connection_keepalive`: PINGs on an otherwise quiet connection.
//!
//! ```text
//! resting --interval--> PING sent, waiting --answer--> resting
//!                                          --timeout-> dead (stat keepalive_timeout)
//! ```
//!
//! One timer per connection, and only where keepalive is configured.

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
    timer: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Keepalive {
    /// Starts resting. `pings` is the connection's.
    pub(super) fn new(options: KeepaliveOptions, pings: PingPong) -> Self {
        let timer = Box::pin(tokio::time::sleep(interval(&options)));
        Self { options, pings, timer, waiting: false }
    }

    /// Ready when the peer is dead. Poll before h2, which sends the PING.
    pub(super) fn poll_dead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.waiting && self.pings.poll_pong(cx).is_ready() {
                self.waiting = false;
                self.rest();
            }
            ready!(self.timer.as_mut().poll(cx));
            if self.waiting {
                return Poll::Ready(());
            }
            if self.pings.send_ping(Ping::opaque()).is_ok() {
                self.waiting = true;
                self.timer.as_mut().reset(Instant::now() + self.options.timeout);
            } else {
                self.rest();
            }
        }
    }

    fn rest(&mut self) {
        self.timer.as_mut().reset(Instant::now() + interval(&self.options));
    }
}

fn interval(options: &KeepaliveOptions) -> Duration {
    let share = (options.jitter_percent / 100.0).clamp(0.0, 1.0) * fastrand::f64();
    // A zero interval would spin; Envoy's validation asks for a millisecond at least.
    options.interval.max(Duration::from_millis(1)) + options.interval.mul_f64(share)
}
