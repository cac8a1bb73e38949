//! Path and host rewriting, pure.

use nuncio_api::{RequestHead, Text};
use nuncio_config::model::route::{Forward, HostRewrite, PathMatch, PathRewrite, RouteMatch, WeightedCluster};
use regex::bytes::{Captures, Regex};

use super::read;

/// The new path (with query) of a forwarded request, when the route rewrites it. It is never
/// rewritten to nothing.
pub(crate) fn path(forward: &Forward, matched: &RouteMatch, path: &str) -> Option<String> {
    let (plain, query) = split_query(path);
    match &forward.path_rewrite {
        PathRewrite::None | PathRewrite::Format(_) => None,
        PathRewrite::Prefix(prefix) => Some(format!("{}{query}", replace_matched(matched, plain, prefix))),
        PathRewrite::Regex(regex, substitution) => {
            let replaced = replace_regex(regex, substitution, plain);
            (!replaced.is_empty()).then(|| format!("{replaced}{query}"))
        }
    }
}

/// Replaces the matched part (the prefix, or the whole path for exact and regex matches).
pub(crate) fn replace_matched(matched: &RouteMatch, path: &str, with: &str) -> String {
    let length = match &matched.path {
        PathMatch::Prefix(text) | PathMatch::Exact(text) | PathMatch::SeparatedPrefix(text) => text.len(),
        PathMatch::Regex(_) | PathMatch::Connect | PathMatch::Template(_) => path.len(),
    };
    format!("{with}{}", path.get(length..).unwrap_or(""))
}

/// RE2's replace-all with `\1` references. One to a group that the expression does not have leaves
/// the path as it is, and what is no reference after a backslash ends the replacement there.
pub(crate) fn replace_regex(regex: &Regex, substitution: &str, path: &str) -> String {
    if highest_group(substitution) >= regex.captures_len() {
        return path.to_owned();
    }
    let replaced = regex.replace_all(path.as_bytes(), |captures: &Captures<'_>| {
        let mut out = Vec::new();
        let mut bytes = substitution.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' => match bytes.next() {
                    Some(digit @ b'0'..=b'9') => {
                        let group = captures.get(usize::from(digit - b'0'));
                        out.extend_from_slice(group.map_or(b"".as_slice(), |g| g.as_bytes()));
                    }
                    Some(b'\\') => out.push(b'\\'),
                    Some(_) | None => break,
                },
                other => out.push(other),
            }
        }
        out
    });
    String::from_utf8_lossy(&replaced).into_owned()
}

/// The highest group that `substitution` refers to; 0 is the whole match.
fn highest_group(substitution: &str) -> usize {
    let mut bytes = substitution.bytes();
    let mut highest = 0;
    while let Some(byte) = bytes.next() {
        if byte == b'\\'
            && let Some(digit @ b'0'..=b'9') = bytes.next()
        {
            highest = highest.max(usize::from(digit - b'0'));
        }
    }
    highest
}

/// The new host, when the route (or the weighted cluster) rewrites it. `upstream_name` is the host
/// name of the chosen upstream host, for `auto_host_rewrite`.
pub(crate) fn host(
    forward: &Forward,
    weighted: Option<&WeightedCluster>,
    request: &RequestHead,
    upstream_name: Option<&str>,
) -> Option<Text> {
    if let Some(host) = weighted.and_then(|w| w.host_rewrite.as_deref()) {
        return Some(Text::from(host));
    }
    match &forward.host_rewrite {
        HostRewrite::None | HostRewrite::PathRegex(..) | HostRewrite::Format(_) => None,
        HostRewrite::Literal(host) => Some(Text::from(host.as_str())),
        HostRewrite::Header(name) => read::first(request, name).filter(|v| !v.is_empty()).map(Text::from),
        HostRewrite::Auto => upstream_name.filter(|name| !name.is_empty()).map(Text::from),
    }
}

/// Path and query (with its question mark).
pub(crate) fn split_query(path: &str) -> (&str, &str) {
    let at = path.find('?').unwrap_or(path.len());
    path.split_at_checked(at).unwrap_or((path, ""))
}
