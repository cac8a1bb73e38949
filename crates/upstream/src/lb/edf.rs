//! Earliest deadline first: weighted picks that are spread evenly.
//!
//! Each host has a deadline that lies 1/weight behind its last pick; the earliest one is next. A
//! host of weight 3 among hosts of weight 1 comes three times as often and never three times in a
//! row, unlike with a lottery. Ties go to the one that has waited longest.

use std::{cmp::Ordering, collections::BinaryHeap};

#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline: f64,
    order: u64,
    host: usize,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The heap gives its greatest first, so the earliest deadline is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.order.cmp(&self.order))
    }
}

/// A schedule of hosts by index.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    queue: BinaryHeap<Entry>,
    now: f64,
    order: u64,
}

impl Schedule {
    /// All hosts with their weights, as of no pick at all.
    pub(crate) fn new(weights: impl Iterator<Item = f64>) -> Self {
        let mut schedule = Self::default();
        for (host, weight) in weights.enumerate() {
            schedule.file(host, weight);
        }
        schedule
    }

    /// Those that have any weight.
    pub(crate) fn of_weighted(weights: impl Iterator<Item = f64>) -> Self {
        let mut schedule = Self::default();
        for (host, weight) in weights.enumerate().filter(|(_, weight)| *weight > 0.0) {
            schedule.file(host, weight);
        }
        schedule
    }

    /// The next host; `weight` tells what it weighs now, which decides when it comes again.
    pub(crate) fn pick(&mut self, weight: impl FnOnce(usize) -> f64) -> Option<usize> {
        let entry = self.queue.pop()?;
        self.now = entry.deadline;
        self.file(entry.host, weight(entry.host));
        Some(entry.host)
    }

    fn file(&mut self, host: usize, weight: f64) {
        self.order += 1;
        // A weight of nothing would never come again; one so small that it does not matter will.
        let deadline = self.now + 1.0 / weight.max(1e-6);
        self.queue.push(Entry { deadline, order: self.order, host });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_are_spread_by_weight() {
        let weights = [1.0, 2.0, 4.0];
        let mut schedule = Schedule::new(weights.into_iter());
        let picks: Vec<_> = (0..14).filter_map(|_| schedule.pick(|host| weights[host])).collect();
        let count = |host| picks.iter().filter(|p| **p == host).count();
        assert_eq!((count(0), count(1), count(2)), (2, 4, 8));
        assert!(!picks.windows(4).any(|w| w.iter().all(|p| *p == 2)), "{picks:?}");
    }

    #[test]
    fn equal_weights_go_around() {
        let mut schedule = Schedule::new([5.0; 3].into_iter());
        let picks: Vec<_> = (0..6).filter_map(|_| schedule.pick(|_| 5.0)).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
    }
}
