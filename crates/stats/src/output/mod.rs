//! Snapshots as text, JSON and Prometheus, in Envoy's shapes.
//!
//! Each writer appends to a string and is pure: which stats are shown is the
//! caller's [`StatsQuery`], made from the query parameters of the admin
//! endpoint. Order, punctuation and number formats are those of Envoy 1.40; the
//! tests compare with what it printed. HTML is not made here.
//!
//! One difference is meant: a name with dots in it (cluster `a.b`) is one tag
//! value here, where Envoy's expressions cut it at the first dot.

mod json;
mod number;
mod prometheus;
#[cfg(test)]
mod tests;
mod text;

use crate::snapshot::{HistogramSample, Number, NumberKind, StatName, TextSample};

pub use json::json;
pub use prometheus::prometheus;
pub use text::text;

/// Which kind of stats is shown (`type=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KindFilter {
    /// Everything.
    #[default]
    All,
    /// Counters only.
    Counters,
    /// Gauges only.
    Gauges,
    /// Histograms only.
    Histograms,
    /// Text readouts only.
    TextReadouts,
}

/// How histograms are shown (`histogram_buckets=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistogramShape {
    /// Quantiles in text and JSON, cumulative buckets in Prometheus.
    #[default]
    Quantiles,
    /// Samples up to each bound.
    Cumulative,
    /// Samples between a bound and the one before.
    Disjoint,
    /// Every bin, and the quantiles.
    Detailed,
    /// Quantiles of the last interval; Prometheus only, elsewhere as
    /// [`HistogramShape::Quantiles`].
    Summary,
}

/// What of a snapshot is shown, and how.
#[derive(Clone, Copy)]
pub struct StatsQuery<'a> {
    /// Only stats that were ever written (`usedonly`).
    pub used_only: bool,
    /// Only stats whose dotted name passes (`filter=`).
    pub filter: &'a dyn Fn(&str) -> bool,
    /// Only stats of this kind.
    pub kind: KindFilter,
    /// How histograms are shown.
    pub histograms: HistogramShape,
    /// Text readouts in Prometheus, as gauges with the text in a label.
    pub text_readouts: bool,
}

impl Default for StatsQuery<'_> {
    fn default() -> Self {
        Self {
            used_only: false,
            filter: &|_| true,
            kind: KindFilter::All,
            histograms: HistogramShape::default(),
            text_readouts: false,
        }
    }
}

impl StatsQuery<'_> {
    fn shows_number(&self, number: &Number) -> bool {
        let kind = match number.kind {
            NumberKind::Counter => KindFilter::Counters,
            NumberKind::Gauge => KindFilter::Gauges,
        };
        self.shows(kind, number.used, &number.name)
    }

    fn shows_histogram(&self, sample: &HistogramSample) -> bool {
        self.shows(KindFilter::Histograms, !sample.cumulative.is_empty(), &sample.name)
    }

    fn shows_text(&self, sample: &TextSample) -> bool {
        self.shows(KindFilter::TextReadouts, sample.used, &sample.name)
    }

    fn shows(&self, kind: KindFilter, used: bool, name: &StatName) -> bool {
        (self.kind == KindFilter::All || self.kind == kind)
            && (used || !self.used_only)
            && (self.filter)(&name.dotted())
    }
}

/// `(bound, samples of the interval, samples since the start)` for each bound.
fn buckets(sample: &HistogramSample, disjoint: bool) -> Vec<(f64, u64, u64)> {
    let mut before = (0, 0);
    let bounds = sample.buckets.iter();
    bounds
        .map(|&bound| {
            let below = (sample.interval.count_up_to(bound), sample.cumulative.count_up_to(bound));
            let shown = if disjoint { (below.0 - before.0, below.1 - before.1) } else { below };
            before = below;
            (bound, shown.0, shown.1)
        })
        .collect()
}
