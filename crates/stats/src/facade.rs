//! The `metrics` facade over the same store.
//!
//! For code that is not on the request path and for libraries that report
//! through `metrics::counter!("name")`. These stats have atomics shared by all
//! threads, so they cost a locked instruction each; request code uses a
//! [`Shard`](crate::Shard). Labels become tags, and the dotted name gets the
//! labels' values appended so that it stays unique.
//!
//! Limits: [`MAX_NAMES`] name and label combinations. Beyond that a metric
//! counts into the void and `stats.facade_overflow` grows. Gauges are shown as
//! whole numbers, not below zero.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::histogram::{Bins, DEFAULT_BUCKETS, Distribution};
use crate::scope::{ScopeName, sanitized};
use crate::snapshot::{HistogramSample, Number, NumberKind, Purpose, StatName, StatsSnapshot};
use crate::store::Store;
use crate::template::Unit;

/// Most combinations of name and labels.
pub const MAX_NAMES: usize = 2_000;

/// A `metrics` recorder that writes into a store.
#[derive(Clone, Debug)]
pub struct FacadeRecorder {
    table: Arc<FacadeTable>,
}

impl Store {
    /// The recorder to install with `metrics::set_global_recorder`, or to use
    /// within `metrics::with_local_recorder`.
    #[must_use]
    pub fn recorder(&self) -> FacadeRecorder {
        FacadeRecorder { table: Arc::clone(&self.facade) }
    }
}

#[derive(Debug, Default)]
pub(crate) struct FacadeTable {
    entries: Mutex<FxHashMap<String, Entry>>,
    overflow: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    scope: Arc<ScopeName>,
    cell: Cell,
    latched: u64,
    reset_at: u64,
    cumulative: Arc<Distribution>,
    interval: Arc<Distribution>,
}

#[derive(Clone, Debug)]
enum Cell {
    Counter(Arc<AtomicU64>),
    /// The bits of a float, as the facade wants it.
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<SharedBins>),
}

/// Bins behind a lock: here any thread may record.
#[derive(Debug)]
struct SharedBins(Mutex<Bins>);

impl metrics::HistogramFn for SharedBins {
    fn record(&self, value: f64) {
        // Saturates: negative and NaN become zero.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = value.round() as u64;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).record(whole, 0);
    }
}

impl FacadeTable {
    /// Names refused because of the limit.
    pub(crate) fn overflow(&self) -> u64 {
        self.overflow.load(Relaxed)
    }

    fn entries(&self) -> MutexGuard<'_, FxHashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cell(&self, key: &metrics::Key, fresh: fn() -> Cell) -> Option<Cell> {
        let scope = scope_of(key);
        let mut entries = self.entries();
        if let Some(entry) = entries.get(scope.dotted()) {
            return Some(entry.cell.clone());
        }
        if entries.len() >= MAX_NAMES {
            self.overflow.fetch_add(1, Relaxed);
            return None;
        }
        let cell = fresh();
        let entry = Entry {
            cell: cell.clone(),
            latched: 0,
            reset_at: 0,
            cumulative: Arc::default(),
            interval: Arc::default(),
            scope: Arc::new(scope),
        };
        entries.insert(entry.scope.dotted().to_owned(), entry);
        Some(cell)
    }

    pub(crate) fn reset_counters(&self) {
        for entry in self.entries().values_mut() {
            if let Cell::Counter(cell) = &entry.cell {
                entry.reset_at = cell.load(Relaxed);
            }
        }
    }

    pub(crate) fn collect(&self, purpose: Purpose, snapshot: &mut StatsSnapshot) {
        for entry in self.entries().values_mut() {
            entry.collect(purpose, snapshot);
        }
    }
}

impl Entry {
    fn collect(&mut self, purpose: Purpose, snapshot: &mut StatsSnapshot) {
        let name = StatName::whole(Arc::clone(&self.scope));
        match &self.cell {
            Cell::Counter(cell) => {
                let raw = cell.load(Relaxed);
                let (value, delta) = (raw.wrapping_sub(self.reset_at), raw.wrapping_sub(self.latched));
                snapshot.numbers.push(Number::new(name, NumberKind::Counter, value, delta, raw > 0));
                if purpose == Purpose::Flush {
                    self.latched = raw;
                }
            }
            Cell::Gauge(cell) => {
                // Saturates: a negative gauge shows as zero.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let value = f64::from_bits(cell.load(Relaxed)) as u64;
                snapshot.numbers.push(Number::new(name, NumberKind::Gauge, value, 0, true));
            }
            Cell::Histogram(bins) => {
                if purpose == Purpose::Flush {
                    let bins = bins.0.lock().unwrap_or_else(PoisonError::into_inner);
                    let cumulative = Distribution::merged(bins.counts());
                    self.interval = Arc::new(cumulative.since(&self.cumulative));
                    self.cumulative = Arc::new(cumulative);
                }
                snapshot.histograms.push(HistogramSample {
                    name,
                    unit: Unit::Unspecified,
                    cumulative: Arc::clone(&self.cumulative),
                    interval: Arc::clone(&self.interval),
                    buckets: Arc::from(DEFAULT_BUCKETS),
                });
            }
        }
    }
}

/// Name and values are parts, labels are tags.
fn scope_of(key: &metrics::Key) -> ScopeName {
    let named = ScopeName::root().part(key.name());
    key.labels().fold(named, |scope, label| {
        scope.dotted_part(&sanitized(label.value())).hidden_tag(label.key().to_owned(), label.value())
    })
}

impl metrics::Recorder for FacadeRecorder {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        match self.table.cell(key, || Cell::Counter(Arc::default())) {
            Some(Cell::Counter(cell)) => metrics::Counter::from_arc(cell),
            _ => metrics::Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        match self.table.cell(key, || Cell::Gauge(Arc::default())) {
            Some(Cell::Gauge(cell)) => metrics::Gauge::from_arc(cell),
            _ => metrics::Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        match self.table.cell(key, || Cell::Histogram(Arc::new(SharedBins(Mutex::new(Bins::new()))))) {
            Some(Cell::Histogram(cell)) => metrics::Histogram::from_arc(cell),
            _ => metrics::Histogram::noop(),
        }
    }
}
