//! The address of a socket: IP with port, or the path of a Unix socket.
//!
//! Used for what a listener is bound to and for both ends of an accepted connection. It knows no
//! names: resolving is done elsewhere. `Display` is what logs and the admin endpoint show; Unix
//! peers without a name show as an empty path, as in Envoy.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use socket2::SockAddr;

/// Where a socket is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SocketAddress {
    /// IPv4 or IPv6 with a port.
    Ip(SocketAddr),
    /// A Unix domain socket; `@name` is the abstract namespace, empty is unnamed.
    Pipe(PathBuf),
}

impl SocketAddress {
    /// The IP address and port, when it is one.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Pipe(_) => None,
        }
    }

    /// What the system calls take.
    pub(crate) fn to_sock_addr(&self) -> io::Result<SockAddr> {
        match self {
            Self::Ip(address) => Ok(SockAddr::from(*address)),
            Self::Pipe(path) => match path.to_str().and_then(|path| path.strip_prefix('@')) {
                Some(name) => SockAddr::unix(format!("\0{name}")),
                None => SockAddr::unix(path),
            },
        }
    }

    /// From what the system calls give.
    pub(crate) fn from_sock_addr(address: &SockAddr) -> Self {
        if let Some(ip) = address.as_socket() {
            return Self::Ip(ip);
        }
        if let Some(name) = address.as_abstract_namespace() {
            return Self::Pipe(PathBuf::from(format!("@{}", String::from_utf8_lossy(name))));
        }
        Self::Pipe(address.as_pathname().map(Path::to_path_buf).unwrap_or_default())
    }
}

impl From<SocketAddr> for SocketAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl From<tokio::net::unix::SocketAddr> for SocketAddress {
    fn from(address: tokio::net::unix::SocketAddr) -> Self {
        if let Some(name) = address.as_abstract_name() {
            return Self::Pipe(PathBuf::from(format!("@{}", String::from_utf8_lossy(name))));
        }
        Self::Pipe(address.as_pathname().map(Path::to_path_buf).unwrap_or_default())
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(formatter),
            Self::Pipe(path) => path.display().fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_way_through_the_system_type() {
        for address in [
            SocketAddress::Ip("127.0.0.1:80".parse().unwrap()),
            SocketAddress::Ip("[::1]:443".parse().unwrap()),
            SocketAddress::Pipe("/tmp/s".into()),
            SocketAddress::Pipe("@abstract".into()),
        ] {
            assert_eq!(SocketAddress::from_sock_addr(&address.to_sock_addr().unwrap()), address);
        }
    }
}
