//! `/stats/recentlookups`: which stats were looked up by name on the way of a request.
//!
//! None are: stats are found when the configuration is loaded, so the list stays empty. What is
//! there is the switch, as tools know it.

use std::rc::Rc;

use super::reply::{AdminRequest, Reply};
use crate::server::Server;

/// `/stats/recentlookups`
pub(super) fn show(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    let head = if server.tracks_lookups.get() {
        "   Count Lookup\n"
    } else {
        "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n"
    };
    Reply::text(format!("{head}\ntotal: 0\n"))
}

/// `/stats/recentlookups/enable`
pub(super) fn enable(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    server.tracks_lookups.set(true);
    Reply::ok()
}

/// `/stats/recentlookups/disable`
pub(super) fn disable(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    server.tracks_lookups.set(false);
    Reply::ok()
}

/// `/stats/recentlookups/clear`
pub(super) fn clear(_: &Rc<Server>, _: &AdminRequest) -> Reply {
    Reply::ok()
}
