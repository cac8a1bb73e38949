//! What a route does with a request, seen from both ends.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use http::Method;
use nuncio_testkit::{Client, Cluster, Config, Proxy, Upstream, Version, body};

fn with_routes(upstream: &Upstream, routes: &[&str]) -> Config {
    let config = Config::new().cluster(Cluster::new("up").host(upstream.address()));
    routes.iter().fold(config, |config, route| config.any_route(route))
}

#[tokio::test]
async fn a_direct_response_comes_without_any_upstream() {
    let config = Config::new().any_route(
        "match: {path: /direct}, name: own, direct_response: {status: 202, body: {inline_string: own}}, \
         response_headers_to_add: [{header: {key: x-own, value: yes-own}}]",
    );
    for down in [Version::Http1, Version::Http2] {
        let proxy = Proxy::start(&config).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let answer = client.get("/direct?q").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (202, "own"));
        assert_eq!(answer.header("x-own"), Some("yes-own"));
        assert_eq!(answer.header("content-length"), Some("3"));
        proxy.log_line(1).await.expect(&[
            ("code", "202"),
            ("flags", "-"),
            ("details", "direct_response"),
            ("cluster", "-"),
            ("route", "own"),
            ("attempts", "0"),
            ("tx", "3"),
        ]);
        proxy.stats().expect(&[("http.main.rq_direct_response", 1), ("http.main.rq_total", 1)]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn redirects_lead_where_the_route_says() {
    let config = Config::new()
        .any_route("match: {prefix: /tls}, redirect: {https_redirect: true}")
        .any_route("match: {prefix: /host}, redirect: {host_redirect: other.example, port_redirect: 8080}")
        .any_route("match: {prefix: /path}, redirect: {path_redirect: /new, response_code: FOUND}")
        .any_route("match: {prefix: /prefix}, redirect: {prefix_rewrite: /new, response_code: PERMANENT_REDIRECT}")
        .any_route("match: {prefix: /strip}, redirect: {strip_query: true, response_code: SEE_OTHER}")
        .any_route(
            "match: {prefix: /regex}, redirect: {regex_rewrite: {pattern: {regex: \"^/regex/(.*)$\"}, substitution: \"/x/\\\\1\"}, response_code: TEMPORARY_REDIRECT}",
        );
    for down in [Version::Http1, Version::Http2] {
        let proxy = Proxy::start(&config).await;
        let mut client = Client::connect(down, proxy.address()).await;
        for (path, status, location) in [
            ("/tls/a?b=c", 301, "https://test/tls/a?b=c"),
            ("/host/a", 301, "http://other.example:8080/host/a"),
            ("/path/a?b=c", 302, "http://test/new?b=c"),
            ("/prefix/a?b=c", 308, "http://test/new/a?b=c"),
            ("/strip/a?b=c", 303, "http://test/strip/a"),
            ("/regex/a/b", 307, "http://test/x/a/b"),
        ] {
            let answer = client.get(path).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (status, Some(location)));
            assert!(answer.body.is_empty());
        }
        let line = proxy.log_line(6).await;
        line.expect(&[("code", "307"), ("flags", "-"), ("details", "direct_response"), ("cluster", "-")]);
        proxy.stats().expect(&[("http.main.rq_direct_response", 6), ("http.main.downstream_rq_3xx", 6)]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn paths_and_hosts_are_rewritten_on_the_way() {
    let upstream = Upstream::answering(Version::Http1, "ok");
    let config = with_routes(
        &upstream,
        &[
            "match: {prefix: /old/}, route: {cluster: up, prefix_rewrite: /new/}",
            "match: {prefix: /re/}, route: {cluster: up, regex_rewrite: {pattern: {regex: \"^/re/([a-z]+)/(.*)$\"}, substitution: \"/\\\\2/\\\\1\"}}",
            "match: {prefix: /host}, route: {cluster: up, host_rewrite_literal: inner.example, append_x_forwarded_host: true}",
            "match: {prefix: /from-header}, route: {cluster: up, host_rewrite_header: x-host}",
        ],
    );
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    for (path, want_path, want_host, original) in [
        ("/old/a?q=1", "/new/a?q=1", "test", Some("/old/a?q=1")),
        ("/re/ab/cd?q", "/cd/ab?q", "test", Some("/re/ab/cd?q")),
        ("/from-header", "/from-header", "h.example", None),
        ("/host", "/host", "inner.example", None),
    ] {
        let request = client.request(Method::GET, path).header("x-host", "h.example").body(body::empty()).unwrap();
        assert_eq!(client.exchange(request).await.status, 200);
        let seen = upstream.last();
        assert_eq!((seen.path.as_str(), seen.host.as_str()), (want_path, want_host));
        assert_eq!(seen.header("x-envoy-original-path"), original, "{path}");
    }
    assert_eq!(upstream.last().header("x-forwarded-host"), Some("test"));
    assert_eq!(proxy.log_line(1).await.field("path"), "/old/a?q=1");
    proxy.stop().await;
}

#[tokio::test]
async fn headers_are_added_and_removed_from_the_inside_out() {
    let upstream = Upstream::start(Version::Http1, |_| async {
        http::Response::builder().header("x-secret", "1").header("x-kept", "up").body(body::full("ok")).unwrap()
    });
    let config = with_routes(
        &upstream,
        &["match: {prefix: /}, route: {cluster: up}, \
           request_headers_to_add: [{header: {key: x-order, value: route}}, {header: {key: x-client, value: \"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%\"}}], \
           request_headers_to_remove: [x-drop], \
           response_headers_to_add: [{header: {key: x-order, value: route}}, {header: {key: x-kept, value: route}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}], \
           response_headers_to_remove: [x-secret]"],
    )
    .virtual_host("request_headers_to_add: [{header: {key: x-order, value: host}}]")
    .virtual_host("response_headers_to_add: [{header: {key: x-order, value: host}}]")
    .table("request_headers_to_add: [{header: {key: x-order, value: table}}]")
    .table("response_headers_to_add: [{header: {key: x-order, value: table}}]");
    for down in [Version::Http1, Version::Http2] {
        let proxy = Proxy::start(&config).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let request = client.request(Method::GET, "/").header("x-drop", "1").body(body::empty()).unwrap();
        let answer = client.exchange(request).await;
        let orders: Vec<_> = answer.headers.get_all("x-order").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(orders, ["route", "host", "table"]);
        assert_eq!((answer.header("x-secret"), answer.header("x-kept")), (None, Some("route")));
        let seen = upstream.last();
        let orders: Vec<_> = seen.headers.get_all("x-order").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(orders, ["route", "host", "table"]);
        assert_eq!((seen.header("x-drop"), seen.header("x-client")), (None, Some("127.0.0.1")));
        proxy.stop().await;
    }
}

#[tokio::test]
async fn weighted_clusters_share_the_requests_by_weight() {
    let (a, b) = (Upstream::answering(Version::Http1, "a"), Upstream::answering(Version::Http1, "b"));
    let config = Config::new()
        .cluster(Cluster::new("a").host(a.address()))
        .cluster(Cluster::new("b").host(b.address()))
        .cluster(Cluster::new("never").host(nuncio_testkit::nobody()))
        .any_route(
            "match: {prefix: /}, route: {weighted_clusters: {clusters: [\
             {name: a, weight: 80, request_headers_to_add: [{header: {key: x-share, value: most}}]}, \
             {name: b, weight: 20}, {name: never, weight: 0}]}}",
        );
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    for _ in 0..200 {
        assert_eq!(client.get("/").await.status, 200);
    }
    let stats = proxy.stats();
    let (to_a, to_b) = (stats.get("cluster.a.upstream_rq_total"), stats.get("cluster.b.upstream_rq_total"));
    assert_eq!(to_a + to_b, 200);
    // Eight standard deviations of a fair draw to either side.
    assert!((115..=199).contains(&to_a), "{to_a} of 200 went to the cluster of weight 80");
    assert_eq!(a.last().header("x-share"), Some("most"));
    assert_eq!(b.last().header("x-share"), None);
    proxy.stop().await;
}

#[tokio::test]
async fn virtual_hosts_are_told_by_domain_and_routes_by_headers_and_query() {
    let config = Config::new()
        .other_virtual_host(
            "name: suffix, domains: [\"*.example\"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: suffix}}}]",
        )
        .other_virtual_host(
            "name: exact, domains: [\"www.example\"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: exact}}}]",
        )
        .any_route("match: {prefix: /, headers: [{name: x-kind, string_match: {exact: special}}]}, direct_response: {status: 200, body: {inline_string: header}}")
        .any_route("match: {prefix: /, query_parameters: [{name: debug, present_match: true}]}, direct_response: {status: 200, body: {inline_string: query}}")
        .any_route("match: {prefix: /, headers: [{name: \":method\", string_match: {exact: DELETE}}]}, direct_response: {status: 200, body: {inline_string: method}}")
        .any_route("match: {path_separated_prefix: /api}, direct_response: {status: 200, body: {inline_string: api}}")
        .any_route("match: {safe_regex: {regex: \"/v[0-9]+/.*\"}}, direct_response: {status: 200, body: {inline_string: regex}}")
        .any_route("match: {prefix: /}, direct_response: {status: 200, body: {inline_string: rest}}");
    let proxy = Proxy::start(&config).await;
    let mut wire = nuncio_testkit::Wire::connect(proxy.address()).await;
    for (method, host, path, field, want) in [
        ("GET", "www.example", "/", "", "exact"),
        ("GET", "a.example", "/", "", "suffix"),
        ("GET", "h", "/", "x-kind: special\r\n", "header"),
        ("GET", "h", "/a?debug", "", "query"),
        ("DELETE", "h", "/", "", "method"),
        ("GET", "h", "/api/x", "", "api"),
        ("GET", "h", "/apix", "", "rest"),
        ("GET", "h", "/v12/x", "", "regex"),
        ("GET", "h", "/v/x", "", "rest"),
    ] {
        wire.send(format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{field}\r\n")).await;
        assert_eq!(wire.response().await.text(), want, "{method} {host} {path}");
    }
    proxy.stop().await;
}

/// A route that answers with a word of its own.
fn says(word: &str, conditions: &str) -> String {
    format!("match: {{{conditions}}}, name: {word}, direct_response: {{status: 200, body: {{inline_string: {word}}}}}")
}

#[tokio::test]
async fn routes_ask_for_templates_cookies_and_what_filters_left() {
    let template = "path_match_policy: {name: t, typed_config: {\"@type\": \
                    type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig, \
                    path_template: \"/users/{id}/**\"}}";
    let metadata =
        "prefix: /, dynamic_metadata: [{filter: f, path: [{key: k}], value: {present_match: true}, invert: true}]";
    let config = Config::new()
        .any_route(&says("template", template))
        .any_route(&says("cookie", "prefix: /, cookies: [{name: c, string_match: {exact: \"1\"}}]"))
        .any_route(&says("certificate", "prefix: /tls, tls_context: {presented: true}"))
        .any_route(&says("never", "prefix: /, runtime_fraction: {default_value: {numerator: 0}}"))
        .any_route(&format!("{}, metadata: {{filter_metadata: {{m: {{k: told}}}}}}, response_headers_to_add: [{{header: {{key: x-told, value: \"%METADATA(ROUTE:m:k)%\"}}}}]", says("metadata", metadata)));
    for down in [Version::Http1, Version::Http2] {
        let proxy = Proxy::start(&config).await;
        let mut client = Client::connect(down, proxy.address()).await;
        for (path, cookie, want) in [
            ("/users/7/books?all", "", "template"),
            ("/users/7", "", "metadata"),
            ("/a", "b=2; c=1", "cookie"),
            ("/a", "c=2; c=1", "metadata"),
            ("/tls", "", "metadata"),
        ] {
            let request = client.request(Method::GET, path).header("cookie", cookie).body(body::empty()).unwrap();
            let answer = client.exchange(request).await;
            assert_eq!(answer.text(), want, "{path} with {cookie}");
            assert_eq!(answer.header("x-told"), (want == "metadata").then_some("told"));
        }
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_matcher_leads_to_a_route() {
    let input = "{name: i, typed_config: {\"@type\": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-kind}}";
    let action = |word: &str| {
        format!(
            "{{action: {{name: r, typed_config: {{\"@type\": type.googleapis.com/envoy.config.route.v3.Route, {}}}}}}}",
            says(word, "prefix: /a")
        )
    };
    let config = Config::new().other_virtual_host(&format!(
        "name: tree, domains: [tree], matcher: {{matcher_tree: {{input: {input}, exact_match_map: {{map: {{special: {}}}}}}}, on_no_match: {}}}",
        action("special"),
        action("usual")
    ));
    let proxy = Proxy::start(&config).await;
    let mut wire = nuncio_testkit::Wire::connect(proxy.address()).await;
    for (path, field, want) in [
        ("/a", "x-kind: special\r\n", "special"),
        ("/a", "x-kind: other\r\n", "usual"),
        ("/a", "", "usual"),
        ("/b", "", ""),
    ] {
        wire.send(format!("GET {path} HTTP/1.1\r\nhost: tree\r\n{field}\r\n")).await;
        assert_eq!(wire.response().await.text(), want, "{path} {field}");
    }
    proxy.stats().expect(&[("http.main.no_route", 1)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_virtual_host_may_require_tls() {
    let upstream = Upstream::answering(Version::Http1, "ok");
    let config = with_routes(&upstream, &["match: {prefix: /}, route: {cluster: up}"]).virtual_host("require_tls: ALL");
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    let answer = client.get("/a?b").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (301, Some("https://test/a?b")));
    let request = client.request(Method::GET, "/").header("x-forwarded-proto", "https").body(body::empty()).unwrap();
    assert_eq!(client.exchange(request).await.text(), "ok");
    proxy.stop().await;
}

#[tokio::test]
async fn a_cluster_may_be_named_by_a_header() {
    let upstream = Upstream::answering(Version::Http1, "ok");
    let config = with_routes(&upstream, &["match: {prefix: /}, route: {cluster_header: x-cluster}"]);
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    for (name, status) in [("up", 200), ("other", 503)] {
        let request = client.request(Method::GET, "/").header("x-cluster", name).body(body::empty()).unwrap();
        assert_eq!(client.exchange(request).await.status.as_u16(), status);
    }
    assert_eq!(client.get("/").await.status, 503);
    proxy.log_line(3).await.expect(&[("flags", "NC"), ("details", "cluster_not_found")]);
    proxy.stop().await;
}
