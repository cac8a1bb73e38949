//! Whether a stream is meant by a filter: of an access log, or of a mapper of local replies.
//!
//! Pure, but for the dice of `runtime_filter`. What nothing here knows about (tracing, health checks
//! that came from outside, dynamic metadata) reads as in an Envoy where it is not configured.

use nuncio_api::{Headers, Runtime};
use nuncio_config::model::access_log::{Comparison, Filter, LogType};
use tokio::time::Instant;

use super::{grpc, values::request_id};
use crate::{route::conditions, stream_info::StreamInfo};

/// What a filter may ask.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) info: &'a StreamInfo,
    pub(crate) runtime: &'a Runtime,
    pub(crate) log_type: LogType,
}

/// True when `filter` means the stream.
pub(crate) fn holds(filter: &Filter, asked: Asked<'_>) -> bool {
    let info = asked.info;
    match filter {
        Filter::StatusCode(comparison) => compare(comparison, info.response_code().into(), asked.runtime),
        Filter::Duration(comparison) => compare(comparison, milliseconds(info), asked.runtime),
        // No filter answers health checks, and nothing is traced.
        Filter::NotHealthCheck => true,
        Filter::Traceable => false,
        Filter::Runtime { fraction, independent } => {
            let random = if *independent { None } else { stable_random(info) };
            let random = random.unwrap_or_else(|| fastrand::u64(..));
            // A number in the runtime replaces the numerator and nothing else, as in Envoy.
            let numerator = asked.runtime.u64(&fraction.key, fraction.numerator.into());
            random % u64::from(fraction.denominator.max(1)) < numerator
        }
        Filter::All(all) => all.iter().all(|filter| holds(filter, asked)),
        Filter::Any(any) => any.iter().any(|filter| holds(filter, asked)),
        Filter::Header(matcher) => match &info.request {
            Some(request) => conditions::header_matches(matcher, request),
            None => conditions::response_header_matches(matcher, &Headers::new()),
        },
        Filter::ResponseFlag(wanted) if wanted.is_empty() => !info.flags.is_empty(),
        Filter::ResponseFlag(wanted) => info.flags.iter().any(|flag| wanted.iter().any(|name| name == flag.short())),
        Filter::GrpcStatus { statuses, exclude } => {
            const UNKNOWN: i64 = 2;
            let status = grpc::outcome(info).unwrap_or(UNKNOWN);
            statuses.iter().any(|wanted| i64::from(*wanted) == status) != *exclude
        }
        Filter::Metadata { match_if_key_not_found } => *match_if_key_not_found,
        Filter::LogType { types, exclude } => types.contains(&asked.log_type) != *exclude,
    }
}

fn compare(comparison: &Comparison, number: u64, runtime: &Runtime) -> bool {
    comparison.holds(number, runtime.u64(&comparison.runtime_key, comparison.value.into()))
}

/// So far.
fn milliseconds(info: &StreamInfo) -> u64 {
    let end = info.end.unwrap_or_else(Instant::now);
    u64::try_from(end.saturating_duration_since(info.start).as_millis()).unwrap_or(u64::MAX)
}

/// The same number for one request id, wherever it is asked for.
fn stable_random(info: &StreamInfo) -> Option<u64> {
    let digits = std::str::from_utf8(request_id(info)?.get(..8)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}
