//! `RedirectAction`.

use envoy_types::pb::envoy::config::route::v3 as pb;
use http::StatusCode;

use super::super::Context;
use crate::model::{
    report::Path,
    route::{PathMatch, Redirect, RedirectPath},
};

impl Context<'_> {
    pub(super) fn redirect(
        &mut self,
        path: &Path<'_>,
        message: pb::RedirectAction,
        matched: Option<&PathMatch>,
    ) -> Option<Redirect> {
        use pb::redirect_action::{PathRewriteSpecifier as By, RedirectResponseCode as Code, SchemeRewriteSpecifier};
        let status = match message.response_code() {
            Code::MovedPermanently => StatusCode::MOVED_PERMANENTLY,
            Code::Found => StatusCode::FOUND,
            Code::SeeOther => StatusCode::SEE_OTHER,
            Code::TemporaryRedirect => StatusCode::TEMPORARY_REDIRECT,
            Code::PermanentRedirect => StatusCode::PERMANENT_REDIRECT,
        };
        let port = message.port_redirect;
        if u16::try_from(port).is_err() {
            // Envoy puts it into the location all the same.
            let text = format!("port {port} is above 65535");
            self.report.warning(&path.field("port_redirect"), "bad-port", text, None);
        }
        let location = match message.path_rewrite_specifier {
            None => RedirectPath::Keep,
            Some(By::PathRedirect(text)) => RedirectPath::Replace(text),
            Some(By::PrefixRewrite(prefix)) => {
                if !prefix.is_empty() && matches!(matched, Some(PathMatch::Template(_))) {
                    let text = "`prefix_rewrite` cannot be used with a `path_match_policy`";
                    self.report.error(&path.field("prefix_rewrite"), "conflicting-fields", text);
                }
                RedirectPath::Prefix(prefix)
            }
            Some(By::RegexRewrite(rewrite)) => {
                let (regex, substitution) = self.substitution(&path.field("regex_rewrite"), rewrite)?;
                RedirectPath::Regex(regex, substitution)
            }
            Some(By::PathRewrite(text)) if text.is_empty() => RedirectPath::Keep,
            Some(By::PathRewrite(text)) => RedirectPath::Format(self.format(&path.field("path_rewrite"), &text)?),
        };
        Some(Redirect {
            scheme: message.scheme_rewrite_specifier.and_then(|scheme| match scheme {
                SchemeRewriteSpecifier::HttpsRedirect(https) => https.then(|| "https".to_owned()),
                SchemeRewriteSpecifier::SchemeRedirect(scheme) => Some(scheme).filter(|scheme| !scheme.is_empty()),
            }),
            host: Some(message.host_redirect).filter(|host| !host.is_empty()),
            port: (port != 0).then_some(port),
            path: location,
            status,
            strip_query: message.strip_query,
        })
    }
}
