//! Sizes of heads as Envoy counts them, for the log and for the stats of sizes.

use nuncio_api::{Headers, RequestHead, ResponseHead};

/// Names and values.
pub(super) fn size(headers: &Headers) -> u64 {
    u64::try_from(headers.byte_size()).unwrap_or(u64::MAX)
}

/// Names and values of a request, pseudo headers among them, as Envoy counts.
pub(crate) fn request_size(request: &RequestHead) -> u64 {
    let pseudo = [
        (":method", request.method.as_str().len()),
        (":scheme", request.scheme.as_str().len()),
        (":authority", request.authority.len()),
        (":path", request.path.len()),
    ];
    let pseudo: usize = pseudo.iter().filter(|(_, value)| *value > 0).map(|(name, value)| name.len() + value).sum();
    size(&request.headers).saturating_add(u64::try_from(pseudo).unwrap_or(u64::MAX))
}

/// The same of a response.
pub(crate) fn response_size(response: &ResponseHead) -> u64 {
    size(&response.headers) + u64::try_from(":status".len() + response.status.as_str().len()).unwrap_or(0)
}
