//! What fuzz targets run and ordinary tests replay: any text must do, and a broken promise panics.
//!
//! The bodies are here because what they try is the crate's own; those that need only public things
//! are in the test kit.

mod format;
mod regex_rewrite;

pub use format::format;
pub use regex_rewrite::regex_rewrite;
