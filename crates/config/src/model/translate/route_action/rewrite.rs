//! How a route rewrites path and host.

use envoy_types::pb::envoy::config::route::v3 as pb;

use super::super::Context;
use crate::model::{
    report::Path,
    route::{HostRewrite, PathRewrite},
};

impl Context<'_> {
    /// The one way of rewriting the path that a route may have.
    pub(super) fn path_rewrite(&mut self, path: &Path<'_>, message: &mut pb::RouteAction) -> PathRewrite {
        if !message.prefix_rewrite.is_empty() && message.regex_rewrite.is_some() {
            let text = "only one of `prefix_rewrite` and `regex_rewrite` can be used";
            self.report.error(&path.field("regex_rewrite"), "conflicting-fields", text);
        }
        let rewrite = message.regex_rewrite.take();
        let regex_rewrite = rewrite.and_then(|rewrite| self.substitution(&path.field("regex_rewrite"), rewrite));
        match regex_rewrite {
            Some((regex, substitution)) => PathRewrite::Regex(regex, substitution),
            None if message.prefix_rewrite.is_empty() => PathRewrite::None,
            None => PathRewrite::Prefix(std::mem::take(&mut message.prefix_rewrite)),
        }
    }

    pub(super) fn host_rewrite(
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
                HostRewrite::Header(self.matched_header(&path.field("host_rewrite_header"), &name)?)
            }
            // The field check has refused these.
            Some(_) => return None,
        })
    }
}
