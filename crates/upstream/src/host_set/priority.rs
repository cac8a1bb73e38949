//! How much of the load each priority takes, and which priorities are in panic.
//!
//! Pure arithmetic over host counts, in whole percent as Envoy does it, so that the same fleet is
//! loaded the same way: a priority's availability is its share of healthy (or degraded) hosts
//! times the overprovisioning factor, capped at 100; load goes to healthy hosts in order of
//! priority, then to degraded ones; what rounding leaves goes to the first that has any. Below
//! `healthy_panic_threshold` a priority sends to all its hosts, and when every priority is in
//! panic the load follows host counts alone.

/// Hosts of one priority, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCounts {
    /// All hosts.
    pub total: u32,
    /// Healthy ones.
    pub healthy: u32,
    /// Degraded ones.
    pub degraded: u32,
}

/// Which hosts of a priority a pick is made among.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostSource {
    /// The healthy ones.
    Healthy,
    /// The degraded ones.
    Degraded,
    /// All, whatever their health: panic.
    Panic,
}

impl HostSource {
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Healthy => 0,
            Self::Degraded => 1,
            Self::Panic => 2,
        }
    }
}

/// Load and panic of one priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriorityLoad {
    /// Percent of requests for healthy hosts (for all hosts in panic).
    pub healthy: u32,
    /// Percent of requests for degraded hosts.
    pub degraded: u32,
    /// All hosts are used.
    pub panic: bool,
}

/// Percent per priority; the loads add up to 100 unless there is no host at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriorityPlan(pub Vec<PriorityLoad>);

/// Percent of all load that the healthy and the degraded hosts of each priority could take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    healthy: Vec<u32>,
    degraded: Vec<u32>,
}

impl Availability {
    /// `overprovisioning` 140 means 1.4.
    pub fn new(counts: &[HostCounts], overprovisioning: u32) -> Self {
        let of = |part: fn(&HostCounts) -> u32| -> Vec<u32> {
            counts.iter().map(|c| available(part(c), c.total, overprovisioning)).collect()
        };
        Self { healthy: of(|c| c.healthy), degraded: of(|c| c.degraded) }
    }

    /// What all priorities can take together, at most everything.
    pub fn total(&self) -> u32 {
        self.healthy.iter().chain(&self.degraded).fold(0_u32, |sum, part| sum.saturating_add(*part)).min(100)
    }

    /// The same with nothing left of the priorities that `is_excluded` names.
    pub fn without(&self, is_excluded: impl Fn(usize) -> bool) -> Self {
        let zeroed = |parts: &[u32]| {
            parts.iter().enumerate().map(|(index, part)| if is_excluded(index) { 0 } else { *part }).collect()
        };
        Self { healthy: zeroed(&self.healthy), degraded: zeroed(&self.degraded) }
    }
}

impl PriorityPlan {
    /// Computes the plan. `panic_threshold` is in percent.
    pub fn new(availability: &Availability, counts: &[HostCounts], panic_threshold: f64) -> Self {
        let total = availability.total();
        let mut plan = Self(vec![PriorityLoad::default(); counts.len()]);
        if total > 0 {
            plan.share_out(&availability.healthy, &availability.degraded, total);
        } else if panic_threshold <= 0.0 {
            plan.all_to_first();
            return plan;
        }
        plan.find_panic(counts, total, panic_threshold);
        plan
    }

    /// The load shared out anew, with the panic of this plan as it is. What rounding leaves is
    /// shared out again until there is nothing of it.
    pub(crate) fn shared_anew(&self, availability: &Availability) -> Self {
        let total = availability.total();
        let mut plan =
            Self(self.0.iter().map(|load| PriorityLoad { panic: load.panic, ..PriorityLoad::default() }).collect());
        let mut left = if total == 0 { 0 } else { 100 };
        while left > 0 {
            for (load, available) in plan.0.iter_mut().zip(&availability.healthy) {
                let more = left.min(available * 100 / total);
                load.healthy += more;
                left -= more;
            }
            for (load, available) in plan.0.iter_mut().zip(&availability.degraded) {
                let more = left.min(available * 100 / total);
                load.degraded += more;
                left -= more;
            }
        }
        plan
    }

