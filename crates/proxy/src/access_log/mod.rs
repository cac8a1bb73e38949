//! Access logs: one line per stream, at its end.
//!
//! ```text
//! Record::finish -> Logs::write -> worker's buffer --64 KiB or flush--> queue -> writer thread -> file
//!                   (render)       (own mutex)                          (bounded)
//! ```
//!
//! A worker renders straight into a buffer that is its own and never touches a file. The buffer goes
//! to the writer thread when it is full, or when the main thread's timer calls [`LogSinks::flush`],
//! so that lines of idle workers do not wait for more. The lines of one worker stay in order.
//!
//! Limits: what waits in the queue (16 MiB) and in each worker's buffer (four times the flush size).
//! Beyond them lines are dropped, counted in `filesystem.write_failed` and warned of once a minute.
//! A file that cannot be opened fails the start ([`LogSinks::open`]); later failures are counted.
//!
//! Envoy fields: `access_log` of the connection manager, `FileAccessLog`, `StdoutAccessLog`,
//! `StderrAccessLog`, `SubstitutionFormatString`.

mod address;
mod commands;
pub(crate) mod filter;
mod grpc;
mod json;
mod metadata;
pub(crate) mod render;
mod sinks;
pub(crate) mod sizes;
mod time;
mod values;
mod writer;
mod xfcc;

#[cfg(test)]
mod tests;

use std::{cell::OnceCell, sync::Arc};

use nuncio_api::Runtime;
use nuncio_config::model::{
    AccessLog,
    access_log::{Filter, LogFormat, LogType},
    format::Format,
};
use nuncio_stats::Shard;

use self::{
    filter::{Asked, holds},
    json::JsonLine,
    sinks::WorkerBuffer,
};
use crate::{context::WorkerContext, stream_info::StreamInfo};

pub use sinks::LogSinks;

/// The text line of a log without a format.
const DEFAULT_FORMAT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
    \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

/// The access logs of one connection manager on one worker.
pub(crate) struct Logs {
    logs: Vec<Log>,
    sinks: Arc<LogSinks>,
    stats: OnceCell<Shard>,
}

struct Log {
    filter: Option<Filter>,
    line: Line,
    buffer: Arc<WorkerBuffer>,
}

/// A line made ready: of a log, or the body of a local reply.
pub(crate) struct Line(Kind);

enum Kind {
    Text { format: Format, omit: bool },
    Json(JsonLine),
}

impl Logs {
    /// Makes `logs` ready. To be called on the worker's own thread: its lines share one buffer for
    /// each destination.
    pub(crate) fn new(logs: &[AccessLog], sinks: &Arc<LogSinks>) -> Self {
        let log = |log: &AccessLog| Log {
            filter: log.filter.clone(),
            line: Line::new(&log.format),
            buffer: sinks.buffer(&log.sink),
        };
        Self { logs: logs.iter().map(log).collect(), sinks: Arc::clone(sinks), stats: OnceCell::new() }
    }

    /// Writes the stream's line into each log.
    #[inline]
    pub(crate) fn write(&self, info: &StreamInfo, context: &WorkerContext) {
        if self.logs.is_empty() {
            return;
        }
        self.write_as(context.id, info, &context.runtime);
    }

    fn write_as(&self, worker: usize, info: &StreamInfo, runtime: &Runtime) {
        let stats = self.stats.get_or_init(|| self.sinks.shard(worker));
        let asked = Asked { info, runtime, log_type: LogType::DownstreamEnd };
        for log in self.logs.iter().filter(|log| log.filter.as_ref().is_none_or(|filter| holds(filter, asked))) {
            log.buffer.append(stats, |out| log.line.render(info, out));
        }
    }
}

/// Appends the line that `format` makes of a stream.
pub(crate) fn append_line(format: &LogFormat, info: &StreamInfo, out: &mut Vec<u8>) {
    Line::new(format).render(info, out);
}

impl Line {
    /// Makes `format` ready.
    pub(crate) fn new(format: &LogFormat) -> Self {
        Self(match format {
            LogFormat::Default => Kind::Text { format: Format::parse(DEFAULT_FORMAT).unwrap_or_default(), omit: false },
            LogFormat::Text { format, omit_empty_values, .. } => {
                Kind::Text { format: format.clone(), omit: *omit_empty_values }
            }
            LogFormat::Json { object, omit_empty_values, .. } => Kind::Json(JsonLine::new(object, *omit_empty_values)),
        })
    }

    /// Appends the text; a JSON object ends with a newline.
    pub(crate) fn render(&self, info: &StreamInfo, out: &mut Vec<u8>) {
        match &self.0 {
            Kind::Text { format, omit: false } => render::render(format, info, out),
            Kind::Text { format, omit: true } => render::render_omitting_empty(format, info, out),
            Kind::Json(line) => line.render(info, out),
        }
    }
}
