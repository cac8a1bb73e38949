use http::{Method, StatusCode};
use nuncio_api::{Headers, Protocol, RequestHead, Scheme, Text};
use nuncio_config::model::route::{PathMatch, Redirect, RedirectPath, RouteMatch};
use regex::bytes::Regex;

use super::{redirect, rewrite};

fn request(authority: &str, path: &str) -> RequestHead {
    RequestHead {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: Text::from(authority),
        path: Text::from(path),
        protocol: Protocol::Http11,
        upgrade: None,
        headers: Headers::new(),
    }
}

fn prefix(text: &str) -> RouteMatch {
    RouteMatch { path: PathMatch::Prefix(text.into()), ..RouteMatch::default() }
}

fn plain() -> Redirect {
    Redirect {
        scheme: None,
        host: None,
        port: None,
        path: RedirectPath::Keep,
        status: StatusCode::MOVED_PERMANENTLY,
        strip_query: false,
    }
}

#[test]
fn redirects_read_as_envoys() {
    let matched = prefix("/redir");
    for (redirect, want) in [
        (Redirect { scheme: Some("https".into()), ..plain() }, "https://h.example/redir/q?a=b"),
        (
            Redirect {
                host: Some("new.example".into()),
                path: RedirectPath::Replace("/x".into()),
                strip_query: true,
                ..plain()
            },
            "http://new.example/x",
        ),
        (Redirect { path: RedirectPath::Replace("/x?y=1".into()), ..plain() }, "http://h.example/x?y=1"),
        (Redirect { path: RedirectPath::Prefix("/np".into()), ..plain() }, "http://h.example/np/q?a=b"),
        (Redirect { port: Some(8443), ..plain() }, "http://h.example:8443/redir/q?a=b"),
    ] {
        assert_eq!(redirect::location(&redirect, &matched, &request("h.example", "/redir/q?a=b")), want);
    }
}

#[test]
fn the_default_port_of_the_old_scheme_goes() {
    let to_https = Redirect { scheme: Some("https".into()), ..plain() };
    assert_eq!(redirect::location(&to_https, &prefix("/"), &request("h:80", "/a")), "https://h/a");
    assert_eq!(redirect::location(&to_https, &prefix("/"), &request("h:81", "/a")), "https://h:81/a");
}

#[test]
fn regex_substitution_knows_groups() {
    let regex = Regex::new("^/service/([^/]+)(/.*)$").unwrap();
    assert_eq!(rewrite::replace_regex(&regex, r"\2/instance/\1", "/service/foo/v1/api"), "/v1/api/instance/foo");
}
