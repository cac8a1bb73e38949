//! What a matched route does: forward, redirect, answer.

mod cluster;
mod direct;
mod policy;
mod redirect;
mod retry;
mod rewrite;

use std::{sync::Arc, time::Duration};

use envoy_types::pb::envoy::config::route::v3 as pb;
use http::StatusCode;

use super::{Context, route::TableRules};
use crate::model::{
    report::Path,
    route::{Forward, HedgePolicy, MaxStreamDuration, MirrorPolicy, PathMatch, RetryPolicy, RouteAction},
};

use policy::hedge_policy;

/// `timeout` of a route that sets none.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(15);

/// What a route's action is translated with besides its message.
pub(super) struct Surroundings<'a> {
    pub(super) rules: TableRules,
    pub(super) policies: &'a HostPolicies,
    /// How the route matches paths; `None` when that is unusable.
    pub(super) path: Option<&'a PathMatch>,
}

/// Policies of a virtual host (or its table) for routes that have none of their own.
#[derive(Default)]
pub(super) struct HostPolicies {
    retry: Option<Arc<RetryPolicy>>,
    hedge: HedgePolicy,
    mirrors: Arc<[MirrorPolicy]>,
}

impl Context<'_> {
    /// The policies of a virtual host; `mirrors` are the table's.
    pub(super) fn host_policies(
        &mut self,
        path: &Path<'_>,
        message: &mut pb::VirtualHost,
        rules: TableRules,
        mirrors: &Arc<[MirrorPolicy]>,
    ) -> HostPolicies {
        let retry = message.retry_policy.take();
        HostPolicies {
            retry: retry.map(|policy| self.retry_policy(&path.field("retry_policy"), policy)),
            hedge: message.hedge_policy.as_ref().map(hedge_policy).unwrap_or_default(),
            mirrors: self.mirrors(path, std::mem::take(&mut message.request_mirror_policies), rules, mirrors),
        }
    }

    /// A route's action; `None` when it is unusable (reported).
    pub(super) fn route_action(
        &mut self,
        path: &Path<'_>,
        action: Option<pb::route::Action>,
        around: &Surroundings<'_>,
    ) -> Option<RouteAction> {
        use pb::route::Action;
        match action {
            Some(Action::Route(forward)) => {
                let forward = self.forward(&path.field("route"), forward, around)?;
                Some(RouteAction::Forward(Box::new(forward)))
            }
            Some(Action::Redirect(redirect)) => {
                self.redirect(&path.field("redirect"), redirect, around.path).map(RouteAction::Redirect)
            }
            Some(Action::DirectResponse(direct)) => {
                self.direct_response(&path.field("direct_response"), direct, around.rules).map(RouteAction::Direct)
            }
            // Envoy forwards neither.
            Some(Action::NonForwardingAction(_) | Action::FilterAction(_)) => Some(RouteAction::NonForwarding),
            None => {
                let message = "a route needs one of `route`, `redirect`, `direct_response`, `non_forwarding_action`";
                self.report.error(path, "missing-action", message);
                None
            }
        }
    }

    fn forward(&mut self, path: &Path<'_>, mut message: pb::RouteAction, around: &Surroundings<'_>) -> Option<Forward> {
        use pb::route_action::ClusterNotFoundResponseCode as NotFound;
        let cluster_not_found = match message.cluster_not_found_response_code() {
            NotFound::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            NotFound::NotFound => StatusCode::NOT_FOUND,
            NotFound::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let (rules, above) = (around.rules, around.policies);
        let path_rewrite = self.path_rewrite(path, &mut message, around.path);
        let max_stream = self.max_stream(path, &mut message);
        let internal_redirect = self.internal_redirect(path, &mut message);
        let cluster = self.cluster_specifier(path, message.cluster_specifier, rules);
        let host_rewrite = self.host_rewrite(path, message.host_rewrite_specifier);
        let retry = message.retry_policy.map(|policy| self.retry_policy(&path.field("retry_policy"), policy));
        Some(Forward {
            cluster: cluster?,
            cluster_not_found,
            path_rewrite,
            host_rewrite: host_rewrite?,
            append_x_forwarded_host: message.append_x_forwarded_host,
            timeout: self.timeout_or(&path.field("timeout"), message.timeout, ROUTE_TIMEOUT),
            idle_timeout: self.duration(&path.field("idle_timeout"), message.idle_timeout),
            flush_timeout: self.duration(&path.field("flush_timeout"), message.flush_timeout),
            max_stream,
            high_priority: message.priority != 0,
            retry: retry.or_else(|| above.retry.clone()),
            hedge: message.hedge_policy.as_ref().map_or(above.hedge, hedge_policy),
            mirrors: self.mirrors(path, message.request_mirror_policies, rules, &above.mirrors),
            hash: self.hash_policies(path, message.hash_policy),
            internal_redirect,
            upgrades: self.upgrades(path, message.upgrade_configs),
            early_data: self.early_data(path, message.early_data_policy),
        })
    }

    #[expect(deprecated, reason = "the older fields are still accepted")]
    fn max_stream(&mut self, path: &Path<'_>, message: &mut pb::RouteAction) -> MaxStreamDuration {
        let newer = message.max_stream_duration.take();
        let is_newer = newer.is_some();
        let newer = newer.unwrap_or_default();
        let below = path.field("max_stream_duration");
        MaxStreamDuration {
            is_newer,
            limit: self.duration(&below.field("max_stream_duration"), newer.max_stream_duration),
            grpc_max: self.duration(&below.field("grpc_timeout_header_max"), newer.grpc_timeout_header_max),
            grpc_offset: self.duration(&below.field("grpc_timeout_header_offset"), newer.grpc_timeout_header_offset),
            max_grpc_timeout: self.duration(&path.field("max_grpc_timeout"), message.max_grpc_timeout.take()),
            grpc_timeout_offset: self.duration(&path.field("grpc_timeout_offset"), message.grpc_timeout_offset.take()),
        }
    }
}
