//! Outgoing connections: a socket is made, prepared and connected.
//!
//! Owns the system calls between "this address" and a connected [`Stream`]: source address, raw
//! options and keep-alive before the connect, `TCP_NODELAY` on it. It knows no cluster, no pool
//! and no timeout: whoever calls bounds the wait and drops the future, which closes the socket.
//!
//! Failure is an `io::Error`. [`ConnectError`] also tells whether the system refused at once or
//! later, because Envoy's failure texts do (`immediate connect error`, `delayed connect error`).

use std::{
    ffi::OsString,
    io,
    net::SocketAddr,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, UnixStream};

use crate::{
    address::SocketAddress,
    socket_options::{Keepalive, RawOption, set_keepalive, set_raw},
    stream::Stream,
};

/// How a TCP socket is prepared before it connects.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// Address to bind to; ignored when its family is not the target's.
    pub source: Option<SocketAddr>,
    /// Keep-alive probes.
    pub keepalive: Option<Keepalive>,
    /// Raw options.
    pub raw: Vec<RawOption>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket could not be made, prepared or bound: nothing was sent to anybody.
    #[error("bind: {}", reason(.0))]
    Local(io::Error),
    /// The system refused at once, for example for lack of a route.
    #[error("immediate connect error: {}", reason(.0))]
    Immediate(io::Error),
    /// The other side or the network refused.
    #[error("delayed connect error: {}", reason(.0))]
    Delayed(io::Error),
}

/// The system's words for an error, without Rust's ` (os error N)`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// Connects to `target`. Cancel-safe: dropping the future closes the socket.
pub async fn connect(target: &SocketAddress, options: &ConnectOptions) -> Result<Stream, ConnectError> {
    match target {
        SocketAddress::Ip(address) => {
            let socket = prepared(*address, options).map_err(ConnectError::Local)?;
            let stream = socket.connect(*address).await.map_err(classified)?;
            Ok(Stream::Tcp(stream))
        }
        SocketAddress::Pipe(path) => {
            let stream = UnixStream::connect(system_path(path)).await.map_err(ConnectError::Immediate)?;
            Ok(Stream::Unix(stream))
        }
    }
}

fn prepared(address: SocketAddr, options: &ConnectOptions) -> io::Result<TcpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(keepalive) = &options.keepalive {
        set_keepalive(&socket, keepalive)?;
    }
    for option in &options.raw {
        set_raw(&socket, option).map_err(io::Error::other)?;
    }
    if let Some(source) = options.source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
        socket.bind(&source.into())?;
    }
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// `connect(2)` answers these before anything leaves the machine.
fn classified(error: io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::InvalidInput => ConnectError::Immediate(error),
        _ => ConnectError::Delayed(error),
    }
}

/// The kernel marks abstract names with a leading NUL where configs write `@`.
fn system_path(path: &Path) -> PathBuf {
    match path.as_os_str().as_bytes().split_first() {
        Some((b'@', name)) => {
            let mut bytes = Vec::with_capacity(name.len() + 1);
            bytes.push(0);
            bytes.extend_from_slice(name);
            OsString::from_vec(bytes).into()
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn connects_from_the_source_address_without_delaying_small_writes() {
        local(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let source = "127.0.0.2:0".parse().unwrap();
            let options = ConnectOptions { source: Some(source), ..ConnectOptions::default() };
            let stream = connect(&SocketAddress::Ip(address), &options).await.unwrap();
            let (_, peer) = listener.accept().await.unwrap();
            assert_eq!(peer.ip().to_string(), "127.0.0.2");
            let Stream::Tcp(tcp) = stream else { panic!("not TCP") };
            assert!(tcp.nodelay().unwrap());
        });
    }

    #[test]
    fn a_refused_connection_is_told_in_the_words_of_the_system() {
        local(async {
            let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = closed.local_addr().unwrap();
            drop(closed);
            let error = connect(&SocketAddress::Ip(address), &ConnectOptions::default()).await.unwrap_err();
            assert_eq!(error.to_string(), "delayed connect error: Connection refused");
        });
    }

    #[test]
    fn connects_to_an_abstract_unix_socket() {
        local(async {
            let name = format!("\0nuncio-connect-{}", std::process::id());
            let listener = tokio::net::UnixListener::bind(&name).unwrap();
            let path = SocketAddress::Pipe(format!("@{}", &name[1..]).into());
            let stream = connect(&path, &ConnectOptions::default()).await;
            assert!(stream.is_ok());
            listener.accept().await.unwrap();
        });
    }
}
