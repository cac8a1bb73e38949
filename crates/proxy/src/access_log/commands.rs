//! Format commands that take parameters: headers, paths, queries, durations, server names.
//!
//! Each writes its text straight behind what the buffer holds and answers what it wrote. Filter
//! state, CEL and certificates have no source yet and are absent.

use std::{borrow::Cow, time::SystemTime};

use http::header::HeaderName;
use nuncio_api::{Headers, names};
use nuncio_config::model::format::{
    Command, DurationPoint, HeaderKey, HeaderSource, Operator, PathQuery, PathSource, Precision, ServerNameSource,
    TimeSource,
};
use tokio::time::Instant;

use super::{
    address, grpc, metadata, render, time,
    values::{self, Written, number, text},
    xfcc,
};
use crate::stream_info::StreamInfo;

/// Writes what `command` stands for.
pub(super) fn write(command: &Command, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    match command {
        Command::Plain(plain) => values::write(*plain, info, out),
        Command::Header { source, name, alternative } => {
            let found = header(*source, name, info);
            let found = found.or_else(|| alternative.as_ref().and_then(|name| header(*source, name, info)));
            text(found, out)
        }
        Command::Time { source, local, format } => {
            let at = match source {
                TimeSource::Start => info.start_time,
                TimeSource::Emit => SystemTime::now(),
            };
            time::write(at, *local, format.as_deref(), out);
            Written::Text
        }
        Command::AddressWithoutPort { address, mask } => address::without_port(*address, *mask, info, out),
        Command::CommonDuration { from, to, precision } => {
            number(between(moment(from, info), moment(to, info), *precision), out)
        }
        Command::ResponseCodeDetails { allow_whitespace } => {
            let Some(details) = &info.details else {
                return Written::Absent;
            };
            if *allow_whitespace { text(Some(details.as_bytes()), out) } else { values::underscored(details, out) }
        }
        Command::GrpcStatus(form) => grpc::write(*form, info, out),
        Command::RequestedServerName { source, host } => match source {
            ServerNameSource::SniOnly => Written::Absent,
            ServerNameSource::SniFirst | ServerNameSource::HostFirst => text(host_of(*host, info), out),
        },
        Command::Path { query, source } => {
            let path = path_of(*source, info);
            match query {
                PathQuery::With => text(path, out),
                PathQuery::Without => text(path.map(without_query), out),
            }
        }
        Command::QueryParam(name) => query_param(name, info, out),
        Command::QueryParams { decoded } => {
            let Some(query) = query_of(info) else {
                return Written::Absent;
            };
            if *decoded {
                // Envoy decodes visible ASCII only here; a space stays `%20`.
                percent_decode(query, |byte| byte.is_ascii_graphic(), out);
                return Written::Text;
            }
            text(Some(query), out)
        }
        // Envoy prints `-` even where everything else that is absent is left out.
        Command::Environment(value) => text(Some(value.as_deref().unwrap_or("-")), out),
        Command::XfccValue(key) => xfcc::write(*key, info, out),
        Command::Coalesce(operators) => coalesce(operators, info, out),
        Command::Metadata { source, namespace, path } => metadata::write(*source, namespace, path, info, out),
        Command::CertificateTime { .. } | Command::FilterState { .. } | Command::Cel(_) => Written::Absent,
    }
}

fn coalesce(operators: &[Operator], info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    let mut written = operators.iter().map(|operator| render::operator(operator, info, out));
    written.find(|written| *written != Written::Absent).unwrap_or(Written::Absent)
}

fn header<'a>(source: HeaderSource, key: &'a HeaderKey, info: &'a StreamInfo) -> Option<&'a [u8]> {
    match source {
        HeaderSource::Request => {
            let request = info.request.as_ref()?;
            match key {
                HeaderKey::Name(name) => value(&request.headers, name),
                HeaderKey::Method => Some(request.method.as_str().as_bytes()),
                HeaderKey::Path => non_empty(request.path.as_bytes()),
                HeaderKey::Authority => non_empty(request.authority.as_bytes()),
                HeaderKey::Scheme => Some(request.scheme.as_str().as_bytes()),
                HeaderKey::Unknown(name) if name == ":protocol" => request.upgrade.as_ref().map(|u| u.as_bytes()),
                HeaderKey::Status | HeaderKey::Unknown(_) => None,
            }
        }
        HeaderSource::Response => {
            let response = info.response.as_ref()?;
            match key {
                HeaderKey::Name(name) => value(&response.headers, name),
                HeaderKey::Status => Some(response.status.as_str().as_bytes()),
                _ => None,
            }
        }
        HeaderSource::ResponseTrailer => match key {
            HeaderKey::Name(name) => value(info.response_trailers.as_ref()?, name),
            _ => None,
        },
    }
}

