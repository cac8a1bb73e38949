//! The admin server's own stats: `http.admin.`, `listener.admin.` and what hangs below.

use std::{cell::Cell, sync::Arc, time::Instant};

use http::StatusCode;
use nuncio_stats::{
    Shard, Store,
    templates::{
        admin_listener_scope, http_class, http_scope, http_stats as rq, listener_http_class, listener_http_scope,
        listener_http_stats, listener_stats as listener, listener_worker_stats as main,
    },
};

/// The writers.
pub(super) struct Traffic {
    http: Shard,
    listener: Shard,
    listener_http: Shard,
    main: Shard,
}

impl Traffic {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        let under = admin_listener_scope;
        Self {
            http: store.group(&rq::TEMPLATE, http_scope("admin")).shard(0),
            listener: store.group(&listener::TEMPLATE, under()).shard(0),
            listener_http: store.group(&listener_http_stats::TEMPLATE, listener_http_scope(under(), "admin")).shard(0),
            main: store.group(&main::TEMPLATE, under().part("main_thread")).shard(0),
        }
    }

    /// Counts one connection until the answer is dropped.
    pub(super) fn connection(&self) -> CountedConnection<'_> {
        self.http.inc(rq::DOWNSTREAM_CX_TOTAL);
        self.http.inc(rq::DOWNSTREAM_CX_HTTP1_TOTAL);
        self.http.gauge_inc(rq::DOWNSTREAM_CX_ACTIVE);
        self.http.gauge_inc(rq::DOWNSTREAM_CX_HTTP1_ACTIVE);
        self.listener.inc(listener::DOWNSTREAM_CX_TOTAL);
        self.listener.gauge_inc(listener::DOWNSTREAM_CX_ACTIVE);
        self.main.inc(main::DOWNSTREAM_CX_TOTAL);
        self.main.gauge_inc(main::DOWNSTREAM_CX_ACTIVE);
        CountedConnection { traffic: self, since: Instant::now() }
    }

    /// Counts one request until it is answered.
    pub(super) fn request(&self) -> CountedRequest<'_> {
        self.http.inc(rq::DOWNSTREAM_RQ_TOTAL);
        self.http.inc(rq::DOWNSTREAM_RQ_HTTP1_TOTAL);
        self.http.gauge_inc(rq::DOWNSTREAM_RQ_ACTIVE);
        CountedRequest { traffic: self, since: Instant::now(), status: Cell::new(None) }
    }
}

/// One connection of the admin server.
pub(super) struct CountedConnection<'a> {
    traffic: &'a Traffic,
    since: Instant,
}

impl Drop for CountedConnection<'_> {
    fn drop(&mut self) {
        let Traffic { http, listener, main, .. } = self.traffic;
        http.inc(rq::DOWNSTREAM_CX_DESTROY);
        http.inc(rq::DOWNSTREAM_CX_DESTROY_REMOTE);
        http.gauge_dec(rq::DOWNSTREAM_CX_ACTIVE);
        http.gauge_dec(rq::DOWNSTREAM_CX_HTTP1_ACTIVE);
        http.record(rq::DOWNSTREAM_CX_LENGTH_MS, millis(self.since));
        listener.inc(listener::DOWNSTREAM_CX_DESTROY);
        listener.gauge_dec(listener::DOWNSTREAM_CX_ACTIVE);
        listener.record(listener::DOWNSTREAM_CX_LENGTH_MS, millis(self.since));
        main.gauge_dec(main::DOWNSTREAM_CX_ACTIVE);
    }
}

/// One request of the admin server.
pub(super) struct CountedRequest<'a> {
    traffic: &'a Traffic,
    since: Instant,
    status: Cell<Option<StatusCode>>,
}

impl CountedRequest<'_> {
    pub(super) fn answered(self, status: StatusCode) {
        self.status.set(Some(status));
    }
}

impl Drop for CountedRequest<'_> {
    fn drop(&mut self) {
        let Traffic { http, listener_http, .. } = self.traffic;
        http.gauge_dec(rq::DOWNSTREAM_RQ_ACTIVE);
        let Some(status) = self.status.get() else {
            return;
        };
        http.inc(rq::DOWNSTREAM_RQ_COMPLETED);
        http.record(rq::DOWNSTREAM_RQ_TIME, millis(self.since));
        listener_http.inc(listener_http_stats::DOWNSTREAM_RQ_COMPLETED);
        if let Some(class) = http_class(status.as_u16()) {
            http.inc(class);
        }
        if let Some(class) = listener_http_class(status.as_u16()) {
            listener_http.inc(class);
        }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
