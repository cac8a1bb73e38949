//! `envoy.config.accesslog.v3.AccessLog`: file, stdout and stderr.

use std::path::PathBuf;

use super::format::Format;

/// One access log.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// Where lines go.
    pub sink: LogSink,
    /// How a line is made.
    pub format: LogFormat,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogSink {
    /// A file, appended to.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a line is made; operators are checked at load.
#[derive(Clone, Debug, PartialEq)]
pub enum LogFormat {
    /// Envoy's default text line.
    Default,
    /// A text format with its own newline, if any.
    Text {
        /// The parsed format.
        format: Format,
        /// The format as configured.
        raw: String,
        /// `omit_empty_values`
        omit_empty_values: bool,
    },
    /// `json_format`: one object per line, keys sorted.
    Json {
        /// The object.
        object: JsonNode,
        /// The object as configured.
        raw: serde_json::Value,
        /// `omit_empty_values`
        omit_empty_values: bool,
    },
}

/// A value of a JSON log line.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonNode {
    /// An object; keys are sorted.
    Object(Vec<(String, JsonNode)>),
    /// A list.
    List(Vec<JsonNode>),
    /// A text with operators in it. A single operator alone keeps its type (number, `null`).
    Format(Format),
    /// A number, boolean, null or text without operators, as it stands.
    Constant(serde_json::Value),
}
