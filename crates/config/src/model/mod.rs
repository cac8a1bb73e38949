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
pub mod format;
pub mod hcm;
pub mod header;
pub mod listener;
mod load;
pub mod local_reply;
pub mod matcher;
pub mod metadata;
mod report;
pub mod route;
mod translate;
pub mod uri_template;

pub use access_log::AccessLog;
pub use address::Address;
pub use bootstrap::Bootstrap;
pub use cluster::Cluster;
pub use format::Format;
pub use hcm::HttpConnectionManager;
pub use header::HeaderMutation;
pub use listener::Listener;
pub use load::load_bootstrap;
pub use matcher::StringMatcher;
pub use report::NOT_SUPPORTED_YET;
pub use route::RouteTable;
pub use translate::{
    Options, Translated, compatibility_markdown, runtime_value, translate_bootstrap, translate_cluster,
    translate_listener, translate_route_config,
};
