//! One instance of a template: the stats of one cluster, one listener, one
//! HTTP connection manager.
//!
//! A group owns, for each worker, a block of numbers that only this worker
//! writes; the block is allocated by that worker's first write. Ten thousand
//! clusters of which a hundred are used have a hundred blocks. Readers on any
//! thread add up what the workers wrote: the sum is exact for each number and
//! makes no promise between two numbers.
//!
//! What the readers need to remember between two reads (latched deltas, the
//! point of the last reset, merged histograms, text readouts) is the [`Book`],
//! behind a lock that no request ever takes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::codes::{CodeTable, CodeTotals};
use crate::histogram::{Bins, Distribution};
use crate::scope::ScopeName;
use crate::shard::Shard;
use crate::template::{Counter, Dynamic, Gauge, Histogram, Kind, Template, Text, Unit};

/// Number of a thread that writes stats: 0 is the main thread, 1 to N are the
/// workers.
pub type WorkerId = usize;

/// One cache line of numbers: two workers never share a line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Line(pub(crate) [AtomicU64; 8]);

/// What one worker writes for one group.
#[derive(Debug)]
pub(crate) struct Block {
    /// Counters, then gauges, then the bitmap of gauges and counters that were
    /// written at all.
    pub(crate) lines: Arc<[Line]>,
    histograms: Box<[OnceLock<Box<Bins>>]>,
    codes: Box<[OnceLock<Box<CodeTable>>]>,
}

/// What readers remember; never touched by a request.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Value of each counter at the last flush, by position in the snapshot.
    pub(crate) latched: Vec<u64>,
    /// Value of each counter at the last reset.
    pub(crate) reset_at: Vec<u64>,
    /// The same two for response codes, by name.
    pub(crate) codes_latched: rustc_hash::FxHashMap<String, u64>,
    pub(crate) codes_reset_at: rustc_hash::FxHashMap<String, u64>,
    pub(crate) histograms: Vec<MergedHistogram>,
    pub(crate) texts: Vec<Option<String>>,
}

/// A histogram as of the last flush.
#[derive(Clone, Debug, Default)]
pub(crate) struct MergedHistogram {
    pub(crate) cumulative: Arc<Distribution>,
    pub(crate) interval: Arc<Distribution>,
}

/// One instance of a [`Template`] under a [`ScopeName`].
#[derive(Debug)]
pub struct Group {
    template: &'static Template,
    scope: Arc<ScopeName>,
    blocks: Box<[OnceLock<Box<Block>>]>,
    book: Mutex<Option<Box<Book>>>,
}

impl Group {
    pub(crate) fn new(template: &'static Template, scope: ScopeName, threads: usize) -> Self {
        Self {
            template,
            scope: Arc::new(scope),
            blocks: (0..threads).map(|_| OnceLock::new()).collect(),
            book: Mutex::new(None),
        }
    }

    /// The view of one worker. A worker's stats must be written by one thread
    /// only: two threads with the same id lose each other's increments. An id
    /// beyond the store's workers gets a view that drops what is written.
    #[must_use]
    pub fn shard(self: &Arc<Self>, worker: WorkerId) -> Shard {
        Shard::new(Arc::clone(self), worker)
    }

