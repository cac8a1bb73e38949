//! Counters by response code of one worker: one table for each family.
//!
//! Three counters of Envoy, `<family>_<code>`, `<family>_<n>xx` and
//! `<family>_completed`, are one cell here: classes and the total are sums made
//! when somebody reads. Names exist only in snapshots.
//!
//! Limits: codes 100 to 599 have a cell, everything else shares `_unknown`, so
//! an upstream cannot grow the table. A class costs 800 bytes once it was seen.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const CODES_PER_CLASS: usize = 100;
const CLASSES: usize = 5;

type Class = Box<[AtomicU64; CODES_PER_CLASS]>;

/// Written by one worker, read by any thread.
#[derive(Debug)]
pub(crate) struct CodeTable {
    classes: [OnceLock<Class>; CLASSES],
    unknown: AtomicU64,
}

impl CodeTable {
    pub(crate) fn new() -> Self {
        Self { classes: [const { OnceLock::new() }; CLASSES], unknown: AtomicU64::new(0) }
    }

    pub(crate) fn inc(&self, code: u16) {
        let cell = self.cell(code).unwrap_or(&self.unknown);
        cell.store(cell.load(Relaxed).wrapping_add(1), Relaxed);
    }

    fn cell(&self, code: u16) -> Option<&AtomicU64> {
        let class = usize::from(code / 100).checked_sub(1)?;
        let row = self.classes.get(class)?.get_or_init(|| Box::new([const { AtomicU64::new(0) }; CODES_PER_CLASS]));
        row.get(usize::from(code % 100))
    }

    /// Adds everything counted here to `totals`.
    pub(crate) fn add_to(&self, totals: &mut CodeTotals) {
        for (class, row) in self.classes.iter().enumerate() {
            for (place, cell) in row.get().into_iter().flat_map(|row| row.iter().enumerate()) {
                let count = cell.load(Relaxed);
                if count > 0 {
                    totals.add((class + 1) * 100 + place, count);
                }
            }
        }
        totals.unknown = totals.unknown.wrapping_add(self.unknown.load(Relaxed));
    }
}

/// Counts of one family over all workers, sorted by code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CodeTotals {
    codes: Vec<(u16, u64)>,
    unknown: u64,
}

impl CodeTotals {
    fn add(&mut self, code: usize, count: u64) {
        let Ok(code) = u16::try_from(code) else {
            return;
        };
        match self.codes.binary_search_by_key(&code, |(code, _)| *code) {
            Ok(at) => {
                if let Some(entry) = self.codes.get_mut(at) {
                    entry.1 = entry.1.wrapping_add(count);
                }
            }
            Err(at) => self.codes.insert(at, (code, count)),
        }
    }

    /// `(suffix, value)` of every counter that has a value.
    pub(crate) fn counters(&self) -> Vec<(String, u64)> {
        let mut all = Vec::with_capacity(self.codes.len() + 3);
        let mut classes = [0_u64; CLASSES];
        let mut completed = self.unknown;
        for &(code, count) in &self.codes {
            all.push((code.to_string(), count));
            if let Some(class) = classes.get_mut(usize::from(code / 100).wrapping_sub(1)) {
                *class = class.wrapping_add(count);
            }
            completed = completed.wrapping_add(count);
        }
        let classes = classes.iter().enumerate().filter(|(_, count)| **count > 0);
        all.extend(classes.map(|(class, count)| (format!("{}xx", class + 1), *count)));
        if self.unknown > 0 {
            all.push(("unknown".to_owned(), self.unknown));
        }
        if completed > 0 {
            all.push(("completed".to_owned(), completed));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_counts_for_its_class_and_for_completed() {
        let table = CodeTable::new();
        for code in [200, 200, 204, 503] {
            table.inc(code);
        }
        let mut totals = CodeTotals::default();
        table.add_to(&mut totals);
        let named: Vec<(String, u64)> = totals.counters();
        let expected = [("200", 2), ("204", 1), ("503", 1), ("2xx", 3), ("5xx", 1), ("completed", 4)];
        assert_eq!(named, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn codes_that_no_rfc_knows_share_one_counter() {
        let table = CodeTable::new();
        for code in [0, 99, 600, 999, u16::MAX] {
            table.inc(code);
        }
        let mut totals = CodeTotals::default();
        table.add_to(&mut totals);
        assert_eq!(totals.counters(), [("unknown".to_owned(), 5), ("completed".to_owned(), 5)]);
    }
}
