//! What readers see: all stats merged over the workers and sorted by name.
//!
//! A snapshot borrows names from templates and shares scopes, so that 10,000
//! clusters do not cost a million strings; a name is put together when it is
//! printed. Numbers are read without stopping anybody.
//!
//! A flush differs from a look in two ways only: counters are latched, so that
//! the next flush reports deltas against this one, and histograms are merged,
//! their interval being what was added since the previous merge.

mod collect;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

pub(crate) use collect::{Purpose, collect, reset};

use crate::histogram::Distribution;
use crate::scope::{ScopeName, Tag, split_code_suffix};
use crate::template::Unit;

/// Full name of one stat.
#[derive(Clone, Debug)]
pub struct StatName {
    scope: Arc<ScopeName>,
    name: Cow<'static, str>,
}

impl StatName {
    pub(crate) fn new(scope: Arc<ScopeName>, name: impl Into<Cow<'static, str>>) -> Self {
        Self { scope, name: name.into() }
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
        code.into_iter().chain(self.scope.tags_as_labels().map(|tag| (&*tag.name, &*tag.value)))
    }

    /// Prefix and name; a stat without a name of its own drops the final dot.
    fn parts<'a>(&'a self, scope: &'a str) -> (&'a str, &'a str) {
        if self.name.is_empty() { (scope.strip_suffix('.').unwrap_or(scope), "") } else { (scope, &self.name) }
    }

    fn dotted_bytes(&self) -> impl Iterator<Item = u8> {
        let (scope, name) = self.parts(self.scope.dotted());
        scope.bytes().chain(name.bytes())
    }

    fn compare(&self, other: &Self) -> Ordering {
        if self.scope.dotted() == other.scope.dotted() {
            return self.name.cmp(&other.name);
        }
        let (mine, theirs) = (self.scope.dotted(), other.scope.dotted());
        let shared = mine.len().min(theirs.len());
        match (mine.as_bytes().get(..shared), theirs.as_bytes().get(..shared)) {
            // Nearly always: the scopes differ within the shorter one. The final
            // dot of a stat without a name of its own must not take part.
            (Some(a), Some(b)) if a != b && !self.name.is_empty() && !other.name.is_empty() => a.cmp(b),
            _ => self.dotted_bytes().cmp(other.dotted_bytes()),
        }
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
    pub(crate) fn new(name: StatName, kind: NumberKind, value: u64, delta: u64, used: bool) -> Self {
        Self { name, kind, value, delta, used, listed_last: false }
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
