//! Limits of circuit breakers: what the cluster's settings say, unless the runtime says otherwise.
//!
//! Envoy asks its runtime for every limit under `circuit_breakers.<cluster>.<priority>.<limit>`.
//! A worker makes the keys of a cluster once, and only when there are runtime values at all.

use std::cell::OnceCell;

use nuncio_api::Runtime;
use nuncio_config::model::cluster::Cluster as Settings;

use crate::shared::{Breaker, RoutingPriority};

/// The runtime key of a limit.
pub fn breaker_key(cluster: &str, priority: RoutingPriority, breaker: Breaker) -> String {
    key(cluster, priority, breaker.as_str())
}

fn key(cluster: &str, priority: RoutingPriority, limit: &str) -> String {
    format!("circuit_breakers.{cluster}.{}.{limit}", priority.as_str())
}

/// The limits of one cluster as they are at the moment.
#[derive(Default)]
pub(crate) struct LiveLimits {
    runtime: Runtime,
    keys: OnceCell<[Keys; 2]>,
}

/// The keys of one priority.
struct Keys {
    breakers: [String; 5],
    budget_percent: String,
    min_retry_concurrency: String,
}

impl LiveLimits {
    pub(crate) fn new(runtime: Runtime) -> Self {
        Self { runtime, keys: OnceCell::new() }
    }

    /// How much of `breaker` may be in use.
    pub(crate) fn of(&self, settings: &Settings, priority: RoutingPriority, breaker: Breaker) -> u64 {
        let configured = breaker.limit(priority.limits(settings));
        let key = self.keys(settings, priority).and_then(|keys| keys.breakers.get(breaker.index()));
        key.map_or(configured, |key| self.runtime.u64(key, configured))
    }

    /// The retry budget as percent and least number; `None` when neither the settings nor the
    /// runtime have one.
    pub(crate) fn retry_budget(&self, settings: &Settings, priority: RoutingPriority) -> Option<(f64, u64)> {
        let configured = priority.limits(settings).retry_budget.map(|budget| (budget.percent, budget.min_concurrency));
        let Some(keys) = self.keys(settings, priority) else { return configured };
        let is_said = |key: &str| self.runtime.has(key);
        if configured.is_none() && !is_said(&keys.budget_percent) && !is_said(&keys.min_retry_concurrency) {
            return None;
        }
        let (percent, least) = configured.unwrap_or((DEFAULT_PERCENT, DEFAULT_LEAST));
        Some((self.runtime.f64(&keys.budget_percent, percent), self.runtime.u64(&keys.min_retry_concurrency, least)))
    }

    fn keys(&self, settings: &Settings, priority: RoutingPriority) -> Option<&Keys> {
        if !self.runtime.has_values() {
            return None;
        }
        let keys = self.keys.get_or_init(|| RoutingPriority::BOTH.map(|priority| Keys::new(&settings.name, priority)));
        keys.get(priority.index())
    }
}

/// Of a budget of which the runtime says only the other half.
const DEFAULT_PERCENT: f64 = 20.0;
const DEFAULT_LEAST: u64 = 3;

impl Keys {
    fn new(cluster: &str, priority: RoutingPriority) -> Self {
        Self {
            breakers: Breaker::ALL.map(|breaker| breaker_key(cluster, priority, breaker)),
            budget_percent: key(cluster, priority, "retry_budget.budget_percent"),
            min_retry_concurrency: key(cluster, priority, "retry_budget.min_retry_concurrency"),
        }
    }
}

#[cfg(test)]
mod tests {
    use nuncio_api::{RuntimeLayer, RuntimeValue};
    use nuncio_config::model::cluster::{Breakers, RetryBudget};

    use super::*;
    use crate::testing::settings;

    fn live(values: &[(&str, f64)]) -> LiveLimits {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), RuntimeValue::number(*value))).collect();
        LiveLimits::new(Runtime::fixed(vec![RuntimeLayer { name: "l".into(), values }]))
    }

    #[test]
    fn the_runtime_overrides_a_limit_of_one_priority() {
        let settings = settings(Vec::new());
        let limits = live(&[("circuit_breakers.c.high.max_requests", 7.0)]);
        let of = |priority| limits.of(&settings, priority, Breaker::Requests);
        assert_eq!((of(RoutingPriority::High), of(RoutingPriority::Default)), (7, Breakers::default().max_requests));
        let limits = live(&[("circuit_breakers.c.default.max_connection_pools", 2.0)]);
        assert_eq!(limits.of(&settings, RoutingPriority::Default, Breaker::Pools), 2);
        let unsaid = LiveLimits::default();
        assert_eq!(unsaid.of(&settings, RoutingPriority::Default, Breaker::Retries), Breakers::default().max_retries);
    }

    #[test]
    fn half_a_retry_budget_in_the_runtime_makes_a_whole_one() {
        let mut settings = settings(Vec::new());
        let (high, percent) = (RoutingPriority::High, "circuit_breakers.c.high.retry_budget.budget_percent");
        assert_eq!(live(&[("other", 1.0)]).retry_budget(&settings, high), None);
        assert_eq!(live(&[(percent, 50.0)]).retry_budget(&settings, high), Some((50.0, 3)));
        settings.breakers_high.retry_budget = Some(RetryBudget { percent: 10.0, min_concurrency: 5 });
        assert_eq!(live(&[(percent, 50.0)]).retry_budget(&settings, high), Some((50.0, 5)));
        assert_eq!(LiveLimits::default().retry_budget(&settings, high), Some((10.0, 5)));
    }
}
