//! Access logs: files and the standard streams.

use envoy_types::pb::{
    envoy::{
        config::{
            accesslog::v3 as pb,
            core::v3::{SubstitutionFormatString, substitution_format_string::Format as By},
        },
        extensions::access_loggers::{
            file::v3::{FileAccessLog, file_access_log::AccessLogFormat},
            stream::v3::{StderrAccessLog, StdoutAccessLog, stderr_access_log, stdout_access_log},
        },
    },
    google::protobuf::{Any, Struct},
};

use http::HeaderValue;

use super::{Context, extension, json};
use crate::model::{
    AccessLog,
    access_log::{LogFormat, LogSink},
    local_reply::BodyFormat,
    report::Path,
};

const FILE: &str = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
const STDOUT: &str = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
const STDERR: &str = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog";

impl Context<'_> {
    /// A list of access logs; unusable ones are reported and left out.
    pub(super) fn access_logs(&mut self, path: &Path<'_>, field: &str, list: Vec<pb::AccessLog>) -> Vec<AccessLog> {
        let each = list.into_iter().enumerate();
        each.filter_map(|(index, log)| self.access_log(&path.item(field, index), log)).collect()
    }

    fn access_log(&mut self, path: &Path<'_>, mut log: pb::AccessLog) -> Option<AccessLog> {
        let filter = match log.filter.take() {
            Some(filter) => Some(self.log_filter(&path.field("filter"), filter)?),
            None => None,
        };
        let config = log.config_type.map(|pb::access_log::ConfigType::TypedConfig(any)| any);
        let kind = config.as_ref().map(extension::type_name).unwrap_or_default();
        let value = config.as_ref().map(|any: &Any| any.value.as_slice()).unwrap_or_default();
        let below = path.field("typed_config");
        let (sink, format) = match kind {
            FILE => self.file(&below, value)?,
            STDOUT => {
                let message: StdoutAccessLog = self.decode(&below, value)?;
                let format =
                    message.access_log_format.map(|stdout_access_log::AccessLogFormat::LogFormat(format)| format);
                (LogSink::Stdout, self.log_format(&below.field("log_format"), format)?)
            }
            STDERR => {
                let message: StderrAccessLog = self.decode(&below, value)?;
                let format =
                    message.access_log_format.map(|stderr_access_log::AccessLogFormat::LogFormat(format)| format);
                (LogSink::Stderr, self.log_format(&below.field("log_format"), format)?)
            }
            _ => {
                let built =
                    &["envoy.access_loggers.file", "envoy.access_loggers.stdout", "envoy.access_loggers.stderr"];
                self.unknown_extension(path, "access log", &log.name, config.as_ref(), built);
                return None;
            }
        };
        Some(AccessLog { filter, sink, format })
    }

    #[expect(deprecated, reason = "the old spellings are still accepted")]
    fn file(&mut self, path: &Path<'_>, wire: &[u8]) -> Option<(LogSink, LogFormat)> {
        let message: FileAccessLog = self.decode(path, wire)?;
        let format = match message.access_log_format {
            None => Some(LogFormat::Default),
            // An empty text is no format, as in Envoy.
            Some(AccessLogFormat::Format(text)) if text.is_empty() => Some(LogFormat::Default),
            Some(AccessLogFormat::Format(text)) => self.text_log(&path.field("format"), text, false),
            Some(AccessLogFormat::JsonFormat(fields)) => {
                Some(self.json_log(&path.field("json_format"), &fields, false))
            }
            Some(AccessLogFormat::TypedJsonFormat(fields)) => {
                Some(self.json_log(&path.field("typed_json_format"), &fields, false))
            }
            Some(AccessLogFormat::LogFormat(format)) => self.log_format(&path.field("log_format"), Some(format)),
        };
        Some((LogSink::File(message.path.into()), format?))
    }

    #[expect(deprecated, reason = "`text_format` is still accepted")]
    fn log_format(&mut self, path: &Path<'_>, message: Option<SubstitutionFormatString>) -> Option<LogFormat> {
        let Some(message) = message else {
            return Some(LogFormat::Default);
        };
        let omit = message.omit_empty_values;
        match message.format {
            None => Some(LogFormat::Default),
            Some(By::TextFormat(text)) => self.text_log(&path.field("text_format"), text, omit),
            Some(By::TextFormatSource(source)) => {
                let path = path.field("text_format_source");
                let bytes = self.data_source(&path, source)?;
                match String::from_utf8(bytes) {
                    Ok(text) => self.text_log(&path.field("inline_string"), text, omit),
                    Err(_) => {
                        self.report.error(&path, "bad-format", "the format is not UTF-8");
                        None
                    }
                }
            }
            Some(By::JsonFormat(fields)) => Some(self.json_log(&path.field("json_format"), &fields, omit)),
        }
    }

    /// A body made from the stream, for the proxy's own answers.
    pub(super) fn body_format(&mut self, path: &Path<'_>, mut message: SubstitutionFormatString) -> Option<BodyFormat> {
        let content_type = match std::mem::take(&mut message.content_type) {
            text if text.is_empty() => None,
            text => match HeaderValue::try_from(text) {
                Ok(value) => Some(value),
                Err(_) => {
                    let text = "a header value must not contain control characters";
                    self.report.error(&path.field("content_type"), "bad-header-value", text);
                    None
                }
            },
        };
        Some(BodyFormat { body: self.log_format(path, Some(message))?, content_type })
    }

    fn text_log(&mut self, path: &Path<'_>, raw: String, omit_empty_values: bool) -> Option<LogFormat> {
        Some(LogFormat::Text { format: self.format(path, &raw)?, raw, omit_empty_values })
    }

    fn json_log(&mut self, path: &Path<'_>, fields: &Struct, omit_empty_values: bool) -> LogFormat {
        let raw = json::object(fields);
        LogFormat::Json { object: self.json_node(path, &raw), raw, omit_empty_values }
    }
}
