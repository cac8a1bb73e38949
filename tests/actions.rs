//! What routes do: rewriting, redirects, answers, weights, header changes, as both sides see it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use nuncio_testkit::{Cluster, Config, Message, Proxy, Seen, Upstream, Version, Wire};

/// A proxy with these routes before an upstream that answers anything.
struct Scene {
    proxy: Proxy,
    upstream: Upstream,
}

impl Scene {
    async fn start(routes: &[&str]) -> Self {
        Self::start_with(routes, "").await
    }

    async fn start_with(routes: &[&str], cluster: &str) -> Self {
        let upstream = Upstream::start(Version::Http1, |_| async {
            http::Response::builder().header("x-own", "1").body(nuncio_testkit::body::full("ok")).unwrap()
        });
        let up = Cluster::new("up").host(upstream.address());
        let up = if cluster.is_empty() { up } else { up.with(cluster) };
        let config = routes.iter().fold(Config::new().cluster(up), |config, route| config.any_route(route));
        Self { proxy: Proxy::start(&config).await, upstream }
    }

    async fn get(&self, target: &str, fields: &str) -> Message {
        let mut wire = Wire::connect(self.proxy.address()).await;
        wire.send(format!("GET {target} HTTP/1.1\r\nhost: h.example:80\r\n{fields}\r\n")).await;
        wire.response().await
    }

    /// What the upstream sees of a GET.
    async fn forwarded(&self, target: &str, fields: &str) -> Seen {
        let before = self.upstream.requests().len();
        assert_eq!(self.get(target, fields).await.status(), 200, "{target}");
        self.upstream.wait_for_requests(before + 1).await.pop().unwrap()
    }
}

#[tokio::test]
async fn paths_are_rewritten_by_formats_and_templates() {
    const MATCH: &str =
        "\"@type\": type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";
    const REWRITE: &str =
        "\"@type\": type.googleapis.com/envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig";
    let template = format!(
        "match: {{path_match_policy: {{name: m, typed_config: {{{MATCH}, path_template: \"/t/{{lang}}/{{rest=**}}\"}}}}}}, \
         route: {{cluster: up, path_rewrite_policy: {{name: r, typed_config: {{{REWRITE}, path_template_rewrite: \
         \"/{{rest}}/{{lang}}\"}}}}}}"
    );
    let scene = Scene::start(&[
        "match: {prefix: /f}, route: {cluster: up, path_rewrite: \"/x%REQ(x-to)%\"}",
        "match: {prefix: /none}, route: {cluster: up, path_rewrite: \"%REQ(x-to)%\"}",
        &template,
    ])
    .await;
    for (target, fields, path) in [
        ("/f/a?q=1", "x-to: there\r\n", "/xthere?q=1"),
        ("/f/a", "", "/x"),
        ("/none/a?q", "", "/none/a?q"),
        ("/t/en/a/b?q", "", "/a/b/en?q"),
    ] {
        let seen = scene.forwarded(target, fields).await;
        assert_eq!(seen.path, path, "{target}");
        assert_eq!(seen.header("x-envoy-original-path"), (target != path).then_some(target));
    }
    scene.proxy.stop().await;
}

#[tokio::test]
async fn hosts_are_rewritten_and_remembered() {
    let scene = Scene::start(&[
        "match: {prefix: /regex}, route: {cluster: up, host_rewrite_path_regex: {pattern: {regex: \"^/regex/(.+)$\"}, \
         substitution: \"\\\\1.example\"}, append_x_forwarded_host: true}",
        "match: {prefix: /format}, route: {cluster: up, host_rewrite: \"%REQ(x-h)%.example\"}",
        "match: {prefix: /weighted}, route: {weighted_clusters: {clusters: [{name: up, weight: 1, host_rewrite_literal: \
         w.example}]}}",
    ])
    .await;
    let seen = scene.forwarded("/regex/one?q", "x-forwarded-host: first\r\n").await;
    assert_eq!(seen.host.as_str(), "one.example");
    assert_eq!(seen.header("x-envoy-original-host"), Some("h.example:80"));
    assert_eq!(seen.header("x-forwarded-host"), Some("first,h.example:80"));
    let seen = scene.forwarded("/regex/two", "x-forwarded-host: h.example:80\r\n").await;
    assert_eq!(seen.header("x-forwarded-host"), Some("h.example:80"), "not a second time");
    assert_eq!(scene.forwarded("/format", "x-h: made\r\n").await.host, "made.example");
    let seen = scene.forwarded("/weighted", "").await;
    assert_eq!((seen.host.as_str(), seen.header("x-envoy-original-host")), ("w.example", None));
    scene.proxy.stop().await;
}

