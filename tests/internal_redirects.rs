//! Redirects that the proxy follows itself: what goes up, what comes down, what is counted, and the
//! log lines, one for each request on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use http::{HeaderValue, Method, Response, StatusCode, header};
use nuncio_testkit::{Answer, Client, Cluster, Config, MATRIX, Proxy, Upstream, Version, body};

const FOLLOWED: &str = "cluster.up.upstream_internal_redirect_succeeded_total";
const FAILED: &str = "cluster.up.upstream_internal_redirect_failed_total";

/// `/from...?code=302&to=URL` is answered with that redirect; everything else echoes its body.
fn origin(version: Version) -> Upstream {
    Upstream::start(version, |request| async move {
        let query = request.uri().query().unwrap_or_default();
        let told = query.strip_prefix("code=").and_then(|rest| rest.split_once("&to="));
        let told = told.map(|(code, to)| (code.parse::<u16>().unwrap(), HeaderValue::from_str(to).unwrap()));
        let mut response = Response::new(body::echo(request.into_body()));
        if let Some((code, to)) = told {
            *response.status_mut() = StatusCode::from_u16(code).unwrap();
            response.headers_mut().insert(header::LOCATION, to);
            response.headers_mut().insert("x-copied", HeaderValue::from_static("from the redirect"));
        }
        response
    })
}

/// `/from` follows as `policy` says; `/to` forwards.
fn following(upstream: &Upstream, version: Version, policy: &str) -> Config {
    Config::new()
        .cluster(Cluster::new("up").host(upstream.address()).version(version))
        .any_route(&format!(
            "name: from, match: {{prefix: /from}}, route: {{cluster: up, internal_redirect_policy: {{{policy}}}}}"
        ))
        .any_route("name: to, match: {prefix: /to}, route: {cluster: up}")
}

fn from(code: u16, to: &str) -> String {
    format!("/from?code={code}&to={to}")
}

/// Asks once over HTTP/1, for `/from` redirected by 302 to `to`.
async fn asked(proxy: &Proxy, to: &str) -> Answer {
    Client::connect(Version::Http1, proxy.address()).await.get(&from(302, to)).await
}

