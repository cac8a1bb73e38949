//! What readers see: all stats merged over the workers and sorted by name.
//!
//! A snapshot borrows names from templates and shares scopes, so that 10,000
//! clusters do not cost a million strings; a name is put together when it is
//! printed. Numbers are read without stopping anybody.
//!
//! A flush differs from a look in two ways only: counters are latched, so that
//! the next flush reports deltas against this one, and histograms are merged,
//! their interval being what was added since the previous merge.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use crate::group::{Book, Group, MergedHistogram};
use crate::histogram::{DEFAULT_BUCKETS, Distribution};
use crate::scope::{ScopeName, Tag, split_code_suffix};
use crate::store::{Store, StoreSettings};
use crate::template::{Kind, StatDef, Unit};

/// Full name of one stat.
#[derive(Clone, Debug)]
pub struct StatName {
    scope: Arc<ScopeName>,
    name: Cow<'static, str>,
}

impl StatName {
    pub(crate) fn new(scope: Arc<ScopeName>, name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            scope,
            name: name.into(),
        }
    }

    /// A stat whose scope is its whole name.
    pub(crate) fn whole(scope: Arc<ScopeName>) -> Self {
        Self::new(scope, "")
    }

    /// Appends the dotted name.
    pub fn write_dotted(&self, out: &mut String) {
        let (scope, name) = self.parts(self.scope.dotted());
        out.push_str(scope);
        out.push_str(name);
    }

    /// The dotted name.
    #[must_use]
    pub fn dotted(&self) -> String {
        let (scope, name) = self.parts(self.scope.dotted());
        [scope, name].concat()
    }

    /// The name without the values of tags.
    #[must_use]
    pub fn extracted(&self) -> String {
        let (scope, name) = self.parts(self.scope.extracted());
        [scope, &split_code_suffix(name).0].concat()
    }

    /// Tags in the order of Envoy's labels: the response code, then the scope's.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        let code = split_code_suffix(&self.name).1;
        code.into_iter().chain(
            self.scope
                .tags_as_labels()
                .map(|tag| (&*tag.name, &*tag.value)),
        )
    }

    /// Prefix and name; a stat without a name of its own drops the final dot.
    fn parts<'a>(&'a self, scope: &'a str) -> (&'a str, &'a str) {
        if self.name.is_empty() {
            (scope.strip_suffix('.').unwrap_or(scope), "")
        } else {
            (scope, &self.name)
        }
    }

    fn dotted_bytes(&self) -> impl Iterator<Item = u8> {
        let (scope, name) = self.parts(self.scope.dotted());
        scope.bytes().chain(name.bytes())
    }

    fn compare(&self, other: &Self) -> Ordering {
        if self.scope.dotted() == other.scope.dotted() {
            return self.name.cmp(&other.name);
        }
        self.dotted_bytes().cmp(other.dotted_bytes())
    }
}

/// Whether a number is a counter or a gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberKind {
    /// A counter.
    Counter,
    /// A gauge.
    Gauge,
}

/// A counter or a gauge.
#[derive(Clone, Debug)]
pub struct Number {
    /// Its name.
    pub name: StatName,
    /// Counter or gauge.
    pub kind: NumberKind,
    /// The value shown.
    pub value: u64,
    /// Of a counter: what was added since the last flush.
    pub delta: u64,
    /// Whether it was ever written.
    pub used: bool,
    pub(crate) listed_last: bool,
}

impl Number {
    pub(crate) fn new(
        name: StatName,
        kind: NumberKind,
        value: u64,
        delta: u64,
        used: bool,
    ) -> Self {
        Self {
            name,
            kind,
            value,
            delta,
            used,
            listed_last: false,
        }
    }
}

/// A histogram as of the last flush.
#[derive(Clone, Debug)]
pub struct HistogramSample {
    /// Its name.
    pub name: StatName,
    /// What its values measure.
    pub unit: Unit,
    /// Everything recorded until the last flush.
    pub cumulative: Arc<Distribution>,
    /// What was recorded between the last two flushes.
    pub interval: Arc<Distribution>,
    /// Upper bounds to report.
    pub buckets: Arc<[f64]>,
}

/// A text readout.
#[derive(Clone, Debug)]
pub struct TextSample {
    /// Its name.
    pub name: StatName,
    /// The text; empty until it is first set.
    pub value: String,
    /// Whether it was ever set.
    pub used: bool,
}

