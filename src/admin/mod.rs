//! The admin server: Envoy's endpoints, in Envoy's shapes, away from the data path.
//!
//! Runs on the main thread with hyper (HTTP/1.1). [`table`] lists the endpoints and drives both
//! dispatch and `/help`; each endpoint is a function from a request to a [`Reply`](reply::Reply)
//! in a module of its own. Nothing here touches a worker except through the server's commands.
//!
//! Limits: [`MAX_CONNECTIONS`] at a time, one request head in [`HEAD_LIMIT`], bodies of requests
//! are not read unless they are forms of [`FORM_LIMIT`]. Stats: `http.admin.`, `listener.admin.`. There is no authentication, as in Envoy:
//! the address is to be one that only operators reach.

mod certs;
mod clusters;
mod config_dump;
mod control;
mod listeners;
mod logging;
mod page;
mod reply;
mod runtime;
mod server_info;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod traffic;

use std::{cell::Cell, convert::Infallible, io, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use nuncio_net::{BoundSocket, Listener, Stream};

use crate::server::Server;
use reply::AdminRequest;
use traffic::Traffic;

/// Connections beyond this wait in the accept queue.
const MAX_CONNECTIONS: usize = 1000;

/// A client that does not finish its request head by then is dropped.
const HEAD_LIMIT: Duration = Duration::from_secs(15);

/// No form is longer.
const FORM_LIMIT: usize = 64 * 1024;

const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// How long to pause when descriptors run out, before accepting again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

struct Admin {
    server: Rc<Server>,
    traffic: Traffic,
    connections: Cell<usize>,
    freed: tokio::sync::Notify,
}

/// Starts serving on this thread's runtime.
pub(crate) fn serve(server: &Rc<Server>, socket: BoundSocket) -> io::Result<()> {
    let listener = socket.into_listener()?;
    tracing::info!(target: "admin", "admin address: {}", listener.local_address());
    let admin = Rc::new(Admin {
        server: Rc::clone(server),
        traffic: Traffic::new(&server.store),
        connections: Cell::new(0),
        freed: tokio::sync::Notify::new(),
    });
    tokio::task::spawn_local(accept(admin, listener));
    Ok(())
}

async fn accept(admin: Rc<Admin>, listener: Listener) {
    loop {
        while admin.connections.get() >= MAX_CONNECTIONS {
            admin.freed.notified().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                admin.connections.set(admin.connections.get() + 1);
                tokio::task::spawn_local(connection(Rc::clone(&admin), stream));
            }
            Err(error) => {
                tracing::warn!(target: "admin", "accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(admin: Rc<Admin>, stream: Stream) {
    let counted = admin.traffic.connection();
    let service = service_fn(|request| answer(&admin, request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        // A client that goes away is no news.
        tracing::debug!(target: "admin", "connection: {error}");
    }
    drop(counted);
    admin.connections.set(admin.connections.get().saturating_sub(1));
    admin.freed.notify_one();
}

async fn answer(admin: &Admin, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let counted = admin.traffic.request();
    let request = read(request).await;
    let reply = table::dispatch(&admin.server, &request);
    counted.answered(reply.status());
    Ok(reply.into_response())
}

/// The request with its form, if it has one; a form that is too long or breaks off is none.
async fn read(request: Request<Incoming>) -> AdminRequest {
    let is_form = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == FORM);
    let known = AdminRequest::new(request.method().clone(), request.uri());
    if !is_form {
        return known;
    }
    match Limited::new(request.into_body(), FORM_LIMIT).collect().await {
        Ok(body) => known.with_form(&body.to_bytes()),
        Err(_) => known,
    }
}
