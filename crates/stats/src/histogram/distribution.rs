//! A merged distribution and what is computed from it.

use super::BinIndex;

/// Upper bounds that Envoy reports unless the configuration says otherwise.
pub const DEFAULT_BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Quantiles that Envoy reports, in per cent.
pub const QUANTILES: [f64; 10] = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0];

/// Counts of samples by bin, sorted by value; immutable once made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    bins: Vec<(BinIndex, u64)>,
}

impl Distribution {
    /// Merges counts that come in any order and may name a bin more than once.
    pub(crate) fn merged(counts: impl Iterator<Item = (BinIndex, u64)>) -> Self {
        let mut bins: Vec<(BinIndex, u64)> = counts.collect();
        bins.sort_unstable_by_key(|(index, _)| *index);
        bins.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
        Self { bins }
    }

    /// What this distribution has more than an earlier state of itself.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut old = earlier.bins.iter().peekable();
        let added = self.bins.iter().map(|&(index, count)| {
            while old.next_if(|(before, _)| *before < index).is_some() {}
            let before = old.next_if(|(before, _)| *before == index).map_or(0, |(_, before)| *before);
            (index, count.saturating_sub(before))
        });
        Self { bins: added.filter(|(_, count)| *count > 0).collect() }
    }

    /// Number of samples.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.bins.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// Sum of the samples as far as the bins know them: each sample counts as
    /// the point of its bin that minimises the relative error.
    #[must_use]
    pub fn sum(&self) -> f64 {
        // Not `sum()`: that of nothing is minus zero.
        self.bins.iter().fold(0.0, |sum, &(index, count)| sum + representative(index) * as_f64(count))
    }

    /// The value below which `share` (0 to 1) of the samples lie, interpolated
    /// within its bin; `None` without samples.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = (as_f64(self.count()) * share).ceil().max(1.0);
        let mut before = 0.0;
        let mut last = None;
        for &(index, count) in &self.bins {
            let count = as_f64(count);
            let rank = (wanted - before).min(count);
            last = Some(index.lower() + index.width() * (rank / (count + 1.0)));
            before += count;
            if before >= wanted {
                break;
            }
        }
        last
    }

    /// Number of samples in bins that begin at or below `bound`. The bin that
    /// begins exactly there counts, as it does in Envoy.
    #[must_use]
    pub fn count_up_to(&self, bound: f64) -> u64 {
        // The lower bound of a bin may be a rounding error away from its name.
        let limit = bound * (1.0 + 1e-12);
        let below = self.bins.iter().take_while(|(index, _)| index.lower() <= limit);
        below.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Lower bound, width and count of every bin that holds samples.
    pub fn bins(&self) -> impl Iterator<Item = (f64, f64, u64)> + '_ {
        self.bins.iter().map(|&(index, count)| (index.lower(), index.width(), count))
    }
}

/// The point of a bin with the smallest relative error: nearer to its bottom.
fn representative(index: BinIndex) -> f64 {
    let (bottom, width) = (index.lower(), index.width());
    if width == 0.0 { bottom } else { bottom + width * (bottom / (bottom + bottom + width)) }
}

/// Counts stay exact up to 2^53 samples.
#[allow(clippy::cast_precision_loss)]
fn as_f64(count: u64) -> f64 {
    count as f64
}
