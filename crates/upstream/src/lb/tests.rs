use proptest::prelude::*;

use super::*;

struct Fleet(Vec<(u32, u32)>);

/// Active requests of a host that is a second old.
const NEW: u32 = 77;

impl Hosts for Fleet {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn weight(&self, index: usize) -> u32 {
        self.0[index].0
    }

    fn active(&self, index: usize) -> u32 {
        self.0[index].1
    }

    fn age(&self, index: usize) -> Option<Duration> {
        // In these tests the host of most active requests is the new one.
        Some(Duration::from_secs(if self.0[index].1 == NEW { 1 } else { 1000 }))
    }
}

fn counts(policy: &LbPolicy, fleet: &Fleet, picks: usize, seed: u64) -> Vec<usize> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut picker = Picker::new(policy, None, fleet, &mut rng);
    let mut counts = vec![0; fleet.len()];
    for _ in 0..picks {
        counts[picker.pick(fleet, &mut rng).unwrap()] += 1;
    }
    counts
}

const LEAST: LbPolicy = LbPolicy::LeastRequest { choice_count: 2, active_request_bias: 1.0, full_scan: false };

proptest! {
    #[test]
    fn round_robin_with_equal_weights_is_exact(hosts in 1_usize..40, rounds in 1_usize..20, seed: u64) {
        let fleet = Fleet(vec![(7, 0); hosts]);
        prop_assert_eq!(counts(&LbPolicy::RoundRobin, &fleet, hosts * rounds, seed), vec![rounds; hosts]);
    }

    #[test]
    fn weighted_round_robin_follows_weights(weights in prop::collection::vec(1_u32..20, 2..10), seed: u64) {
        let total: u32 = weights.iter().sum();
        let fleet = Fleet(weights.iter().map(|w| (*w, 0)).collect());
        let rounds = 50;
        let got = counts(&LbPolicy::RoundRobin, &fleet, total as usize * rounds, seed);
        for (got, weight) in got.iter().zip(&weights) {
            let wanted = *weight as usize * rounds;
            // The schedule starts a few picks in, so each host may be off by its part of those.
            prop_assert!(got.abs_diff(wanted) <= 1 + *weight as usize, "{} of {}", got, wanted);
        }
    }

    #[test]
    fn random_gives_every_host_its_part(hosts in 1_usize..10, seed: u64) {
        let fleet = Fleet(vec![(1, 0); hosts]);
        for count in counts(&LbPolicy::Random, &fleet, hosts * 1000, seed) {
            prop_assert!((700..1300).contains(&count), "{}", count);
        }
    }

    #[test]
    fn least_request_never_prefers_the_busiest(busy in 1_u32..1000, seed: u64) {
        let fleet = Fleet(vec![(1, 0), (1, 0), (1, busy)]);
        let got = counts(&LEAST, &fleet, 3000, seed);
        // Only picked when both choices fall on it: one in nine.
        prop_assert!(got[2] < 500, "{:?}", got);
    }

    #[test]
    fn least_request_with_weights_is_held_back_by_load(seed: u64) {
        // Weight 2 and one active request counts as weight 1.
        let fleet = Fleet(vec![(2, 1), (1, 0)]);
        let got = counts(&LEAST, &fleet, 1000, seed);
        prop_assert!(got[0].abs_diff(500) <= 2, "{:?}", got);
    }
}

#[test]
fn nothing_is_picked_from_no_hosts() {
    let mut rng = fastrand::Rng::with_seed(1);
    for policy in [LbPolicy::RoundRobin, LEAST, LbPolicy::Random] {
        let mut picker = Picker::new(&policy, None, &Fleet(Vec::new()), &mut rng);
        assert_eq!(picker.pick(&Fleet(Vec::new()), &mut rng), None);
    }
}

#[test]
fn workers_start_at_different_hosts() {
    let fleet = Fleet(vec![(1, 0); 8]);
    let starts: std::collections::HashSet<_> = (0..50)
        .map(|seed| {
            let mut rng = fastrand::Rng::with_seed(seed);
            Picker::new(&LbPolicy::RoundRobin, None, &fleet, &mut rng).pick(&fleet, &mut rng)
        })
        .collect();
    assert!(starts.len() > 4);
}

#[test]
fn a_new_host_takes_its_part_of_the_load_little_by_little() {
    let share = |window, aggression, min_weight_percent| {
        let settings = Settings { window: Duration::from_secs(window), aggression, min_weight_percent };
        let fleet = Fleet(vec![(1, 0), (1, NEW)]);
        let mut rng = fastrand::Rng::with_seed(1);
        let mut picker = Picker::new(&LbPolicy::RoundRobin, Some(SlowStart(settings)), &fleet, &mut rng);
        (0..1100).filter(|_| picker.pick(&fleet, &mut rng) == Some(1)).count()
    };
    assert!(share(10, 1.0, 1.0).abs_diff(100) <= 2, "a second of ten is a tenth of the weight");
    assert!(share(100, 1.0, 10.0).abs_diff(100) <= 2, "at least ten percent");
    assert!(share(100, 2.0, 1.0).abs_diff(100) <= 2, "the root of a hundredth");
    assert_eq!(share(1, 1.0, 10.0), 550, "the window is over");
}

#[test]
fn a_full_scan_finds_the_least_busy_host() {
    let policy = LbPolicy::LeastRequest { choice_count: 2, active_request_bias: 1.0, full_scan: true };
    let got = counts(&policy, &Fleet(vec![(1, 2), (1, 1), (1, 3), (1, 1)]), 1000, 3);
    assert_eq!((got[0], got[2]), (0, 0));
    assert!(got[1].abs_diff(500) < 100);
}
