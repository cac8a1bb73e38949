//! The drain state of the process, read by every worker and written by the main thread.
//!
//! Workers read it once per response: a shared line that is hardly ever written costs nothing.

use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// `--drain-strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainStrategy {
    /// The share of responses that close their connection rises over the drain time.
    Gradual,
    /// Every response closes its connection.
    Immediate,
}

/// Shared drain state.
#[derive(Debug)]
pub struct Drain {
    origin: Instant,
    strategy: DrainStrategy,
    drain_time: Duration,
    /// 0 = not draining, 1 = draining, 2 = draining and every response closes.
    state: AtomicU8,
    since_ms: AtomicU64,
    health_failed: AtomicBool,
}

impl Drain {
    /// Not draining.
    pub fn new(strategy: DrainStrategy, drain_time: Duration) -> Self {
        Self {
            origin: Instant::now(),
            strategy,
            drain_time,
            state: AtomicU8::new(0),
            since_ms: AtomicU64::new(0),
            health_failed: AtomicBool::new(false),
        }
    }

    /// Starts the drain sequence; a second call changes nothing.
    pub fn start(&self) {
        if self.state.load(Ordering::Acquire) == 0 {
            let ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.since_ms.store(ms, Ordering::Relaxed);
            self.state.store(1, Ordering::Release);
        }
    }

    /// Starts the last drain, or makes the running one the last: the process is about to end, so
    /// every response closes its connection whatever the strategy.
    pub fn start_now(&self) {
        self.start();
        self.state.store(2, Ordering::Release);
    }

    /// True once the drain sequence has started.
    pub fn is_draining(&self) -> bool {
        self.state.load(Ordering::Acquire) != 0
    }

    /// `/healthcheck/fail` and `/healthcheck/ok`.
    pub fn set_health_failed(&self, failed: bool) {
        self.health_failed.store(failed, Ordering::Release);
    }

    /// True between `/healthcheck/fail` and `/healthcheck/ok`.
    pub fn is_health_failed(&self) -> bool {
        self.health_failed.load(Ordering::Acquire)
    }

    /// Whether this response should close its connection. `roll` is a random number.
    ///
    /// Envoy's gradual drain: floor(elapsed seconds) / ceil(drain time / 2), so every response
    /// closes from half the drain time on.
    pub fn should_close(&self, roll: impl FnOnce() -> u64) -> bool {
        if self.is_health_failed() {
            return true;
        }
        if !self.is_draining() {
            return false;
        }
        if self.strategy == DrainStrategy::Immediate || self.state.load(Ordering::Relaxed) == 2 {
            return true;
        }
        let elapsed = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let seconds = elapsed.saturating_sub(self.since_ms.load(Ordering::Relaxed)) / 1000;
        let half = self.drain_time.as_secs().div_ceil(2).max(1);
        seconds >= half || roll() % half < seconds
    }
}
