//! What h2's errors mean to the exchange above, in one place.

use std::io;

use h2::Reason;
use http::StatusCode;

use super::{
    block::Verdict,
    counters::{H2Counters, bump},
    meter::{Flood, Role},
};
use crate::{
    error::{ProtocolError, StreamError},
    exchange::ResetReason,
};

/// `http2.violation.of.messaging.rule`, as Envoy calls what breaks section 8 of RFC 9113.
pub(super) const MESSAGING: &str = "http2.violation.of.messaging.rule";

/// The same for a field that may not be there or reads as none.
pub(super) const FIELD: &str = "http2.invalid.header.field";

/// What Envoy writes of the streams on a connection that broke the protocol; the words are its
/// library's.
pub(super) const CODEC: &str = "codec_error:The_user_callback_function_failed";

/// What Envoy writes of a stream that its codec reset for the peer's fault.
const RESET: &str = "http2.remote_reset";

/// Why a head was refused.
pub(super) fn of_head(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Broken => CODEC,
        Verdict::Field => FIELD,
        Verdict::Message => MESSAGING,
    }
}

/// A protocol error with the status that fits the side: the downstream peer's fault is a bad
/// request, the upstream's a bad gateway.
pub(super) fn protocol(role: Role, details: &'static str) -> StreamError {
    let status = match role {
        Role::Server => StatusCode::BAD_REQUEST,
        Role::Client => StatusCode::BAD_GATEWAY,
    };
    StreamError::Protocol(ProtocolError { status, details })
}

/// A passed flood limit.
pub(super) fn flood(role: Role, flood: Flood) -> StreamError {
    protocol(role, flood.details())
}

/// An error of one stream or, as seen by a stream, of its connection.
pub(super) fn of_stream(role: Role, error: h2::Error, counters: &H2Counters) -> StreamError {
    if error.is_io() {
        return StreamError::Connection(error.into_io().unwrap_or_else(broken));
    }
    let Some(reason) = error.reason() else {
        // h2 was used in the wrong order, e.g. a send after the end: the exchange is over anyway.
        return StreamError::LocalReset;
    };
    match (error.is_go_away(), error.is_remote(), error.is_library()) {
        // h2 fails a stream with the peer's GOAWAY only when its id is above the last one taken.
        (true, true, _) => StreamError::Refused,
        (true, _, true) => protocol(role, CODEC),
        (_, _, true) => protocol(role, RESET),
        (_, true, _) => of_code(role, reason, counters),
        _ => StreamError::LocalReset,
    }
}

/// RST_STREAM from the peer.
pub(super) fn of_code(role: Role, reason: Reason, counters: &H2Counters) -> StreamError {
    if reason == Reason::REFUSED_STREAM && role == Role::Client {
        bump(&counters.stream_refused_errors);
        return StreamError::Refused;
    }
    StreamError::RemoteReset(reason.into())
}

/// The end of a connection as its task sees it; `None` for an orderly one.
pub(super) fn of_connection(role: Role, error: h2::Error) -> Option<StreamError> {
    if error.is_io() {
        return Some(StreamError::Connection(error.into_io().unwrap_or_else(broken)));
    }
    if error.is_remote() {
        let reason = error.reason().unwrap_or(Reason::NO_ERROR);
        return (reason != Reason::NO_ERROR).then(|| StreamError::RemoteReset(reason.into()));
    }
    Some(protocol(role, CODEC))
}

/// The error code that tells the peer why.
pub(super) fn code(reason: ResetReason) -> Reason {
    match reason {
        ResetReason::NoError => Reason::NO_ERROR,
        ResetReason::Cancel => Reason::CANCEL,
        ResetReason::InternalError => Reason::INTERNAL_ERROR,
        ResetReason::Protocol => Reason::PROTOCOL_ERROR,
        ResetReason::Refused => Reason::REFUSED_STREAM,
        ResetReason::Connect => Reason::CONNECT_ERROR,
    }
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
