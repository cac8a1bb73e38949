//! The bins of one histogram on one worker.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{BINS_PER_DECADE, BinIndex, DECADES, LOWEST_EXPONENT};

type Decade = Box<[AtomicU64; BINS_PER_DECADE]>;

/// Written by one worker, read by any thread.
#[derive(Debug)]
pub(crate) struct Bins {
    zero: AtomicU64,
    decades: [OnceLock<Decade>; DECADES],
}

impl Bins {
    pub(crate) fn new() -> Self {
        Self { zero: AtomicU64::new(0), decades: [const { OnceLock::new() }; DECADES] }
    }

    /// Adds `value / 10^scale_exponent`.
    pub(crate) fn record(&self, value: u64, scale_exponent: u32) {
        let Some(exponent) = value.checked_ilog10() else {
            return bump(&self.zero);
        };
        let digits = match exponent {
            0 => value * 10,
            // Divisions by a constant: most values have few digits.
            1 => value,
            2 => value / 10,
            3 => value / 100,
            _ => value / 10_u64.pow(exponent - 1),
        };
        let decade = i64::from(exponent) - i64::from(scale_exponent) - i64::from(LOWEST_EXPONENT);
        let (Ok(decade), Ok(place)) = (usize::try_from(decade), usize::try_from(digits - 10)) else {
            return;
        };
        if let Some(cell) = self.decades.get(decade)
            && let Some(bin) = cell.get_or_init(new_decade).get(place)
        {
            bump(bin);
        }
    }

    /// Every bin that holds something, in no promised order.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (BinIndex, u64)> + '_ {
        let zero = std::iter::once((BinIndex::ZERO, self.zero.load(Relaxed)));
        let rest = self.decades.iter().enumerate().flat_map(|(decade, cell)| {
            let row = cell.get().into_iter().flat_map(|row| row.iter().enumerate());
            row.map(move |(place, bin)| (BinIndex::new(decade, place), bin.load(Relaxed)))
        });
        zero.chain(rest).filter(|(_, count)| *count > 0)
    }
}

fn new_decade() -> Decade {
    Box::new([const { AtomicU64::new(0) }; BINS_PER_DECADE])
}

/// One writer, so a plain load and store cannot lose anything.
fn bump(bin: &AtomicU64) {
    bin.store(bin.load(Relaxed).wrapping_add(1), Relaxed);
}
