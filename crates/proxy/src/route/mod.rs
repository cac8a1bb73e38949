//! Which route a request takes: a pure function over an immutable [`RouteIndex`].
//!
//! The index is built once per route table. Finding the virtual host costs one hash look-up per
//! distinct domain length; finding the route one per distinct path-matcher length, so the last of
//! a thousand prefixes costs what the first does. Order is kept: among the candidates the first in
//! the config wins, exactly as a scan from the top would choose.
//!
//! It owns matching only. What a route then does is planned in `crate::router`.

mod by_length;
pub(crate) mod conditions;
pub(crate) mod domains;
mod paths;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use nuncio_api::RequestHead;
use nuncio_config::model::{
    RouteTable,
    route::{RequireTls, Route, VirtualHost},
};

use domains::DomainIndex;
use paths::PathIndex;

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
#[derive(Clone, Copy, Debug)]
pub struct MatchContext {
    /// The request came over TLS, as x-forwarded-proto tells.
    pub is_https: bool,
    /// The request is internal.
    pub is_internal: bool,
    /// A random number, for fractions; the same for all routes of one request.
    pub random: u64,
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
    pub fn find(&self, request: &RequestHead, context: MatchContext) -> Matched<'_> {
        let Some(at) = self.domains.find(&request.authority, self.table.ignore_port_in_host_matching) else {
            return Matched::NoVirtualHost;
        };
        let (Some(host), Some(paths)) = (self.table.virtual_hosts.get(at), self.paths.get(at)) else {
            return Matched::NoVirtualHost;
        };
        let needs_tls = match host.require_tls {
            RequireTls::None => false,
            RequireTls::All => true,
            RequireTls::ExternalOnly => !context.is_internal,
        };
        if needs_tls && !context.is_https {
            return Matched::NeedsTls(host);
        }
        let path = match_path(&request.path, self.table.ignore_path_parameters);
        paths
            .candidates(path)
            .filter_map(|index| host.routes.get(index))
            .find(|route| conditions::route_matches(route, request, path, context.random))
            .map_or(Matched::NoRoute(host), |route| Matched::Route(host, route))
    }
}

/// The path that matchers see: without query, and without `;parameters` when the table says so.
fn match_path(path: &str, ignore_parameters: bool) -> &str {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let path = path.get(..end).unwrap_or(path);
    if !ignore_parameters {
        return path;
    }
    path.find(';').and_then(|at| path.get(..at)).unwrap_or(path)
}
