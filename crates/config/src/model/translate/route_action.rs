//! What a matched route does: forward, redirect, answer.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::envoy::config::route::v3 as pb;
use http::StatusCode;

use super::{Context, extension, header, route::TableRules};
use crate::model::{
    report::Path,
    route::{
        ClusterSpecifier, DirectResponse, Forward, HedgePolicy, HostRewrite, MaxStreamDuration, PathRewrite, PerFilter,
        RandomValue, Redirect, RedirectPath, RouteAction, WeightedCluster,
    },
};

/// `timeout` of a route that sets none.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(15);

impl Context<'_> {
    /// A route's action; `None` when it is unusable (reported).
    pub(super) fn route_action(
        &mut self,
        path: &Path<'_>,
        action: Option<pb::route::Action>,
        rules: TableRules,
    ) -> Option<RouteAction> {
        use pb::route::Action;
        match action {
            Some(Action::Route(forward)) => {
                let forward = self.forward(&path.field("route"), forward, rules)?;
                Some(RouteAction::Forward(Box::new(forward)))
            }
            Some(Action::Redirect(redirect)) => {
                self.redirect(&path.field("redirect"), redirect).map(RouteAction::Redirect)
            }
            Some(Action::DirectResponse(direct)) => {
                self.direct_response(&path.field("direct_response"), direct, rules).map(RouteAction::Direct)
            }
            Some(Action::NonForwardingAction(_)) => Some(RouteAction::NonForwarding),
            // The field check has refused it.
            Some(Action::FilterAction(_)) => None,
            None => {
                let message = "a route needs one of `route`, `redirect`, `direct_response`, `non_forwarding_action`";
                self.report.error(path, "missing-action", message);
                None
            }
        }
    }

    fn forward(&mut self, path: &Path<'_>, message: pb::RouteAction, rules: TableRules) -> Option<Forward> {
        use pb::route_action::ClusterNotFoundResponseCode as NotFound;
        let cluster_not_found = match message.cluster_not_found_response_code() {
            NotFound::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            NotFound::NotFound => StatusCode::NOT_FOUND,
            NotFound::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let high_priority = message.priority != 0;
        if !message.prefix_rewrite.is_empty() && message.regex_rewrite.is_some() {
            let text = "only one of `prefix_rewrite` and `regex_rewrite` can be used";
            self.report.error(&path.field("regex_rewrite"), "conflicting-fields", text);
        }
        let rewrite = message.regex_rewrite;
        let regex_rewrite = rewrite.and_then(|rewrite| self.substitution(&path.field("regex_rewrite"), rewrite));
        let path_rewrite = match regex_rewrite {
            Some((regex, substitution)) => PathRewrite::Regex(regex, substitution),
            None if message.prefix_rewrite.is_empty() => PathRewrite::None,
            None => PathRewrite::Prefix(message.prefix_rewrite),
        };
        let cluster = self.cluster_specifier(path, message.cluster_specifier, rules);
        let host_rewrite = self.host_rewrite(path, message.host_rewrite_specifier);
        let stream = message.max_stream_duration.unwrap_or_default();
        let stream_path = path.field("max_stream_duration");
        Some(Forward {
            cluster: cluster?,
            cluster_not_found,
            path_rewrite,
            host_rewrite: host_rewrite?,
            append_x_forwarded_host: message.append_x_forwarded_host,
            timeout: self.timeout_or(&path.field("timeout"), message.timeout, ROUTE_TIMEOUT),
            idle_timeout: self.duration(&path.field("idle_timeout"), message.idle_timeout),
            flush_timeout: None,
            max_stream: MaxStreamDuration {
                limit: self.duration(&stream_path.field("max_stream_duration"), stream.max_stream_duration),
                ..MaxStreamDuration::default()
            },
            high_priority,
            retry: None,
            hedge: HedgePolicy::default(),
            mirrors: Arc::default(),
            hash: Box::default(),
            internal_redirect: None,
            upgrades: Box::default(),
            early_data: None,
        })
    }

    fn cluster_specifier(
        &mut self,
        path: &Path<'_>,
        specifier: Option<pb::route_action::ClusterSpecifier>,
        rules: TableRules,
    ) -> Option<ClusterSpecifier> {
        use pb::route_action::ClusterSpecifier as By;
        match specifier {
            Some(By::Cluster(name)) => {
                Some(ClusterSpecifier::Name(self.known_cluster(&path.field("cluster"), name, rules)))
            }
            Some(By::ClusterHeader(name)) => {
                self.header_name(&path.field("cluster_header"), &name).map(ClusterSpecifier::Header)
            }
            Some(By::WeightedClusters(weighted)) => self.weighted(&path.field("weighted_clusters"), weighted, rules),
            // The field check has refused these.
            Some(By::ClusterSpecifierPlugin(_) | By::InlineClusterSpecifierPlugin(_)) => None,
            None => {
                let message = "a route needs one of `cluster`, `cluster_header`, `weighted_clusters`";
                self.report.error(path, "missing-cluster", message);
                None
            }
        }
    }

    /// The name, with an error when no such cluster is there and the table wants them checked.
    fn known_cluster(&mut self, path: &Path<'_>, name: String, rules: TableRules) -> Arc<str> {
        let Some(clusters) = &self.clusters else {
            return name.into();
        };
        if let Some(known) = clusters.get(name.as_str()) {
            return known.clone();
        }
        if rules.validate_clusters {
            self.unknown_cluster(path, &name);
        }
        name.into()
    }

    fn unknown_cluster(&mut self, path: &Path<'_>, name: &str) {
        let known = self.clusters.iter().flatten().map(|known| &**known);
        let closest = (self.guesses > 0).then(|| extension::closest(name, known)).flatten();
        self.guesses = self.guesses.saturating_sub(1);
        let help = match closest {
            Some(closest) => format!("did you mean `{closest}`?"),
            None => {
                "no static cluster has this name; `validate_clusters: false` lets the route wait for one".to_owned()
            }
        };
        self.report.error_with(path, "unknown-cluster", format!("route: unknown cluster '{name}'"), help);
    }

    fn weighted(
        &mut self,
        path: &Path<'_>,
        message: pb::WeightedCluster,
        rules: TableRules,
    ) -> Option<ClusterSpecifier> {
        let prefix = message.runtime_key_prefix;
        let mut clusters = Vec::with_capacity(message.clusters.len());
        for (index, weight) in message.clusters.into_iter().enumerate() {
            clusters.extend(self.weighted_cluster(&path.item("clusters", index), weight, &prefix, rules));
        }
        let total: u64 = clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
        if total == 0 || total > u64::from(u32::MAX) {
            let message = "the sum of weights in `weighted_clusters` must be greater than 0 and below 2^32";
            self.report.error(path, "bad-weights", message);
            return None;
        }
        Some(ClusterSpecifier::Weighted(clusters, RandomValue::Random))
    }

    fn weighted_cluster(
        &mut self,
        path: &Path<'_>,
        message: pb::weighted_cluster::ClusterWeight,
        runtime_key_prefix: &str,
        rules: TableRules,
    ) -> Option<WeightedCluster> {
        use pb::weighted_cluster::cluster_weight::HostRewriteSpecifier as Host;
        if message.name.is_empty() == message.cluster_header.is_empty() {
            let text = "a weighted cluster has either `name` or `cluster_header`";
            self.report.error(path, "missing-cluster", text);
            return None;
        }
        if message.weight.is_none() {
            let text = "a weighted cluster needs a `weight`, 0 included";
            self.report.error(path, "missing-weight", text);
        }
        let runtime_key = (!runtime_key_prefix.is_empty()).then(|| format!("{runtime_key_prefix}.{}", message.name));
        let header = match message.cluster_header.as_str() {
            "" => None,
            name => Some(self.header_name(&path.field("cluster_header"), name)?),
        };
        let name = match header {
            Some(_) => Arc::from(""),
            None => self.known_cluster(&path.field("name"), message.name, rules),
        };
        Some(WeightedCluster {
            name,
            weight: message.weight.map_or(0, |weight| weight.value),
            header,
            request_headers: self.mutation(
                path,
                header::REQUEST,
                message.request_headers_to_add,
                message.request_headers_to_remove,
            ),
            response_headers: self.mutation(
                path,
                header::RESPONSE,
                message.response_headers_to_add,
                message.response_headers_to_remove,
            ),
            host_rewrite: message.host_rewrite_specifier.map(|Host::HostRewriteLiteral(host)| host),
            runtime_key,
            per_filter: PerFilter::new(),
        })
    }

    fn host_rewrite(
        &mut self,
        path: &Path<'_>,
        specifier: Option<pb::route_action::HostRewriteSpecifier>,
    ) -> Option<HostRewrite> {
        use pb::route_action::HostRewriteSpecifier as By;
        Some(match specifier {
            None => HostRewrite::None,
            Some(By::HostRewriteLiteral(host)) => HostRewrite::Literal(host),
            Some(By::AutoHostRewrite(auto)) if auto.value => HostRewrite::Auto,
            Some(By::AutoHostRewrite(_)) => HostRewrite::None,
            Some(By::HostRewriteHeader(name)) => {
                HostRewrite::Header(self.header_name(&path.field("host_rewrite_header"), &name)?)
            }
            // The field check has refused these.
            Some(_) => return None,
        })
    }

    fn redirect(&mut self, path: &Path<'_>, message: pb::RedirectAction) -> Option<Redirect> {
        use pb::redirect_action::{PathRewriteSpecifier as By, RedirectResponseCode as Code, SchemeRewriteSpecifier};
        let status = match message.response_code() {
            Code::MovedPermanently => StatusCode::MOVED_PERMANENTLY,
            Code::Found => StatusCode::FOUND,
            Code::SeeOther => StatusCode::SEE_OTHER,
            Code::TemporaryRedirect => StatusCode::TEMPORARY_REDIRECT,
            Code::PermanentRedirect => StatusCode::PERMANENT_REDIRECT,
        };
        let Ok(port) = u16::try_from(message.port_redirect) else {
            let text = format!("port {} is above 65535", message.port_redirect);
            self.report.error(&path.field("port_redirect"), "bad-port", text);
            return None;
        };
        let location = match message.path_rewrite_specifier {
            None => RedirectPath::Keep,
            Some(By::PathRedirect(text)) => RedirectPath::Replace(text),
            Some(By::PrefixRewrite(prefix)) => RedirectPath::Prefix(prefix),
            Some(By::RegexRewrite(rewrite)) => {
                let (regex, substitution) = self.substitution(&path.field("regex_rewrite"), rewrite)?;
                RedirectPath::Regex(regex, substitution)
            }
            // The field check has refused it.
            Some(By::PathRewrite(_)) => return None,
        };
        Some(Redirect {
            scheme: message.scheme_rewrite_specifier.and_then(|scheme| match scheme {
                SchemeRewriteSpecifier::HttpsRedirect(https) => https.then(|| "https".to_owned()),
                SchemeRewriteSpecifier::SchemeRedirect(scheme) => Some(scheme.to_ascii_lowercase()),
            }),
            host: Some(message.host_redirect).filter(|host| !host.is_empty()),
            port: (port != 0).then_some(port),
            path: location,
            status,
            strip_query: message.strip_query,
        })
    }

    fn direct_response(
        &mut self,
        path: &Path<'_>,
        message: pb::DirectResponseAction,
        rules: TableRules,
    ) -> Option<DirectResponse> {
        let status = u16::try_from(message.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let Some(status) = status else {
            let text = format!("{} is not an HTTP status", message.status);
            self.report.error(&path.field("status"), "bad-status", text);
            return None;
        };
        let body = message.body.and_then(|source| self.data_source(&path.field("body"), source)).unwrap_or_default();
        if body.len() > rules.max_direct_response_body {
            let text =
                format!("response body size is {} bytes; maximum is {}", body.len(), rules.max_direct_response_body);
            let help = "raise `max_direct_response_body_size_bytes` of the route table";
            self.report.error_with(&path.field("body"), "response-too-large", text, help);
        }
        Some(DirectResponse { status, body: body.into(), format: None })
    }
}
