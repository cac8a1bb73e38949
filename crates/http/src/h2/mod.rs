//! HTTP/2, both directions, over the h2 crate driven directly.
//!
//! It owns the connection tasks' work ([`ServerConnection`], [`ClientDriver`]), the streams on
//! them as [`crate::Exchange`]s, Envoy's flood limits and the translation between `http`'s header
//! maps and ours. It refuses to know routes, pools, timeouts of requests and local replies.
//!
//! ```text
//! socket <- Wire (gathers writes, one send per wake-up; FrameMeter watches both directions)
//!            <- h2::{server,client}::Connection, polled by one task per connection
//!                 <- ServerStream / ClientStream, polled by the task of their exchange
//! ```
//!
//! Rules: RFC 9113, RFC 8441 (extended CONNECT), `http2_protocol_options`. Everything is
//! single-threaded (`Rc`, `Cell`). How it fails: a peer that breaks the protocol on one stream has
//! that stream reset; one that breaks the connection, or floods, gets GOAWAY and is closed, and
//! every stream on it ends with a [`crate::StreamError`].
//!
//! Memory that a peer can make one connection hold: unread request or response bodies up to
//! `initial_connection_window_size` (24 MiB; Envoy's default too, lower it where peers are not
//! trusted), since window is given back only for frames that the other side of the exchange has
//! taken; bytes to be sent up to the buffer limit plus one frame per stream; header blocks up to
//! `max_headers_kb` for each of `max_concurrent_streams`. An idle connection holds no gather
//! buffer.

mod ahead;
mod block;
mod client;
mod convert;
mod counters;
mod failure;
mod gather;
mod halves;
mod heads;
mod keepalive;
mod meter;
mod options;
mod scan;
mod server;
mod sniff;
mod wire;

#[cfg(test)]
mod tests;

pub use client::{ClientConnection, ClientDriver, ClientStream, connect};
pub use counters::H2Counters;
pub use options::{ClientOptions, FloodLimits, HeaderLimits, KeepaliveOptions, ServerOptions, Underscores, Windows};
pub use server::{Accepted, Refused, ServerConnection, ServerStream, serve};
pub use sniff::{Sniff, is_h2_preface};