    fn share_out(&mut self, healthy: &[u32], degraded: &[u32], total: u32) {
        let mut left = 100;
        for (load, available) in self.0.iter_mut().zip(healthy) {
            load.healthy = left.min(available * 100 / total);
            left -= load.healthy;
        }
        for (load, available) in self.0.iter_mut().zip(degraded) {
            load.degraded = left.min(available * 100 / total);
            left -= load.degraded;
        }
        let first = |parts: &[u32]| parts.iter().position(|part| *part > 0);
        if let Some(load) = first(healthy).and_then(|at| self.0.get_mut(at)) {
            load.healthy += left;
        } else if let Some(load) = first(degraded).and_then(|at| self.0.get_mut(at)) {
            load.degraded += left;
        }
    }

    fn find_panic(&mut self, counts: &[HostCounts], total: u32, panic_threshold: f64) {
        for (load, count) in self.0.iter_mut().zip(counts) {
            load.panic = total < 100 && usable_percent(count) < panic_threshold;
        }
        if self.0.iter().all(|load| load.panic) {
            self.follow_host_counts(counts);
        }
    }

    /// Every priority is in panic: health says nothing any more.
    fn follow_host_counts(&mut self, counts: &[HostCounts]) {
        let all: u64 = counts.iter().map(|c| u64::from(c.total)).sum();
        if all == 0 {
            self.all_to_first();
            return;
        }
        let mut left = 100;
        for (load, count) in self.0.iter_mut().zip(counts) {
            load.healthy = u32::try_from(100 * u64::from(count.total) / all).unwrap_or(100);
            load.degraded = 0;
            left -= load.healthy;
        }
        let first = counts.iter().position(|c| c.total > 0);
        if let Some(load) = first.and_then(|at| self.0.get_mut(at)) {
            load.healthy += left;
        }
    }

    fn all_to_first(&mut self) {
        if let Some(first) = self.0.first_mut() {
            first.healthy = 100;
        }
    }

    /// The priority and the hosts in it for a random number.
    pub fn pick(&self, roll: u64) -> (usize, HostSource) {
        let wanted = u32::try_from(roll % 100).unwrap_or(0) + 1;
        let mut passed = 0;
        for (index, load) in self.0.iter().enumerate() {
            passed += load.healthy;
            if wanted <= passed {
                return (index, if load.panic { HostSource::Panic } else { HostSource::Healthy });
            }
        }
        for (index, load) in self.0.iter().enumerate() {
            passed += load.degraded;
            if wanted <= passed {
                return (index, if load.panic { HostSource::Panic } else { HostSource::Degraded });
            }
        }
        (0, HostSource::Healthy)
    }
}

fn available(part: u32, total: u32, overprovisioning: u32) -> u32 {
    if total == 0 {
        return 0;
    }
    let percent = u64::from(overprovisioning) * u64::from(part) / u64::from(total);
    u32::try_from(percent.min(100)).unwrap_or(100)
}

