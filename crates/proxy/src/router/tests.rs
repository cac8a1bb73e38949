use std::rc::Rc;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use nuncio_api::{Protocol, RequestHead, Scheme, Text, names};
use nuncio_config::model::{
    hcm::Router,
    matcher::MatchedHeader,
    route::{CookieAttribute, HashPolicy, HashSource, PathMatch, Redirect, RedirectPath, RouteMatch},
};
use nuncio_net::SocketAddress;
use regex::bytes::Regex;
use tokio::time::Instant;

use super::{hash, redirect, rewrite, strict};
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
    let connection = ConnectionInfo {
        id: 0,
        remote: nowhere(),
        local: nowhere(),
        listener: "".into(),
        tls: false,
        start: Instant::now(),
    };
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

/// A stream whose request has these headers.
fn stream_with(fields: &[(&'static str, &'static str)]) -> StreamInfo {
    let mut request = request("h", "/p?q=v&q=w");
    for (name, value) in fields {
        request.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    stream(request)
}

fn by(source: HashSource) -> HashPolicy {
    HashPolicy { source, terminal: false }
}

fn header(name: &'static str) -> HashSource {
    HashSource::Header { name: MatchedHeader::Name(HeaderName::from_static(name)), rewrite: None }
}

fn cookie(ttl: Option<u64>) -> HashSource {
    HashSource::Cookie {
        name: "ck".into(),
        ttl: ttl.map(std::time::Duration::from_secs),
        path: "/p".into(),
        attributes: vec![CookieAttribute { name: "SameSite".into(), value: "Lax".into() }],
    }
}

#[test]
fn hashes_are_envoys() {
    use xxhash_rust::xxh64::xxh64;
    let value = |policies: &[HashPolicy], info: &StreamInfo| hash::of(policies, info).value;
    let info = stream_with(&[("x-k", "b"), ("x-k", "a"), ("x-one", "1"), ("cookie", "a=b; ck=\"v\"")]);
    assert_eq!(value(&[by(header("x-one"))], &info), Some(xxh64(b"1", 0)));
    // Several values are sorted, and each is the seed of the next.
    assert_eq!(value(&[by(header("x-k"))], &info), Some(xxh64(b"b", xxh64(b"a", 0))));
    assert_eq!(value(&[by(header("x-none"))], &info), None);
    assert_eq!(value(&[by(HashSource::QueryParameter("q".into()))], &info), Some(xxh64(b"v", 0)));
    assert_eq!(value(&[by(cookie(None))], &info), Some(xxh64(b"v", 0)));
    let both = [by(header("x-one")), by(cookie(None))];
    let mixed = xxh64(b"1", 0).rotate_left(1) ^ xxh64(b"v", 0);
    assert_eq!(value(&both, &info), Some(mixed));
    let terminal = [HashPolicy { source: header("x-one"), terminal: true }, by(cookie(None))];
    assert_eq!(value(&terminal, &info), Some(xxh64(b"1", 0)));
    let passed = [HashPolicy { source: header("x-none"), terminal: true }, by(cookie(None))];
    assert_eq!(value(&passed, &info), Some(xxh64(b"v", 0)));
}

#[test]
fn a_missing_cookie_is_made_up_when_it_may_live() {
    let info = stream_with(&[("cookie", "ck=")]);
    assert_eq!(hash::of(&[by(cookie(None))], &info).value, None);
    let made = hash::of(&[by(cookie(Some(7)))], &info);
    assert!(made.value.is_some() && made == hash::of(&[by(cookie(Some(7)))], &info), "the same on one connection");
    let text = made.cookies[0].to_str().unwrap();
    assert!(text.starts_with("ck=\"") && text.ends_with("\"; Max-Age=7; Path=/p; SameSite=Lax; HttpOnly"), "{text}");
    let session = hash::of(&[by(cookie(Some(0)))], &info);
    assert!(!session.cookies[0].to_str().unwrap().contains("Max-Age"));
    assert_eq!(hash::without_cookies(&[by(cookie(Some(7)))], &info), None);
}

#[test]
fn strict_headers_have_to_make_sense() {
    let router = Router {
        dynamic_stats: true,
        suppress_envoy_headers: false,
        start_child_span: false,
        respect_expected_rq_timeout: false,
        strict_check_headers: vec![names::X_ENVOY_MAX_RETRIES, names::X_ENVOY_RETRY_ON, names::X_ENVOY_RETRY_GRPC_ON],
    };
    for (name, value, is_proper) in [
        ("x-envoy-max-retries", "3", true),
        ("x-envoy-max-retries", "three", false),
        ("x-envoy-max-retries", "-1", false),
        ("x-envoy-retry-on", "5xx,reset", true),
        ("x-envoy-retry-on", "5xx,nope", false),
        ("x-envoy-retry-grpc-on", "cancelled", true),
        ("x-envoy-retry-grpc-on", "5xx", false),
        ("x-envoy-upstream-rq-timeout-ms", "not asked about", true),
    ] {
        let info = stream_with(&[(name, value)]);
        assert_eq!(strict::improper(&router, info.request.as_ref().unwrap()).is_none(), is_proper, "{name}: {value}");
    }
}
