//! Endpoints that tell the server what to do, and the probes.

use std::rc::Rc;

use http::StatusCode;
use serde_json::json;

use super::reply::{AdminRequest, Reply};
use crate::server::{Server, State};

/// `/ready`
pub(super) fn ready(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    let state = server.state();
    let status = if state == State::Live { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Reply::text(format!("{}\n", state.name())).with_status(status)
}

/// `/quitquitquit`: as SIGTERM.
pub(super) fn quit(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    server.quit.notify_one();
    Reply::ok()
}

/// `/healthcheck/fail`
pub(super) fn healthcheck_fail(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    server.drain.set_health_failed(true);
    server.stats.set_live(false);
    Reply::ok()
}

/// `/healthcheck/ok`
pub(super) fn healthcheck_ok(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    server.drain.set_health_failed(false);
    server.stats.set_live(server.state() == State::Live);
    Reply::ok()
}

/// `/drain_listeners`: closes the listeners, at once or at the end of a drain.
pub(super) fn drain_listeners(server: &Rc<Server>, request: &AdminRequest) -> Reply {
    let inbound_only = request.param("inboundonly").is_some();
    if request.param("skip_exit").is_some() {
        server.drain.start();
    } else if request.param("graceful").is_some() {
        server.drain.start();
        let server = Rc::clone(server);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(server.options.drain_time).await;
            server.stop_listeners(inbound_only);
        });
    } else {
        server.stop_listeners(inbound_only);
    }
    Reply::ok()
}

/// `/reopen_logs`
pub(super) fn reopen_logs(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    server.reopen_logs();
    Reply::ok()
}

/// `/reset_counters`
pub(super) fn reset_counters(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    server.store.reset_counters();
    Reply::ok()
}

/// `/init_dump`: nobody is being waited for once the server answers as LIVE.
pub(super) fn init_dump(_: &Rc<Server>, _: &AdminRequest) -> Reply {
    Reply::json(&json!({}))
}
