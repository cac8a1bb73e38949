//! One index per route table, for all workers.
//!
//! Workers set up their listeners by themselves, each with the same table; whoever comes first
//! builds the index and the others take it. Asked when a listener starts, never per request. What
//! no worker holds any more goes.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use nuncio_config::model::RouteTable;

use super::RouteIndex;

static SHARED: Mutex<Vec<Weak<RouteIndex>>> = Mutex::new(Vec::new());

impl RouteIndex {
    /// The index of `table`, built if nobody has it yet.
    pub fn shared(table: &Arc<RouteTable>) -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|index| index.strong_count() > 0);
        let known = shared.iter().filter_map(Weak::upgrade).find(|index| Arc::ptr_eq(&index.table, table));
        known.unwrap_or_else(|| {
            let index = Arc::new(Self::new(Arc::clone(table)));
            shared.push(Arc::downgrade(&index));
            index
        })
    }
}
