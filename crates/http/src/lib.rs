//! The wire: HTTP/1 and HTTP/2 behind one boundary, [`Exchange`]. It owns framing, limits and
//! protocol errors; it knows no routes, no clusters and no policy. Types of the codecs underneath
//! (httparse, h2) never leave this crate.

pub mod error;
pub mod exchange;
pub mod h1;
pub mod h2;
mod held;

pub use error::{ProtocolError, StreamError};
pub use exchange::{ClientExchange, Exchange, ServerExchange};
