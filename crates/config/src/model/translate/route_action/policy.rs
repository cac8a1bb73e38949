//! Policies of a route or virtual host besides retries: hedging, mirrors, hashing, internal
//! redirects, upgrades, early data; and virtual clusters.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::envoy::{
    config::{
        common::mutation_rules::v3::{HeaderMutation as WireMutation, header_mutation::Action},
        core::v3::{TypedExtensionConfig, proxy_protocol_config::Version},
        route::v3::{self as pb, route_action as wire},
    },
    extensions::internal_redirect::allow_listed_routes::v3::AllowListedRoutesConfig,
};
use http::StatusCode;
use rustc_hash::FxHashSet;

use super::super::{
    Context, extension,
    route::TableRules,
    value::{flag, number, runtime_fraction},
};
use crate::model::{
    header::HeaderChange,
    report::Path,
    route::{
        ConnectConfig, CookieAttribute, HashPolicy, HashSource, HedgePolicy, InternalRedirectPolicy, MirrorPolicy,
        RedirectPredicate, Upgrade, VirtualCluster,
    },
};

const ALLOW_LISTED: &str = "envoy.extensions.internal_redirect.allow_listed_routes.v3.AllowListedRoutesConfig";
const PREVIOUS_ROUTES: &str = "envoy.extensions.internal_redirect.previous_routes.v3.PreviousRoutesConfig";
const SAFE_CROSS_SCHEME: &str = "envoy.extensions.internal_redirect.safe_cross_scheme.v3.SafeCrossSchemeConfig";
const EARLY_DATA: &str = "envoy.extensions.early_data.v3.DefaultEarlyDataPolicy";

/// A hedge policy.
pub(super) fn hedge_policy(message: &pb::HedgePolicy) -> HedgePolicy {
    HedgePolicy { on_per_try_timeout: message.hedge_on_per_try_timeout }
}

