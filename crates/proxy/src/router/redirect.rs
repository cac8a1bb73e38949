//! The `location` of a redirect, pure.
//!
//! Where a redirect rewrites the path, the request itself is rewritten first (and logged so, as Envoy
//! does); the location is then put together from what the request has become.

use std::borrow::Cow;

use nuncio_api::{RequestHead, names};
use nuncio_config::model::route::{Redirect, RedirectPath, RouteMatch};

use super::rewrite::{self, replace_matched, replace_regex, split_query};
use crate::stream_info::StreamInfo;

/// The path, with its query, that a redirect makes of the request's; `None` when it stays.
pub(crate) fn rewritten(by: &RedirectPath, matched: &RouteMatch, info: &StreamInfo) -> Option<String> {
    let (path, query) = split_query(&info.request.as_ref()?.path);
    let new = match by {
        RedirectPath::Keep | RedirectPath::Replace(_) | RedirectPath::Format(_) => return None,
        RedirectPath::Prefix(prefix) if prefix.is_empty() => return None,
        RedirectPath::Prefix(prefix) => replace_matched(matched, path, prefix),
        RedirectPath::Regex(regex, with) => replace_regex(regex, with, path),
    };
    (!new.is_empty()).then(|| format!("{new}{query}"))
}

/// Where a redirect leads; without one, where the request came to.
pub(crate) fn location(redirect: Option<&Redirect>, info: &StreamInfo) -> Option<String> {
    let request = info.request.as_ref()?;
    let scheme = redirect.and_then(|redirect| redirect.scheme.as_deref()).unwrap_or(request.scheme.as_str());
    let port = redirect.and_then(|redirect| redirect.port).map(|port| format!(":{port}")).unwrap_or_default();
    let host = match redirect.and_then(|redirect| redirect.host.as_deref()) {
        Some(own) => own,
        None => host_of(request, scheme, !port.is_empty()),
    };
    let (path, query) = split_query(&request.path);
    let own = match redirect.map(|redirect| &redirect.path) {
        Some(RedirectPath::Replace(own)) => Some(Cow::Borrowed(own.as_str())),
        Some(RedirectPath::Format(format)) => rewrite::text_of(format, rewrite::Absent::Nothing, info).map(Cow::Owned),
        _ => None,
    };
    let replaced = own.as_deref().filter(|own| !own.is_empty()).unwrap_or(path);
    // A replacement that brings its own query keeps it and drops the request's.
    let own_query = replaced.contains('?');
    let query = if own_query || redirect.is_some_and(|redirect| redirect.strip_query) { "" } else { query };
    // Without a slash between them the path would go on with the host's name.
    let slash = if replaced.starts_with('/') { "" } else { "/" };
    Some(format!("{scheme}://{host}{port}{slash}{replaced}{query}"))
}

/// The location that `require_tls` sends to.
pub(crate) fn https_location(request: &RequestHead) -> String {
    format!("https://{}{}", request.authority, request.path)
}

/// The request's host: without its port when there is a new one, or when it is the default of the
/// scheme that is left behind (which `x-forwarded-proto` tells).
fn host_of<'a>(request: &'a RequestHead, scheme: &str, has_port: bool) -> &'a str {
    let host = request.authority.as_str();
    let colon = if host.starts_with('[') { host.rfind("]:").map(|at| at + 1) } else { host.rfind(':') };
    let Some((bare, port)) = colon.and_then(|at| host.split_at_checked(at)) else { return host };
    let came_by = request.headers.get_str(&names::X_FORWARDED_PROTO).unwrap_or_default();
    let is_default = match came_by {
        _ if came_by.eq_ignore_ascii_case("https") => port == ":443",
        _ if came_by.eq_ignore_ascii_case("http") => port == ":80",
        _ => false,
    };
    if has_port || (scheme != came_by && is_default) { bare } else { host }
}