    /// The dotted scope with its final dot, for example `cluster.foo.`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.scope.dotted()
    }

    /// The scope with its tags.
    #[must_use]
    pub fn scope(&self) -> &ScopeName {
        &self.scope
    }

    pub(crate) fn shared_scope(&self) -> Arc<ScopeName> {
        Arc::clone(&self.scope)
    }

    /// The template that this is an instance of.
    #[must_use]
    pub fn template(&self) -> &'static Template {
        self.template
    }

    /// Sum of a counter over all workers, since the last reset.
    #[must_use]
    pub fn counter(&self, counter: Counter) -> u64 {
        let index = usize::from(counter.0);
        let reset_at = self.book().as_ref().and_then(|book| book.reset_at.get(index).copied());
        self.raw(index).wrapping_sub(reset_at.unwrap_or(0))
    }

    /// Sum of a gauge over all workers.
    #[must_use]
    pub fn gauge(&self, gauge: Gauge) -> u64 {
        self.raw(self.gauge_slot(gauge))
    }

    /// The text of a readout; `None` until it is first set.
    #[must_use]
    pub fn text(&self, text: Text) -> Option<String> {
        self.book().as_ref()?.texts.get(usize::from(text.0)).cloned().flatten()
    }

    /// Sum of one response code's counter over all workers, since the start.
    #[must_use]
    pub fn code(&self, family: Dynamic, code: u16) -> u64 {
        let wanted = code.to_string();
        let counters = self.code_totals(usize::from(family.0)).counters();
        counters.into_iter().find(|(name, _)| *name == wanted).map_or(0, |(_, count)| count)
    }

    /// Everything recorded so far, flushed or not.
    #[must_use]
    pub fn distribution(&self, histogram: Histogram) -> Distribution {
        self.merged(usize::from(histogram.0))
    }

    /// How many workers have allocated their block.
    #[must_use]
    pub fn allocated_blocks(&self) -> usize {
        self.live_blocks().count()
    }

    pub(crate) fn gauge_slot(&self, gauge: Gauge) -> usize {
        self.template.counters.len() + usize::from(gauge.0)
    }

    /// Word and bit of a slot in the bitmap of written slots.
    pub(crate) fn used_bit(&self, slot: usize) -> (usize, u64) {
        let bitmap = self.template.counters.len() + self.template.gauges.len();
        (bitmap + slot / 64, 1 << (slot % 64))
    }

    pub(crate) fn raw(&self, slot: usize) -> u64 {
        self.live_blocks()
            .filter_map(|block| block.slot(slot))
            .fold(0, |sum, cell| sum.wrapping_add(cell.load(Relaxed)))
    }

    /// Whether a slot was ever written: a gauge that went back to zero was.
    pub(crate) fn is_used(&self, slot: usize) -> bool {
        let (word, bit) = self.used_bit(slot);
        self.live_blocks().filter_map(|block| block.slot(word)).any(|cell| cell.load(Relaxed) & bit != 0)
    }

    pub(crate) fn code_totals(&self, family: usize) -> CodeTotals {
        let mut totals = CodeTotals::default();
        for table in self.live_blocks().filter_map(|block| block.codes.get(family)?.get()) {
            table.add_to(&mut totals);
        }
        totals
    }

    pub(crate) fn merged(&self, histogram: usize) -> Distribution {
        let bins = self.live_blocks().filter_map(|block| block.histograms.get(histogram)?.get());
        Distribution::merged(bins.flat_map(|bins| bins.counts()))
    }

    /// The readers' notes; `None` until somebody needed to note something.
    pub(crate) fn book(&self) -> MutexGuard<'_, Option<Box<Book>>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_text(&self, text: Text, value: &str) {
        let index = usize::from(text.0);
        if index >= self.template.texts.len() {
            return;
        }
        let mut book = self.book();
        let texts = &mut book.get_or_insert_default().texts;
        texts.resize(self.template.texts.len(), None);
        if let Some(slot) = texts.get_mut(index) {
            *slot = Some(value.to_owned());
        }
    }

    /// Whether no worker has written anything yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.live_blocks().next().is_none()
    }

    /// The block of a worker, allocated now if need be.
    pub(crate) fn block(&self, worker: WorkerId) -> Option<&Block> {
        Some(self.blocks.get(worker)?.get_or_init(|| Box::new(Block::new(self.template))))
    }

    fn live_blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter_map(|cell| cell.get().map(|block| &**block))
    }
}

impl Block {
    fn new(template: &Template) -> Self {
        let numbers = template.counters.len() + template.gauges.len();
        let slots = numbers + numbers.div_ceil(64);
        Self {
            lines: (0..slots.div_ceil(8)).map(|_| Line::default()).collect(),
            histograms: template.histograms.iter().map(|_| OnceLock::new()).collect(),
            codes: template.codes.iter().map(|_| OnceLock::new()).collect(),
        }
    }

    fn slot(&self, slot: usize) -> Option<&AtomicU64> {
        slot_of(&self.lines, slot)
    }

    pub(crate) fn record(&self, template: &Template, histogram: Histogram, value: u64) {
        let index = usize::from(histogram.0);
        let (Some(def), Some(cell)) = (template.histograms.get(index), self.histograms.get(index)) else {
            return;
        };
        let scale = match def.kind {
            Kind::Histogram(unit) => unit.scale_exponent(),
            Kind::Counter | Kind::Gauge | Kind::TextReadout => Unit::Unspecified.scale_exponent(),
        };
        cell.get_or_init(|| Box::new(Bins::new())).record(value, scale);
    }

    pub(crate) fn count_code(&self, family: Dynamic, code: u16) {
        if let Some(cell) = self.codes.get(usize::from(family.0)) {
            cell.get_or_init(|| Box::new(CodeTable::new())).inc(code);
        }
    }
}

/// The cell of a slot: a shift, a mask and one bounds check.
pub(crate) fn slot_of(lines: &[Line], slot: usize) -> Option<&AtomicU64> {
    lines.get(slot >> 3)?.0.get(slot & 7)
}
