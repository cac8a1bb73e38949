//! Deadlines: one coarse queue per worker, re-armed lazily.
//!
//! A connection owns one [`Timer`] for life. Moving its deadline later is one cell write: the
//! queue finds out when the old time comes and files it again. So a request that ends before its
//! timeout costs no queue operation at all. Resolution is [`TICK`]; a timer never fires early.
//!
//! One `run` task per worker sleeps until the earliest filed tick. With nothing filed it sleeps
//! until something is. Size: one entry per open connection or stream, so it is bounded by those:
//! an entry that is still filed when its timer goes is the next timer's, not litter until its tick.
//! Time comes from `tokio::time::Instant`, hence a paused clock works in tests.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    pin::pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// Resolution of all deadlines.
pub const TICK: Duration = Duration::from_millis(10);

/// The timer queue of one worker.
#[derive(Clone)]
pub struct Timers {
    queue: Rc<Queue>,
}

struct Queue {
    origin: Instant,
    filed: RefCell<BTreeMap<u64, Vec<Weak<Entry>>>>,
    /// Filed entries without a timer. A new timer takes one over and, as nearly always its
    /// deadline is later than the tick it is filed for, needs no filing of its own.
    spare: RefCell<Vec<Rc<Entry>>>,
    /// The tick the run task sleeps for; u64::MAX when it sleeps for good.
    sleeping_for: Cell<u64>,
    runner: RefCell<Option<Waker>>,
}

struct Entry {
    deadline: Cell<u64>,
    filed_at: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

const NEVER: u64 = u64::MAX;
const TICKS_PER_SECOND: u64 = 100;
/// Entries kept for the next timers; about 1 MiB.
const SPARE: usize = 16 * 1024;

/// One deadline that can be moved cheaply.
pub struct Timer {
    queue: Rc<Queue>,
    entry: Rc<Entry>,
}

impl Default for Timers {
    fn default() -> Self {
        Self::new()
    }
}

impl Timers {
    /// An empty queue that starts now.
    pub fn new() -> Self {
        Self {
            queue: Rc::new(Queue {
                origin: Instant::now(),
                filed: RefCell::new(BTreeMap::new()),
                spare: RefCell::new(Vec::new()),
                sleeping_for: Cell::new(NEVER),
                runner: RefCell::new(None),
            }),
        }
    }

    /// A timer that is not armed.
    pub fn timer(&self) -> Timer {
        let spare = self.queue.spare.borrow_mut().pop();
        let entry = spare.unwrap_or_else(|| {
            Rc::new(Entry { deadline: Cell::new(NEVER), filed_at: Cell::new(NEVER), waker: RefCell::new(None) })
        });
        Timer { queue: Rc::clone(&self.queue), entry }
    }

    /// Waits for `duration`. Cancel-safe: dropping it forgets the deadline.
    pub async fn sleep(&self, duration: Duration) {
        let timer = self.timer();
        timer.set(Some(Instant::now() + duration));
        poll_fn(|cx| timer.poll_expired(cx)).await;
    }

    /// Fires timers for ever; one task per worker runs this.
    pub async fn run(self) {
        loop {
            let next = self.queue.filed.borrow().keys().next().copied();
            self.queue.sleeping_for.set(next.unwrap_or(NEVER));
            match next {
                None => self.queue.earlier_filed(NEVER).await,
                Some(tick) => {
                    let mut sleep = pin!(sleep_until(self.queue.instant(tick)));
                    let mut earlier = pin!(self.queue.earlier_filed(tick));
                    poll_fn(|cx| {
                        if sleep.as_mut().poll(cx).is_ready() {
                            return Poll::Ready(());
                        }
                        earlier.as_mut().poll(cx)
                    })
                    .await;
                }
            }
            self.queue.fire();
        }
    }
}

impl Queue {
    /// The first tick that is not before `at`.
    fn tick(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.origin);
        let within = u64::from(since.subsec_nanos().div_ceil(TICK.subsec_nanos()));
        since.as_secs().saturating_mul(TICKS_PER_SECOND).saturating_add(within).min(NEVER - 1)
    }

    fn instant(&self, tick: u64) -> Instant {
        self.origin + Duration::from_millis(tick.saturating_mul(10).min(1 << 50))
    }

