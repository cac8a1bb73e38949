//! Virtual host search: exact name, then the longest `*suffix`, then the longest `prefix*`, then
//! `*` (Envoy's precedence). Hosts compare without regard to case.

use std::borrow::Cow;

use nuncio_config::model::RouteTable;
use rustc_hash::FxHashMap;
use serde::Serialize;

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

    /// The virtual host for `name`, a host without what should not be compared.
    pub(super) fn find(&self, name: &str) -> Option<Found> {
        if self.is_any() {
            return self.any();
        }
        let host = lower_case(name);
        if let Some(at) = self.exact.get(host.as_ref()) {
            return Some(Found { at: *at, kind: DomainKind::Exact, length: host.len() });
        }
        // A wildcard stands for at least one character.
        let longer = |kind| {
            let host = &host;
            move |(length, at): (usize, &Option<usize>)| {
                (host.len() > length).then_some(*at).flatten().map(|at| Found { at, kind, length })
            }
        };
        self.suffixes
            .suffixes_of(host.as_bytes())
            .find_map(longer(DomainKind::Suffix))
            .or_else(|| self.prefixes.prefixes_of(host.as_bytes()).find_map(longer(DomainKind::Prefix)))
            .or_else(|| self.any())
    }

    /// True when `*` is the only domain, so that no name is looked at.
    pub(super) fn is_any(&self) -> bool {
        self.any.is_some() && self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty()
    }

    fn any(&self) -> Option<Found> {
        self.any.map(|at| Found { at, kind: DomainKind::Any, length: 0 })
    }
}

/// A virtual host that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Its index in the table.
    pub(super) at: usize,
    pub(super) kind: DomainKind,
    /// How much of the name the domain spells out.
    pub(super) length: usize,
}

impl Found {
    /// The domain that matched `name`.
    pub(super) fn domain(&self, name: &str) -> String {
        let name = name.to_ascii_lowercase();
        let tail = name.len().saturating_sub(self.length);
        match self.kind {
            DomainKind::Exact => name,
            DomainKind::Suffix => format!("*{}", name.get(tail..).unwrap_or_default()),
            DomainKind::Prefix => format!("{}*", name.get(..self.length).unwrap_or_default()),
            DomainKind::Any => "*".to_owned(),
        }
    }
}

/// How a domain matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainKind {
    /// The whole name.
    Exact,
    /// `*.example.com`
    Suffix,
    /// `example.*`
    Prefix,
    /// `*`
    Any,
}

fn lower_case(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// A host up to the last colon outside brackets, whatever follows it: what
/// `ignore_port_in_host_matching` compares.
pub(super) fn before_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((before, after)) if !after.contains(']') => before,
        _ => host,
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
