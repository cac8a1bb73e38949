//! Listening sockets: made on the main thread, used by the workers.
//!
//! [`BoundSocket::bind`] does everything that can fail (options, bind, listen), so that a port in
//! use or a missing privilege is known before any worker starts. One TCP socket per worker shares
//! the address through `SO_REUSEPORT`, and the kernel spreads connections over them; Unix sockets
//! and listeners without reuse are one socket that workers share by duplicated descriptors.
//! [`BoundSocket::into_listener`] hands it to the runtime of the calling thread.
//!
//! Two processes that both use `SO_REUSEPORT` would take each other's connections without a
//! word, so the first socket of an address is tried without it: an address that somebody listens
//! on is an error, as it is for every other server. Fields: `Listener.address`, `socket_options`,
//! `tcp_backlog_size`, `freebind`, `transparent`, `enable_reuse_port`, `ipv4_compat`.

use std::{
    fs, io,
    net::Ipv6Addr,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{FileTypeExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, SockFilter, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::{
    Stream,
    address::SocketAddress,
    socket_options::{Keepalive, OptionError, RawOption, set_keepalive, set_raw},
};

/// How a listening socket is made.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// Where; port 0 lets the kernel choose.
    pub address: SocketAddress,
    /// Permission bits of a Unix socket's file, 0 = as the umask says.
    pub mode: u32,
    /// A v6 address also takes IPv4 connections.
    pub ipv4_compat: bool,
    /// One socket per worker on the same address.
    pub reuse_port: bool,
    /// `IP_FREEBIND`: the address need not exist on this machine.
    pub freebind: bool,
    /// `IP_TRANSPARENT`.
    pub transparent: bool,
    /// Length of the accept queue; `None` = the system's maximum.
    pub backlog: Option<u32>,
    /// Keepalive that accepted connections inherit.
    pub keepalive: Option<Keepalive>,
    /// Raw options set before bind.
    pub before_bind: Vec<RawOption>,
    /// Raw options set between bind and listen.
    pub after_bind: Vec<RawOption>,
    /// Raw options set after listen.
    pub after_listen: Vec<RawOption>,
}

impl ListenSettings {
    /// An address with everything else at its default.
    pub fn new(address: SocketAddress) -> Self {
        Self {
            address,
            mode: 0,
            ipv4_compat: false,
            reuse_port: true,
            freebind: false,
            transparent: false,
            backlog: None,
            keepalive: None,
            before_bind: Vec::new(),
            after_bind: Vec::new(),
            after_listen: Vec::new(),
        }
    }
}

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An option was refused.
    #[error("{0}")]
    Option(#[from] OptionError),
    /// Somebody else listens there.
    #[error("address already in use")]
    InUse,
    /// A file that is no socket stands at the path.
    #[error("{} exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// Another step failed.
    #[error("{step}: {source}")]
    Step {
        /// Which one, for example `bind`.
        step: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

fn at(step: &'static str) -> impl FnOnce(io::Error) -> ListenError {
    move |source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse,
        _ => ListenError::Step { step, source },
    }
}

/// A socket that listens and belongs to no runtime yet.
#[derive(Debug)]
pub struct BoundSocket {
    socket: Socket,
    local: SocketAddress,
    /// The file to remove when the server stops listening.
    file: Option<PathBuf>,
}

impl BoundSocket {
    /// The first socket of an address: options, bind, listen.
    pub fn bind(settings: &ListenSettings) -> Result<Self, ListenError> {
        refuse_shared(settings)?;
        Self::open(settings, &settings.address)
    }

    /// Another socket for another worker on what this one is bound to: a socket of its own when
    /// the address is shared by `SO_REUSEPORT`, else a duplicate of the same one.
    pub fn another(&self, settings: &ListenSettings) -> Result<Self, ListenError> {
        if settings.reuse_port && self.local.ip().is_some() {
            return Self::open(settings, &self.local);
        }
        let socket = self.socket.try_clone().map_err(at("dup"))?;
        Ok(Self { socket, local: self.local.clone(), file: self.file.clone() })
    }

    fn open(settings: &ListenSettings, address: &SocketAddress) -> Result<Self, ListenError> {
        let system = address.to_sock_addr().map_err(at("address"))?;
        let socket = Socket::new(system.domain(), Type::STREAM, None).map_err(at("socket"))?;
        socket.set_nonblocking(true).map_err(at("nonblocking"))?;
        prepare(&socket, settings, address)?;
        let file = socket_file(address);
        if let Some(path) = &file {
            remove_stale(path)?;
        }
        socket.bind(&system).map_err(at("bind"))?;
        set_all(&socket, &settings.after_bind)?;
        if let Some(path) = file.as_ref().filter(|_| settings.mode != 0) {
            fs::set_permissions(path, fs::Permissions::from_mode(settings.mode)).map_err(at("chmod"))?;
        }
        let backlog = settings.backlog.map_or(i32::MAX, |length| i32::try_from(length).unwrap_or(i32::MAX));
        socket.listen(backlog).map_err(at("listen"))?;
        set_all(&socket, &settings.after_listen)?;
        let local = socket.local_addr().map_err(at("getsockname"))?;
        Ok(Self { socket, local: SocketAddress::from_sock_addr(&local), file })
    }

    /// The address with the port that the kernel chose.
    pub fn local_address(&self) -> &SocketAddress {
        &self.local
    }

    /// The file of a Unix socket, for whoever removes it at the end.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Hands the socket to the runtime of this thread. Must be called within one. `TCP_NODELAY` is
    /// set here, as Envoy does: every connection inherits it, which saves a system call each.
    pub fn into_listener(self) -> io::Result<Listener> {
        let Self { socket, local, .. } = self;
        let source = match local {
            SocketAddress::Ip(_) => {
                socket.set_tcp_nodelay(true)?;
                Source::Tcp(TcpListener::from_std(socket.into())?)
            }
            SocketAddress::Pipe(_) => Source::Unix(UnixListener::from_std(OwnedFd::from(socket).into())?),
        };
        Ok(Listener { source, local })
    }
}

/// A listening socket of one worker.
#[derive(Debug)]
pub struct Listener {
    source: Source,
    local: SocketAddress,
}

#[derive(Debug)]
enum Source {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// The next connection and where it comes from.
    ///
    /// Cancel-safe: a connection is either returned or still in the queue. An error is about one
    /// connection or about descriptors running out; the socket goes on listening.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddress)> {
        match &self.source {
            Source::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Tcp(stream), unmapped(peer).into()))
            }
            Source::Unix(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Unix(stream), peer.into()))
            }
        }
    }

    /// A connection that waits in the queue already; `None` when there is none. For whoever stops
    /// listening: closing the socket resets what was not taken.
    pub fn take_queued(&self) -> Option<(Stream, SocketAddress)> {
        // Not through the runtime, which may not have heard of the connection yet.
        let (socket, peer) = socket2::SockRef::from(self).accept().ok()?;
        socket.set_nonblocking(true).ok()?;
        match SocketAddress::from_sock_addr(&peer) {
            SocketAddress::Ip(peer) => {
                let stream = TcpStream::from_std(socket.into()).ok()?;
                let _ = stream.set_nodelay(true);
                Some((Stream::Tcp(stream), unmapped(peer).into()))
            }
            peer @ SocketAddress::Pipe(_) => {
                let stream = UnixStream::from_std(OwnedFd::from(socket).into()).ok()?;
                Some((Stream::Unix(stream), peer))
            }
        }
    }

    /// New connections find nobody from here on, while those whose handshake has begun still
    /// complete it and arrive: the kernel drops what asks for a new one (a SYN), as if it had been
    /// lost, and a client that asks again finds the address closed. The only way to close a socket
    /// without resetting somebody: closing it at once would cut off whoever is in the middle of a
    /// handshake. False where it is not needed (Unix sockets connect at once) or not possible.
    ///
    /// It holds for everybody who shares the socket by a duplicated descriptor.
    pub fn refuse_new(&self) -> bool {
        matches!(self.source, Source::Tcp(_)) && socket2::SockRef::from(self).attach_filter(&WITHOUT_SYN).is_ok()
    }

    /// What the listener is bound to. Under a wildcard the address of a connection differs.
    pub fn local_address(&self) -> &SocketAddress {
        &self.local
    }
}