    async fn earlier_filed(&self, than: u64) {
        poll_fn(|cx| {
            if self.sleeping_for.get() < than {
                return Poll::Ready(());
            }
            *self.runner.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn file(&self, entry: &Rc<Entry>, tick: u64) {
        entry.filed_at.set(tick);
        self.filed.borrow_mut().entry(tick).or_default().push(Rc::downgrade(entry));
        if tick < self.sleeping_for.get() {
            self.sleeping_for.set(tick);
            if let Some(waker) = self.runner.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    fn fire(&self) {
        let elapsed = Instant::now().saturating_duration_since(self.origin);
        let within = u64::from(elapsed.subsec_nanos() / TICK.subsec_nanos());
        let now = elapsed.as_secs().saturating_mul(TICKS_PER_SECOND).saturating_add(within);
        loop {
            let due = {
                let mut filed = self.filed.borrow_mut();
                match filed.first_entry() {
                    Some(first) if *first.key() <= now => first.remove_entry(),
                    _ => return,
                }
            };
            let (tick, entries) = due;
            for entry in entries.iter().filter_map(Weak::upgrade) {
                // An entry that was filed again for another tick leaves a stale reference here.
                if entry.filed_at.get() != tick {
                    continue;
                }
                entry.filed_at.set(NEVER);
                let deadline = entry.deadline.get();
                if deadline == NEVER {
                    continue;
                }
                if deadline > now {
                    self.file(&entry, deadline);
                } else if let Some(waker) = entry.waker.borrow_mut().take() {
                    waker.wake();
                }
            }
        }
    }
}

impl Timer {
    /// Moves the deadline; `None` disarms it.
    pub fn set(&self, deadline: Option<Instant>) {
        let tick = deadline.map_or(NEVER, |at| self.queue.tick(at));
        let before = self.entry.deadline.replace(tick);
        let has_fired = tick == before && self.entry.filed_at.get() == NEVER;
        // Filing what has fired again would have it fire for ever; `poll_expired` looks at the clock.
        if !has_fired && tick < self.entry.filed_at.get() {
            self.queue.file(&self.entry, tick);
        }
    }

    /// Ready once the deadline has passed; stays ready until it is moved.
    pub fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.entry.deadline.get();
        if deadline == NEVER {
            return Poll::Pending;
        }
        let filed_late = self.entry.filed_at.get() == NEVER;
        if filed_late && self.queue.instant(deadline) <= Instant::now() {
            return Poll::Ready(());
        }
        let mut waker = self.entry.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        if filed_late {
            self.queue.file(&self.entry, deadline);
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.entry.deadline.set(NEVER);
        self.entry.waker.borrow_mut().take();
        if self.entry.filed_at.get() != NEVER {
            let mut spare = self.queue.spare.borrow_mut();
            if spare.len() < SPARE {
                spare.push(Rc::clone(&self.entry));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paused(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn a_timer_fires_at_its_deadline_and_not_before() {
        paused(async {
            let timers = Timers::new();
            tokio::task::spawn_local(timers.clone().run());
            let start = Instant::now();
            timers.sleep(Duration::from_millis(295)).await;
            let took = start.elapsed();
            assert!(took >= Duration::from_millis(295) && took <= Duration::from_millis(311), "{took:?}");
        });
    }

    #[test]
    fn a_deadline_moved_later_does_not_fire_at_the_old_time() {
        paused(async {
            let timers = Timers::new();
            tokio::task::spawn_local(timers.clone().run());
            let start = Instant::now();
            let timer = timers.timer();
            timer.set(Some(start + Duration::from_millis(50)));
            timer.set(Some(start + Duration::from_millis(500)));
            poll_fn(|cx| timer.poll_expired(cx)).await;
            assert!(start.elapsed() >= Duration::from_millis(500));
        });
    }

    #[test]
    fn a_deadline_moved_earlier_fires_at_the_new_time() {
        paused(async {
            let timers = Timers::new();
            tokio::task::spawn_local(timers.clone().run());
            tokio::task::yield_now().await;
            let start = Instant::now();
            let timer = timers.timer();
            timer.set(Some(start + Duration::from_secs(3600)));
            tokio::task::yield_now().await;
            timer.set(Some(start + Duration::from_millis(20)));
            poll_fn(|cx| timer.poll_expired(cx)).await;
            assert!(start.elapsed() <= Duration::from_millis(40));
        });
    }

    #[test]
    fn timers_that_come_and_go_leave_one_entry_behind() {
        paused(async {
            let timers = Timers::new();
            for millis in 0..1000 {
                let timer = timers.timer();
                timer.set(Some(Instant::now() + Duration::from_secs(15) + Duration::from_millis(millis)));
            }
            let filed = timers.queue.filed.borrow().values().map(Vec::len).sum::<usize>();
            assert_eq!((filed, timers.queue.spare.borrow().len()), (1, 1));
        });
    }

    #[test]
    fn a_timer_that_takes_over_an_entry_fires_at_its_own_deadline() {
        paused(async {
            let timers = Timers::new();
            tokio::task::spawn_local(timers.clone().run());
            for (before, own) in [(50, 200), (200, 50), (30, 30)] {
                let start = Instant::now();
                timers.timer().set(Some(start + Duration::from_millis(before)));
                timers.sleep(Duration::from_millis(own)).await;
                let took = start.elapsed().as_millis();
                assert!(took >= own.into() && took <= u128::from(own) + 20, "{took} for {own} after {before}");
            }
        });
    }

    #[test]
    fn a_deadline_that_has_passed_stays_passed_when_it_is_set_again() {
        paused(async {
            let timers = Timers::new();
            tokio::task::spawn_local(timers.clone().run());
            let timer = timers.timer();
            let deadline = Some(Instant::now() + Duration::from_millis(50));
            poll_fn(|cx| {
                timer.set(deadline);
                timer.poll_expired(cx)
            })
            .await;
        });
    }
}
