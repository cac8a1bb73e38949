//! Load balancing: which host of a set takes the next request.
//!
//! ROUND_ROBIN and LEAST_REQUEST follow [`edf`] when weights differ; with equal weights the first
//! goes around from a random start and the second takes the least busy of `choice_count` random
//! hosts (P2C). RANDOM takes any, whatever its weight, as in Envoy. Each worker has its own state
//! and looks at its own requests only. RING_HASH and MAGLEV pick from a table of the host set
//! instead ([`hash`]).
//!
//! A picker works on weights and loads by index, so it is tested without hosts.

pub(crate) mod edf;
pub(crate) mod hash;
#[cfg(test)]
mod tests;

use nuncio_config::model::cluster::LbPolicy;

use edf::Schedule;

/// What a picker may ask about hosts.
pub(crate) trait Hosts {
    /// How many there are.
    fn len(&self) -> usize;
    /// `load_balancing_weight` of one.
    fn weight(&self, index: usize) -> u32;
    /// Its active requests.
    fn active(&self, index: usize) -> u32;
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
        bias: f64,
    },
    /// Least busy of a few.
    LeastOf {
        choices: u32,
    },
    Random,
}

impl Picker {
    /// A picker that starts somewhere at random, so that workers do not march in step.
    pub(crate) fn new(policy: &LbPolicy, hosts: &(impl Hosts + ?Sized), rng: &mut fastrand::Rng) -> Self {
        let bias = match policy {
            // Policies with a table pick from it; a picker is not asked.
            LbPolicy::Random | LbPolicy::RingHash(_) | LbPolicy::Maglev(_) => return Self::Random,
            LbPolicy::RoundRobin => 0.0,
            LbPolicy::LeastRequest { active_request_bias, .. } => *active_request_bias,
        };
        if weights_differ(hosts) {
            return Self::Scheduled { schedule: started(hosts, bias, rng), bias };
        }
        match policy {
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
            Self::Scheduled { schedule, bias } => schedule.pick(|index| biased_weight(hosts, index, *bias)),
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
            Self::Random => Some(rng.usize(0..len)),
        }
    }
}

fn weights_differ(hosts: &(impl Hosts + ?Sized)) -> bool {
    (1..hosts.len()).any(|index| hosts.weight(index) != hosts.weight(0))
}

/// Envoy: weight / (active requests + 1)^bias.
fn biased_weight(hosts: &(impl Hosts + ?Sized), index: usize, bias: f64) -> f64 {
    let weight = f64::from(hosts.weight(index));
    let busy = f64::from(hosts.active(index)) + 1.0;
    match bias {
        bias if bias <= 0.0 => weight,
        1.0 => weight / busy,
        bias => weight / busy.powf(bias),
    }
}

fn started(hosts: &(impl Hosts + ?Sized), bias: f64, rng: &mut fastrand::Rng) -> Schedule {
    let weight = |index| biased_weight(hosts, index, bias);
    let mut schedule = Schedule::new((0..hosts.len()).map(weight));
    for _ in 0..rng.usize(0..hosts.len().max(1)) {
        schedule.pick(weight);
    }
    schedule
}