/// All stats at one moment.
#[derive(Clone, Debug, Default)]
pub struct StatsSnapshot {
    /// Counters and gauges, sorted by dotted name.
    pub numbers: Vec<Number>,
    /// Histograms, sorted by dotted name.
    pub histograms: Vec<HistogramSample>,
    /// Text readouts, sorted by dotted name.
    pub texts: Vec<TextSample>,
    /// Tags that every stat carries.
    pub fixed_tags: Vec<Tag>,
}

/// Why a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Show,
    Flush,
}

pub(crate) fn collect(store: &Store, purpose: Purpose) -> StatsSnapshot {
    let settings = store.settings();
    let mut collector = Collector {
        settings,
        purpose,
        default_buckets: Arc::from(DEFAULT_BUCKETS),
        snapshot: StatsSnapshot {
            fixed_tags: settings.fixed_tags.clone(),
            ..StatsSnapshot::default()
        },
    };
    for group in store.groups() {
        collector.group(&group);
    }
    store.facade.collect(purpose, &mut collector.snapshot);
    collector.finish()
}

/// Makes the current value of each counter its zero.
pub(crate) fn reset(group: &Group) {
    if group.is_untouched() {
        return;
    }
    let counters = (0..group.template().counters.len())
        .map(|slot| group.raw(slot))
        .collect();
    let codes = code_counters(group).into_iter().collect();
    let mut book = group.book();
    let book = book.get_or_insert_default();
    book.reset_at = counters;
    book.codes_reset_at = codes;
}

/// `(name, value since the start)` of every response-code counter with a value.
fn code_counters(group: &Group) -> Vec<(String, u64)> {
    let families = group.template().codes.iter().enumerate();
    families
        .flat_map(|(index, family)| {
            let counters = group.code_totals(index).counters();
            counters
                .into_iter()
                .map(move |(suffix, value)| ([family.name, "_", &suffix].concat(), value))
        })
        .collect()
}

struct Collector<'a> {
    settings: &'a StoreSettings,
    purpose: Purpose,
    default_buckets: Arc<[f64]>,
    snapshot: StatsSnapshot,
}

