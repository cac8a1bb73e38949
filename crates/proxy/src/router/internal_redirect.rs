//! Where an upstream's redirect leads, when the proxy follows it itself (`internal_redirect_policy`): pure.

use http::Uri;
use nuncio_api::{Headers, RequestHead, ResponseHead, Scheme, Text};
use nuncio_config::model::route::{InternalRedirectPolicy, RedirectPredicate};

/// The absolute URL of a `location`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) scheme: Scheme,
    /// Host, with the port that is written there.
    pub(crate) authority: String,
    /// Path and query; a fragment is for clients.
    pub(crate) path: String,
}

impl Target {
    /// Reads a `location`; `None` unless it is an absolute URL.
    pub(crate) fn parse(location: &str) -> Option<Self> {
        let uri: Uri = location.parse().ok()?;
        let scheme = if uri.scheme_str()? == "http" { Scheme::Http } else { Scheme::Https };
        let authority = uri.authority()?.as_str();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_owned();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Some(Self { scheme, authority, path: if path.is_empty() { "/".to_owned() } else { path.to_owned() } })
    }

    /// Makes `request` ask for this.
    pub(crate) fn apply(self, request: &mut RequestHead) {
        request.scheme = self.scheme;
        request.authority = Text::from(self.authority);
        request.path = Text::from(self.path);
    }
}

/// Whether a response with this status is followed at all.
pub(crate) fn is_followed(policy: &InternalRedirectPolicy, head: &ResponseHead) -> bool {
    policy.codes.contains(&head.status)
}

/// `response_headers_to_copy`: what the response says replaces what the request has, also by nothing.
pub(crate) fn copy_headers(policy: &InternalRedirectPolicy, response: &Headers, request: &mut Headers) {
    for name in &policy.copy_headers {
        request.remove(name);
        for value in response.get_all(name) {
            request.append(name.clone(), value.clone());
        }
    }
}

/// Whether a predicate stands against a redirect from `from` to the route `to`. `travelled` holds
/// the pairs of this request so far.
pub(crate) fn is_refused(
    policy: &InternalRedirectPolicy,
    from: &str,
    to: &str,
    schemes: (Scheme, Scheme),
    travelled: &[(String, String)],
) -> bool {
    policy.predicates.iter().any(|predicate| match predicate {
        RedirectPredicate::AllowListedRoutes(routes) => !routes.iter().any(|route| route == to),
        RedirectPredicate::PreviousRoutes => travelled.iter().any(|(source, target)| source == from && target == to),
        RedirectPredicate::SafeCrossScheme => schemes == (Scheme::Http, Scheme::Https),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(predicates: Vec<RedirectPredicate>) -> InternalRedirectPolicy {
        InternalRedirectPolicy {
            max: 1,
            codes: vec![],
            predicates,
            allow_cross_scheme: true,
            copy_headers: vec![http::header::ETAG, http::header::AGE],
        }
    }

    #[test]
    fn only_absolute_locations_lead_somewhere() {
        let target = |scheme, authority: &str, path: &str| {
            Some(Target { scheme, authority: authority.into(), path: path.into() })
        };
        for (location, want) in [
            ("http://a/b?c#d", target(Scheme::Http, "a", "/b?c")),
            ("https://a:8443", target(Scheme::Https, "a:8443", "/")),
            ("http://u:p@a/", target(Scheme::Http, "a", "/")),
            ("/b", None),
            ("", None),
            ("//a/b", None),
            ("a/b", None),
        ] {
            assert_eq!(Target::parse(location), want, "{location}");
        }
    }

    #[test]
    fn predicates_stand_against_routes_and_schemes() {
        let http = (Scheme::Http, Scheme::Http);
        let listed = policy(vec![RedirectPredicate::AllowListedRoutes(vec!["ok".into()])]);
        assert!(!is_refused(&listed, "from", "ok", http, &[]));
        assert!(is_refused(&listed, "from", "other", http, &[]));
        let previous = policy(vec![RedirectPredicate::PreviousRoutes]);
        let travelled = [("a".to_owned(), "b".to_owned())];
        assert!(is_refused(&previous, "a", "b", http, &travelled));
        assert!(!is_refused(&previous, "b", "a", http, &travelled));
        let safe = policy(vec![RedirectPredicate::SafeCrossScheme]);
        assert!(is_refused(&safe, "a", "b", (Scheme::Http, Scheme::Https), &[]));
        assert!(!is_refused(&safe, "a", "b", (Scheme::Https, Scheme::Http), &[]));
    }

    #[test]
    fn copied_headers_replace_or_remove() {
        let mut request = Headers::new();
        request.append(http::header::ETAG, http::HeaderValue::from_static("old"));
        request.append(http::header::AGE, http::HeaderValue::from_static("1"));
        let mut response = Headers::new();
        response.append(http::header::ETAG, http::HeaderValue::from_static("new"));
        copy_headers(&policy(vec![]), &response, &mut request);
        assert_eq!(request.get_str(&http::header::ETAG), Some("new"));
        assert!(!request.contains(&http::header::AGE));
    }
}
