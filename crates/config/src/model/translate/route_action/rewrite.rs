//! How a route rewrites path and host.

use envoy_types::pb::envoy::{
    config::{core::v3::TypedExtensionConfig, route::v3 as pb},
    extensions::path::rewrite::uri_template::v3::UriTemplateRewriteConfig,
};

use super::super::{Context, extension};
use crate::model::{
    report::Path,
    route::{HostRewrite, PathMatch, PathRewrite},
    uri_template::UriTemplateRewrite,
};

const TEMPLATE_REWRITE: &str = "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig";

impl Context<'_> {
    /// The one way of rewriting the path that a route may have.
    pub(super) fn path_rewrite(
        &mut self,
        path: &Path<'_>,
        message: &mut pb::RouteAction,
        matched: Option<&PathMatch>,
    ) -> PathRewrite {
        let ways = [
            ("prefix_rewrite", !message.prefix_rewrite.is_empty()),
            ("regex_rewrite", message.regex_rewrite.is_some()),
            ("path_rewrite_policy", message.path_rewrite_policy.is_some()),
            ("path_rewrite", !message.path_rewrite.is_empty()),
        ];
        if let Some((field, _)) = ways.iter().filter(|(_, is_set)| *is_set).nth(1) {
            let text =
                "only one of `prefix_rewrite`, `regex_rewrite`, `path_rewrite` and `path_rewrite_policy` can be used";
            self.report.error(&path.field(field), "conflicting-fields", text);
            return PathRewrite::None;
        }
        if !message.prefix_rewrite.is_empty() && matches!(matched, Some(PathMatch::Template(_))) {
            let text = "`prefix_rewrite` cannot be used with a `path_match_policy`";
            self.report.error(&path.field("prefix_rewrite"), "conflicting-fields", text);
        }
        let rewrite = if let Some(rewrite) = message.regex_rewrite.take() {
            let parsed = self.substitution(&path.field("regex_rewrite"), rewrite);
            parsed.map(|(regex, substitution)| PathRewrite::Regex(regex, substitution))
        } else if let Some(policy) = message.path_rewrite_policy.take() {
            self.template_rewrite(&path.field("path_rewrite_policy"), &policy, matched)
        } else if !message.path_rewrite.is_empty() {
            self.format(&path.field("path_rewrite"), &message.path_rewrite).map(PathRewrite::Format)
        } else if !message.prefix_rewrite.is_empty() {
            Some(PathRewrite::Prefix(std::mem::take(&mut message.prefix_rewrite)))
        } else {
            None
        };
        rewrite.unwrap_or_default()
    }

    fn template_rewrite(
        &mut self,
        path: &Path<'_>,
        policy: &TypedExtensionConfig,
        matched: Option<&PathMatch>,
    ) -> Option<PathRewrite> {
        let any = policy.typed_config.as_ref();
        if any.map(extension::type_name) != Some(TEMPLATE_REWRITE) {
            let built = &["envoy.path.rewrite.uri_template.uri_template_rewriter"];
            self.unknown_extension(path, "path rewriter", &policy.name, any, built);
            return None;
        }
        let path = path.field("typed_config");
        let config: UriTemplateRewriteConfig = self.decode(&path, &any?.value)?;
        let path = path.field("path_template_rewrite");
        let rewrite = match UriTemplateRewrite::parse(&config.path_template_rewrite) {
            Ok(rewrite) => rewrite,
            Err(reason) => {
                let text = format!("this is no template to rewrite a path to: {reason}");
                self.report.error(&path, "bad-template", text);
                return None;
            }
        };
        match matched {
            Some(PathMatch::Template(template)) => {
                if let Some(name) = rewrite.unknown_variable(&template.variables) {
                    let text =
                        format!("the template `{}` that the route matches with has no `{{{name}}}`", template.text);
                    self.report.error(&path, "unknown-variable", text);
                }
            }
            Some(_) => {
                let text = "a template can be rewritten to only where a `path_match_policy` matches with one";
                self.report.error(&path, "missing-template", text);
            }
            // The matcher has been refused.
            None => {}
        }
        Some(PathRewrite::Template(rewrite))
    }

    pub(super) fn host_rewrite(
        &mut self,
        path: &Path<'_>,
        specifier: Option<pb::route_action::HostRewriteSpecifier>,
    ) -> Option<HostRewrite> {
        use pb::route_action::HostRewriteSpecifier as By;
        Some(match specifier {
            None => HostRewrite::None,
            Some(By::HostRewriteLiteral(host)) if host.is_empty() => HostRewrite::None,
            Some(By::HostRewriteLiteral(host)) => HostRewrite::Literal(host),
            Some(By::AutoHostRewrite(auto)) if auto.value => HostRewrite::Auto,
            Some(By::AutoHostRewrite(_)) => HostRewrite::None,
            Some(By::HostRewriteHeader(name)) => {
                HostRewrite::Header(self.matched_header(&path.field("host_rewrite_header"), &name)?)
            }
            Some(By::HostRewritePathRegex(rewrite)) => {
                let path = path.field("host_rewrite_path_regex");
                let (regex, substitution) = self.substitution(&path, rewrite)?;
                HostRewrite::PathRegex(regex, substitution)
            }
            // An empty one is none, as in Envoy.
            Some(By::HostRewrite(text)) if text.is_empty() => HostRewrite::None,
            Some(By::HostRewrite(text)) => HostRewrite::Format(self.format(&path.field("host_rewrite"), &text)?),
        })
    }
}
