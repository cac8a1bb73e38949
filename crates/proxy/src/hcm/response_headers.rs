//! What the connection manager does to response headers after everything else, in Envoy's order:
//! `date` (kept if there), `server`, `x-request-id`, `via`.

use http::{HeaderValue, header};
use nuncio_api::{Headers, RequestHead, names};
use nuncio_config::model::{HttpConnectionManager, hcm::ServerHeader};

use super::{joined, request_headers::append_via};

/// Removes what concerns the upstream hop alone, before the response is changed further. An upgrade
/// concerns all hops: whether the response is one is the codec's to say.
pub(crate) fn drop_hop_by_hop(headers: &mut Headers) {
    headers.join_repeated(joined::in_responses);
    let upgrades = headers.contains(&header::UPGRADE) && names_upgrade(headers);
    headers.retain(|name, _| {
        !((!upgrades && (*name == header::CONNECTION || *name == header::UPGRADE))
            || *name == header::TRANSFER_ENCODING
            || *name == names::KEEP_ALIVE
            || *name == names::PROXY_CONNECTION)
    });
}

fn names_upgrade(headers: &Headers) -> bool {
    let mut tokens = headers.get_all(&header::CONNECTION).flat_map(|value| value.as_bytes().split(|b| *b == b','));
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// Adds the manager's own headers.
pub(crate) fn mutate(
    settings: &HttpConnectionManager,
    request: Option<&RequestHead>,
    server_name: &HeaderValue,
    date: HeaderValue,
    headers: &mut Headers,
) {
    if !headers.contains(&header::DATE) {
        headers.append(header::DATE, date);
    }
    match settings.server_header {
        ServerHeader::Overwrite => headers.set(header::SERVER, server_name.clone()),
        ServerHeader::AppendIfAbsent if !headers.contains(&header::SERVER) => {
            headers.append(header::SERVER, server_name.clone());
        }
        ServerHeader::AppendIfAbsent | ServerHeader::PassThrough => {}
    }
    let wants_id = |request: &RequestHead| {
        settings.always_set_request_id_in_response || request.headers.contains(&names::X_ENVOY_FORCE_TRACE)
    };
    if let Some(id) = request.filter(|r| wants_id(r)).and_then(|r| r.headers.get(&names::X_REQUEST_ID)) {
        headers.set(names::X_REQUEST_ID, id.clone());
    }
    append_via(&settings.via, headers);
}
