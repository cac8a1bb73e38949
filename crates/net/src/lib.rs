//! Sockets: binding listeners, accepting, connecting, socket options. It owns file descriptors
//! and addresses; it knows no protocol above TCP.

pub mod stream;

pub use stream::Stream;
