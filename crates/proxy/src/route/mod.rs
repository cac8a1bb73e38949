//! Which route a request takes: a pure function over an immutable [`RouteIndex`].
//!
//! The index is built once per route table and shared by all workers. Finding the virtual host
//! costs one hash look-up per distinct domain length; finding the route one per distinct
//! path-matcher length, so the last of a thousand prefixes costs what the first does. Order is
//! kept: among the candidates the first in the config wins, exactly as a scan from the top would
//! choose. [`RouteIndex::explain`] says why, route by route.
//!
//! It owns matching only. What a route then does is planned in `crate::router`.

mod by_length;
pub(crate) mod conditions;
pub(crate) mod domains;
mod explain;
mod headers;
mod metadata;
mod paths;
mod per_filter;
mod shared;
#[cfg(test)]
mod tests;
mod tree;

use std::{collections::BTreeMap, sync::Arc};

use nuncio_api::{RequestHead, Runtime};
use nuncio_config::model::{
    RouteTable,
    matcher::MatchedHeader,
    route::{RequireTls, Route, VirtualHost},
};
use serde_json::{Map, Value};

use conditions::Asked;
use domains::DomainIndex;
use paths::PathIndex;

pub use domains::DomainKind;
pub use explain::{ChosenHost, Explanation, Outcome, RouteOutcome, Verdict};
pub use per_filter::{FilterLevels, Levels};

/// A route table made ready for matching.
#[derive(Debug)]
pub struct RouteIndex {
    table: Arc<RouteTable>,
    domains: DomainIndex,
    paths: Vec<PathIndex>,
}

/// What matching found.
#[derive(Debug)]
pub enum Matched<'a> {
    /// No virtual host for this host.
    NoVirtualHost,
    /// A virtual host, but none of its routes.
    NoRoute(&'a Arc<VirtualHost>),
    /// The virtual host wants TLS and the request did not come that way.
    NeedsTls(&'a Arc<VirtualHost>),
    /// A route.
    Route(&'a Arc<VirtualHost>, &'a Arc<Route>),
}

/// What matching may ask besides the request itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct MatchContext<'a> {
    /// The request came over TLS, as x-forwarded-proto tells.
    pub is_https: bool,
    /// The request is internal.
    pub is_internal: bool,
    /// A random number, for fractions; the same for all routes of one request.
    pub random: u64,
    /// Where fractions are looked up; without it they are what the table says.
    pub runtime: Option<&'a Runtime>,
    /// The client has shown a certificate.
    pub certificate_presented: bool,
    /// And it was found good.
    pub certificate_validated: bool,
    /// Dynamic metadata that filters have set, by namespace.
    pub metadata: Option<&'a BTreeMap<String, Map<String, Value>>>,
    /// Filter state as text, by key.
    pub filter_state: Option<&'a BTreeMap<String, String>>,
}

impl MatchContext<'_> {
    /// A context that knows a random number only.
    pub const fn new(random: u64) -> Self {
        Self {
            is_https: false,
            is_internal: false,
            random,
            runtime: None,
            certificate_presented: false,
            certificate_validated: false,
            metadata: None,
            filter_state: None,
        }
    }
}

impl RouteIndex {
    /// Builds the index.
    pub fn new(table: Arc<RouteTable>) -> Self {
        let domains = DomainIndex::new(&table);
        let paths = table.virtual_hosts.iter().map(|host| PathIndex::new(&host.routes)).collect();
        Self { table, domains, paths }
    }

    /// The table behind the index.
    pub fn table(&self) -> &Arc<RouteTable> {
        &self.table
    }

    /// Finds the route of a request.
    pub fn find(&self, request: &RequestHead, context: MatchContext<'_>) -> Matched<'_> {
        let found = self.domain_name(request).and_then(|name| self.domains.find(name));
        let Some((host, paths)) = found.and_then(|found| self.host(found.at)) else {
            return Matched::NoVirtualHost;
        };
        if needs_tls(host, &context) {
            return Matched::NeedsTls(host);
        }
        let asked = Asked::new(request, self.table.ignore_path_parameters, context);
        let route = match &host.matcher {
            Some(tree) => tree::routes(tree, &asked)
                .and_then(|routes| routes.iter().find(|route| conditions::check(&route.matches, &asked).is_ok())),
            None => paths
                .candidates(asked.path)
                .filter_map(|index| host.routes.get(index))
                .find(|route| conditions::check(&route.matches, &asked).is_ok()),
        };
        route.map_or(Matched::NoRoute(host), |route| Matched::Route(host, route))
    }

    fn host(&self, at: usize) -> Option<(&Arc<VirtualHost>, &PathIndex)> {
        Some((self.table.virtual_hosts.get(at)?, self.paths.get(at)?))
    }

    /// What the domains are compared with; `None` when the header that chooses is missing.
    fn domain_name<'r>(&self, request: &'r RequestHead) -> Option<&'r str> {
        let name = match &self.table.vhost_header {
            // A table for any host does not look.
            _ if self.domains.is_any() => return Some(""),
            None | Some(MatchedHeader::Authority) => &request.authority,
            Some(MatchedHeader::Method) => request.method.as_str(),
            Some(MatchedHeader::Path) => &request.path,
            Some(MatchedHeader::Scheme) => request.scheme.as_str(),
            Some(MatchedHeader::Protocol) => request.upgrade.as_deref()?,
            Some(MatchedHeader::Name(name)) => request.headers.get_str(name)?,
            Some(MatchedHeader::Nothing) => return None,
        };
        Some(if self.table.ignore_port_in_host_matching { domains::before_port(name) } else { name })
    }
}

/// Whether the virtual host wants TLS that the request does not have.
fn needs_tls(host: &VirtualHost, context: &MatchContext<'_>) -> bool {
    let wanted = match host.require_tls {
        RequireTls::None => false,
        RequireTls::All => true,
        RequireTls::ExternalOnly => !context.is_internal,
    };
    wanted && !context.is_https
}