#[tokio::test]
async fn a_redirect_is_followed_with_the_body() {
    for (down, up) in MATRIX {
        let upstream = origin(up);
        let policy = "redirect_response_codes: [307], response_headers_to_copy: [x-copied]";
        let proxy = Proxy::start(&following(&upstream, up, policy)).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let answer = client.post(&from(307, "http://other:81/to/a?b=c#d"), "the body").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "the body"), "{down:?} {up:?}");
        let seen = upstream.requests();
        assert_eq!(seen.len(), 2, "{down:?} {up:?}");
        let last = upstream.last();
        assert_eq!((last.method.as_str(), last.host.as_str(), last.path.as_str()), ("POST", "other:81", "/to/a?b=c"));
        assert_eq!(last.header("x-copied"), Some("from the redirect"));
        let before = format!("http://{}{}", seen[0].host, seen[0].path);
        assert_eq!(last.header("x-envoy-original-url"), Some(before.as_str()));
        proxy.log_line(2).await;
        let lines = proxy.log_lines();
        lines[0].expect(&[("code", "307"), ("flags", "-"), ("details", "internal_redirect"), ("route", "to")]);
        lines[1].expect(&[("code", "200"), ("flags", "-"), ("details", "via_upstream"), ("route", "to")]);
        // The body that was kept counts once more, as in Envoy.
        assert_eq!((lines[0].field("rx"), lines[1].field("rx")), ("8", "16"));
        proxy.stats().expect(&[
            (FOLLOWED, 1),
            (FAILED, 0),
            ("cluster.up.upstream_rq_total", 2),
            ("cluster.up.upstream_rq_active", 0),
            // The request that takes its place counts as another.
            ("http.main.downstream_rq_total", 2),
        ]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_303_makes_a_get_without_the_body() {
    for (down, up) in MATRIX {
        let upstream = origin(up);
        let proxy = Proxy::start(&following(&upstream, up, "redirect_response_codes: [303]")).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let answer = client.post(&from(303, "http://other/to"), "the body").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, ""), "{down:?} {up:?}");
        let last = upstream.last();
        assert_eq!((last.method.as_str(), last.path.as_str()), ("GET", "/to"));
        assert_eq!(last.header("content-length"), None);
        proxy.log_line(2).await.expect(&[("method", "GET"), ("code", "200"), ("details", "via_upstream")]);
        proxy.log_lines()[0].expect(&[("code", "303"), ("details", "internal_redirect")]);
        proxy.stats().expect(&[(FOLLOWED, 1)]);
        // The connection is as good as before.
        assert_eq!(client.post("/to", "again").await.text(), "again");
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_303_leaves_head_alone() {
    let upstream = origin(Version::Http1);
    let proxy = Proxy::start(&following(&upstream, Version::Http1, "redirect_response_codes: [303]")).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    let request = client.request(Method::HEAD, &from(303, "http://other/to")).body(body::empty()).unwrap();
    assert_eq!(client.exchange(request).await.status.as_u16(), 200);
    assert_eq!(upstream.last().method, "HEAD");
    proxy.log_line(2).await.expect(&[("method", "HEAD"), ("code", "200")]);
    proxy.stop().await;
}

#[tokio::test]
async fn several_are_followed_up_to_the_limit() {
    let upstream = origin(Version::Http1);
    let chain = "http://a/from?code=302&to=http://b/from?code=302&to=http://c/to";
    for (most, status, requests) in [(1, 302, 2), (2, 302, 3), (3, 200, 4)] {
        let proxy =
            Proxy::start(&following(&upstream, Version::Http1, &format!("max_internal_redirects: {most}"))).await;
        let before = upstream.requests().len();
        let answer = asked(&proxy, chain).await;
        assert_eq!(answer.status.as_u16(), status, "{most}");
        assert_eq!(upstream.requests().len() - before, requests, "{most}");
        let lines = proxy.log_line(requests).await;
        lines.expect(&[("code", &status.to_string()), ("flags", "-"), ("details", "via_upstream")]);
        let refused = u64::from(status == 302);
        proxy.stats().expect(&[
            (FOLLOWED, requests as u64 - 1),
            (FAILED, refused),
            ("http.main.passthrough_internal_redirect_too_many_redirects", refused),
        ]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_be_followed_goes_down_as_it_is_and_says_why() {
    let upstream = origin(Version::Http1);
    for (policy, to, route, reason) in [
        ("", "/to", "from", Some("bad_location")),
        ("", "not a url", "from", Some("bad_location")),
        ("", "https://x/to", "from", Some("unsafe_scheme")),
        ("", "http://x/nowhere", "-", Some("no_route")),
        (LISTED, "http://x/to", "to", Some("predicate")),
        (SAFE, "https://x/to", "to", Some("predicate")),
        // A status that the policy does not name is no redirect at all.
        ("redirect_response_codes: [301]", "http://x/to", "from", None),
    ] {
        let config = following(&upstream, Version::Http1, policy);
        let proxy = Proxy::start(&config).await;
        let before = upstream.requests().len();
        let mut client = Client::connect(Version::Http1, proxy.address()).await;
        let path = from(302, &to.replace(' ', "%20"));
        let answer = client.get(&path).await;
        assert_eq!(answer.status.as_u16(), 302, "{policy} {to}");
        assert_eq!(answer.header("location"), path.split_once("&to=").map(|(_, to)| to), "{policy} {to}");
        assert_eq!(upstream.requests().len() - before, 1, "{policy} {to}");
        let line = proxy.log_line(1).await;
        line.expect(&[("code", "302"), ("flags", "-"), ("details", "via_upstream"), ("route", route)]);
        let stats = proxy.stats();
        stats.expect(&[(FOLLOWED, 0), (FAILED, u64::from(reason.is_some()))]);
        for each in ["bad_location", "unsafe_scheme", "no_route", "predicate", "too_many_redirects"] {
            let name = format!("http.main.passthrough_internal_redirect_{each}");
            assert_eq!(stats.get(&name), u64::from(reason == Some(each)), "{name} {policy} {to}");
        }
        proxy.stop().await;
    }
}

const LISTED: &str = "predicates: [{name: listed, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.internal_redirect.allow_listed_routes.v3.AllowListedRoutesConfig, \
    allowed_route_names: [elsewhere]}}]";
const SAFE: &str = "allow_cross_scheme_redirect: true, predicates: [{name: safe, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.internal_redirect.safe_cross_scheme.v3.SafeCrossSchemeConfig}}]";
const PREVIOUS: &str = "max_internal_redirects: 9, predicates: [{name: previous, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.internal_redirect.previous_routes.v3.PreviousRoutesConfig}}]";

#[tokio::test]
async fn a_listed_route_is_followed() {
    let upstream = origin(Version::Http1);
    let listed = LISTED.replace("elsewhere", "to");
    let proxy = Proxy::start(&following(&upstream, Version::Http1, &listed)).await;
    assert_eq!(asked(&proxy, "http://x/to").await.status.as_u16(), 200);
    proxy.log_line(2).await.expect(&[("code", "200"), ("route", "to")]);
    proxy.stats().expect(&[(FOLLOWED, 1), ("http.main.passthrough_internal_redirect_predicate", 0)]);
    proxy.stop().await;
}

#[tokio::test]
async fn the_same_way_is_not_gone_twice() {
    let upstream = origin(Version::Http1);
    let proxy = Proxy::start(&following(&upstream, Version::Http1, PREVIOUS)).await;
    let chain = "http://a/from?code=302&to=http://b/from?code=302&to=http://c/to";
    assert_eq!(asked(&proxy, chain).await.status.as_u16(), 302);
    proxy.log_line(2).await.expect(&[("code", "302"), ("details", "via_upstream")]);
    proxy.stats().expect(&[(FOLLOWED, 1), (FAILED, 1), ("http.main.passthrough_internal_redirect_predicate", 1)]);
    proxy.stop().await;
}

#[tokio::test]
async fn another_scheme_is_followed_where_that_is_allowed() {
    let upstream = origin(Version::Http1);
    let proxy = Proxy::start(&following(&upstream, Version::Http1, "allow_cross_scheme_redirect: true")).await;
    assert_eq!(asked(&proxy, "https://x/to").await.status.as_u16(), 200);
    proxy.log_line(2).await;
    proxy.stats().expect(&[(FOLLOWED, 1), ("http.main.passthrough_internal_redirect_unsafe_scheme", 0)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_redirect_may_lead_to_an_answer_of_the_proxys_own() {
    let upstream = origin(Version::Http1);
    let config = following(&upstream, Version::Http1, "").any_route(
        "name: direct, match: {prefix: /direct}, direct_response: {status: 418, body: {inline_string: tea}}",
    );
    let proxy = Proxy::start(&config).await;
    let answer = asked(&proxy, "http://x/direct").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (418, "tea"));
    proxy.log_line(2).await.expect(&[("code", "418"), ("details", "direct_response"), ("route", "direct")]);
    proxy.log_lines()[0].expect(&[("code", "302"), ("details", "internal_redirect"), ("cluster", "-")]);
    proxy.stats().expect(&[(FOLLOWED, 1), ("http.main.rq_direct_response", 1)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_sent_again() {
    for (down, up) in MATRIX {
        let upstream = origin(up);
        let config = Config::new()
            .cluster(Cluster::new("up").host(upstream.address()).version(up))
            .any_route(
                "match: {prefix: /from}, request_body_buffer_limit: 4, \
                 route: {cluster: up, internal_redirect_policy: {redirect_response_codes: [307]}}",
            )
            .any_route("match: {prefix: /to}, route: {cluster: up}");
        let proxy = Proxy::start(&config).await;
        let answer = Client::connect(down, proxy.address()).await.post(&from(307, "http://x/to"), "longer").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (307, "longer"), "{down:?} {up:?}");
        assert_eq!(upstream.requests().len(), 1);
        proxy.log_line(1).await.expect(&[("code", "307"), ("flags", "-"), ("details", "via_upstream")]);
        proxy.stats().expect(&[(FOLLOWED, 0), (FAILED, 1)]);
        proxy.stop().await;
    }
}