fn usable_percent(count: &HostCounts) -> f64 {
    if count.total == 0 {
        return 0.0;
    }
    100.0 * f64::from(count.healthy + count.degraded) / f64::from(count.total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(counts: &[(u32, u32, u32)]) -> Vec<(u32, u32, bool)> {
        let counts: Vec<_> =
            counts.iter().map(|&(total, healthy, degraded)| HostCounts { total, healthy, degraded }).collect();
        PriorityPlan::new(&Availability::new(&counts, 140), &counts, 50.0)
            .0
            .iter()
            .map(|l| (l.healthy, l.degraded, l.panic))
            .collect()
    }

    #[test]
    fn load_spills_over_as_the_first_priority_loses_hosts() {
        // Envoy's documented table for two priorities of ten hosts each.
        for (healthy, first) in [(10, 100), (8, 100), (7, 98), (5, 70), (3, 42), (1, 14), (0, 0)] {
            let got = plan(&[(10, healthy, 0), (10, 10, 0)]);
            assert_eq!((got[0].0, got[1].0), (first, 100 - first), "{healthy} healthy");
        }
    }

    #[test]
    fn three_priorities_share_what_little_there_is() {
        // Envoy's documentation: 20 %, 20 %, 10 % healthy is scaled so that the sum is 100.
        let got = plan(&[(10, 2, 0), (10, 2, 0), (10, 1, 0)]);
        assert_eq!(got.iter().map(|l| l.0).sum::<u32>(), 100);
    }

    #[test]
    fn degraded_hosts_take_what_healthy_ones_cannot() {
        assert_eq!(plan(&[(10, 5, 5)]), [(70, 30, false)]);
        assert_eq!(plan(&[(10, 0, 10)]), [(0, 100, false)]);
    }

    #[test]
    fn below_the_threshold_a_lone_priority_panics() {
        assert_eq!(plan(&[(10, 4, 0)]), [(100, 0, true)]);
        assert_eq!(plan(&[(10, 5, 0)]), [(100, 0, false)]);
    }

    #[test]
    fn a_priority_does_not_panic_while_others_carry_the_load() {
        assert_eq!(plan(&[(10, 1, 0), (10, 10, 0)]), [(14, 0, false), (86, 0, false)]);
    }

    #[test]
    fn in_total_panic_load_follows_the_number_of_hosts() {
        assert_eq!(plan(&[(3, 0, 0), (6, 0, 0)]), [(34, 0, true), (66, 0, true)]);
        assert_eq!(plan(&[(0, 0, 0)]), [(100, 0, true)]);
    }

    #[test]
    fn a_zero_threshold_turns_panic_off() {
        let counts = [HostCounts { total: 4, healthy: 0, degraded: 0 }];
        let plan = PriorityPlan::new(&Availability::new(&counts, 140), &counts, 0.0);
        assert_eq!(plan.0, [PriorityLoad { healthy: 100, degraded: 0, panic: false }]);
        assert_eq!(plan.pick(7), (0, HostSource::Healthy));
    }

    #[test]
    fn every_roll_lands_in_its_share() {
        let plan = PriorityPlan(vec![
            PriorityLoad { healthy: 70, degraded: 10, panic: false },
            PriorityLoad { healthy: 20, degraded: 0, panic: true },
        ]);
        assert_eq!(plan.pick(69), (0, HostSource::Healthy));
        assert_eq!(plan.pick(70), (1, HostSource::Panic));
        assert_eq!(plan.pick(90), (0, HostSource::Degraded));
        assert_eq!(plan.pick(199), (0, HostSource::Degraded));
    }

    proptest::proptest! {
        #[test]
        fn loads_always_add_up_to_a_hundred(
            counts in proptest::collection::vec((0_u32..20, 0_u32..20, 0_u32..20), 1..6),
            overprovisioning in 100_u32..200,
            threshold in 0.0..100.0_f64,
        ) {
            let counts: Vec<_> = counts
                .into_iter()
                .map(|(healthy, degraded, rest)| HostCounts { total: healthy + degraded + rest, healthy, degraded })
                .collect();
            let plan = PriorityPlan::new(&Availability::new(&counts, overprovisioning), &counts, threshold);
            let sum: u32 = plan.0.iter().map(|load| load.healthy + load.degraded).sum();
            proptest::prop_assert_eq!(sum, 100);
        }

        #[test]
        fn no_load_goes_to_a_priority_without_usable_hosts(
            counts in proptest::collection::vec((0_u32..3, 1_u32..3), 2..6),
            roll: u64,
        ) {
            let counts: Vec<_> = counts
                .into_iter()
                .map(|(healthy, rest)| HostCounts { total: healthy + rest, healthy, degraded: 0 })
                .collect();
            let plan = PriorityPlan::new(&Availability::new(&counts, 140), &counts, 50.0);
            let (index, source) = plan.pick(roll);
            proptest::prop_assert!(source == HostSource::Panic || counts[index].healthy > 0);
        }
    }
}
