//! `%GRPC_STATUS%`: how a gRPC request ended.

use nuncio_api::{Headers, names};
use nuncio_config::model::format::GrpcStatusForm;

use super::values::{Written, text};
use crate::{reply::is_grpc_request, stream_info::StreamInfo};

/// The outcome of a gRPC request; absent for other requests.
fn grpc_code(info: &StreamInfo) -> Option<i64> {
    if !is_grpc_request(&info.request.as_ref()?.headers) {
        return None;
    }
    outcome(info)
}

/// The outcome of any request in gRPC's terms: from the trailers, else the headers, else the HTTP
/// status. A text that is no number is -1, as in Envoy.
pub(super) fn outcome(info: &StreamInfo) -> Option<i64> {
    let status = |headers: &Headers| headers.get(&names::GRPC_STATUS).filter(|v| !v.is_empty()).cloned();
    let found = info.response_trailers.as_ref().and_then(status);
    let Some(found) = found.or_else(|| info.response.as_ref().and_then(|r| status(&r.headers))) else {
        return info.response.as_ref().map(|response| grpc_code_of_http(response.status.as_u16()));
    };
    Some(found.to_str().ok().and_then(|text| text.parse().ok()).filter(|code| *code >= 0).unwrap_or(-1))
}

fn grpc_code_of_http(status: u16) -> i64 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// Writes the outcome of a gRPC request in `form`; a code without a name is its number.
pub(super) fn write(form: GrpcStatusForm, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    let Some(code) = grpc_code(info) else {
        return Written::Absent;
    };
    let names = usize::try_from(code).ok().and_then(|code| GRPC_NAMES.get(code));
    let mut buffer = itoa::Buffer::new();
    match (form, names) {
        (GrpcStatusForm::Number, _) => {
            out.extend_from_slice(buffer.format(code).as_bytes());
            Written::Number
        }
        (GrpcStatusForm::Camel, Some((camel, _))) => text(Some(camel), out),
        (GrpcStatusForm::Snake, Some((_, snake))) => text(Some(snake), out),
        (_, None) => text(Some(buffer.format(code)), out),
    }
}

const GRPC_NAMES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];