/// A classic BPF program over the TCP header: drops a segment with SYN and without ACK, passes all
/// others. (Load the flags, keep those two; is it SYN alone? No bytes of the segment, or all.)
const WITHOUT_SYN: [SockFilter; 5] = [
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x54, 0, 0, 0x12),
    SockFilter::new(0x15, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Tcp(listener) => listener.as_fd(),
            Source::Unix(listener) => listener.as_fd(),
        }
    }
}

/// An IPv4 peer of a dual-stack socket under its own address, as Envoy shows it.
fn unmapped(address: std::net::SocketAddr) -> std::net::SocketAddr {
    (address.ip().to_canonical(), address.port()).into()
}

fn prepare(socket: &Socket, settings: &ListenSettings, address: &SocketAddress) -> Result<(), ListenError> {
    if let Some(ip) = address.ip() {
        socket.set_reuse_address(true).map_err(at("SO_REUSEADDR"))?;
        if settings.reuse_port {
            socket.set_reuse_port(true).map_err(at("SO_REUSEPORT"))?;
        }
        if ip.is_ipv6() {
            socket.set_only_v6(!settings.ipv4_compat).map_err(at("IPV6_V6ONLY"))?;
        }
        if settings.freebind {
            let set = if ip.is_ipv6() { socket.set_freebind_v6(true) } else { socket.set_freebind_v4(true) };
            set.map_err(at("IP_FREEBIND"))?;
        }
        if settings.transparent {
            let set =
                if ip.is_ipv6() { socket.set_ip_transparent_v6(true) } else { socket.set_ip_transparent_v4(true) };
            set.map_err(at("IP_TRANSPARENT"))?;
        }
        if let Some(keepalive) = &settings.keepalive {
            set_keepalive(socket, keepalive).map_err(at("SO_KEEPALIVE"))?;
        }
    }
    set_all(socket, &settings.before_bind)
}

