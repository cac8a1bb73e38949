//! Path normalisation, in Envoy's order: escaped slashes, then RFC 3986 normalisation, then
//! merging of slashes. Pure functions over text; each leaves the query alone.
//!
//! Envoy's `normalize_path` is the path canonicaliser of Chromium: dot segments go (`%2E` counts as
//! a dot), backslashes become slashes, escaped unreserved characters are unescaped, characters that
//! have no place in a path are escaped, and `%00` is refused. Before that, Envoy takes the
//! parameters off dot segments (`..;x` becomes `..`), because some servers do so after it.

#[cfg(test)]
mod tests;

use nuncio_config::model::{HttpConnectionManager, hcm::EscapedSlashes};

/// What is to be done with a request after its path was normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Serve it.
    Forward,
    /// Answer with a redirect to the new path.
    Redirect,
    /// Refuse it.
    Reject,
}

/// What normalisation made of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Normalized {
    /// The new path, unless nothing changed. A refused request has one too: it is what is logged.
    pub(crate) path: Option<String>,
    /// What follows from it.
    pub(crate) verdict: Verdict,
}

/// The settings that concern paths.
#[derive(Clone, Copy, Debug)]
struct Rules {
    normalize: bool,
    merge_slashes: bool,
    escaped_slashes: EscapedSlashes,
}

/// Applies the settings to `path` (with its query).
pub(crate) fn normalize(settings: &HttpConnectionManager, path: &str) -> Normalized {
    Rules {
        normalize: settings.normalize_path,
        merge_slashes: settings.merge_slashes,
        escaped_slashes: settings.escaped_slashes,
    }
    .normalized(path)
}

impl Rules {
    fn normalized(self, path: &str) -> Normalized {
        if path.contains('#') {
            return Normalized { path: None, verdict: Verdict::Reject };
        }
        if !self.normalize && !self.merge_slashes && self.escaped_slashes == EscapedSlashes::Keep {
            return Normalized { path: None, verdict: Verdict::Forward };
        }
        let (plain, query) = split_query(path);
        let mut current = plain.to_owned();
        let verdict = self.apply(&mut current);
        let path = (current != plain).then(|| current + query);
        Normalized { path, verdict }
    }

    /// Changes `path` (without a query) as far as it gets.
    fn apply(self, path: &mut String) -> Verdict {
        let mut verdict = Verdict::Forward;
        if self.escaped_slashes != EscapedSlashes::Keep && has_escaped_slash(path) {
            *path = unescape_slashes(path);
            match self.escaped_slashes {
                EscapedSlashes::Reject => return Verdict::Reject,
                EscapedSlashes::UnescapeAndRedirect => verdict = Verdict::Redirect,
                EscapedSlashes::UnescapeAndForward | EscapedSlashes::Keep => {}
            }
        }
        if self.normalize {
            match canonical(path) {
                Some(canonical) => *path = canonical,
                None => return Verdict::Reject,
            }
        }
        if self.merge_slashes {
            *path = merge_slashes(path);
        }
        verdict
    }
}

fn split_query(path: &str) -> (&str, &str) {
    let at = path.find('?').unwrap_or(path.len());
    path.split_at_checked(at).unwrap_or((path, ""))
}

fn has_escaped_slash(path: &str) -> bool {
    path.as_bytes().windows(3).any(is_escaped_slash)
}

fn is_escaped_slash(part: &[u8]) -> bool {
    matches!(part, [b'%', b'2', b'f' | b'F'] | [b'%', b'5', b'c' | b'C'])
}

/// `%2F` becomes `/`, `%5C` becomes `\` (and then `/` when normalising).
fn unescape_slashes(path: &str) -> String {
    path.replace("%2F", "/").replace("%2f", "/").replace("%5C", "\\").replace("%5c", "\\")
}

fn merge_slashes(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !merged.ends_with('/') {
            merged.push(c);
        }
    }
    merged
}

/// The canonical form; `None` when the path does not start with a slash or holds an escaped NUL.
fn canonical(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let path = without_dot_parameters(path);
    let mut rest = path.as_bytes();
    let mut out = String::with_capacity(path.len());
    // Where the last `%` that begins no escape sequence stands in `out`.
    let mut stray = None;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\\' => out.push('/'),
            b'.' => rest = dot(&mut out, after),
            b'%' => match escaped(after) {
                Some((0, _)) => return None,
                Some((b'.', after)) => rest = dot(&mut out, after),
                Some((value, after)) if is_unreserved(value) => {
                    out.push(char::from(value));
                    rest = after;
                }
                // The digits follow as they are.
                Some(_) => out.push('%'),
                None => {
                    stray = Some(out.len());
                    out.push('%');
                }
            },
            _ if must_be_escaped(byte) => escape(&mut out, byte),
            _ => out.push(char::from(byte)),
        }
        stray = stray.and_then(|at| keep_stray(&mut out, at));
    }
    Some(out)
}

/// A `%` that began no escape sequence must not begin one because of what was unescaped behind it:
/// then it is escaped itself. `None` once that is settled.
fn keep_stray(out: &mut String, at: usize) -> Option<usize> {
    match out.as_bytes().get(at + 1..) {
        Some([first, second, ..]) => {
            if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() {
                out.insert_str(at + 1, "25");
            }
            None
        }
        Some(_) => Some(at),
        None => None,
    }
}

/// `/..;a=b/` becomes `/../`, `/.;a/` becomes `/./`.
fn without_dot_parameters(path: &str) -> std::borrow::Cow<'_, str> {
    if !path.contains("/.;") && !path.contains("/..;") {
        return path.into();
    }
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| match segment.split_once(';') {
            Some((dots @ ("." | ".."), _)) => dots,
            _ => segment,
        })
        .collect();
    segments.join("/").into()
}

/// Handles a dot of which `after` is what follows; answers what is left to read.
fn dot<'p>(out: &mut String, after: &'p [u8]) -> &'p [u8] {
    if out.ends_with('/') {
        if let Some(rest) = end_of_segment(after) {
            return rest;
        }
        if let Some(rest) = second_dot(after).and_then(end_of_segment) {
            out.pop();
            let parent = out.rfind('/').unwrap_or(0);
            out.truncate(parent);
            out.push('/');
            return rest;
        }
    }
    out.push('.');
    after
}

/// What follows the slash at the start of `path`, or its end.
fn end_of_segment(path: &[u8]) -> Option<&[u8]> {
    match path {
        [] => Some(path),
        [b'/' | b'\\', rest @ ..] => Some(rest),
        _ => None,
    }
}

fn second_dot(path: &[u8]) -> Option<&[u8]> {
    match path {
        [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// The value of the two hexadecimal digits at the start of `digits`, and what follows them.
fn escaped(digits: &[u8]) -> Option<(u8, &[u8])> {
    let (pair, rest) = digits.split_first_chunk::<2>()?;
    if !pair.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let value = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    Some((value, rest))
}

/// Unreserved characters (RFC 3986 section 2.3) mean the same with and without escape.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn must_be_escaped(byte: u8) -> bool {
    !byte.is_ascii_graphic() || matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
}

fn escape(out: &mut String, byte: u8) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    out.push('%');
    out.extend([byte >> 4, byte & 15].iter().filter_map(|digit| DIGITS.get(usize::from(*digit))));
}
