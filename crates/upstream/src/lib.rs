//! Upstreams: clusters, their hosts, the choice of a host, circuit breakers and connection pools.
//!
//! ```text
//! main thread                                 each worker
//! ClusterSource --Arc<Settings>, Arc<HostSet>--> ClusterManager -> Cluster -> Host -> Pool
//!   static | DNS                                  lookup           pick       acquire -> UpstreamStream
//!   status for /clusters  <----- atomics -----    counters
//! ```
//!
//! A request's way: [`ClusterManager::cluster`], [`Cluster::choose_host`], [`Cluster::acquire`],
//! then the exchange on the [`UpstreamStream`], then [`UpstreamStream::finish`]. This crate knows
//! hosts and connections; routes, retries and responses are the layer above.

mod cluster;
mod context;
pub mod discovery;
mod happy_eyeballs;
mod host;
pub mod host_set;
mod lb;
mod limits;
mod manager;
mod pool;
mod shared;
mod status;
mod stream;
mod tally;
#[cfg(test)]
mod testing;
mod tracked;

pub use cluster::{Cluster, LbContext};
pub use context::RetryPermit;
pub use discovery::{ClusterSource, DnsResolver, Resolve, run_discovery};
pub use host::Host;
pub use host_set::{HostDescription, HostEntry, HostSet, PreviousPriorities};
pub use limits::breaker_key;
pub use manager::ClusterManager;
pub use pool::{Acquire, AcquireError, AcquireOptions, PoolProtocol};
pub use shared::{Breaker, ClusterShared, RoutingPriority};
pub use status::{ClusterStatus, HostStatus};
pub use stream::UpstreamStream;
pub use tally::HostStat;
pub use tracked::TrackedStats;
