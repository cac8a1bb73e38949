//! Addresses as configured.

use std::{fmt, net::SocketAddr, path::PathBuf};

/// `envoy.config.core.v3.Address`, resolved as far as text allows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address with a port.
    Ip(SocketAddr),
    /// A Unix domain socket; `@name` is the abstract namespace.
    Pipe {
        /// Path or `@name`.
        path: PathBuf,
        /// Permission bits for the socket file, 0 = as the umask says.
        mode: u32,
    },
    /// A host name to be resolved (endpoints of DNS clusters).
    Name {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => addr.fmt(f),
            Self::Pipe { path, .. } => path.display().fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}
