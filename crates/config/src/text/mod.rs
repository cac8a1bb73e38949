//! From configuration text to a tree of values that remember where they were written.
//!
//! Owns the readings of YAML, JSON (Envoy's, quirks included) and protobuf's text format, and the
//! places of values; refuses to know what any field means. `read` is the first step of loading; `walk` goes on from the
//! tree. A syntax error ends the reading: there is one error per source at most. Limits: a
//! source is shorter than 4 GiB; YAML nests as deep as granit-parser allows (255 levels of each
//! style), JSON as deep as protobuf's parser (100).

mod builder;
mod json;
mod lines;
mod proto;
pub(crate) mod scalar;
mod source;
mod structure;
#[cfg(test)]
mod tests;
mod tree;
mod yaml;

pub use source::{Format, Source};

pub(crate) use lines::Lines;
pub(crate) use structure::structure;
pub(crate) use tree::{Entry, NodeId, Text, Tree, Value};

use crate::schema::Message;

/// Why a text could not be read.
#[derive(Debug, PartialEq)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) help: Option<&'static str>,
    /// Byte offset.
    pub(crate) at: usize,
}

impl SyntaxError {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, at }
    }
}

/// Reads a source in its format, as a text of a message.
pub(crate) fn read(source: &Source, message: Message) -> Result<Tree, SyntaxError> {
    if u32::try_from(source.text.len()).is_err() {
        return Err(SyntaxError::new(0, "a configuration must be shorter than 4 GiB"));
    }
    match source.format {
        Format::Yaml => yaml::read(&source.text),
        Format::Json => json::read(&source.text),
        Format::ProtoText => proto::read(&source.text, message),
    }
}
