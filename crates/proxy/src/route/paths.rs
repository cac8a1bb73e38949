//! Which routes of a virtual host can match a path at all, in config order.
//!
//! Exact paths are looked up whole; prefixes by length and content, with or without regard to
//! case; an expression or a template by the literal text that it starts with. What starts with
//! nothing certain is always a candidate. The full check of each candidate follows in
//! [`super::conditions`], so an index that offers too much is slow, never wrong.

use std::sync::Arc;

use nuncio_config::model::route::{PathMatch, Route};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::by_length::ByLength;

/// Below so many routes a scan is cheaper than the index.
const SCAN_LIMIT: usize = 8;

/// Routes by what their path matcher starts with.
#[derive(Debug)]
pub(super) enum PathIndex {
    /// So many routes, all candidates.
    Scan(usize),
    /// More, indexed.
    Indexed(Box<Indexed>),
}

/// The index of many routes.
#[derive(Debug, Default)]
pub(super) struct Indexed {
    /// Routes of paths that are compared as they are.
    plain: Paths,
    /// Routes of paths in lower case, for a path in lower case.
    folded: Paths,
    /// Routes that are always candidates.
    always: Vec<u32>,
}

#[derive(Debug, Default)]
struct Paths {
    /// Routes for one path.
    exact: FxHashMap<Box<str>, Vec<u32>>,
    /// Routes whose text the path must start with.
    starts: ByLength<Vec<u32>>,
}

impl Paths {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.starts.is_empty()
    }

    fn collect(&self, path: &str, found: &mut SmallVec<[u32; 8]>) {
        if let Some(routes) = self.exact.get(path) {
            found.extend_from_slice(routes);
        }
        for (_, routes) in self.starts.prefixes_of(path.as_bytes()) {
            found.extend_from_slice(routes);
        }
    }
}

/// Candidate routes of one path, ascending.
pub(super) enum Candidates {
    Scan(std::ops::Range<usize>),
    Found(smallvec::IntoIter<[u32; 8]>),
}

impl Iterator for Candidates {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        match self {
            Self::Scan(range) => range.next(),
            Self::Found(list) => list.next().and_then(|index| usize::try_from(index).ok()),
        }
    }
}

impl PathIndex {
    pub(super) fn new(routes: &[Arc<Route>]) -> Self {
        if routes.len() <= SCAN_LIMIT {
            return Self::Scan(routes.len());
        }
        let mut index = Indexed::default();
        for (at, route) in (0u32..).zip(routes) {
            index.add(at, route);
        }
        Self::Indexed(Box::new(index))
    }

    /// Indexes of the routes that may match `path`, in config order.
    pub(super) fn candidates(&self, path: &str) -> Candidates {
        match self {
            Self::Scan(count) => Candidates::Scan(0..*count),
            Self::Indexed(index) => {
                let mut found: SmallVec<[u32; 8]> = SmallVec::from_slice(&index.always);
                index.plain.collect(path, &mut found);
                if !index.folded.is_empty() {
                    index.folded.collect(&path.to_ascii_lowercase(), &mut found);
                }
                found.sort_unstable();
                Candidates::Found(found.into_iter())
            }
        }
    }
}

impl Indexed {
    fn add(&mut self, at: u32, route: &Route) {
        let wanted = &route.matches;
        let fold = |text: &str| match wanted.case_sensitive {
            true => text.to_owned(),
            false => text.to_ascii_lowercase(),
        };
        let paths = if wanted.case_sensitive { &mut self.plain } else { &mut self.folded };
        match &wanted.path {
            PathMatch::Exact(text) => paths.exact.entry(fold(text).into()).or_default().push(at),
            PathMatch::Prefix(text) | PathMatch::SeparatedPrefix(text) => {
                paths.starts.entry(fold(text).as_bytes()).push(at);
            }
            PathMatch::Regex(regex) => self.add_start(at, &literal_start(regex.as_str())),
            // Path parameters are no part of the path that is looked up.
            PathMatch::Template(template) => {
                self.add_start(at, template.start.split(';').next().unwrap_or_default());
            }
            PathMatch::Connect => self.always.push(at),
        }
    }

    fn add_start(&mut self, at: u32, start: &str) {
        match start {
            "" => self.always.push(at),
            text => self.plain.starts.entry(text.as_bytes()).push(at),
        }
    }
}

/// The literal text that everything an expression matches starts with; empty when that is not
/// plain to see.
fn literal_start(pattern: &str) -> String {
    let pattern = pattern.strip_prefix(r"\A(?:").unwrap_or_default();
    let mut start = String::new();
    if pattern.contains('|') {
        return start;
    }
    let mut rest = pattern.strip_prefix('^').unwrap_or(pattern).chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next() {
                Some(escaped) if escaped.is_ascii_punctuation() && !matches!(escaped, '<' | '>') => start.push(escaped),
                _ => return start,
            },
            '*' | '?' | '{' => {
                start.pop();
                return start;
            }
            '.' | '[' | ']' | '(' | ')' | '^' | '$' | '+' | '}' => return start,
            plain if plain.is_ascii() => start.push(plain),
            _ => return start,
        }
    }
    start
}

#[cfg(test)]
mod tests {
    use super::literal_start;

    #[test]
    fn expressions_start_with_their_literal_text() {
        for (pattern, start) in [
            (r"\A(?:/a/b)\z", "/a/b"),
            (r"\A(?:/a/[0-9]+)\z", "/a/"),
            (r"\A(?:/ab?c)\z", "/a"),
            (r"\A(?:/ab*)\z", "/a"),
            (r"\A(?:/ab{0,2})\z", "/a"),
            (r"\A(?:/ab+)\z", "/ab"),
            (r"\A(?:/a\.b\d)\z", "/a.b"),
            (r"\A(?:/a|/b)\z", ""),
            (r"\A(?:/a(b|c))\z", ""),
            (r"\A(?:(?i)/a)\z", ""),
            (r"\A(?:^/a$)\z", "/a"),
            (r"\A(?:.*)\z", ""),
            (r"\A(?:/a\b)\z", "/a"),
            (r"\A(?:/é?)\z", "/"),
            (r"\A(?:/a\{id\})\z", "/a{id}"),
        ] {
            assert_eq!(literal_start(pattern), start, "{pattern}");
        }
    }
}
