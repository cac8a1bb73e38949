//! Log-linear histograms whose bins are Envoy's.
//!
//! A value falls into the bin of its first two significant digits: 1,234 into
//! [1200, 1300), 7 into [7.0, 7.1), 0 into a bin of its own. A worker records
//! into [`Bins`], which only it writes; at a flush the bins of all workers are
//! merged into a [`Distribution`], and what was added since the last flush is
//! the interval. Quantiles, bucket counts and sums are computed from the merged
//! distribution with the formulas of the library Envoy uses, so that the same
//! samples print the same digits.
//!
//! Limits: 26 decades of 90 bins; a decade costs 720 bytes once a value falls
//! into it, a histogram that is never used costs nothing.

mod bins;
mod distribution;
#[cfg(test)]
mod tests;

pub(crate) use bins::Bins;
pub use distribution::{DEFAULT_BUCKETS, Distribution, QUANTILES};

/// Bins in one decade: 1.0 to 9.9.
const BINS_PER_DECADE: usize = 90;
/// 10^-6, which a percentage in millionths needs, to 10^19.
const DECADES: usize = 26;
/// Exponent of the first decade, negated.
const LOWEST_EXPONENT: i32 = -6;

/// Number of a bin: 0 is the value zero, then upwards by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BinIndex(u16);

impl BinIndex {
    const ZERO: Self = Self(0);

    fn new(decade: usize, place: usize) -> Self {
        Self(u16::try_from(1 + decade * BINS_PER_DECADE + place).unwrap_or(u16::MAX))
    }

    /// Lower bound. The digits are divided before they are scaled, as the
    /// reference does; 510 comes out one bit below and prints accordingly.
    fn lower(self) -> f64 {
        self.digits_and_decade().map_or(0.0, |(digits, decade)| digits / 10.0 * power_of_ten(decade))
    }

    /// Width; zero for the bin of the value zero.
    fn width(self) -> f64 {
        self.digits_and_decade().map_or(0.0, |(_, decade)| decade.checked_sub(1).map_or(1e-7, power_of_ten))
    }

    fn digits_and_decade(self) -> Option<(f64, usize)> {
        let offset = usize::from(self.0).checked_sub(1)?;
        let digits = u32::try_from(10 + offset % BINS_PER_DECADE).unwrap_or(0);
        Some((f64::from(digits), offset / BINS_PER_DECADE))
    }
}

/// Correctly rounded powers, which repeated multiplication would not give.
const POWERS: [f64; DECADES] = [
    1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
    1e15, 1e16, 1e17, 1e18, 1e19,
];

fn power_of_ten(decade: usize) -> f64 {
    POWERS.get(decade).copied().unwrap_or(f64::INFINITY)
}
