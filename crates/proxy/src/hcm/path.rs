//! Path normalisation, in Envoy's order: escaped slashes, then RFC 3986 normalisation, then
//! merging of slashes. Pure functions over text; each leaves the query alone.
//!
//! Envoy's `normalize_path` follows Chromium's URL canonicaliser: dot segments go, unreserved
//! characters are not touched, backslashes become slashes, `%2E` counts as a dot.

use nuncio_config::model::{HttpConnectionManager, hcm::EscapedSlashes};

/// What normalisation made of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Normalized {
    /// Nothing to change.
    Unchanged,
    /// Forward with this path.
    Changed(String),
    /// Answer with a redirect to this path.
    Redirect(String),
    /// Refuse.
    Reject,
}

/// Applies the settings to `path` (with its query).
pub(crate) fn normalize(settings: &HttpConnectionManager, path: &str) -> Normalized {
    if path.contains('#') {
        return Normalized::Reject;
    }
    if !settings.normalize_path && !settings.merge_slashes && settings.escaped_slashes == EscapedSlashes::Keep {
        return Normalized::Unchanged;
    }
    let (plain, query) = split_query(path);
    let mut current = plain.to_owned();
    let mut redirect = false;
    if has_escaped_slash(&current) {
        match settings.escaped_slashes {
            EscapedSlashes::Keep => {}
            EscapedSlashes::Reject => return Normalized::Reject,
            EscapedSlashes::UnescapeAndForward => current = unescape_slashes(&current),
            EscapedSlashes::UnescapeAndRedirect => {
                current = unescape_slashes(&current);
                redirect = true;
            }
        }
    }
    if settings.normalize_path {
        match remove_dot_segments(&current) {
            Some(path) => current = path,
            None => return Normalized::Reject,
        }
    }
    if settings.merge_slashes {
        current = merge_slashes(&current);
    }
    if current == plain {
        return Normalized::Unchanged;
    }
    current.push_str(query);
    if redirect { Normalized::Redirect(current) } else { Normalized::Changed(current) }
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

/// RFC 3986 section 5.2.4. `None` when the path does not start with a slash.
fn remove_dot_segments(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = path.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = parts.next() {
        let last = parts.peek().is_none();
        match dots(segment) {
            0 => segments.push(segment),
            1 if last => segments.push(""),
            1 => {}
            _ => {
                segments.pop();
                if last {
                    segments.push("");
                }
            }
        }
    }
    Some(format!("/{}", segments.join("/")))
}

/// 1 for `.`, 2 for `..`, in plain or escaped spelling; 0 for anything else.
fn dots(segment: &str) -> u8 {
    if segment.len() > 6 {
        return 0;
    }
    match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
        "." => 1,
        ".." => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_removed_as_browsers_do() {
        for (path, want) in [
            ("/a/../b", "/b"),
            ("/a/./b", "/a/b"),
            ("/a/b/..", "/a/"),
            ("/../a", "/a"),
            ("/a//../b", "/a/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a\\b", "/a/b"),
            ("/", "/"),
            ("/a/...", "/a/..."),
        ] {
            assert_eq!(remove_dot_segments(path).as_deref(), Some(want), "{path}");
        }
        assert_eq!(remove_dot_segments("a"), None);
    }

    #[test]
    fn slashes_are_merged_in_the_path() {
        assert_eq!(merge_slashes("//a///b/"), "/a/b/");
    }
}
