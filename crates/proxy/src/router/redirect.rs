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
    let query = if redirect.strip_query { "" } else { query };
    let target = match &redirect.path {
        RedirectPath::Keep | RedirectPath::Format(_) => format!("{path}{query}"),
        // A replacement that brings its own query keeps it and drops the request's.
        RedirectPath::Replace(own) if own.contains('?') => own.clone(),
        RedirectPath::Replace(own) => format!("{own}{query}"),
        RedirectPath::Prefix(prefix) => format!("{}{query}", replace_matched(matched, path, prefix)),
        RedirectPath::Regex(regex, with) => format!("{}{query}", replace_regex(regex, with, path)),
    };
    format!("{scheme}://{host}{target}")
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
