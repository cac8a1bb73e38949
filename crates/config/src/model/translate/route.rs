//! Route tables, virtual hosts and routes: what is matched.
//!
//! Semantic rules of a table are checked here: unique names and domains, one `*`, routes that
//! can never be reached (`shadow`). What a route does is `route_action`'s.

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;
use rustc_hash::FxHashMap;

use super::{
    Context, header,
    per_filter::metadata,
    route_action::Surroundings,
    route_tree::TreeRules,
    shadow,
    value::{flag, size},
};
use crate::model::{
    report::Path,
    route::{MirrorPolicy, RequireTls, Route, RouteTable, VirtualHost},
};

pub(super) use super::route_action::HostPolicies;

/// Where a table came from; it decides whether unknown clusters are errors by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// `route_config` of a listener.
    Static,
    /// A route discovery service.
    Api,
}

/// What the routes of a table have in common.
#[derive(Clone, Copy)]
pub(super) struct TableRules {
    pub(super) validate_clusters: bool,
    pub(super) max_direct_response_body: usize,
}

impl TableRules {
    /// Where no table says what they are.
    pub(super) const LENIENT: Self = Self { validate_clusters: false, max_direct_response_body: 0 };
}

/// Translates a table.
pub(super) fn table(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    message: pb::RouteConfiguration,
    origin: Origin,
) -> RouteTable {
    let rules = TableRules {
        validate_clusters: flag(message.validate_clusters, origin == Origin::Static),
        max_direct_response_body: size(message.max_direct_response_body_size_bytes, 4096),
    };
    cx.plugins(path, message.cluster_specifier_plugins);
    let mirrors = cx.mirrors(path, message.request_mirror_policies, rules, &Arc::default());
    let mut names = Names { table: message.name.clone(), ..Names::default() };
    let mut virtual_hosts = Vec::with_capacity(message.virtual_hosts.len());
    for (index, host) in message.virtual_hosts.into_iter().enumerate() {
        let path = path.item("virtual_hosts", index);
        names.check(cx, &path, index, &host);
        virtual_hosts.push(virtual_host(cx, &path, host, rules, &mirrors).into());
    }
    let internal = message.internal_only_headers.iter().enumerate();
    let vhost_header = Some(message.vhost_header).filter(|name| !name.is_empty());
    let vhost_header = vhost_header.and_then(|name| cx.matched_header(&path.field("vhost_header"), &name));
    RouteTable {
        virtual_hosts,
        request_headers: cx.mutation(
            path,
            header::REQUEST,
            message.request_headers_to_add,
            message.request_headers_to_remove,
        ),
        response_headers: cx.mutation(
            path,
            header::RESPONSE,
            message.response_headers_to_add,
            message.response_headers_to_remove,
        ),
        internal_only_headers: internal
            .filter_map(|(index, name)| cx.any_header(&path.item("internal_only_headers", index), name))
            .collect(),
        most_specific_header_mutations_wins: message.most_specific_header_mutations_wins,
        ignore_port_in_host_matching: message.ignore_port_in_host_matching,
        ignore_path_parameters: message.ignore_path_parameters_in_path_matching,
        max_direct_response_body: rules.max_direct_response_body,
        validate_clusters: rules.validate_clusters,
        vhost_header,
        metadata: metadata(message.metadata),
        per_filter: cx.per_filter(path, message.typed_per_filter_config),
        name: message.name,
    }
}

/// Names and domains seen so far in a table, with the virtual host that has them.
#[derive(Default)]
struct Names {
    table: String,
    hosts: FxHashMap<String, usize>,
    domains: FxHashMap<String, usize>,
}

impl Names {
    fn check(&mut self, cx: &mut Context<'_>, path: &Path<'_>, index: usize, host: &pb::VirtualHost) {
        if let Some(first) = self.hosts.get(&host.name) {
            let message = format!("duplicate virtual host name `{}`: virtual_hosts[{first}] has it already", host.name);
            cx.report.warning(&path.field("name"), "duplicate-virtual-host", message, None);
        } else {
            self.hosts.insert(host.name.clone(), index);
        }
        for (place, domain) in host.domains.iter().enumerate() {
            let lower = domain.to_ascii_lowercase();
            let path = path.item("domains", place);
            let Some(first) = self.domains.get(&lower) else {
                self.domains.insert(lower, index);
                continue;
            };
            let (code, message) = match lower.as_str() {
                "*" => (
                    "duplicate-wildcard",
                    format!("only a single `*` domain is permitted in route table `{}`", self.table),
                ),
                _ => ("duplicate-domain", format!("duplicate domain `{domain}` in route table `{}`", self.table)),
            };
            cx.report.error_with(&path, code, message, format!("virtual_hosts[{first}] has it already"));
        }
    }
}

