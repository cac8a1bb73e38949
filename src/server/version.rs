//! Who we say we are: `--version`, `/server_info`, `server.version`.
//!
//! The shape is Envoy's, `<revision>/<version>/<status>/<build>/<TLS>`, because tools parse it.
//! The version is that of the Envoy whose configuration and behaviour we follow, with our own
//! behind it.

/// The Envoy that we follow.
pub(crate) const ENVOY: (u32, u32, u32) = (1, 40, 0);

/// What `/hot_restart_version` and `--hot-restart-version` say while there is no hot restart.
pub(crate) const HOT_RESTART: &str = "disabled";

/// The revision this was built from, when the build says so.
pub(crate) fn revision() -> &'static str {
    option_env!("NUNCIO_REVISION").unwrap_or("0")
}

/// Status of the build's source tree.
pub(crate) const STATUS: &str = "Clean";

/// RELEASE or DEBUG.
pub(crate) const BUILD: &str = if cfg!(debug_assertions) { "DEBUG" } else { "RELEASE" };

/// `0/1.40.0-nuncio.0.1.0/Clean/RELEASE/none`
pub(crate) fn full() -> String {
    let (major, minor, patch) = ENVOY;
    let own = env!("CARGO_PKG_VERSION");
    format!("{}/{major}.{minor}.{patch}-nuncio.{own}/{STATUS}/{BUILD}/none", revision())
}

/// The first six hex digits of the revision as a number, as Envoy does.
pub(crate) fn number() -> u64 {
    revision().get(..6).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}
