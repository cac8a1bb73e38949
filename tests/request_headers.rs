//! What the proxy makes of request headers before it routes, as the upstream sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use nuncio_testkit::{Config, Message, Proxy, Seen, Upstream, Version, Wire};

/// A proxy before an upstream that answers anything.
struct Scene {
    proxy: Proxy,
    upstream: Upstream,
}

impl Scene {
    async fn start(fields: &[&str]) -> Self {
        let upstream = Upstream::start(Version::Http1, |_| async {
            http::Response::builder().header("server", "own").body(nuncio_testkit::body::full("ok")).unwrap()
        });
        let config = Config::forwarding_to(Version::Http1, upstream.address());
        let config = fields.iter().fold(config, |config, field| config.manager(field));
        Self { proxy: Proxy::start(&config).await, upstream }
    }

    /// Sends a GET with these fields; what the upstream saw and what came back.
    async fn get(&self, target: &str, fields: &str) -> (Seen, Message) {
        let before = self.upstream.requests().len();
        let response = self.reply(target, fields).await;
        assert_eq!(response.status(), 200, "{target} {fields}");
        let seen = self.upstream.wait_for_requests(before + 1).await.pop().unwrap();
        (seen, response)
    }

    async fn reply(&self, target: &str, fields: &str) -> Message {
        let mut wire = Wire::connect(self.proxy.address()).await;
        wire.send(format!("GET {target} HTTP/1.1\r\nhost: h\r\n{fields}\r\n")).await;
        wire.response().await
    }
}

#[tokio::test]
async fn an_edge_proxy_tells_who_the_client_is() {
    let scene = Scene::start(&["use_remote_address: true"]).await;
    let (seen, _) = scene.get("/", "").await;
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert!(seen.header("x-request-id").is_some_and(|id| id.len() == 36));
    let (seen, _) = scene.get("/", "x-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: https\r\n").await;
    assert_eq!(seen.header("x-forwarded-for"), Some("1.2.3.4,127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"), "an edge proxy believes no client");
    scene.proxy.log_line(2).await.expect(&[("client", "127.0.0.1")]);
    scene.proxy.stop().await;
}

#[tokio::test]
async fn trusted_hops_are_counted_from_the_right() {
    let scene = Scene::start(&["use_remote_address: true", "xff_num_trusted_hops: 1"]).await;
    let (seen, _) = scene.get("/", "x-forwarded-for: 1.1.1.1, 2.2.2.2\r\nx-forwarded-proto: https\r\n").await;
    assert_eq!(seen.header("x-forwarded-for"), Some("1.1.1.1, 2.2.2.2,127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"), "a trusted hop said so");
    assert_eq!(seen.header("x-envoy-external-address"), Some("2.2.2.2"));
    scene.proxy.log_line(1).await.expect(&[("client", "2.2.2.2")]);
    scene.proxy.stop().await;
}

