//! Makes a snapshot: walks all groups, adds up their workers, sorts.
//!
//! A group that nobody has written is listed with zeros without looking at its
//! storage, because it has none. Response-code counters get their names here.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{HistogramSample, Number, NumberKind, StatName, StatsSnapshot, TextSample};
use crate::group::{Book, Group, MergedHistogram};
use crate::histogram::DEFAULT_BUCKETS;
use crate::scope::ScopeName;
use crate::store::{Store, StoreSettings};
use crate::template::{Kind, StatDef, Unit};

/// Why a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Show,
    ShowUsed,
    Flush,
}

/// Everything that is listed, sorted.
pub(crate) fn collect(store: &Store, purpose: Purpose) -> StatsSnapshot {
    let settings = store.settings();
    let mut collector = Collector {
        settings,
        purpose,
        default_buckets: Arc::from(DEFAULT_BUCKETS),
        snapshot: StatsSnapshot { fixed_tags: settings.fixed_tags.clone(), ..StatsSnapshot::default() },
    };
    for group in store.groups() {
        collector.group(&group);
    }
    store.facade.collect(purpose, &mut collector.snapshot);
    collector.overflows(store);
    collector.finish()
}

/// Makes the current value of each counter its zero.
pub(crate) fn reset(group: &Group) {
    if group.is_untouched() {
        return;
    }
    let counters = (0..group.template().counters.len()).map(|slot| group.raw(slot)).collect();
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
            counters.into_iter().map(move |(suffix, value)| ([family.name, "_", &suffix].concat(), value))
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
        if untouched && group.template().texts.is_empty() && self.skips(false) {
            return;
        }
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
            if let Some(book) = book.as_deref_mut().filter(|_| self.purpose == Purpose::Flush) {
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
                Reading { value: raw.wrapping_sub(reset_at), delta: raw.wrapping_sub(latched), used },
            );
        }
    }

    fn gauges(&mut self, group: &Group, untouched: bool) {
        let first = group.template().counters.len();
        for (index, def) in group.template().gauges.iter().enumerate() {
            let (value, used) =
                if untouched { (0, false) } else { (group.raw(first + index), group.is_used(first + index)) };
            self.number(group, def.name.into(), NumberKind::Gauge, Reading { value, delta: 0, used });
        }
    }

    fn codes(&mut self, group: &Group, untouched: bool, mut book: Option<&mut Book>) {
        let counters = if untouched { Vec::new() } else { code_counters(group) };
        for family in group.template().codes.iter().filter(|family| family.completed_listed_unused) {
            let name = [family.name, "_completed"].concat();
            if !counters.iter().any(|(counted, _)| *counted == name) {
                self.number(group, name.into(), NumberKind::Counter, Reading::default());
            }
        }
        for (name, raw) in counters {
            let (latched, reset_at) = book.as_deref().map_or((0, 0), |book| {
                let at = |values: &FxHashMap<String, u64>| values.get(&name).copied().unwrap_or(0);
                (at(&book.codes_latched), at(&book.codes_reset_at))
            });
            if let Some(book) = book.as_deref_mut().filter(|_| self.purpose == Purpose::Flush) {
                book.codes_latched.insert(name.clone(), raw);
            }
            let reading = Reading { value: raw.wrapping_sub(reset_at), delta: raw.wrapping_sub(latched), used: true };
            self.number(group, name.into(), NumberKind::Counter, reading);
        }
    }

    fn number(&mut self, group: &Group, name: Cow<'static, str>, kind: NumberKind, reading: Reading) {
        if self.skips(reading.used) {
            return;
        }
        let name = StatName::new(group.shared_scope(), name);
        if self.is_included(&name) {
            let Reading { value, delta, used } = reading;
            let listed_last = group.template().listed_last;
            self.snapshot.numbers.push(Number { name, kind, value, delta, used, listed_last });
        }
    }

    fn histograms(&mut self, group: &Group, untouched: bool, mut book: Option<&mut Book>) {
        for (index, def) in group.template().histograms.iter().enumerate() {
            if let Some(book) = book.as_deref_mut().filter(|_| !untouched && self.purpose == Purpose::Flush) {
                book.histograms.resize_with(group.template().histograms.len(), MergedHistogram::default);
                if let Some(merged) = book.histograms.get_mut(index) {
                    let cumulative = group.merged(index);
                    merged.interval = Arc::new(cumulative.since(&merged.cumulative));
                    merged.cumulative = Arc::new(cumulative);
                }
            }
            let merged = book.as_deref().and_then(|book| book.histograms.get(index)).cloned().unwrap_or_default();
            let used = !merged.cumulative.is_empty();
            if used || (def.listed_unused && !self.skips(used)) {
                self.histogram(group, def, merged);
            }
        }
    }

    fn histogram(&mut self, group: &Group, def: &StatDef, merged: MergedHistogram) {
        let name = StatName::new(group.shared_scope(), def.name);
        if !self.is_included(&name) {
            return;
        }
        let chosen = self.settings.buckets.as_ref().and_then(|choose| choose(&name.dotted()));
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
            let value = book.and_then(|book| book.texts.get(index)).cloned().flatten();
            let used = value.is_some();
            let name = StatName::new(group.shared_scope(), def.name);
            if !self.skips(used) && self.is_included(&name) {
                self.snapshot.texts.push(TextSample { name, value: value.unwrap_or_default(), used });
            }
        }
    }

    /// Only one who asks for everything is told about unused stats.
    fn skips(&self, used: bool) -> bool {
        !used && self.purpose != Purpose::Show
    }

    /// What the store's own limits refused; listed only if that ever happened,
    /// because Envoy has no such names.
    fn overflows(&mut self, store: &Store) {
        let scope = Arc::new(ScopeName::root().part("stats"));
        for (name, value) in store.overflows() {
            if value > 0 {
                let name = StatName::new(Arc::clone(&scope), name);
                let number = Number::new(name, NumberKind::Counter, value, 0, true);
                self.snapshot.numbers.push(number);
            }
        }
    }

    fn is_included(&self, name: &StatName) -> bool {
        self.settings.included.as_ref().is_none_or(|included| included(&name.dotted()))
    }

    fn finish(mut self) -> StatsSnapshot {
        self.snapshot.numbers.sort_by(|a, b| {
            let late = a.listed_last.cmp(&b.listed_last);
            late.then_with(|| {
                if a.listed_last { a.name.scope.dotted().cmp(b.name.scope.dotted()) } else { a.name.compare(&b.name) }
            })
        });
        self.snapshot.histograms.sort_by(|a, b| a.name.compare(&b.name));
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
