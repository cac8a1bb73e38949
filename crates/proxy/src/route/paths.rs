//! Which routes of a virtual host can match a path at all, in config order.
//!
//! Prefixes, exact paths and separated prefixes are looked up by length and content; matchers
//! that cannot be (regexes, case-insensitive ones) are always candidates. The full check of each
//! candidate follows in [`super::conditions`], so an index that offers too much is slow, never wrong.

use std::sync::Arc;

use nuncio_config::model::route::{PathMatch, Route};
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
    Indexed {
        /// Routes whose text the path must start with.
        starts: ByLength<Vec<u32>>,
        /// Routes that are always candidates.
        always: Vec<u32>,
    },
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
        let mut starts = ByLength::<Vec<u32>>::default();
        let mut always = Vec::new();
        for (at, route) in (0u32..).zip(routes) {
            match start_of(route) {
                Some(text) => starts.entry(text.as_bytes()).push(at),
                None => always.push(at),
            }
        }
        Self::Indexed { starts, always }
    }

    /// Indexes of the routes that may match `path`, in config order.
    pub(super) fn candidates(&self, path: &str) -> Candidates {
        match self {
            Self::Scan(count) => Candidates::Scan(0..*count),
            Self::Indexed { starts, always } => {
                let mut found: SmallVec<[u32; 8]> = SmallVec::from_slice(always);
                for (_, routes) in starts.prefixes_of(path.as_bytes()) {
                    found.extend_from_slice(routes);
                }
                found.sort_unstable();
                Candidates::Found(found.into_iter())
            }
        }
    }
}

/// The text a matching path must start with, when there is one.
fn start_of(route: &Route) -> Option<&str> {
    if !route.matches.case_sensitive {
        return None;
    }
    match &route.matches.path {
        PathMatch::Prefix(text) | PathMatch::Exact(text) | PathMatch::SeparatedPrefix(text) => Some(text),
        PathMatch::Regex(_) | PathMatch::Connect => None,
    }
}