impl Collector<'_> {
    fn group(&mut self, group: &Group) {
        let untouched = group.is_untouched();
        let mut book = group.book();
        if !untouched && self.purpose == Purpose::Flush {
            book.get_or_insert_default();
        }
        let mut book = book.as_deref_mut();
        self.counters(group, untouched, book.as_deref_mut());
        self.gauges(group, untouched);
        self.codes(group, untouched, book.as_deref_mut());
        self.histograms(group, untouched, book.as_deref_mut());
        self.texts(group, book.as_deref());
    }

    fn counters(&mut self, group: &Group, untouched: bool, mut book: Option<&mut Book>) {
        for (slot, def) in group.template().counters.iter().enumerate() {
            let raw = if untouched { 0 } else { group.raw(slot) };
            let (latched, reset_at) = book.as_deref().map_or((0, 0), |book| {
                let at = |values: &[u64]| values.get(slot).copied().unwrap_or(0);
                (at(&book.latched), at(&book.reset_at))
            });
            if let Some(book) = book
                .as_deref_mut()
                .filter(|_| self.purpose == Purpose::Flush)
            {
                book.latched.resize(group.template().counters.len(), 0);
                if let Some(latched) = book.latched.get_mut(slot) {
                    *latched = raw;
                }
            }
            let used = raw != 0 || (!untouched && group.is_used(slot));
            self.number(
                group,
                def.name.into(),
                NumberKind::Counter,
                Reading {
                    value: raw.wrapping_sub(reset_at),
                    delta: raw.wrapping_sub(latched),
                    used,
                },
            );
        }
    }

    fn gauges(&mut self, group: &Group, untouched: bool) {
        let first = group.template().counters.len();
        for (index, def) in group.template().gauges.iter().enumerate() {
            let (value, used) = if untouched {
                (0, false)
            } else {
                (group.raw(first + index), group.is_used(first + index))
            };
            self.number(
                group,
                def.name.into(),
                NumberKind::Gauge,
                Reading {
                    value,
                    delta: 0,
                    used,
                },
            );
        }
    }

    fn codes(&mut self, group: &Group, untouched: bool, mut book: Option<&mut Book>) {
        let counters = if untouched {
            Vec::new()
        } else {
            code_counters(group)
        };
        for family in group
            .template()
            .codes
            .iter()
            .filter(|family| family.completed_listed_unused)
        {
            let name = [family.name, "_completed"].concat();
            if !counters.iter().any(|(counted, _)| *counted == name) {
                self.number(group, name.into(), NumberKind::Counter, Reading::default());
            }
        }
        for (name, raw) in counters {
            let (latched, reset_at) = book.as_deref().map_or((0, 0), |book| {
                let at = |values: &rustc_hash::FxHashMap<String, u64>| {
                    values.get(&name).copied().unwrap_or(0)
                };
                (at(&book.codes_latched), at(&book.codes_reset_at))
            });
            if let Some(book) = book
                .as_deref_mut()
                .filter(|_| self.purpose == Purpose::Flush)
            {
                book.codes_latched.insert(name.clone(), raw);
            }
            let reading = Reading {
                value: raw.wrapping_sub(reset_at),
                delta: raw.wrapping_sub(latched),
                used: true,
            };
            self.number(group, name.into(), NumberKind::Counter, reading);
        }
    }

    fn number(
        &mut self,
        group: &Group,
        name: Cow<'static, str>,
        kind: NumberKind,
        reading: Reading,
    ) {
        let name = StatName::new(group.shared_scope(), name);
        if self.is_included(&name) {
            let Reading { value, delta, used } = reading;
            let listed_last = group.template().listed_last;
            self.snapshot.numbers.push(Number {
                name,
                kind,
                value,
                delta,
                used,
                listed_last,
            });
        }
    }

    fn histograms(&mut self, group: &Group, untouched: bool, mut book: Option<&mut Book>) {
        for (index, def) in group.template().histograms.iter().enumerate() {
            if let Some(book) = book
                .as_deref_mut()
                .filter(|_| !untouched && self.purpose == Purpose::Flush)
            {
                book.histograms
                    .resize_with(group.template().histograms.len(), MergedHistogram::default);
                if let Some(merged) = book.histograms.get_mut(index) {
                    let cumulative = group.merged(index);
                    merged.interval = Arc::new(cumulative.since(&merged.cumulative));
                    merged.cumulative = Arc::new(cumulative);
                }
            }
            let merged = book
                .as_deref()
                .and_then(|book| book.histograms.get(index))
                .cloned()
                .unwrap_or_default();
            if def.listed_unused || !merged.cumulative.is_empty() {
                self.histogram(group, def, merged);
            }
        }
    }

    fn histogram(&mut self, group: &Group, def: &StatDef, merged: MergedHistogram) {
        let name = StatName::new(group.shared_scope(), def.name);
        if !self.is_included(&name) {
            return;
        }
        let chosen = self
            .settings
            .buckets
            .as_ref()
            .and_then(|choose| choose(&name.dotted()));
        self.snapshot.histograms.push(HistogramSample {
            name,
            unit: match def.kind {
                Kind::Histogram(unit) => unit,
                Kind::Counter | Kind::Gauge | Kind::TextReadout => Unit::Unspecified,
            },
            cumulative: merged.cumulative,
            interval: merged.interval,
            buckets: chosen.unwrap_or_else(|| Arc::clone(&self.default_buckets)),
        });
    }

    fn texts(&mut self, group: &Group, book: Option<&Book>) {
        for (index, def) in group.template().texts.iter().enumerate() {
            let value = book
                .and_then(|book| book.texts.get(index))
                .cloned()
                .flatten();
            let name = StatName::new(group.shared_scope(), def.name);
            if self.is_included(&name) {
                let used = value.is_some();
                self.snapshot.texts.push(TextSample {
                    name,
                    value: value.unwrap_or_default(),
                    used,
                });
            }
        }
    }

    fn is_included(&self, name: &StatName) -> bool {
        self.settings
            .included
            .as_ref()
            .is_none_or(|included| included(&name.dotted()))
    }

    fn finish(mut self) -> StatsSnapshot {
        self.snapshot.numbers.sort_by(|a, b| {
            let late = a.listed_last.cmp(&b.listed_last);
            late.then_with(|| {
                if a.listed_last {
                    a.name.scope.dotted().cmp(b.name.scope.dotted())
                } else {
                    a.name.compare(&b.name)
                }
            })
        });
        self.snapshot
            .histograms
            .sort_by(|a, b| a.name.compare(&b.name));
        self.snapshot.texts.sort_by(|a, b| a.name.compare(&b.name));
        self.snapshot
    }
}

/// What was read of one number.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    value: u64,
    delta: u64,
    used: bool,
}
