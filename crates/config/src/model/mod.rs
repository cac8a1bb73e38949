//! The validated, immutable model that the data plane runs on.
//!
//! Everything here is `Settings`: defaults filled in, durations and regexes ready, names checked.
//! Nothing here mentions protobuf; the `translate` modules beside it do, and they alone. Objects
//! are split by listener, route table, cluster and host set, each behind its own `Arc`, so that an
//! update of one leaves the others alone.

pub mod access_log;
pub mod address;
pub mod bootstrap;
pub mod cluster;
pub mod header;
pub mod hcm;
pub mod listener;
pub mod matcher;
pub mod route;

pub use access_log::AccessLog;
pub use address::Address;
pub use bootstrap::Bootstrap;
pub use cluster::Cluster;
pub use hcm::HttpConnectionManager;
pub use header::HeaderMutation;
pub use listener::Listener;
pub use matcher::StringMatcher;
pub use route::RouteTable;
