//! Finds routes that an earlier one of the same virtual host always takes first.
//!
//! Only routes without conditions besides the path can shadow others. Their paths are kept in
//! maps, and the prefixes of a later path are looked up there, so that ten thousand routes cost
//! no more than their text is long.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::model::{
    report::{Path, Report},
    route::{PathMatch, RouteMatch},
};

/// The unconditional routes so far, with their index.
#[derive(Default)]
pub(super) struct Reached {
    sensitive: Paths,
    insensitive: Paths,
}

#[derive(Default)]
struct Paths {
    exact: FxHashMap<String, usize>,
    prefix: FxHashMap<String, usize>,
    separated: FxHashMap<String, usize>,
    /// Lengths of the prefixes of both kinds.
    lengths: BTreeSet<usize>,
}

impl Reached {
    /// Warns when `route` cannot be reached; remembers it.
    pub(super) fn check(&mut self, report: &mut Report, path: &Path<'_>, index: usize, route: &RouteMatch) {
        // CONNECT comes without a path, which no other matcher takes.
        if matches!(route.path, PathMatch::Connect) {
            return;
        }
        if let Some(first) = self.earlier(&route.path, route.case_sensitive) {
            let message = format!("this route is never reached: routes[{first}] matches every such request first");
            let help = "put the more specific route first".to_owned();
            report.warning(&path.field("match"), "shadowed-route", message, Some(help));
        }
        let conditions = route.grpc
            || route.runtime_fraction.is_some()
            || !route.headers.is_empty()
            || !route.query_parameters.is_empty()
            || !route.cookies.is_empty()
            || route.tls.is_some()
            || !route.dynamic_metadata.is_empty()
            || !route.filter_state.is_empty();
        if !conditions {
            self.remember(index, &route.path, route.case_sensitive);
        }
    }

    fn earlier(&self, path: &PathMatch, case_sensitive: bool) -> Option<usize> {
        let text = match path {
            PathMatch::Prefix(text) | PathMatch::Exact(text) | PathMatch::SeparatedPrefix(text) => text,
            // An expression is covered for certain only by what covers everything.
            PathMatch::Regex(_) | PathMatch::Connect | PathMatch::Template(_) => "",
        };
        let lower = self.insensitive.earlier(&text.to_ascii_lowercase(), path);
        let same = || case_sensitive.then(|| self.sensitive.earlier(text, path)).flatten();
        lower.or_else(same)
    }

    fn remember(&mut self, index: usize, path: &PathMatch, case_sensitive: bool) {
        let (paths, fold): (_, fn(&str) -> String) = match case_sensitive {
            true => (&mut self.sensitive, str::to_owned),
            false => (&mut self.insensitive, str::to_ascii_lowercase),
        };
        match path {
            PathMatch::Exact(text) => {
                paths.exact.entry(fold(text)).or_insert(index);
            }
            PathMatch::Prefix(text) => {
                paths.lengths.insert(text.len());
                paths.prefix.entry(fold(text)).or_insert(index);
            }
            PathMatch::SeparatedPrefix(text) => {
                paths.lengths.insert(text.len());
                paths.separated.entry(fold(text)).or_insert(index);
            }
            PathMatch::Regex(_) | PathMatch::Connect | PathMatch::Template(_) => {}
        }
    }
}

impl Paths {
    fn earlier(&self, text: &str, path: &PathMatch) -> Option<usize> {
        let exact = || self.exact.get(text).copied().filter(|_| matches!(path, PathMatch::Exact(_)));
        let any_path = || self.prefix.get("/").copied();
        let prefix = |length: &usize| {
            let head = text.get(..*length)?;
            let rest = text.get(*length..)?;
            let plain = self.prefix.get(head);
            // What ends at a segment is covered; a longer plain prefix of the same segment is not.
            let at_segment = rest.starts_with('/') || (rest.is_empty() && !matches!(path, PathMatch::Prefix(_)));
            plain.or_else(|| self.separated.get(head).filter(|_| at_segment)).copied()
        };
        exact().or_else(|| match path {
            PathMatch::Regex(_) | PathMatch::Template(_) => any_path().or_else(|| self.prefix.get("").copied()),
            _ => self.lengths.range(..=text.len()).find_map(prefix),
        })
    }
}
