//! `/stats/prometheus`: the text exposition format 0.0.4.
//!
//! Stats of one tag-extracted name form a family with one `# TYPE` line;
//! families are sorted by that name, counters before gauges, text readouts and
//! histograms; the stats of endpoints follow. Within a family stats are sorted
//! by their dotted name. Labels are the response code, the fixed tags, then the
//! scope's tags.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::number::push_general;
use super::{HistogramShape, StatsQuery};
use crate::histogram::QUANTILES;
use crate::scope::{Tag, tags};
use crate::snapshot::{HistogramSample, Number, NumberKind, StatName, StatsSnapshot, TextSample};

/// Families in the order of their tag-extracted names.
type Families<'a, T> = BTreeMap<String, Vec<&'a T>>;

/// Appends the exposition.
pub fn prometheus(snapshot: &StatsSnapshot, query: &StatsQuery<'_>, out: &mut String) {
    let mut writer = Writer { fixed_tags: &snapshot.fixed_tags, shape: query.histograms, out };
    let shown: Vec<&Number> = snapshot.numbers.iter().filter(|number| query.shows_number(number)).collect();
    writer.numbers(&shown, NumberKind::Counter, false);
    writer.numbers(&shown, NumberKind::Gauge, false);
    if query.text_readouts {
        writer.texts(snapshot.texts.iter().filter(|sample| query.shows_text(sample)));
    }
    writer.histograms(snapshot.histograms.iter().filter(|sample| query.shows_histogram(sample)));
    writer.numbers(&shown, NumberKind::Counter, true);
    writer.numbers(&shown, NumberKind::Gauge, true);
}

struct Writer<'a> {
    fixed_tags: &'a [Tag],
    shape: HistogramShape,
    out: &'a mut String,
}

impl Writer<'_> {
    fn numbers(&mut self, shown: &[&Number], kind: NumberKind, listed_last: bool) {
        let mut families: Families<'_, Number> = BTreeMap::new();
        for number in shown.iter().filter(|number| number.kind == kind && number.listed_last == listed_last) {
            families.entry(number.name.extracted()).or_default().push(number);
        }
        let kind = match kind {
            NumberKind::Counter => "counter",
            NumberKind::Gauge => "gauge",
        };
        for (extracted, mut members) in families {
            if listed_last {
                members.sort_by_cached_key(|number| number.name.dotted());
            }
            let family = self.start(&extracted, kind);
            for number in members {
                let labels = self.labels(&number.name);
                let _ = writeln!(self.out, "{family}{{{labels}}} {}", number.value);
            }
        }
    }

    /// A text has no number: Envoy makes it a label of a gauge that is zero.
    fn texts<'s>(&mut self, shown: impl Iterator<Item = &'s TextSample>) {
        let mut families: Families<'_, TextSample> = BTreeMap::new();
        for sample in shown {
            families.entry(sample.name.extracted()).or_default().push(sample);
        }
        for (extracted, members) in families {
            let family = self.start(&extracted, "gauge");
            for sample in members {
                let mut labels = self.labels(&sample.name);
                push_label("text_value", &sample.value, &mut labels);
                let _ = writeln!(self.out, "{family}{{{labels}}} 0");
            }
        }
    }

    fn histograms<'s>(&mut self, shown: impl Iterator<Item = &'s HistogramSample>) {
        let mut families: Families<'_, HistogramSample> = BTreeMap::new();
        for sample in shown {
            families.entry(sample.name.extracted()).or_default().push(sample);
        }
        let summary = self.shape == HistogramShape::Summary;
        for (extracted, members) in families {
            let family = self.start(&extracted, if summary { "summary" } else { "histogram" });
            for sample in members {
                if summary {
                    self.summary(&family, sample);
                } else {
                    self.histogram(&family, sample);
                }
            }
        }
    }

    fn histogram(&mut self, family: &str, sample: &HistogramSample) {
        let labels = self.labels(&sample.name);
        let lead = if labels.is_empty() { String::new() } else { format!("{labels},") };
        for &bound in sample.buckets.iter() {
            let _ = write!(self.out, "{family}_bucket{{{lead}le=\"");
            push_general(self.out, bound, 32);
            let _ = writeln!(self.out, "\"}} {}", sample.cumulative.count_up_to(bound));
        }
        let count = sample.cumulative.count();
        let _ = writeln!(self.out, "{family}_bucket{{{lead}le=\"+Inf\"}} {count}");
        self.sum_and_count(family, &labels, sample.cumulative.sum(), count);
    }

    /// Envoy's summaries speak about the last interval only.
    fn summary(&mut self, family: &str, sample: &HistogramSample) {
        let labels = self.labels(&sample.name);
        let lead = if labels.is_empty() { String::new() } else { format!("{labels},") };
        for percent in QUANTILES {
            let _ = write!(self.out, "{family}{{{lead}quantile=\"{}\"}} ", percent / 100.0);
            match sample.interval.quantile(percent / 100.0) {
                Some(value) => push_general(self.out, value, 32),
                None => self.out.push_str("nan"),
            }
            self.out.push('\n');
        }
        self.sum_and_count(family, &labels, sample.interval.sum(), sample.interval.count());
    }

    fn sum_and_count(&mut self, family: &str, labels: &str, sum: f64, count: u64) {
        let _ = write!(self.out, "{family}_sum{{{labels}}} ");
        push_general(self.out, sum, 32);
        let _ = writeln!(self.out, "\n{family}_count{{{labels}}} {count}");
    }

    /// Writes the `# TYPE` line and answers the name of the family.
    fn start(&mut self, extracted: &str, kind: &str) -> String {
        let family = format!("envoy_{}", clean(extracted));
        let _ = writeln!(self.out, "# TYPE {family} {kind}");
        family
    }

    fn labels(&self, name: &StatName) -> String {
        let mut labels = String::new();
        let (codes, others): (Vec<_>, Vec<_>) =
            name.tags().partition(|(name, _)| matches!(*name, tags::RESPONSE_CODE | tags::RESPONSE_CODE_CLASS));
        let fixed = self.fixed_tags.iter().map(|tag| (&*tag.name, &*tag.value));
        for (name, value) in codes.into_iter().chain(fixed).chain(others) {
            push_label(name, value, &mut labels);
        }
        labels
    }
}

fn push_label(name: &str, value: &str, labels: &mut String) {
    if !labels.is_empty() {
        labels.push(',');
    }
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let _ = write!(labels, "{}=\"{value}\"", clean(name));
}

/// Anything but letters, digits and underscores becomes an underscore.
fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
