//! Sockets: binding listeners, accepting, connecting, socket options. It owns file descriptors
//! and addresses; it knows no protocol above TCP.

pub mod address;
pub mod connect;
pub mod cpu;
pub mod listen;
pub mod socket_options;
pub mod stream;

pub use address::SocketAddress;
pub use listen::{BoundSocket, ListenError, ListenSettings, Listener};
pub use stream::Stream;
