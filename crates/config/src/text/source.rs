//! A configuration text as it came in.

use std::path::Path;

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
}

impl Format {
    /// What Envoy takes a file for by its name: YAML by its ending in any case, else JSON.
    /// `None` for the protobuf files (`.pb`, `.pb_text`, `.pb_length_delimited`), which are not
    /// supported yet.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Format> {
        let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
        match ending.unwrap_or_default().to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Format::Yaml),
            "pb" | "pb_text" | "pb_length_delimited" => None,
            _ => Some(Format::Json),
        }
    }
}