fn set_all(socket: &Socket, options: &[RawOption]) -> Result<(), ListenError> {
    options.iter().try_for_each(|option| Ok(set_raw(socket, option)?))
}

/// Fails when somebody listens on the address already, even with `SO_REUSEPORT`.
fn refuse_shared(settings: &ListenSettings) -> Result<(), ListenError> {
    let Some(ip) = settings.address.ip().filter(|ip| ip.port() != 0 && settings.reuse_port) else {
        return Ok(());
    };
    let alone = ListenSettings { reuse_port: false, ..settings.clone() };
    let socket = Socket::new(Domain::for_address(ip), Type::STREAM, None).map_err(at("socket"))?;
    prepare(&socket, &alone, &settings.address)?;
    socket.bind(&ip.into()).map_err(at("bind"))?;
    // A wildcard v6 bind next to a v4 listener passes bind and fails here only.
    if ip.ip() == Ipv6Addr::UNSPECIFIED { socket.listen(1).map_err(at("listen")) } else { Ok(()) }
}

fn socket_file(address: &SocketAddress) -> Option<PathBuf> {
    match address {
        SocketAddress::Pipe(path) if !path.to_string_lossy().starts_with('@') => Some(path.clone()),
        SocketAddress::Pipe(_) | SocketAddress::Ip(_) => None,
    }
}

/// Removes a socket file that nobody listens on; one that answers is in use.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !meta.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.to_path_buf()));
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(ListenError::InUse);
    }
    fs::remove_file(path).map_err(at("unlink"))
}

#[cfg(test)]
mod tests;
