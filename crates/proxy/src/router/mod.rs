//! The router: from a matched route to a response.
//!
//! [`plan`] decides (pure), [`retry`] whether a failure is tried again, [`redirect`] writes locations (pure), [`charge`] counts by response
//! code. The I/O of an attempt is in [`crate::stream`].

pub(crate) mod charge;
pub(crate) mod hash;
pub(crate) mod internal_redirect;
pub(crate) mod plan;
pub(crate) mod read;
pub(crate) mod redirect;
pub(crate) mod retry;
pub(crate) mod rewrite;
pub(crate) mod strict;
#[cfg(test)]
mod tests;
pub(crate) mod timeouts;
pub(crate) mod told;
