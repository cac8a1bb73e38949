//! One request on a connection: what is counted while it lasts.

use std::rc::Rc;

use nuncio_stats::templates::cluster_stats as stats;

use crate::{
    host::Host,
    pool::{AcquireError, PoolKey},
    shared::Breaker,
    tally::HostStat,
};

/// One of `max_requests`, and the request in `upstream_rq_active`; given back when dropped.
pub(crate) struct RequestPermit {
    pub(crate) host: Rc<Host>,
    pub(crate) key: PoolKey,
    has_ended: bool,
}

impl RequestPermit {
    pub(crate) fn take(host: &Rc<Host>, key: PoolKey) -> Result<Self, AcquireError> {
        let state = &host.state;
        let context = &state.context;
        if !context.admits_request(key.priority) {
            context.stats.inc(stats::UPSTREAM_RQ_ACTIVE_OVERFLOW);
            return Err(AcquireError::Overflow(Breaker::Requests));
        }
        context.shared.take(context.worker, key.priority, Breaker::Requests);
        context.stats.inc(stats::UPSTREAM_RQ_TOTAL);
        context.stats.gauge_inc(stats::UPSTREAM_RQ_ACTIVE);
        state.count(HostStat::RqTotal);
        state.count(HostStat::RqActive);
        state.rq_active.set(state.rq_active.get() + 1);
        Ok(Self { host: Rc::clone(host), key, has_ended: false })
    }

    /// Gives it back before the value is dropped.
    pub(crate) fn end(&mut self) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let state = &self.host.state;
        let context = &state.context;
        context.shared.give_back(context.worker, self.key.priority, Breaker::Requests);
        context.stats.gauge_dec(stats::UPSTREAM_RQ_ACTIVE);
        state.discount(HostStat::RqActive);
        state.rq_active.set(state.rq_active.get().saturating_sub(1));
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.end();
    }
}
