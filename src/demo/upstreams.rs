//! Two HTTP servers to proxy to, on a thread of their own.
//!
//! `hello` answers at once, `slow` takes between 20 and 300 ms and fails one request in 40, so that
//! the live page has something of every colour. They speak HTTP/1.1 and read no bodies.

use std::{
    cell::Cell,
    convert::Infallible,
    io,
    net::{Ipv4Addr, TcpListener},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

#[derive(Clone, Copy)]
enum Kind {
    Hello,
    Slow,
}

/// Starts both, on these ports or on free ones; answers the ports.
pub(super) fn start([hello, slow]: [u16; 2]) -> io::Result<[u16; 2]> {
    let (hello, slow) = (bind(hello)?, bind(slow)?);
    let ports = [hello.local_addr()?.port(), slow.local_addr()?.port()];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("demo".to_owned()).spawn(move || {
        let local = tokio::task::LocalSet::new();
        local.spawn_local(serve(hello, Kind::Hello));
        local.block_on(&runtime, serve(slow, Kind::Slow));
    })?;
    Ok(ports)
}

fn bind(port: u16) -> io::Result<TcpListener> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve(listener: TcpListener, kind: Kind) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let count = Rc::new(Cell::new(0_u64));
    while let Ok((stream, _)) = listener.accept().await {
        let count = Rc::clone(&count);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                count.set(count.get() + 1);
                answer(request, kind, count.get())
            });
            // A proxy that closes an idle connection is no news.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, kind: Kind, number: u64) -> Result<Response<Full<Bytes>>, Infallible> {
    let (name, status) = match kind {
        Kind::Hello => ("hello", StatusCode::OK),
        Kind::Slow => {
            // Scattered without dice: multiples of a prime.
            tokio::time::sleep(Duration::from_millis(20 + number * 97 % 280)).await;
            ("slow", if number.is_multiple_of(40) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK })
        }
    };
    let text = format!("{name}: request {number} of this upstream, {} {}\n", request.method(), request.uri());
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert("x-demo-upstream", HeaderValue::from_static(name));
    Ok(response)
}
