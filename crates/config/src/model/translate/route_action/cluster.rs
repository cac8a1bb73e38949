//! Which cluster a route forwards to: by name, by header, by weight.
//!
//! Names are looked for among the static clusters when the table asks for it (`validate_clusters`).

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;

use super::super::{Context, extension, header, route::TableRules};
use crate::model::{
    matcher::MatchedHeader,
    report::Path,
    route::{ClusterSpecifier, RandomValue, WeightedCluster},
};

/// The package of the cluster specifier plugins that Envoy has.
const PLUGINS: &str = "envoy.extensions.router.cluster_specifiers.";

impl Context<'_> {
    pub(super) fn cluster_specifier(
        &mut self,
        path: &Path<'_>,
        specifier: Option<pb::route_action::ClusterSpecifier>,
        rules: TableRules,
    ) -> Option<ClusterSpecifier> {
        use pb::route_action::ClusterSpecifier as By;
        match specifier {
            Some(By::Cluster(name)) => {
                Some(ClusterSpecifier::Name(self.known_cluster(&path.field("cluster"), name, rules, "cluster")))
            }
            Some(By::ClusterHeader(name)) => {
                self.matched_header(&path.field("cluster_header"), &name).map(ClusterSpecifier::Header)
            }
            Some(By::WeightedClusters(weighted)) => self.weighted(&path.field("weighted_clusters"), weighted, rules),
            // A route with a plugin that may be missing is as if it were not there.
            Some(By::ClusterSpecifierPlugin(name)) => {
                self.known_plugin(&path.field("cluster_specifier_plugin"), &name);
                None
            }
            Some(By::InlineClusterSpecifierPlugin(plugin)) => {
                self.plugin(&path.field("inline_cluster_specifier_plugin"), plugin);
                None
            }
            None => {
                let message = "a route needs one of `cluster`, `cluster_header`, `weighted_clusters`";
                self.report.error(path, "missing-cluster", message);
                None
            }
        }
    }

    /// `cluster_specifier_plugins` of a table: none is built in.
    pub(in crate::model::translate) fn plugins(&mut self, path: &Path<'_>, plugins: Vec<pb::ClusterSpecifierPlugin>) {
        self.plugins.clear();
        for (index, plugin) in plugins.into_iter().enumerate() {
            let name = self.plugin(&path.item("cluster_specifier_plugins", index), plugin);
            self.plugins.push(name);
        }
    }

    /// Refuses the plugin, unless it is optional and Envoy has no such one either.
    fn plugin(&mut self, path: &Path<'_>, plugin: pb::ClusterSpecifierPlugin) -> String {
        let extension = plugin.extension.unwrap_or_default();
        let any = extension.typed_config.as_ref();
        let is_envoys = any.is_some_and(|any| extension::type_name(any).starts_with(PLUGINS));
        if plugin.is_optional && !is_envoys {
            let name = &extension.name;
            let text =
                format!("cluster specifier plugin `{name}` is not built in: the routes that use it are left out");
            self.report.warning(path, "optional-plugin-left-out", text, None);
        } else {
            self.unknown_extension(
                &path.field("extension"),
                "cluster specifier plugin",
                &extension.name,
                any,
                &["none"],
            );
        }
        extension.name
    }

    fn known_plugin(&mut self, path: &Path<'_>, name: &str) {
        if !self.plugins.iter().any(|known| known == name) {
            let text = format!("no `cluster_specifier_plugins` of the route table has the name `{name}`");
            self.report.error(path, "unknown-plugin", text);
        }
    }

    /// The name, with an error when no such cluster is there and the table wants them checked.
    pub(super) fn known_cluster(&mut self, path: &Path<'_>, name: String, rules: TableRules, role: &str) -> Arc<str> {
        let Some(clusters) = &self.clusters else {
            return name.into();
        };
        if let Some(known) = clusters.get(name.as_str()) {
            return known.clone();
        }
        if rules.validate_clusters {
            self.unknown_cluster(path, &name, role);
        }
        name.into()
    }

    /// The header that names a cluster in place of a name, when one is given; `None` when it cannot be one.
    pub(super) fn cluster_header(&mut self, path: &Path<'_>, name: &str) -> Option<Option<MatchedHeader>> {
        if name.is_empty() {
            return Some(None);
        }
        self.matched_header(&path.field("cluster_header"), name).map(Some)
    }

    fn unknown_cluster(&mut self, path: &Path<'_>, name: &str, role: &str) {
        let known = self.clusters.iter().flatten().map(|known| &**known);
        let closest = (self.guesses > 0).then(|| extension::closest(name, known)).flatten();
        self.guesses = self.guesses.saturating_sub(1);
        let help = match closest {
            Some(closest) => format!("did you mean `{closest}`?"),
            None => {
                "no static cluster has this name; `validate_clusters: false` lets the route wait for one".to_owned()
            }
        };
        self.report.error_with(path, "unknown-cluster", format!("route: unknown {role} '{name}'"), help);
    }

    fn weighted(
        &mut self,
        path: &Path<'_>,
        message: pb::WeightedCluster,
        rules: TableRules,
    ) -> Option<ClusterSpecifier> {
        use pb::weighted_cluster::RandomValueSpecifier as Random;
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
        let random = match message.random_value_specifier {
            Some(Random::HeaderName(name)) => {
                RandomValue::Header(self.matched_header(&path.field("header_name"), &name)?)
            }
            Some(Random::UseHashPolicy(on)) if on.value => RandomValue::HashPolicy,
            Some(Random::UseHashPolicy(_)) | None => RandomValue::Random,
        };
        Some(ClusterSpecifier::Weighted(clusters, random))
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
        let header = self.cluster_header(path, &message.cluster_header)?;
        let name = match header {
            Some(_) => Arc::from(""),
            None => self.known_cluster(&path.field("name"), message.name, rules, "cluster"),
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
            per_filter: self.per_filter(path, message.typed_per_filter_config),
        })
    }
}
