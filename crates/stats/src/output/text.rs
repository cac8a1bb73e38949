//! `/stats`: one line for each stat.

use std::fmt::Write;

use super::number::{push_general, push_shortest};
use super::{HistogramShape, StatsQuery, buckets};
use crate::histogram::{Distribution, QUANTILES};
use crate::snapshot::{HistogramSample, StatsSnapshot};

/// Appends text readouts, then counters and gauges, then histograms, each
/// sorted by name.
pub fn text(snapshot: &StatsSnapshot, query: &StatsQuery<'_>, out: &mut String) {
    for sample in snapshot.texts.iter().filter(|sample| query.shows_text(sample)) {
        sample.name.write_dotted(out);
        let _ = writeln!(out, ": \"{}\"", sample.value);
    }
    for number in snapshot.numbers.iter().filter(|number| query.shows_number(number)) {
        number.name.write_dotted(out);
        let _ = writeln!(out, ": {}", number.value);
    }
    for sample in snapshot.histograms.iter().filter(|sample| query.shows_histogram(sample)) {
        sample.name.write_dotted(out);
        out.push(':');
        if sample.cumulative.is_empty() {
            out.push_str(" No recorded values");
        } else {
            histogram(sample, query.histograms, out);
        }
        out.push('\n');
    }
}

fn histogram(sample: &HistogramSample, shape: HistogramShape, out: &mut String) {
    match shape {
        HistogramShape::Quantiles | HistogramShape::Summary => {
            out.push(' ');
            quantiles(sample, out);
        }
        HistogramShape::Cumulative | HistogramShape::Disjoint => {
            for (bound, interval, cumulative) in buckets(sample, shape == HistogramShape::Disjoint) {
                out.push_str(" B");
                push_general(out, bound, 6);
                let _ = write!(out, "({interval},{cumulative})");
            }
        }
        HistogramShape::Detailed => {
            out.push_str("\n  totals=");
            bins(&sample.cumulative, out);
            out.push_str("\n  intervals=");
            bins(&sample.interval, out);
            out.push_str("\n  summary=");
            quantiles(sample, out);
        }
    }
}

fn quantiles(sample: &HistogramSample, out: &mut String) {
    for (index, percent) in QUANTILES.iter().enumerate() {
        let _ = write!(out, "{}P{percent}(", if index == 0 { "" } else { " " });
        push_shortest(out, sample.interval.quantile(percent / 100.0));
        out.push(',');
        push_shortest(out, sample.cumulative.quantile(percent / 100.0));
        out.push(')');
    }
}

fn bins(distribution: &Distribution, out: &mut String) {
    for (index, (lower, width, count)) in distribution.bins().enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        push_general(out, lower, 6);
        out.push(',');
        push_general(out, width, 6);
        let _ = write!(out, ":{count}");
    }
}
