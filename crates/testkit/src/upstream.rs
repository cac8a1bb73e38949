//! What stands behind the proxy.
//!
//! Each upstream is a thread with its own runtime, so that a test that waits does not stop it.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use http::{HeaderMap, Request, Response};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::{Version, body, body::Body, panics, wait::until, wire::Wire};

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Handler = Arc<dyn Fn(Request<Incoming>) -> Answering + Send + Sync>;
type Scripted = Pin<Box<dyn Future<Output = ()> + Send>>;
type Script = Arc<dyn Fn(Wire) -> Scripted + Send + Sync>;

/// A request as it reached an upstream.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `host` or `:authority`.
    pub host: String,
    /// Header fields.
    pub headers: HeaderMap,
}

impl Seen {
    /// The value of a header field as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
}

/// A server for the proxy to forward to; it ends when dropped.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    name: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// A hyper server of this version.
    pub fn start<F, A>(version: Version, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        Self::run(move |stream, shared| {
            let handler = Arc::clone(&handler);
            Box::pin(serve(version, stream, handler, shared))
        })
    }

    /// Sends every request's body back, trailers included.
    #[must_use]
    pub fn echo(version: Version) -> Self {
        Self::start(version, |request| async { Response::new(body::echo(request.into_body())) })
    }

    /// Answers every request with this text.
    #[must_use]
    pub fn answering(version: Version, text: &'static str) -> Self {
        Self::start(version, move |_| async move { Response::new(body::full(text)) })
    }

    /// Runs a script on every connection.
    pub fn scripted<F, A>(script: F) -> Self
    where
        F: Fn(Wire) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let script: Script = Arc::new(move |wire| Box::pin(script(wire)));
        Self::run(move |stream, _| script(Wire::over(stream)))
    }

    /// Reads each HTTP/1 request on each connection and answers it with these bytes.
    #[must_use]
    pub fn replying(bytes: &'static str) -> Self {
        Self::scripted(move |mut wire| async move {
            while wire.next_request().await.is_some() {
                if wire.try_send(bytes).await.is_err() {
                    return;
                }
            }
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// Requests received so far (by hyper servers).
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many requests have come; all of them.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<Seen> {
        until("requests at the upstream", || {
            let seen = self.requests();
            if seen.len() >= count { Ok(seen) } else { Err(seen.len()) }
        })
        .await
    }

    /// The last request.
    #[must_use]
    pub fn last(&self) -> Seen {
        self.requests().pop().expect("a request at the upstream")
    }

    fn run(serve: impl Fn(TcpStream, Arc<Shared>) -> Scripted + Send + 'static) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        panics::watch();
        let name = format!("{}upstream-{}", panics::WATCHED, NUMBER.fetch_add(1, Ordering::Relaxed));
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::<Shared>::default();
        let accepted = Arc::clone(&shared);
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(socket).unwrap();
                let accepting = async {
                    loop {
                        let (stream, _) = listener.accept().await.unwrap();
                        stream.set_nodelay(true).unwrap();
                        accepted.connections.fetch_add(1, Ordering::AcqRel);
                        tokio::spawn(serve(stream, Arc::clone(&accepted)));
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name(name.clone()).spawn(body).unwrap();
        Self { address, shared, name, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let panics = panics::of(&self.name);
        assert!(thread::panicking() || panics.is_empty(), "an upstream panicked: {panics:?}");
    }
}

async fn serve(version: Version, stream: TcpStream, handler: Handler, shared: Arc<Shared>) {
    let service = service_fn(move |request: Request<Incoming>| {
        shared.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen(&request));
        let answer = handler(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let io = TokioIo::new(stream);
    // How a connection ends is the proxy's affair; what matters of it the tests see elsewhere.
    match version {
        Version::Http1 => {
            let _ = conn::http1::Builder::new().half_close(true).serve_connection(io, service).with_upgrades().await;
        }
        Version::Http2 => {
            let mut builder = conn::http2::Builder::new(TokioExecutor::new());
            let _ = builder.enable_connect_protocol().serve_connection(io, service).await;
        }
    }
}

fn seen(request: &Request<Incoming>) -> Seen {
    let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
    Seen {
        method: request.method().to_string(),
        path: request.uri().path_and_query().map_or_else(|| request.uri().to_string(), ToString::to_string),
        host: host.or_else(|| request.uri().authority().map(ToString::to_string)).unwrap_or_default(),
        headers: request.headers().clone(),
    }
}

/// An address where nobody listens.
#[must_use]
pub fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
