//! Virtual host search: exact name, then the longest `*suffix`, then the longest `prefix*`, then
//! `*` (Envoy's precedence). Hosts compare without regard to case.

use std::borrow::Cow;

use nuncio_config::model::RouteTable;
use rustc_hash::FxHashMap;

use super::by_length::ByLength;

/// Domains of a route table.
#[derive(Debug, Default)]
pub(super) struct DomainIndex {
    exact: FxHashMap<Box<str>, usize>,
    suffixes: ByLength<Option<usize>>,
    prefixes: ByLength<Option<usize>>,
    any: Option<usize>,
}

impl DomainIndex {
    pub(super) fn new(table: &RouteTable) -> Self {
        let mut index = Self::default();
        for (at, host) in table.virtual_hosts.iter().enumerate() {
            for domain in &host.domains {
                index.add(&domain.to_ascii_lowercase(), at);
            }
        }
        index
    }

    fn add(&mut self, domain: &str, at: usize) {
        if domain == "*" {
            self.any = Some(at);
        } else if let Some(suffix) = domain.strip_prefix('*') {
            *self.suffixes.entry(suffix.as_bytes()) = Some(at);
        } else if let Some(prefix) = domain.strip_suffix('*') {
            *self.prefixes.entry(prefix.as_bytes()) = Some(at);
        } else {
            self.exact.insert(domain.into(), at);
        }
    }

    /// Index of the virtual host for `authority`.
    pub(super) fn find(&self, authority: &str, ignore_port: bool) -> Option<usize> {
        if self.exact.is_empty() && self.any.is_some() && self.has_no_wildcards() {
            return self.any;
        }
        let host = if ignore_port { without_port(authority) } else { authority };
        let host = lower_case(host);
        if let Some(at) = self.exact.get(host.as_ref()) {
            return Some(*at);
        }
        // A wildcard stands for at least one character.
        let longer = |(length, at): (usize, &Option<usize>)| (host.len() > length).then_some(*at).flatten();
        self.suffixes
            .suffixes_of(host.as_bytes())
            .find_map(longer)
            .or_else(|| self.prefixes.prefixes_of(host.as_bytes()).find_map(longer))
            .or(self.any)
    }

    fn has_no_wildcards(&self) -> bool {
        self.suffixes.is_empty() && self.prefixes.is_empty()
    }
}

fn lower_case(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// The host without its port; brackets of an IPv6 literal stay.
pub(crate) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !is_bare_v6(host) => host,
        _ => authority,
    }
}

/// The colon was inside an IPv6 literal (no closing bracket before it, but an opening one or
/// further colons).
fn is_bare_v6(host: &str) -> bool {
    !host.ends_with(']') && (host.starts_with('[') || host.contains(':'))
}
