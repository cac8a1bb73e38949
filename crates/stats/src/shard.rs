//! One worker's view of a group: the only way to write a stat.
//!
//! Request path: every increment of every request goes through here. A write is
//! a look at the cached block, a bounds check, a relaxed load and a relaxed
//! store; no lock, no read-modify-write, no thread-local. That is correct
//! because a block has one writer. The type is `Send` but not `Sync`, so that
//! one view cannot be written by two threads.
//!
//! An index that the template does not have is ignored: a wrong constant loses
//! a number, it never breaks a request.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::group::{Group, Line, WorkerId, slot_of};
use crate::template::{Counter, Dynamic, Gauge, Histogram, Text};

/// One worker's view of a [`Group`]. Cloning copies two pointers.
#[derive(Clone, Debug)]
pub struct Shard {
    lines: OnceCell<Arc<[Line]>>,
    group: Arc<Group>,
    worker: WorkerId,
}

impl Shard {
    pub(crate) fn new(group: Arc<Group>, worker: WorkerId) -> Self {
        Self { lines: OnceCell::new(), group, worker }
    }

    /// The group behind this view.
    #[must_use]
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// Adds one to a counter.
    #[inline]
    pub fn inc(&self, counter: Counter) {
        self.add_to_slot(usize::from(counter.0), 1);
    }

    /// Adds `n` to a counter. Adding zero marks the counter as used.
    #[inline]
    pub fn add(&self, counter: Counter, n: u64) {
        self.add_to_slot(usize::from(counter.0), n);
        if n == 0 {
            self.mark_used(usize::from(counter.0));
        }
    }

    /// Adds `n`, which may be negative, to this worker's share of a gauge. The
    /// gauge shows the sum of all shares, so a share may well be below zero.
    #[inline]
    pub fn gauge_add(&self, gauge: Gauge, n: i64) {
        let slot = self.group.gauge_slot(gauge);
        self.add_to_slot(slot, n.cast_unsigned());
        self.mark_used(slot);
    }

    /// Adds one to a gauge.
    #[inline]
    pub fn gauge_inc(&self, gauge: Gauge) {
        self.gauge_add(gauge, 1);
    }

    /// Takes one from a gauge.
    #[inline]
    pub fn gauge_dec(&self, gauge: Gauge) {
        self.gauge_add(gauge, -1);
    }

    /// Adds one to a gauge for as long as the guard lives.
    #[must_use]
    pub fn gauge_guard(&self, gauge: Gauge) -> GaugeGuard {
        self.gauge_inc(gauge);
        GaugeGuard { shard: self.clone(), gauge }
    }

    /// Sets this worker's share of a gauge. For gauges that one thread owns
    /// (membership, memory): where two workers set the same gauge, it shows the
    /// sum of what they set.
    #[inline]
    pub fn gauge_set(&self, gauge: Gauge, value: u64) {
        let slot = self.group.gauge_slot(gauge);
        if let Some(cell) = slot_of(self.lines(), slot) {
            cell.store(value, Relaxed);
        }
        self.mark_used(slot);
    }

    /// Records a value in the unit of the histogram.
    #[inline]
    pub fn record(&self, histogram: Histogram, value: u64) {
        if let Some(block) = self.group.block(self.worker) {
            block.record(self.group.template(), histogram, value);
        }
    }

    /// Sets a text readout. Takes a lock and is meant for the main thread.
    pub fn text_set(&self, text: Text, value: &str) {
        self.group.set_text(text, value);
    }

    /// Counts a response: its code, its class and `completed`.
    #[inline]
    pub fn dynamic_inc(&self, family: Dynamic, code: u16) {
        if let Some(block) = self.group.block(self.worker) {
            block.count_code(family, code);
        }
    }

    #[inline]
    fn lines(&self) -> &[Line] {
        match self.lines.get() {
            Some(lines) => lines,
            None => self.allocate(),
        }
    }

    #[cold]
    fn allocate(&self) -> &[Line] {
        let block = self.group.block(self.worker);
        self.lines.get_or_init(|| block.map_or_else(|| Arc::from([]), |block| Arc::clone(&block.lines)))
    }

    #[inline]
    fn add_to_slot(&self, slot: usize, n: u64) {
        if let Some(cell) = slot_of(self.lines(), slot) {
            cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
        }
    }

    #[inline]
    fn mark_used(&self, slot: usize) {
        let (word, bit) = self.group.used_bit(slot);
        if let Some(cell) = slot_of(self.lines(), word) {
            set_bit(cell, bit);
        }
    }
}

/// One unit of a gauge, given back when dropped.
#[derive(Debug)]
pub struct GaugeGuard {
    shard: Shard,
    gauge: Gauge,
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.shard.gauge_dec(self.gauge);
    }
}

#[inline]
fn set_bit(cell: &AtomicU64, bit: u64) {
    let word = cell.load(Relaxed);
    if word & bit == 0 {
        cell.store(word | bit, Relaxed);
    }
}
