//! Envoy v3 configuration: from text or xDS bytes to the model that the data plane runs on.
//!
//! ```text
//! text ─ text: YAML or JSON with places ─ walk: descriptors → wire bytes ─┐
//! xDS bytes ──────────────────────────────────────────────────────────────┴ validate ─ model
//! ```
//!
//! Every step reports all mistakes at once, with the place in the text where there is one.
//! `load` is the first half for text, `validate_wire` the check for bytes, `model` the rest.

mod diagnostic;
mod json_out;
mod load;
pub mod model;
mod path;
mod schema;
mod spans;
mod text;
mod typed_struct;
mod validate;
mod walk;

pub use diagnostic::{Diagnostic, Location, OutputFormat, Severity, render};
pub use json_out::to_json;
pub use load::{LoadOptions, Loaded, load};
pub use spans::SpanIndex;
pub use text::{Format, Source};
pub use typed_struct::expand_typed_structs;
pub use validate::validate_wire;
