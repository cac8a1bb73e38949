//! HTTP/1.0 and HTTP/1.1, both directions (RFC 9110, RFC 9112).
//!
//! Two layers. The core is pure: [`parse_request`], [`parse_response`], the body readers and the
//! encoders work on buffers and are tested as tables. Around it, [`ServerConn`] and [`ClientConn`]
//! own a socket each and implement the crate's exchange traits.
//!
//! Where recipients disagree on where a message ends, requests are smuggled; there this codec is
//! strict, beyond Envoy if need be. Refused: two Host headers that differ, a user in an authority,
//! chunk data longer than its size, a bare CR, two spaces in a request line, Transfer-Encoding in
//! HTTP/1.0, an unasked 101. A body on an upgrade makes it no upgrade, framing fields in trailers
//! are dropped, and what is sent after an upgrade waits for the upstream's consent. Where nothing
//! is at stake it follows Envoy: a bare LF ends a header line, a folded header is joined, empty
//! lines before a request are skipped.

mod body;
mod buffers;
mod chunked;
mod client;
pub mod details;
mod encode;
mod fuzz;
mod head;
mod names_cache;
mod options;
mod outbox;
mod request;
mod response;
mod server;
mod target;
mod wire;
mod writer;

pub use client::ClientConn;
pub use fuzz::{fuzz_request_bytes, fuzz_response_bytes};
pub use options::{
    ClientOptions, Counters, HeaderKeyFormat, IgnoredUpgrades, PreserveCase, ServerOptions, UnderscoresAction,
};
pub use request::{ParsedRequest, parse_request};
pub use response::{Asked, ParsedResponse, ResponseBody, parse_response};
pub use server::{Next, ServerConn};

#[cfg(test)]
mod tests;
