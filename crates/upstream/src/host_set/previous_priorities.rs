//! `envoy.retry_priorities.previous_priorities`: retries go to priorities that were not tried yet.
//!
//! One for each request that retries. After every `update_frequency` attempts the load is shared
//! out anew among the priorities that no attempt went to. When those could take nothing, all are
//! as if untried; when no priority could take anything, the cluster's own plan stands. Policies
//! that pick by hash do not ask, as in Envoy.

use std::cell::{Cell, RefCell};

use super::{HostSet, priority::PriorityPlan};
use crate::host::Host;

/// The priorities that the attempts of one request went to.
#[derive(Debug)]
pub struct PreviousPriorities {
    update_frequency: usize,
    attempts: Cell<usize>,
    tried: RefCell<Vec<usize>>,
    excluded: RefCell<Vec<usize>>,
    plan: RefCell<Option<PriorityPlan>>,
}

impl PreviousPriorities {
    /// Shares out anew after every `update_frequency` attempts, at least one.
    pub fn new(update_frequency: u32) -> Self {
        Self {
            update_frequency: usize::try_from(update_frequency).unwrap_or(usize::MAX).max(1),
            attempts: Cell::new(0),
            tried: RefCell::default(),
            excluded: RefCell::default(),
            plan: RefCell::default(),
        }
    }

    /// An attempt goes to `host`.
    pub fn attempted(&self, host: &Host) {
        self.attempts.set(self.attempts.get() + 1);
        if let Ok(priority) = usize::try_from(host.priority()) {
            self.tried.borrow_mut().push(priority);
        }
    }

    /// What `use_plan` makes of the plan for the next pick.
    pub(crate) fn with_plan<T>(&self, set: &HostSet, use_plan: impl FnOnce(&PriorityPlan) -> T) -> T {
        let attempts = self.attempts.get();
        if attempts < self.update_frequency {
            return use_plan(set.plan());
        }
        if attempts.is_multiple_of(self.update_frequency) {
            let mut excluded = self.excluded.borrow_mut();
            excluded.extend(self.tried.take());
            excluded.sort_unstable();
            excluded.dedup();
            drop(excluded);
            self.plan.replace(self.adjusted(set));
        }
        match &*self.plan.borrow() {
            Some(plan) if plan.0.len() == set.priorities().len() => use_plan(plan),
            _ => use_plan(set.plan()),
        }
    }

    fn adjusted(&self, set: &HostSet) -> Option<PriorityPlan> {
        let excluded = self.excluded.borrow();
        let mut availability = set.availability().without(|index| excluded.contains(&index));
        drop(excluded);
        if availability.total() == 0 {
            self.excluded.borrow_mut().clear();
            self.attempts.set(0);
            availability = set.availability().clone();
        }
        (availability.total() > 0).then(|| set.plan().shared_anew(&availability))
    }
}
