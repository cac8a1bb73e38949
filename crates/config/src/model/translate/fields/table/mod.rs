//! The messages that are read, part by part. A message that is not here is either taken as a
//! whole by whoever reads it or belongs to a field that is not handled.

mod bootstrap;
mod cluster;
mod common;
mod hcm;
mod listener;
mod route;

use super::Support;

/// Every message, in the order of the documentation.
pub(super) fn all() -> impl Iterator<Item = &'static Support> {
    [bootstrap::TABLE, listener::TABLE, hcm::TABLE, route::TABLE, cluster::TABLE, common::TABLE].into_iter().flatten()
}

/// Why metadata can be left out.
const METADATA: &str = "nothing that is built reads this metadata";
/// Why the configuration of health checks can be left out.
const HEALTH: &str = "it matters only with active health checks, which are refused";