#[expect(deprecated, reason = "`per_request_buffer_limit_bytes` is still accepted")]
fn virtual_host(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    mut message: pb::VirtualHost,
    rules: TableRules,
    mirrors: &Arc<[MirrorPolicy]>,
) -> VirtualHost {
    use pb::virtual_host::TlsRequirementType as Tls;
    let require_tls = match message.require_tls() {
        Tls::None => RequireTls::None,
        Tls::ExternalOnly => RequireTls::ExternalOnly,
        Tls::All => RequireTls::All,
    };
    let limit = request_buffer_limit(&message.per_request_buffer_limit_bytes, message.request_body_buffer_limit);
    let policies = cx.host_policies(path, &mut message, rules, mirrors);
    let routes = routes(cx, path, message.routes, rules, &policies, limit);
    let matcher = message.matcher.and_then(|tree| {
        let path = path.field("matcher");
        if !routes.is_empty() {
            cx.report.error(&path, "routes-and-matcher", "`routes` and `matcher` cannot both be set");
        }
        // Envoy does not look for the clusters of these routes.
        let rules = TableRules { validate_clusters: false, ..rules };
        cx.match_tree(&path, tree, TreeRules { rules, policies: &policies, buffer_limit: limit })
    });
    VirtualHost {
        name: message.name,
        domains: message.domains.into_iter().map(|domain| domain.to_ascii_lowercase()).collect(),
        routes,
        require_tls,
        request_headers: cx.mutation(
            path,
            header::REQUEST,
            message.request_headers_to_add,
            message.request_headers_to_remove,
        ),
        response_headers: cx.mutation(
            path,
            header::RESPONSE,
            message.response_headers_to_add,
            message.response_headers_to_remove,
        ),
        include_request_attempt_count: message.include_request_attempt_count,
        include_attempt_count_in_response: message.include_attempt_count_in_response,
        include_is_timeout_retry_header: message.include_is_timeout_retry_header,
        virtual_clusters: cx.virtual_clusters(path, message.virtual_clusters),
        matcher: matcher.map(Box::new),
        metadata: metadata(message.metadata),
        per_filter: cx.per_filter(path, message.typed_per_filter_config),
    }
}

/// The routes of a virtual host in order. One that can never be reached is warned about.
fn routes(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    messages: Vec<pb::Route>,
    rules: TableRules,
    policies: &HostPolicies,
    buffer_limit: Option<u64>,
) -> Vec<Arc<Route>> {
    let mut reached = shadow::Reached::default();
    let mut routes = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        let path = path.item("routes", index);
        if let Some(mut route) = route(cx, &path, message, rules, policies) {
            route.request_buffer_limit = route.request_buffer_limit.or(buffer_limit);
            reached.check(&mut cx.report, &path, index, &route.matches);
            routes.push(route.into());
        }
    }
    routes
}

/// The routes that one action of a matcher leads to.
pub(super) fn routes_of_action(
    cx: &mut Context<'_>,
    paths: &[Path<'_>],
    messages: Vec<pb::Route>,
    tree: TreeRules<'_>,
) -> Vec<Arc<Route>> {
    let each = paths.iter().zip(messages);
    let routes = each.filter_map(|(path, message)| route(cx, path, message, tree.rules, tree.policies));
    routes
        .map(|mut route| {
            route.request_buffer_limit = route.request_buffer_limit.or(tree.buffer_limit);
            Arc::new(route)
        })
        .collect()
}

/// The newer field wins.
fn request_buffer_limit(
    old: &Option<envoy_types::pb::google::protobuf::UInt32Value>,
    new: Option<envoy_types::pb::google::protobuf::UInt64Value>,
) -> Option<u64> {
    new.map(|limit| limit.value).or_else(|| old.as_ref().map(|limit| u64::from(limit.value)))
}

#[expect(deprecated, reason = "`per_request_buffer_limit_bytes` is still accepted")]
fn route(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    message: pb::Route,
    rules: TableRules,
    policies: &HostPolicies,
) -> Option<Route> {
    let request_buffer_limit =
        request_buffer_limit(&message.per_request_buffer_limit_bytes, message.request_body_buffer_limit);
    let matches = cx.route_match(&path.field("match"), message.r#match.unwrap_or_default());
    let around = Surroundings { rules, policies, path: matches.as_ref().map(|matches| &matches.path) };
    let action = cx.route_action(path, message.action, &around);
    let request_headers =
        cx.mutation(path, header::REQUEST, message.request_headers_to_add, message.request_headers_to_remove);
    let response_headers =
        cx.mutation(path, header::RESPONSE, message.response_headers_to_add, message.response_headers_to_remove);
    Some(Route {
        matches: matches?,
        action: action?,
        request_headers,
        response_headers,
        name: message.name,
        stat_prefix: Some(message.stat_prefix).filter(|prefix| !prefix.is_empty()),
        request_buffer_limit,
        metadata: metadata(message.metadata),
        per_filter: cx.per_filter(path, message.typed_per_filter_config),
    })
}
