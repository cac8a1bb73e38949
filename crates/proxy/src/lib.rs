//! The data plane: listener -> filter chain -> HTTP connection manager -> route -> router.
//!
//! `stream` holds the driver that names a request's phases in order; deciding is done by pure
//! functions in [`route`] and `router`; [`reply`] is the one table from failure to answer.
//! The crate runs on one worker at a time: everything is `Rc` and `Cell` but for what the main
//! thread shares ([`context`]).

pub mod access_log;
pub mod context;
mod date;
pub mod explain;
pub mod fuzz;
mod hcm;
mod headers;
pub mod listener;
mod local;
mod phase;
mod proxy_protocol;
pub mod reply;
pub mod route;
mod router;
mod runtime;
mod stream;
pub mod stream_info;

pub use access_log::LogSinks;
pub use context::{GlobalLimits, WorkerContext};
pub use listener::{ListenerHandle, start_listener};
pub use local::{LocalAnswer, LocalService};
pub use runtime::{runtime_layers, runtime_value};
