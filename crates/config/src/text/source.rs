//! A configuration as it came in, and what its name says about how to read it.
//!
//! Owns the endings of file names (Envoy's `MessageUtil::loadFromFile`) and the way of a binary
//! message to the text that the rest of the pipeline reads: its JSON. Refuses to know what a field
//! means.

use crate::{Severity, json_out::to_json, validate::validate_wire};

/// One text to load: a file, or the value of `--config-yaml`.
#[derive(Clone, Debug)]
pub struct Source {
    /// How diagnostics call it, usually a path.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// How to read it.
    pub format: Format,
}

/// The language of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML as yaml-cpp reads it.
    Yaml,
    /// JSON with the leniency of protobuf's legacy parser.
    Json,
    /// Protobuf's text format.
    ProtoText,
}

impl Source {
    /// The content of a file, read as its name asks for. A binary message (`.pb`) of the given type
    /// becomes its JSON, so that what is wrong with it can be shown in a text.
    ///
    /// # Errors
    /// A sentence that begins with the name: the bytes are no text, or no such message; or the
    /// message has fields that its type has not, unless they are allowed.
    pub fn from_file(name: String, bytes: Vec<u8>, message: &str, allow_unknown: bool) -> Result<Source, String> {
        if has_ending(&name, &[".pb"]) {
            return of_binary(name, &bytes, message, allow_unknown);
        }
        let format = Format::of_file(&name);
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Source { name, text, format }),
            Err(_) => Err(format!("{name}: is not UTF-8 text")),
        }
    }
}

/// The bytes of a message as a text of it.
fn of_binary(name: String, bytes: &[u8], message: &str, allow_unknown: bool) -> Result<Source, String> {
    let unreadable = |found: &&crate::Diagnostic| match found.code {
        "malformed" | "unknown-type" | "too-deep" => found.severity == Severity::Error,
        "unknown-field" => !allow_unknown,
        _ => false,
    };
    let found = validate_wire(message, bytes);
    if let Some(first) = found.iter().find(unreadable) {
        let place = if first.path.is_empty() { String::new() } else { format!(" (in {})", first.path) };
        return Err(format!("{name}: {}{place}", first.message));
    }
    let json = to_json(message, bytes).and_then(|json| serde_json::to_string_pretty(&json).ok());
    let text = json.ok_or_else(|| format!("{name}: the bytes are not of type {message}"))?;
    Ok(Source { name, text, format: Format::Json })
}

impl Format {
    /// What Envoy takes a file of text for by its name: YAML or protobuf's text format by its
    /// ending in any case, else JSON.
    #[must_use]
    pub fn of_file(name: &str) -> Format {
        if has_ending(name, &[".yaml", ".yml"]) {
            Format::Yaml
        } else if has_ending(name, &[".pb_text"]) {
            Format::ProtoText
        } else {
            Format::Json
        }
    }
}

fn has_ending(name: &str, endings: &[&str]) -> bool {
    let name = name.as_bytes();
    endings.iter().any(|ending| {
        let start = name.len().checked_sub(ending.len());
        start.and_then(|start| name.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(ending.as_bytes()))
    })
}