#[tokio::test]
async fn an_inner_proxy_believes_what_it_is_told() {
    let scene = Scene::start(&[]).await;
    let (seen, _) = scene.get("/", "x-forwarded-for: 1.1.1.1\r\nx-forwarded-proto: https\r\n").await;
    assert_eq!(seen.header("x-forwarded-for"), Some("1.1.1.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    scene.proxy.log_line(1).await.expect(&[("client", "1.1.1.1")]);
    scene.proxy.stop().await;
}

#[tokio::test]
async fn external_clients_may_not_set_internal_headers() {
    let scene = Scene::start(&["use_remote_address: true"]).await;
    let fields = "x-forwarded-for: 8.8.8.8\r\nx-envoy-upstream-rq-timeout-ms: 1\r\nx-envoy-retry-on: 5xx\r\nx-envoy-internal: true\r\nx-own: 1\r\n";
    let (seen, _) = scene.get("/", fields).await;
    assert_eq!(seen.header("x-envoy-retry-on"), None);
    assert_eq!(seen.header("x-envoy-internal"), None);
    assert_eq!(seen.header("x-envoy-external-address"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-own"), Some("1"));
    scene.proxy.stop().await;
}

#[tokio::test]
async fn request_ids_are_made_kept_and_shown_as_configured() {
    let given = "x-request-id: given\r\n";
    let inner = Scene::start(&["always_set_request_id_in_response: true"]).await;
    let (seen, response) = inner.get("/", given).await;
    assert_eq!((seen.header("x-request-id"), response.header("x-request-id")), (Some("given"), Some("given")));
    let edge = Scene::start(&["use_remote_address: true"]).await;
    let (seen, response) = edge.get("/", &format!("x-forwarded-for: 8.8.8.8\r\n{given}")).await;
    assert_ne!(seen.header("x-request-id"), Some("given"));
    assert_eq!(response.header("x-request-id"), None);
    let keeping = Scene::start(&["use_remote_address: true", "preserve_external_request_id: true"]).await;
    let (seen, _) = keeping.get("/", &format!("x-forwarded-for: 8.8.8.8\r\n{given}")).await;
    assert_eq!(seen.header("x-request-id"), Some("given"));
    let none = Scene::start(&["generate_request_id: false"]).await;
    assert_eq!(none.get("/", "").await.0.header("x-request-id"), None);
}

#[tokio::test]
async fn via_is_appended_in_both_directions() {
    let scene = Scene::start(&["via: mine"]).await;
    let (seen, response) = scene.get("/", "via: 1.0 theirs\r\n").await;
    assert_eq!(seen.header("via"), Some("1.0 theirs, mine"));
    assert_eq!(response.header("via"), Some("mine"));
    scene.proxy.stop().await;
}

#[tokio::test]
async fn the_server_header_follows_its_mode() {
    for (fields, want) in [
        (vec![], Some("envoy")),
        (vec!["server_name: front"], Some("front")),
        (vec!["server_header_transformation: APPEND_IF_ABSENT"], Some("own")),
        (vec!["server_header_transformation: PASS_THROUGH"], Some("own")),
    ] {
        let scene = Scene::start(&fields).await;
        let (_, response) = scene.get("/", "").await;
        assert_eq!(response.header("server"), want, "{fields:?}");
        scene.proxy.stop().await;
    }
}

#[tokio::test]
async fn hop_by_hop_headers_stay_on_their_hop() {
    let scene = Scene::start(&[]).await;
    let fields = "connection: keep-alive, x-hop\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nx-hop: 1\r\nte: trailers, gzip\r\nx-end: 1\r\n";
    let (seen, _) = scene.get("/", fields).await;
    for name in ["connection", "keep-alive", "proxy-connection", "x-hop"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!((seen.header("te"), seen.header("x-end")), (Some("trailers"), Some("1")));
    scene.proxy.stop().await;
}

#[tokio::test]
async fn paths_are_normalised_as_configured() {
    let plain = Scene::start(&[]).await;
    assert_eq!(plain.get("/a/../b//c%2Fd", "").await.0.path, "/a/../b//c%2Fd");
    let normal = Scene::start(&["normalize_path: true", "merge_slashes: true"]).await;
    for (target, want) in [("/a/../b", "/b"), ("/a//b///c", "/a/b/c"), ("/a/%2e%2e/b?x=../y", "/b?x=../y")] {
        assert_eq!(normal.get(target, "").await.0.path, want, "{target}");
    }
    let rejecting = Scene::start(&["path_with_escaped_slashes_action: REJECT_REQUEST"]).await;
    assert_eq!(rejecting.reply("/a%2fb", "").await.status(), 400);
    rejecting.proxy.log_line(1).await.expect(&[("code", "400"), ("details", "path_normalization_failed")]);
    rejecting.proxy.stats().expect(&[("http.main.downstream_rq_failed_path_normalization", 1)]);
    let redirecting = Scene::start(&["path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT"]).await;
    let response = redirecting.reply("/a%2fb", "").await;
    assert_eq!((response.status(), response.header("location")), (307, Some("/a/b")));
    let grpc = redirecting.reply("/a%2fb", "content-type: application/grpc\r\n").await;
    assert_eq!((grpc.status(), grpc.header("location"), grpc.header("grpc-status")), (200, None, Some("13")));
    let forwarding = Scene::start(&["path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD"]).await;
    assert_eq!(forwarding.get("/a%2fb%5Cc", "").await.0.path, "/a/b\\c");
}

#[tokio::test]
async fn a_request_without_host_or_with_a_fragment_is_refused() {
    let scene = Scene::start(&[]).await;
    let mut wire = Wire::connect(scene.proxy.address()).await;
    wire.send("GET / HTTP/1.1\r\nx: 1\r\n\r\n").await;
    assert_eq!(wire.response().await.status(), 400);
    scene.proxy.log_line(1).await.expect(&[("code", "400"), ("details", "missing_host_header")]);
    assert_eq!(scene.reply("/a#b", "").await.status(), 400);
    scene.proxy.log_line(2).await.expect(&[("code", "400"), ("details", "path_normalization_failed")]);
    assert!(scene.upstream.requests().is_empty());
    scene.proxy.stop().await;
}

#[tokio::test]
async fn names_with_underscores_are_allowed_dropped_or_refused() {
    for (action, status, seen_as) in
        [("ALLOW", 200, Some("1")), ("DROP_HEADER", 200, None), ("REJECT_REQUEST", 400, None)]
    {
        let field = format!("common_http_protocol_options: {{headers_with_underscores_action: {action}}}");
        let scene = Scene::start(&[&field]).await;
        assert_eq!(scene.reply("/", "x_under: 1\r\n").await.status(), status, "{action}");
        if status == 200 {
            assert_eq!(scene.upstream.last().header("x_under"), seen_as, "{action}");
        } else {
            assert!(scene.upstream.requests().is_empty());
        }
        scene.proxy.wait_for("http1.dropped_headers_with_underscores", u64::from(action == "DROP_HEADER")).await;
        let rejected = u64::from(action == "REJECT_REQUEST");
        scene.proxy.wait_for("http1.requests_rejected_with_underscores_in_headers", rejected).await;
        scene.proxy.stop().await;
    }
}

#[tokio::test]
async fn the_host_is_stripped_of_what_is_configured() {
    let scene = Scene::start(&["strip_any_host_port: true", "strip_trailing_host_dot: true"]).await;
    let mut wire = Wire::connect(scene.proxy.address()).await;
    wire.send("GET / HTTP/1.1\r\nhost: a.example.:8080\r\n\r\n").await;
    assert_eq!(wire.response().await.status(), 200);
    assert_eq!(scene.upstream.last().host, "a.example");
    scene.proxy.stop().await;
}