impl Context<'_> {
    /// `request_mirror_policies` of one level; those of the level above when it has none.
    pub(in crate::model::translate) fn mirrors(
        &mut self,
        path: &Path<'_>,
        list: Vec<wire::RequestMirrorPolicy>,
        rules: TableRules,
        above: &Arc<[MirrorPolicy]>,
    ) -> Arc<[MirrorPolicy]> {
        if list.is_empty() {
            return Arc::clone(above);
        }
        let each = list.into_iter().enumerate();
        each.filter_map(|(index, wire)| self.mirror(&path.item("request_mirror_policies", index), wire, rules))
            .collect()
    }

    fn mirror(
        &mut self,
        path: &Path<'_>,
        message: wire::RequestMirrorPolicy,
        rules: TableRules,
    ) -> Option<MirrorPolicy> {
        if message.cluster.is_empty() == message.cluster_header.is_empty() {
            let text = "a request mirror policy has exactly one of `cluster` and `cluster_header`";
            self.report.error(path, "missing-cluster", text);
            return None;
        }
        let cluster_header = self.cluster_header(path, &message.cluster_header)?;
        let cluster = match cluster_header {
            Some(_) => Arc::from(""),
            None => self.known_cluster(&path.field("cluster"), message.cluster, rules, "shadow cluster"),
        };
        Some(MirrorPolicy {
            cluster,
            cluster_header,
            fraction: message.runtime_fraction.map(runtime_fraction),
            keep_host: message.disable_shadow_host_suffix_append,
            host_rewrite: Some(message.host_rewrite_literal).filter(|host| !host.is_empty()),
            request_headers: self.header_changes(path, "request_headers_mutations", message.request_headers_mutations),
            trace_sampled: message.trace_sampled.map(|sampled| sampled.value),
        })
    }

    /// `HeaderMutation`s, which apply one after the other.
    pub(in crate::model::translate) fn header_changes(
        &mut self,
        path: &Path<'_>,
        field: &str,
        list: Vec<WireMutation>,
    ) -> Vec<HeaderChange> {
        let mut changes = Vec::with_capacity(list.len());
        for (index, mutation) in list.into_iter().enumerate() {
            let path = path.item(field, index);
            changes.extend(match mutation.action {
                Some(Action::Append(option)) => self.addition(&path.field("append"), option).map(HeaderChange::Add),
                Some(Action::Remove(name)) => {
                    self.touched_header(&path.field("remove"), &name, "removed").map(HeaderChange::Remove)
                }
                Some(Action::RemoveOnMatch(on)) => {
                    let path = path.field("remove_on_match");
                    self.string_matcher(&path.field("key_matcher"), on.key_matcher.unwrap_or_default())
                        .map(HeaderChange::RemoveMatching)
                }
                // The field rule has refused it.
                None => None,
            });
        }
        changes
    }

    /// `hash_policy`, in order.
    pub(super) fn hash_policies(&mut self, path: &Path<'_>, list: Vec<wire::HashPolicy>) -> Box<[HashPolicy]> {
        let mut policies = Vec::with_capacity(list.len());
        for (index, policy) in list.into_iter().enumerate() {
            let source = self.hash_source(&path.item("hash_policy", index), policy.policy_specifier);
            policies.extend(source.map(|source| HashPolicy { source, terminal: policy.terminal }));
        }
        policies.into()
    }

    fn hash_source(
        &mut self,
        path: &Path<'_>,
        specifier: Option<wire::hash_policy::PolicySpecifier>,
    ) -> Option<HashSource> {
        use wire::hash_policy::PolicySpecifier as By;
        match specifier {
            Some(By::Header(header)) => {
                let path = path.field("header");
                let name = self.matched_header(&path.field("header_name"), &header.header_name)?;
                let rewrite = match header.regex_rewrite {
                    None => None,
                    Some(rewrite) => Some(self.substitution(&path.field("regex_rewrite"), rewrite)?),
                };
                Some(HashSource::Header { name, rewrite })
            }
            Some(By::Cookie(cookie)) => Some(HashSource::Cookie {
                // Envoy counts whole seconds.
                ttl: self
                    .duration(&path.field("cookie").field("ttl"), cookie.ttl)
                    .map(|ttl| Duration::from_secs(ttl.as_secs())),
                name: cookie.name,
                path: cookie.path,
                attributes: cookie
                    .attributes
                    .into_iter()
                    .map(|attribute| CookieAttribute { name: attribute.name, value: attribute.value })
                    .collect(),
            }),
            Some(By::ConnectionProperties(properties)) => properties.source_ip.then_some(HashSource::SourceIp),
            Some(By::QueryParameter(parameter)) => Some(HashSource::QueryParameter(parameter.name)),
            Some(By::FilterState(state)) => Some(HashSource::FilterState(state.key)),
            // The field rule has refused it.
            None => None,
        }
    }

    /// `internal_redirect_policy`, or the two fields that were before it.
    #[expect(deprecated, reason = "the old spelling is still accepted")]
    pub(super) fn internal_redirect(
        &mut self,
        path: &Path<'_>,
        message: &mut pb::RouteAction,
    ) -> Option<Box<InternalRedirectPolicy>> {
        let old = message.internal_redirect_action() == wire::InternalRedirectAction::HandleInternalRedirect;
        let policy = match message.internal_redirect_policy.take() {
            Some(policy) => policy,
            None if old => pb::InternalRedirectPolicy {
                max_internal_redirects: message.max_internal_redirects.take(),
                ..Default::default()
            },
            None => return None,
        };
        let path = path.field("internal_redirect_policy");
        let predicates = policy.predicates.into_iter().enumerate();
        let predicates = predicates
            .filter_map(|(index, predicate)| self.redirect_predicate(&path.item("predicates", index), &predicate))
            .collect();
        let copied = policy.response_headers_to_copy.iter().enumerate();
        let copy_headers = copied
            .filter_map(|(index, name)| {
                self.touched_header(&path.item("response_headers_to_copy", index), name, "copied")
            })
            .collect();
        Some(Box::new(InternalRedirectPolicy {
            max: number(policy.max_internal_redirects, 1),
            codes: redirect_codes(&policy.redirect_response_codes),
            predicates,
            allow_cross_scheme: policy.allow_cross_scheme_redirect,
            copy_headers,
        }))
    }

    fn redirect_predicate(&mut self, path: &Path<'_>, message: &TypedExtensionConfig) -> Option<RedirectPredicate> {
        let any = message.typed_config.as_ref();
        match any.map(extension::type_name).unwrap_or_default() {
            ALLOW_LISTED => {
                let config: AllowListedRoutesConfig = self.decode(&path.field("typed_config"), &any?.value)?;
                Some(RedirectPredicate::AllowListedRoutes(config.allowed_route_names))
            }
            PREVIOUS_ROUTES => Some(RedirectPredicate::PreviousRoutes),
            SAFE_CROSS_SCHEME => Some(RedirectPredicate::SafeCrossScheme),
            _ => {
                let built = &[
                    "envoy.internal_redirect_predicates.allow_listed_routes",
                    "envoy.internal_redirect_predicates.previous_routes",
                    "envoy.internal_redirect_predicates.safe_cross_scheme",
                ];
                self.unknown_extension(path, "internal redirect predicate", &message.name, any, built);
                None
            }
        }
    }

    /// `upgrade_configs` of a route.
    pub(super) fn upgrades(&mut self, path: &Path<'_>, list: Vec<wire::UpgradeConfig>) -> Box<[Upgrade]> {
        let mut seen = FxHashSet::default();
        let mut upgrades = Vec::with_capacity(list.len());
        for (index, upgrade) in list.into_iter().enumerate() {
            let path = path.item("upgrade_configs", index);
            let kind = upgrade.upgrade_type.to_ascii_lowercase();
            if !seen.insert(kind.clone()) {
                let text = format!("duplicate upgrade `{}`", upgrade.upgrade_type);
                self.report.error(&path.field("upgrade_type"), "duplicate-upgrade", text);
            }
            if upgrade.connect_config.is_some() && !matches!(kind.as_str(), "connect" | "connect-udp") {
                let text = format!("`{}` is not CONNECT and takes no `connect_config`", upgrade.upgrade_type);
                self.report.error(&path.field("connect_config"), "conflicting-fields", text);
            }
            let connect = upgrade.connect_config.map(|connect| ConnectConfig {
                allow_post: connect.allow_post,
                proxy_protocol: connect.proxy_protocol_config.map(|config| match config.version() {
                    Version::V1 => 1,
                    Version::V2 => 2,
                }),
            });
            upgrades.push(Upgrade { kind, enabled: flag(upgrade.enabled, true), connect });
        }
        upgrades.into()
    }

    /// `early_data_policy`: the one there is allows nothing when it is written out.
    pub(super) fn early_data(&mut self, path: &Path<'_>, message: Option<TypedExtensionConfig>) -> Option<bool> {
        let message = message?;
        let any = message.typed_config.as_ref();
        if any.map(extension::type_name) != Some(EARLY_DATA) {
            let built = &["envoy.route.early_data_policy.default"];
            self.unknown_extension(&path.field("early_data_policy"), "early data policy", &message.name, any, built);
        }
        Some(false)
    }

    /// `virtual_clusters`, in order.
    pub(in crate::model::translate) fn virtual_clusters(
        &mut self,
        path: &Path<'_>,
        list: Vec<pb::VirtualCluster>,
    ) -> Vec<VirtualCluster> {
        let mut clusters = Vec::with_capacity(list.len());
        for (index, cluster) in list.into_iter().enumerate() {
            let path = path.item("virtual_clusters", index);
            if cluster.headers.is_empty() {
                let text = format!("virtual cluster `{}` must define `headers`", cluster.name);
                self.report.error(&path, "missing-headers", text);
            }
            let headers = self.header_matchers(&path, cluster.headers);
            clusters.push(VirtualCluster { name: cluster.name.into(), headers });
        }
        clusters
    }
}

/// 302 when none is named; what is no redirect is passed over, as Envoy does.
fn redirect_codes(list: &[u32]) -> Vec<StatusCode> {
    if list.is_empty() {
        return vec![StatusCode::FOUND];
    }
    let codes = list.iter().filter(|code| matches!(code, 301 | 302 | 303 | 307 | 308));
    codes.filter_map(|code| StatusCode::from_u16(u16::try_from(*code).ok()?).ok()).collect()
}
