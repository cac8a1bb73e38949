//! `envoy.config.accesslog.v3.AccessLog`: file, stdout and stderr, and which streams they tell of.

use std::path::PathBuf;

use super::{format::Format, matcher::HeaderMatcher, route::RuntimeFraction};

/// One access log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    /// `filter`: which streams get a line; `None` = all.
    pub filter: Option<Filter>,
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

/// `AccessLogFilter`: a question about a stream. Mappers of local replies ask the same.
#[derive(Clone, Debug)]
pub enum Filter {
    /// `status_code_filter`
    StatusCode(Comparison),
    /// `duration_filter`, in milliseconds
    Duration(Comparison),
    /// `not_health_check_filter`
    NotHealthCheck,
    /// `traceable_filter`
    Traceable,
    /// `runtime_filter`
    Runtime {
        /// The part of the streams. The key is never empty.
        fraction: RuntimeFraction,
        /// `use_independent_randomness`: not the request id decides, but a die.
        independent: bool,
    },
    /// `and_filter`
    All(Vec<Filter>),
    /// `or_filter`
    Any(Vec<Filter>),
    /// `header_filter`, of the request
    Header(HeaderMatcher),
    /// `response_flag_filter`: short names; empty = any flag at all.
    ResponseFlag(Vec<String>),
    /// `grpc_status_filter`
    GrpcStatus {
        /// Codes.
        statuses: Vec<u16>,
        /// All but those.
        exclude: bool,
    },
    /// `metadata_filter`. Nothing sets dynamic metadata, so only what holds without counts.
    Metadata {
        /// `match_if_key_not_found` (true)
        match_if_key_not_found: bool,
    },
    /// `log_type_filter`
    LogType {
        /// Types.
        types: Vec<LogType>,
        /// All but those.
        exclude: bool,
    },
}

/// `ComparisonFilter`: an operator and a number that the runtime may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// `op`
    pub op: ComparisonOp,
    /// `value.default_value`
    pub value: u32,
    /// `value.runtime_key`
    pub runtime_key: String,
}

/// `ComparisonFilter.Op`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparisonOp {
    /// EQ
    Equal,
    /// GE
    AtLeast,
    /// LE
    AtMost,
    /// NE
    NotEqual,
}

impl Comparison {
    /// Whether `number` stands so to `value`, which is what the runtime says.
    pub fn holds(&self, number: u64, value: u64) -> bool {
        match self.op {
            ComparisonOp::Equal => number == value,
            ComparisonOp::AtLeast => number >= value,
            ComparisonOp::AtMost => number <= value,
            ComparisonOp::NotEqual => number != value,
        }
    }
}

/// `AccessLogType`, as far as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogType {
    /// NotSet: no log line is written at all, as with local replies.
    NotSet,
    /// DownstreamEnd: the end of a stream.
    DownstreamEnd,
    /// A type whose lines are never written.
    Other,
}
