//! Path and host rewriting, pure.

use std::borrow::Cow;

use nuncio_api::Text;
use nuncio_config::model::{
    format::Format,
    route::{HostRewrite, PathMatch, PathRewrite, RouteMatch},
};
use regex::bytes::{Captures, Regex};

use super::read;
use crate::{access_log::render, stream_info::StreamInfo};

/// The new path (with query) of a forwarded request, when the route rewrites it. It is never
/// rewritten to nothing.
pub(crate) fn path(by: &PathRewrite, matched: &RouteMatch, info: &StreamInfo) -> Option<String> {
    if matches!(by, PathRewrite::None) {
        return None;
    }
    let (plain, query) = split_query(&info.request.as_ref()?.path);
    let new = match by {
        PathRewrite::None => return None,
        PathRewrite::Prefix(prefix) => replace_matched(matched, plain, prefix),
        PathRewrite::Regex(regex, substitution) => replace_regex(regex, substitution, plain),
        PathRewrite::Format(format) => text_of(format, Absent::Nothing, info)?,
        PathRewrite::Template(rewrite) => match &matched.path {
            PathMatch::Template(template) => rewrite.rewrite(template.regex.as_ref()?, plain)?,
            _ => return None,
        },
    };
    (!new.is_empty()).then(|| format!("{new}{query}"))
}

/// Replaces the matched part (the prefix, or the whole path for exact and regex matches).
pub(crate) fn replace_matched(matched: &RouteMatch, path: &str, with: &str) -> String {
    let length = match &matched.path {
        PathMatch::Prefix(text) | PathMatch::Exact(text) | PathMatch::SeparatedPrefix(text) => text.len(),
        PathMatch::Regex(_) | PathMatch::Connect | PathMatch::Template(_) => path.len(),
    };
    format!("{with}{}", path.get(length..).unwrap_or(""))
}

/// [`replace_bytes`] in a text.
pub(crate) fn replace_regex(regex: &Regex, substitution: &str, path: &str) -> String {
    String::from_utf8(replace_bytes(regex, substitution, path.as_bytes()))
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// RE2's replace-all with `\1` references. One to a group that the expression does not have leaves
/// the text as it is, and what is no reference after a backslash ends the replacement there.
pub(crate) fn replace_bytes(regex: &Regex, substitution: &str, text: &[u8]) -> Vec<u8> {
    if highest_group(substitution) >= regex.captures_len() {
        return text.to_vec();
    }
    let replaced = regex.replace_all(text, |captures: &Captures<'_>| {
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
    match replaced {
        Cow::Borrowed(same) => same.to_vec(),
        Cow::Owned(new) => new,
    }
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

/// The new host, when the route rewrites it and needs no upstream host for that.
pub(crate) fn host(by: &HostRewrite, info: &StreamInfo) -> Option<Text> {
    let request = info.request.as_ref()?;
    let new = match by {
        HostRewrite::None | HostRewrite::Auto => return None,
        HostRewrite::Literal(host) => Text::from(host.as_str()),
        HostRewrite::Header(name) => Text::from(read::first(request, name)?),
        HostRewrite::PathRegex(regex, with) => Text::from(replace_regex(regex, with, split_query(&request.path).0)),
        HostRewrite::Format(format) => Text::from(text_of(format, Absent::Dash, info)?),
    };
    (!new.as_bytes().is_empty()).then_some(new)
}

/// What stands for a value that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Nothing.
    Nothing,
    /// `-`
    Dash,
}

/// A format's text; `None` when it comes out as something that is no text.
pub(crate) fn text_of(format: &Format, absent: Absent, info: &StreamInfo) -> Option<String> {
    let mut text = Vec::with_capacity(64);
    match absent {
        Absent::Nothing => render::render_omitting_empty(format, info, &mut text),
        Absent::Dash => render::render(format, info, &mut text),
    }
    String::from_utf8(text).ok()
}

/// Path and query (with its question mark). A fragment goes with the query.
pub(crate) fn split_query(path: &str) -> (&str, &str) {
    let at = path.find(['?', '#']).unwrap_or(path.len());
    path.split_at_checked(at).unwrap_or((path, ""))
}
