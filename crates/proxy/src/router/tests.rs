use std::rc::Rc;

use http::{HeaderValue, Method, StatusCode};
use nuncio_api::{Protocol, RequestHead, Scheme, Text, names};
use nuncio_config::model::route::{PathMatch, Redirect, RedirectPath, RouteMatch};
use nuncio_net::SocketAddress;
use regex::bytes::Regex;
use tokio::time::Instant;

use super::{redirect, rewrite};
use crate::{
    headers,
    stream_info::{ConnectionInfo, StreamInfo},
};

fn request(authority: &str, path: &str) -> RequestHead {
    RequestHead {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: Text::from(authority),
        path: Text::from(path),
        protocol: Protocol::Http11,
        upgrade: None,
        headers: [(names::X_FORWARDED_PROTO, HeaderValue::from_static("http"))].into_iter().collect(),
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

fn stream(request: RequestHead) -> StreamInfo {
    let nowhere = || SocketAddress::Pipe("/".into());
    let connection = ConnectionInfo { id: 0, remote: nowhere(), local: nowhere(), tls: false, start: Instant::now() };
    StreamInfo::new(Rc::new(connection), Some(request))
}

fn leads_to(redirect: &Redirect, matched: &RouteMatch, request: RequestHead) -> String {
    let mut info = stream(request);
    if let Some(path) = redirect::rewritten(&redirect.path, matched, &info) {
        headers::replace_path(&mut info, path, false);
    }
    redirect::location(Some(redirect), &info).unwrap()
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
        assert_eq!(leads_to(&redirect, &matched, request("h.example", "/redir/q?a=b")), want);
    }
}

#[test]
fn a_redirect_never_makes_the_path_part_of_the_host() {
    let without_slash = RedirectPath::Regex(Regex::new("^/").unwrap(), String::new());
    let nothing = RedirectPath::Regex(Regex::new("^.*$").unwrap(), String::new());
    for (path, want) in [
        (RedirectPath::Replace("foo".into()), "http://h/foo?a=b"),
        (RedirectPath::Replace("?x=1".into()), "http://h/?x=1"),
        (RedirectPath::Replace(String::new()), "http://h/.example/q?a=b"),
        (RedirectPath::Prefix("foo".into()), "http://h/fooexample/q?a=b"),
        (RedirectPath::Prefix(String::new()), "http://h/.example/q?a=b"),
        (without_slash, "http://h/.example/q?a=b"),
        (nothing, "http://h/.example/q?a=b"),
    ] {
        let redirect = Redirect { path, ..plain() };
        assert_eq!(leads_to(&redirect, &prefix("/."), request("h", "/.example/q?a=b")), want);
    }
}

#[test]
fn the_default_port_of_the_old_scheme_goes() {
    let to_https = Redirect { scheme: Some("https".into()), ..plain() };
    assert_eq!(leads_to(&to_https, &prefix("/"), request("h:80", "/a")), "https://h/a");
    assert_eq!(leads_to(&to_https, &prefix("/"), request("h:81", "/a")), "https://h:81/a");
}

#[test]
fn a_substitution_that_is_not_right_does_what_envoy_makes_of_it() {
    let regex = Regex::new("a(b)").unwrap();
    // To a group that is not there: nothing is replaced.
    assert_eq!(rewrite::replace_regex(&regex, r"<\9>", "/ab/aab"), "/ab/aab");
    assert_eq!(rewrite::replace_regex(&regex, r"\0\2", "/ab/aab"), "/ab/aab");
    // No reference at all: the rest of it is not put in.
    assert_eq!(rewrite::replace_regex(&regex, r"<\1\x>", "/ab/aab"), "/<b/a<b");
    assert_eq!(rewrite::replace_regex(&regex, r"<\1\", "/ab/aab"), "/<b/a<b");
    assert_eq!(rewrite::replace_regex(&regex, r"\\1", "/ab/aab"), r"/\1/a\1");
}

#[test]
fn regex_substitution_knows_groups() {
    let regex = Regex::new("^/service/([^/]+)(/.*)$").unwrap();
    assert_eq!(rewrite::replace_regex(&regex, r"\2/instance/\1", "/service/foo/v1/api"), "/v1/api/instance/foo");
}
