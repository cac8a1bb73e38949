//! `--traffic`: a trickle of requests, so that there is something to watch.
//!
//! At most [`AT_ONCE`] at a time, [`PAUSE`] between two: it is a demonstration, not a load test.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// Time between two requests: 20 a second.
const PAUSE: Duration = Duration::from_millis(50);

/// Requests in flight.
const AT_ONCE: usize = 16;

/// What is asked for, in turn.
const PATHS: [&str; 10] = ["/", "/", "/split", "/", "/slow", "/items/7", "/split", "/", "/teapot", "/old"];

/// Starts a thread that sends until the process ends.
pub(super) fn start(proxy: SocketAddr) {
    let spawned = std::thread::Builder::new().name("traffic".to_owned()).spawn(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(send(proxy));
        }
    });
    if let Err(error) = spawned {
        eprintln!("nuncio demo: no traffic: {error}");
    }
}

async fn send(proxy: SocketAddr) {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut ticks = tokio::time::interval(PAUSE);
    for path in PATHS.iter().cycle() {
        ticks.tick().await;
        let Ok(permit) = std::sync::Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let Ok(request) = Request::get(format!("http://{proxy}{path}")).body(Empty::new()) else {
            return;
        };
        let answer = client.request(request);
        tokio::spawn(async move {
            // What becomes of it shows in the stats.
            if let Ok(response) = answer.await {
                let _ = response.into_body().collect().await;
            }
            drop(permit);
        });
    }
}