fn value<'a>(headers: &'a Headers, name: &HeaderName) -> Option<&'a [u8]> {
    headers.get(name).map(|value| value.as_bytes())
}

fn non_empty(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}

fn moment(point: &DurationPoint, info: &StreamInfo) -> Option<Instant> {
    match point {
        DurationPoint::DownstreamRxBegin => Some(info.start),
        DurationPoint::DownstreamRxEnd => info.request_complete,
        DurationPoint::UpstreamTxBegin => info.upstream_first_tx,
        DurationPoint::UpstreamTxEnd => info.upstream_last_tx,
        DurationPoint::UpstreamRxBegin => info.upstream_first_rx,
        DurationPoint::UpstreamRxEnd => info.upstream_last_rx,
        DurationPoint::DownstreamTxBegin => info.downstream_first_tx,
        DurationPoint::DownstreamTxEnd => info.downstream_last_tx,
        DurationPoint::UpstreamConnectBegin
        | DurationPoint::UpstreamConnectEnd
        | DurationPoint::UpstreamHandshakeEnd
        | DurationPoint::Custom(_) => None,
    }
}

/// Time from one moment to a later one; `None` when either is missing or they are the wrong way round.
pub(super) fn between(from: Option<Instant>, to: Option<Instant>, precision: Precision) -> Option<u64> {
    let duration = to?.checked_duration_since(from?)?;
    u64::try_from(match precision {
        Precision::Milliseconds => duration.as_millis(),
        Precision::Microseconds => duration.as_micros(),
        Precision::Nanoseconds => duration.as_nanos(),
    })
    .ok()
}

fn path_of(source: PathSource, info: &StreamInfo) -> Option<&[u8]> {
    let request = info.request.as_ref()?;
    choose(source, value(&request.headers, &names::X_ENVOY_ORIGINAL_PATH), non_empty(request.path.as_bytes()))
}

fn host_of(source: PathSource, info: &StreamInfo) -> Option<&[u8]> {
    let request = info.request.as_ref()?;
    choose(source, value(&request.headers, &names::X_ENVOY_ORIGINAL_HOST), non_empty(request.authority.as_bytes()))
}

fn choose<'a>(source: PathSource, original: Option<&'a [u8]>, current: Option<&'a [u8]>) -> Option<&'a [u8]> {
    match source {
        PathSource::Original => original,
        PathSource::Current => current,
        PathSource::OriginalOrCurrent => original.or(current),
    }
}

fn without_query(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'?').next().unwrap_or_default()
}

fn query_of(info: &StreamInfo) -> Option<&[u8]> {
    let path = info.request.as_ref()?.path.as_bytes();
    path.get(memchr::memchr(b'?', path)? + 1..)
}

fn query_param(wanted: &str, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    let Some(query) = query_of(info) else {
        return Written::Absent;
    };
    for pair in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (pair.get(..at).unwrap_or_default(), pair.get(at + 1..).unwrap_or_default()),
            None => (pair, &[][..]),
        };
        if decoded(name).as_ref() == wanted.as_bytes() {
            percent_decode(value, |_| true, out);
            return Written::Text;
        }
    }
    Written::Absent
}

fn decoded(name: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', name).is_none() {
        return Cow::Borrowed(name);
    }
    let mut out = Vec::with_capacity(name.len());
    percent_decode(name, |_| true, &mut out);
    Cow::Owned(out)
}

/// Decodes the escapes of bytes that `admitted` admits; all else stays as it is.
fn percent_decode(text: &[u8], admitted: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let byte = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match byte.filter(|byte| admitted(*byte)) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
