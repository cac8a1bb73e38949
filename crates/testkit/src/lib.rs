//! Whole-proxy tests in one process: a proxy, the peers on both sides of it, and the waits.
//!
//! * [`Proxy`]: a worker on its own thread, made from an Envoy bootstrap by the real pipeline,
//!   with its stats, its access log and its phases to look at.
//! * [`Config`]: that bootstrap, put together from a few lines.
//! * [`Upstream`]: what stands behind the proxy: hyper servers, or scripts that write raw bytes.
//! * [`Client`], [`Wire`], [`H2Wire`]: what stands before it: hyper clients, raw HTTP/1, raw
//!   HTTP/2 frames.
//!
//! Every port is chosen by the kernel, every wait is for a condition and has [`DEADLINE`]. Whatever
//! does not come in time, breaks a framing rule or panics on the worker fails the test that asked.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

pub mod body;
mod client;
mod config;
pub mod fuzz;
mod h2_wire;
mod log;
mod message;
mod panics;
mod phases;
mod proxy;
mod upstream;
mod wait;
mod wire;
mod worker;

pub use body::Body;
pub use client::{Answer, Client, Version, collect};
pub use config::{Cluster, Config};
pub use h2_wire::{FrameKind, H2Wire, RawFrame, get_block, literal};
pub use log::LogLine;
pub use message::Message;
pub use proxy::{Proxy, Stats};
pub use upstream::{Seen, Upstream, nobody};
pub use wait::{DEADLINE, until, within};
pub use wire::{Closed, Wire};

/// Downstream and upstream protocol in every combination.
pub const MATRIX: [(Version, Version); 4] = [
    (Version::Http1, Version::Http1),
    (Version::Http1, Version::Http2),
    (Version::Http2, Version::Http1),
    (Version::Http2, Version::Http2),
];