#[tokio::test]
async fn redirects_and_answers_are_made_of_the_request() {
    let scene = Scene::start(&[
        "match: {prefix: /https}, redirect: {https_redirect: true}",
        "match: {prefix: /format}, redirect: {path_rewrite: \"/to/%REQ(x-to)%\"}",
        "match: {prefix: /old}, redirect: {prefix_rewrite: /new}, response_headers_to_add: [{header: {key: x-path, value: \
         \"%REQ(:PATH)%\"}}]",
        "match: {path: /moved}, direct_response: {status: 308}",
        "match: {path: /text}, direct_response: {status: 200, body: {inline_string: raw}, body_format: \
         {text_format_source: {inline_string: \"<%LOCAL_REPLY_BODY%>%REQ(:PATH)%\"}, content_type: text/html}}",
        "match: {path: /json}, direct_response: {status: 200, body: {inline_string: raw}, body_format: {json_format: \
         {m: \"%LOCAL_REPLY_BODY%\"}}}",
    ])
    .await;
    for (target, fields, location) in [
        ("/https/a?b", "", "https://h.example/https/a?b"),
        ("/format?b", "x-to: x\r\n", "http://h.example:80/to/x?b"),
        ("/moved", "", "http://h.example:80/moved"),
    ] {
        assert_eq!(scene.get(target, fields).await.header("location"), Some(location), "{target}");
    }
    let answer = scene.get("/old/a", "").await;
    assert_eq!(answer.header("location"), Some("http://h.example:80/new/a"));
    assert_eq!(answer.header("x-path"), Some("/new/a"), "the request itself is rewritten");
    let answer = scene.get("/text", "").await;
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("<raw>/text", Some("text/html")));
    let answer = scene.get("/json", "").await;
    assert_eq!(
        (answer.text().as_str(), answer.header("content-type")),
        ("{\"m\":\"raw\"}\n", Some("application/json"))
    );
    scene.proxy.stop().await;
}

#[tokio::test]
async fn weights_follow_a_header() {
    let scene = Scene::start(&["match: {prefix: /}, route: {weighted_clusters: {header_name: x-r, clusters: \
         [{name: up, weight: 30, response_headers_to_add: [{header: {key: x-w, value: first}}]}, {name: up, weight: 70, \
         response_headers_to_add: [{header: {key: x-w, value: second}}]}]}}"])
    .await;
    for (number, want) in [("0", "first"), ("29", "first"), ("30", "second"), ("99", "second"), ("129", "first")] {
        let answer = scene.get("/", &format!("x-r: {number}\r\n")).await;
        assert_eq!(answer.header("x-w"), Some(want), "{number}");
    }
    scene.proxy.stop().await;
}

#[tokio::test]
async fn a_cookie_that_hashing_made_up_is_set() {
    let route = "match: {prefix: /}, route: {cluster: up, hash_policy: [{cookie: {name: ck, ttl: 9s}}]}";
    let scene = Scene::start_with(&[route], "lb_policy: RING_HASH").await;
    let answer = scene.get("/", "").await;
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("ck=\"") && cookie.ends_with("\"; Max-Age=9; HttpOnly"), "{cookie}");
    assert_eq!(scene.get("/", "cookie: ck=there\r\n").await.header("set-cookie"), None);
    let other = Scene::start(&[route]).await;
    assert_eq!(other.get("/", "").await.header("set-cookie"), None, "nothing asks for the hash");
    scene.proxy.stop().await;
    other.proxy.stop().await;
}

#[tokio::test]
async fn headers_are_removed_first_and_looked_up_before_any_is_added() {
    let add = |key: &str, value: &str, action: &str| {
        format!("{{header: {{key: {key}, value: \"{value}\"}}, append_action: {action}}}")
    };
    let added = [
        add("x-again", "[%REQ(x-again)%]", "APPEND_IF_EXISTS_OR_ADD"),
        add("x-twice", "one", "ADD_IF_ABSENT"),
        add("x-twice", "two", "ADD_IF_ABSENT"),
        add("x-mixed", "added", "APPEND_IF_EXISTS_OR_ADD"),
        add("x-mixed", "over", "OVERWRITE_IF_EXISTS_OR_ADD"),
        add("x-only", "over", "OVERWRITE_IF_EXISTS"),
        add("x-route", "%METADATA(ROUTE:com.test:k)%", "APPEND_IF_EXISTS_OR_ADD"),
    ];
    let route = format!(
        "match: {{prefix: /}}, metadata: {{filter_metadata: {{com.test: {{k: v}}}}}}, request_headers_to_remove: [x-again], \
         request_headers_to_add: [{}], route: {{cluster: up}}",
        added.join(", ")
    );
    let scene = Scene::start(&[&route]).await;
    let seen = scene.forwarded("/", "x-again: old\r\nx-mixed: old\r\n").await;
    assert_eq!(seen.header("x-again"), Some("[]"));
    assert_eq!(all(&seen, "x-twice"), ["one", "two"]);
    assert_eq!(all(&seen, "x-mixed"), ["over", "added"]);
    assert_eq!((seen.header("x-only"), seen.header("x-route")), (None, Some("v")));
    scene.proxy.stop().await;
}

fn all<'s>(seen: &'s Seen, name: &str) -> Vec<&'s str> {
    seen.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}
