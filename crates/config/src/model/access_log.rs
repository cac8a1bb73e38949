//! `envoy.config.accesslog.v3.AccessLog`: file, stdout and stderr.

use std::path::PathBuf;

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
        /// The format string.
        format: String,
        /// `omit_empty_values`
        omit_empty_values: bool,
    },
    /// `json_format`: one object per line, keys sorted.
    Json {
        /// The object with format strings at its leaves.
        object: serde_json::Value,
        /// `omit_empty_values`
        omit_empty_values: bool,
    },
}
