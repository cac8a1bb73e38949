//! Profilers, the allocator's own pages and mutex tracing: Envoy's answers of a build without them.

use std::rc::Rc;

use http::StatusCode;
use serde_json::json;

use super::reply::{AdminRequest, Reply};
use crate::server::Server;

/// `/cpuprofiler`: there is nothing to start, and nothing to stop.
pub(super) fn cpu(_: &Rc<Server>, request: &AdminRequest) -> Reply {
    match switch(request) {
        None => usage(),
        Some(true) => Reply::error(StatusCode::INTERNAL_SERVER_ERROR, "failure to start the profiler"),
        Some(false) => Reply::ok(),
    }
}

/// `/heapprofiler`
pub(super) fn heap(_: &Rc<Server>, _: &AdminRequest) -> Reply {
    not_implemented("The current build does not support heap profiler")
}

/// `/allocprofiler`
pub(super) fn allocations(_: &Rc<Server>, request: &AdminRequest) -> Reply {
    match switch(request) {
        None => usage(),
        Some(_) => not_implemented("Allocation profile is not implemented in current build"),
    }
}

/// `/heap_dump` and `/peak_heap_dump`
pub(super) fn heap_dump(_: &Rc<Server>, _: &AdminRequest) -> Reply {
    not_implemented("Heap profile is not implemented in current build")
}

/// `/memory/tcmalloc`
pub(super) fn tcmalloc(_: &Rc<Server>, _: &AdminRequest) -> Reply {
    not_implemented("Envoy was not built with tcmalloc.").plain()
}

/// `/contention`: workers share no lock on the way of a request, so there is none to wait for.
pub(super) fn contention(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    if server.options.flags.enable_mutex_tracing {
        let none = json!({"num_contentions": "0", "current_wait_cycles": "0", "lifetime_wait_cycles": "0"});
        return Reply::json(&none);
    }
    Reply::text("Mutex contention tracing is not enabled. To enable, run Envoy with flag --enable-mutex-tracing.")
}

/// The one parameter `enable`, `y` or `n`.
fn switch(request: &AdminRequest) -> Option<bool> {
    match request.params() {
        [(name, value)] if name == "enable" && value == "y" => Some(true),
        [(name, value)] if name == "enable" && value == "n" => Some(false),
        _ => None,
    }
}

fn usage() -> Reply {
    Reply::bad_request("?enable=<y|n>\n")
}

fn not_implemented(words: &str) -> Reply {
    Reply::error(StatusCode::NOT_IMPLEMENTED, words)
}
