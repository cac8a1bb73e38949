//! The `location` of a redirect, pure.

use nuncio_api::{RequestHead, Scheme};
use nuncio_config::model::route::{Redirect, RedirectPath, RouteMatch};

use super::rewrite::{replace_matched, replace_regex, split_query};
use crate::route::domains::without_port;

/// Where a redirect leads.
pub(crate) fn location(redirect: &Redirect, matched: &RouteMatch, request: &RequestHead) -> String {
    let scheme = redirect.scheme.as_deref().unwrap_or(request.scheme.as_str());
    let host = host_with_port(redirect, request, scheme);
    let (path, query) = split_query(&request.path);
    let replaced = replacement(&redirect.path, matched, path);
    // An empty replacement replaces nothing.
    let target = replaced.as_deref().filter(|replaced| !replaced.is_empty()).unwrap_or(path);
    // A replacement that brings its own query keeps it and drops the request's.
    let own_query = matches!(&redirect.path, RedirectPath::Replace(own) if own.contains('?'));
    let query = if redirect.strip_query || own_query { "" } else { query };
    // Without a slash between them the path would go on with the host's name.
    let slash = if target.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{host}{slash}{target}{query}")
}

/// What stands in the path's place; nothing when it stays.
fn replacement(by: &RedirectPath, matched: &RouteMatch, path: &str) -> Option<String> {
    match by {
        RedirectPath::Keep | RedirectPath::Format(_) => None,
        RedirectPath::Replace(own) => Some(own.clone()),
        RedirectPath::Prefix(prefix) if prefix.is_empty() => None,
        RedirectPath::Prefix(prefix) => Some(replace_matched(matched, path, prefix)),
        RedirectPath::Regex(regex, with) => Some(replace_regex(regex, with, path)),
    }
}

/// The location that `require_tls` sends to.
pub(crate) fn https_location(request: &RequestHead) -> String {
    format!("https://{}{}", request.authority, request.path)
}

fn host_with_port(redirect: &Redirect, request: &RequestHead, scheme: &str) -> String {
    let own = redirect.host.as_deref().filter(|h| !h.is_empty());
    let host = own.unwrap_or(&request.authority);
    if let Some(port) = redirect.port {
        return format!("{}:{port}", without_port(host));
    }
    // A default port of the old scheme makes no sense under the new one.
    if own.is_none() && redirect.scheme.is_some() {
        let old_port = match request.scheme {
            Scheme::Http => ":80",
            Scheme::Https => ":443",
        };
        if scheme != request.scheme.as_str() && host.ends_with(old_port) {
            return without_port(host).to_owned();
        }
    }
    host.to_owned()
}
