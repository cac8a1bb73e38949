//! `/stats?format=json`.
//!
//! Envoy's document is irregular: numbers and texts are elements of `stats`,
//! all histograms together are one more element, whose shape depends on how
//! histograms are asked for.

use std::fmt::Write;

use super::number::push_json;
use super::{HistogramShape, StatsQuery, buckets};
use crate::histogram::{Distribution, QUANTILES};
use crate::snapshot::{HistogramSample, StatName, StatsSnapshot};

/// Appends one JSON document.
pub fn json(snapshot: &StatsSnapshot, query: &StatsQuery<'_>, out: &mut String) {
    out.push_str("{\"stats\":[");
    let mut list = List::default();
    for sample in snapshot.texts.iter().filter(|sample| query.shows_text(sample)) {
        list.next(out);
        named(&sample.name, out);
        out.push_str(",\"value\":");
        push_string(&sample.value, out);
        out.push('}');
    }
    for number in snapshot.numbers.iter().filter(|number| query.shows_number(number)) {
        list.next(out);
        named(&number.name, out);
        let _ = write!(out, ",\"value\":{}}}", number.value);
    }
    let shown: Vec<&HistogramSample> =
        snapshot.histograms.iter().filter(|sample| query.shows_histogram(sample)).collect();
    if !shown.is_empty() {
        list.next(out);
        out.push_str("{\"histograms\":");
        histograms(&shown, query.histograms, out);
        out.push('}');
    }
    out.push_str("]}");
}

fn histograms(shown: &[&HistogramSample], shape: HistogramShape, out: &mut String) {
    let (head, tail) = match shape {
        HistogramShape::Quantiles | HistogramShape::Summary => {
            ("{\"supported_quantiles\":[", "],\"computed_quantiles\":[")
        }
        HistogramShape::Detailed => ("{\"supported_percentiles\":[", "],\"details\":["),
        HistogramShape::Cumulative | HistogramShape::Disjoint => ("[", ""),
    };
    out.push_str(head);
    if !tail.is_empty() {
        let mut list = List::default();
        for percent in QUANTILES {
            list.next(out);
            push_json(out, Some(percent));
        }
        out.push_str(tail);
    }
    let mut list = List::default();
    for sample in shown {
        list.next(out);
        histogram(sample, shape, out);
    }
    out.push_str(if tail.is_empty() { "]" } else { "]}" });
}

fn histogram(sample: &HistogramSample, shape: HistogramShape, out: &mut String) {
    named(&sample.name, out);
    match shape {
        HistogramShape::Quantiles | HistogramShape::Summary => {
            out.push_str(",\"values\":[");
            quantiles(sample, out);
        }
        HistogramShape::Detailed => {
            out.push_str(",\"totals\":[");
            bins(&sample.cumulative, out);
            out.push_str("],\"intervals\":[");
            bins(&sample.interval, out);
            out.push_str("],\"percentiles\":[");
            quantiles(sample, out);
        }
        HistogramShape::Cumulative | HistogramShape::Disjoint => {
            out.push_str(",\"buckets\":[");
            let mut list = List::default();
            for (bound, interval, cumulative) in buckets(sample, shape == HistogramShape::Disjoint) {
                list.next(out);
                out.push_str("{\"upper_bound\":");
                push_json(out, Some(bound));
                let _ = write!(out, ",\"interval\":{interval},\"cumulative\":{cumulative}}}");
            }
        }
    }
    out.push_str("]}");
}

fn quantiles(sample: &HistogramSample, out: &mut String) {
    let mut list = List::default();
    for percent in QUANTILES {
        list.next(out);
        out.push_str("{\"cumulative\":");
        push_json(out, sample.cumulative.quantile(percent / 100.0));
        out.push_str(",\"interval\":");
        push_json(out, sample.interval.quantile(percent / 100.0));
        out.push('}');
    }
}

fn bins(distribution: &Distribution, out: &mut String) {
    let mut list = List::default();
    for (lower, width, count) in distribution.bins() {
        list.next(out);
        out.push_str("{\"lower_bound\":");
        push_json(out, Some(lower));
        out.push_str(",\"width\":");
        push_json(out, Some(width));
        let _ = write!(out, ",\"count\":{count}}}");
    }
}

/// Opens an object with the stat's name.
fn named(name: &StatName, out: &mut String) {
    out.push_str("{\"name\":");
    push_string(&name.dotted(), out);
}

fn push_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Puts commas between elements.
#[derive(Default)]
struct List {
    started: bool,
}

impl List {
    fn next(&mut self, out: &mut String) {
        if std::mem::replace(&mut self.started, true) {
            out.push(',');
        }
    }
}
