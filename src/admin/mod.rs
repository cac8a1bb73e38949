//! The admin server: Envoy's endpoints, in Envoy's shapes, away from the data path.
//!
//! Runs on the main thread as a listener of its own whose requests the process answers itself
//! ([`LocalService`]), so HTTP/1.1 and HTTP/2, stats (`http.admin.`, `listener.admin.`) and access
//! logs are those of any listener. [`endpoints`] is the list that drives dispatch, `/help` and
//! the page; each endpoint is a function from a request to a [`Reply`](reply::Reply) in a module of
//! its own. Nothing here touches a worker except through the server's commands.
//!
//! Limits: [`MAX_CONNECTIONS`] at a time, and what the process allows unless
//! `ignore_global_conn_limit`. There is no authentication, as in Envoy: the address is to be one
//! that only operators reach.

mod certs;
mod clusters;
mod config_dump;
mod control;
mod endpoints;
mod explain;
mod listener;
mod listeners;
mod logging;
mod lookups;
mod page;
mod profiling;
mod reply;
mod runtime;
mod server_info;
mod stats;
mod stats_page;
mod table;
#[cfg(test)]
mod tests;

use std::{io, rc::Rc, sync::Arc};

use nuncio_api::{Drain, RequestHead, Runtime, RuntimeLayer, RuntimeValue, Timers};
use nuncio_net::BoundSocket;
use nuncio_proxy::{LocalAnswer, LocalService, WorkerContext, start_listener};
use nuncio_upstream::ClusterManager;

use crate::server::Server;
use reply::AdminRequest;

/// More connections are closed at once.
const MAX_CONNECTIONS: u32 = 1000;

/// The main thread, as stats number the threads.
const MAIN_THREAD: usize = 0;

struct Admin {
    server: Rc<Server>,
}

impl LocalService for Admin {
    fn answer(&self, request: &RequestHead, body: &[u8]) -> LocalAnswer {
        let request = AdminRequest::read(request, body);
        table::dispatch(&self.server, &request).into_answer()
    }
}

/// Starts serving on this thread's runtime, for as long as the process lives.
pub(crate) fn serve(server: &Rc<Server>, socket: BoundSocket) -> io::Result<()> {
    let listener = socket.into_listener()?;
    tracing::info!(target: "admin", "admin address: {}", listener.local_address());
    let context = context(server);
    context.serve_locally(Rc::new(Admin { server: Rc::clone(server) }));
    let settings = server.bootstrap.admin.as_ref().and_then(listener::settings);
    let settings = settings.ok_or_else(|| io::Error::other("the admin listener's settings are wrong"))?;
    tokio::task::spawn_local(Rc::clone(&context).run_housekeeping());
    let _ = start_listener(&context, settings, listener);
    Ok(())
}

/// The surroundings of a worker, without clusters to forward to and without draining.
fn context(server: &Server) -> Rc<WorkerContext> {
    let timers = Timers::new();
    tokio::task::spawn_local(timers.clone().run());
    let clusters = ClusterManager::new(MAIN_THREAD, Arc::clone(&server.store), timers.clone());
    let options = &server.options;
    WorkerContext::new(
        MAIN_THREAD,
        Arc::clone(&server.store),
        timers,
        Rc::new(clusters),
        Arc::new(Drain::new(options.drain_strategy, options.drain_time)),
        Arc::clone(&server.access_logs),
        Arc::clone(&server.limits),
        Arc::new(server.bootstrap.node.clone()),
        Runtime::fixed(vec![own_limit()]),
        server.machine_address,
    )
}

/// The number of connections, said as it is said for any listener.
fn own_limit() -> RuntimeLayer {
    let key = format!("envoy.resource_limits.listener.{}.connection_limit", listener::NAME);
    let values = [(key, RuntimeValue::number(f64::from(MAX_CONNECTIONS)))].into();
    RuntimeLayer { name: "admin".to_owned(), values }
}
