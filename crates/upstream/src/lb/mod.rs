//! Load balancing: which host of a set takes the next request.
//!
//! ROUND_ROBIN and LEAST_REQUEST follow [`edf`] when weights differ; with equal weights the first
//! goes around from a random start and the second takes the least busy of `choice_count` random
//! hosts (P2C), or of all. A host that is new weighs less where `slow_start_config` says so. RANDOM takes any, whatever its weight, as in Envoy. Each worker has its own state
//! and looks at its own requests only. RING_HASH and MAGLEV pick from a table of the host set
//! instead ([`hash`]).
//!
//! A picker works on weights and loads by index, so it is tested without hosts.

pub(crate) mod edf;
pub(crate) mod hash;
#[cfg(test)]
mod tests;

use std::time::Duration;

use nuncio_config::model::cluster::{LbPolicy, SlowStart as Settings};

use edf::Schedule;

/// What a picker may ask about hosts.
pub(crate) trait Hosts {
    /// How many there are.
    fn len(&self) -> usize;
    /// `load_balancing_weight` of one.
    fn weight(&self, index: usize) -> u32;
    /// Its active requests.
    fn active(&self, index: usize) -> u32;
    /// For how long it has been there; `None` unless it is healthy.
    fn age(&self, index: usize) -> Option<Duration>;
}

/// A new host weighs less for a while, so that it can warm up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlowStart(pub(crate) Settings);

impl SlowStart {
    fn is_on(self, age: Option<Duration>) -> bool {
        age.is_some_and(|age| age < self.0.window)
    }

    /// What a weight is multiplied with.
    fn factor(self, age: Option<Duration>) -> f64 {
        let Some(age) = age.filter(|age| *age < self.0.window) else { return 1.0 };
        let passed = age.max(Duration::from_millis(1)).as_secs_f64() / self.0.window.as_secs_f64();
        passed.powf(1.0 / self.0.aggression).max(self.0.min_weight_percent / 100.0)
    }
}

/// The state of one policy over one list of hosts.
#[derive(Debug)]
pub(crate) enum Picker {
    /// Equal weights, one after the other.
    RoundRobin {
        next: usize,
    },
    /// Weights differ.
    Scheduled {
        schedule: Schedule,
        scale: Scale,
    },
    /// Least busy of a few.
    LeastOf {
        choices: u32,
    },
    /// Least busy of all; of several equally busy ones any.
    LeastOfAll,
    Random,
}

/// What makes the weight of a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    bias: f64,
    slow_start: Option<SlowStart>,
}

impl Picker {
    /// A picker that starts somewhere at random, so that workers do not march in step.
    pub(crate) fn new(
        policy: &LbPolicy,
        slow_start: Option<SlowStart>,
        hosts: &(impl Hosts + ?Sized),
        rng: &mut fastrand::Rng,
    ) -> Self {
        let bias = match policy {
            // Policies with a table pick from it; a picker is not asked.
            LbPolicy::Random | LbPolicy::RingHash(_) | LbPolicy::Maglev(_) => return Self::Random,
            LbPolicy::RoundRobin => 0.0,
            LbPolicy::LeastRequest { active_request_bias, .. } => *active_request_bias,
        };
        let is_young = |index| slow_start.is_some_and(|slow| slow.is_on(hosts.age(index)));
        if weights_differ(hosts) || (0..hosts.len()).any(is_young) {
            let scale = Scale { bias, slow_start };
            return Self::Scheduled { schedule: started(hosts, scale, rng), scale };
        }
        match policy {
            LbPolicy::LeastRequest { full_scan: true, .. } => Self::LeastOfAll,
            LbPolicy::LeastRequest { choice_count, .. } => Self::LeastOf { choices: (*choice_count).max(2) },
            _ => Self::RoundRobin { next: rng.usize(0..hosts.len().max(1)) },
        }
    }

    /// Index of the next host; `None` only when there are none.
    pub(crate) fn pick(&mut self, hosts: &(impl Hosts + ?Sized), rng: &mut fastrand::Rng) -> Option<usize> {
        let len = hosts.len();
        if len == 0 {
            return None;
        }
        match self {
            Self::RoundRobin { next } => {
                let index = *next % len;
                *next = index + 1;
                Some(index)
            }
            Self::Scheduled { schedule, scale } => schedule.pick(|index| scale.weight(hosts, index)),
            Self::LeastOf { choices } => {
                let mut best = rng.usize(0..len);
                for _ in 1..*choices {
                    let other = rng.usize(0..len);
                    if hosts.active(other) < hosts.active(best) {
                        best = other;
                    }
                }
                Some(best)
            }
            Self::LeastOfAll => least_of_all(hosts, rng),
            Self::Random => Some(rng.usize(0..len)),
        }
    }
}

fn weights_differ(hosts: &(impl Hosts + ?Sized)) -> bool {
    (1..hosts.len()).any(|index| hosts.weight(index) != hosts.weight(0))
}

fn least_of_all(hosts: &(impl Hosts + ?Sized), rng: &mut fastrand::Rng) -> Option<usize> {
    let least = (0..hosts.len()).map(|index| hosts.active(index)).min()?;
    let are_least = || (0..hosts.len()).filter(|index| hosts.active(*index) == least);
    are_least().nth(rng.usize(0..are_least().count().max(1)))
}

impl Scale {
    /// Envoy: weight / (active requests + 1)^bias, less while the host is new.
    fn weight(self, hosts: &(impl Hosts + ?Sized), index: usize) -> f64 {
        let weight = f64::from(hosts.weight(index));
        let busy = f64::from(hosts.active(index)) + 1.0;
        let weight = match self.bias {
            bias if bias <= 0.0 => weight,
            1.0 => weight / busy,
            bias => weight / busy.powf(bias),
        };
        weight * self.slow_start.map_or(1.0, |slow| slow.factor(hosts.age(index)))
    }
}

fn started(hosts: &(impl Hosts + ?Sized), scale: Scale, rng: &mut fastrand::Rng) -> Schedule {
    let weight = |index| scale.weight(hosts, index);
    let mut schedule = Schedule::new((0..hosts.len()).map(weight));
    for _ in 0..rng.usize(0..hosts.len().max(1)) {
        schedule.pick(weight);
    }
    schedule
}
