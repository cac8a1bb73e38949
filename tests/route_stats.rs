//! Who a request is charged to besides its cluster: virtual clusters, routes, zones, alternative
//! names, sizes and budgets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use http::Method;
use nuncio_testkit::{Client, Cluster, Config, MATRIX, Proxy, Upstream, Version, body, nobody};

const METHODS: &str = "virtual_clusters: [\
    {name: reads, headers: [{name: ':method', string_match: {exact: GET}}, {name: ':path', string_match: {prefix: /a}}]}, \
    {name: writes, headers: [{name: ':method', string_match: {exact: POST}}]}]";

#[tokio::test]
async fn the_first_virtual_cluster_that_matches_counts_a_request() {
    for (down, up) in MATRIX {
        let upstream = Upstream::answering(up, "hello");
        let config = Config::forwarding_to(up, upstream.address()).virtual_host(METHODS);
        let proxy = Proxy::start(&config).await;
        let mut client = Client::connect(down, proxy.address()).await;
        client.get("/a").await;
        client.get("/b").await;
        client.post("/a", "x").await;
        proxy.log_line(3).await;
        proxy.stats().expect(&[
            ("vhost.all.vcluster.reads.upstream_rq_total", 1),
            ("vhost.all.vcluster.reads.upstream_rq_200", 1),
            ("vhost.all.vcluster.reads.upstream_rq_2xx", 1),
            ("vhost.all.vcluster.reads.upstream_rq_completed", 1),
            ("vhost.all.vcluster.reads.upstream_rq_timeout", 0),
            ("vhost.all.vcluster.writes.upstream_rq_completed", 1),
            ("vhost.all.vcluster.other.upstream_rq_completed", 1),
            ("vhost.all.vcluster.other.upstream_rq_retry", 0),
        ]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_route_with_a_stat_prefix_counts_its_requests() {
    let config = Config::new()
        .cluster(Cluster::new("dead").host(nobody()))
        .any_route("match: {path: /own}, stat_prefix: own, direct_response: {status: 204}")
        .any_route("match: {path: /dead}, stat_prefix: dead, route: {cluster: dead}");
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    client.get("/own").await;
    client.get("/dead").await;
    proxy.log_line(2).await;
    let stats = proxy.stats();
    stats.expect(&[
        ("vhost.all.route.own.upstream_rq_total", 0),
        ("vhost.all.route.dead.upstream_rq_total", 0),
        ("vhost.all.route.dead.upstream_rq_503", 1),
        ("vhost.all.route.dead.upstream_rq_completed", 1),
    ]);
    assert_eq!(stats.or_zero("vhost.all.route.own.upstream_rq_completed"), 0, "no cluster, nothing counted");
    assert!(stats.iter().all(|(name, _)| !name.contains("vcluster")), "no virtual cluster was asked for");
    proxy.stop().await;
}

#[tokio::test]
async fn a_route_timeout_counts_for_route_and_virtual_cluster() {
    let upstream = Upstream::scripted(|mut wire| async move { drop(wire.read_to_end().await) });
    let config = Config::new()
        .cluster(Cluster::new("up").host(upstream.address()))
        .virtual_host(METHODS)
        .any_route("match: {prefix: /}, stat_prefix: all, route: {cluster: up, timeout: 0.05s}");
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    assert_eq!(client.get("/a").await.status.as_u16(), 504);
    proxy.log_line(1).await;
    proxy.stats().expect(&[
        ("cluster.up.upstream_rq_timeout", 1),
        ("vhost.all.vcluster.reads.upstream_rq_timeout", 1),
        ("vhost.all.vcluster.reads.upstream_rq_504", 1),
        ("vhost.all.route.all.upstream_rq_timeout", 1),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn zones_and_alternative_names_count_where_both_sides_have_one() {
    let upstream = Upstream::answering(Version::Http1, "hello");
    let address = upstream.address();
    let endpoints = format!(
        "load_assignment: {{cluster_name: up, endpoints: [{{locality: {{zone: there}}, lb_endpoints: [{{endpoint: \
         {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}}}]}}]}}",
        address.ip(),
        address.port()
    );
    let config = Config::new()
        .bootstrap("node: {id: here, cluster: test, locality: {zone: here}}")
        .manager("internal_address_config: {cidr_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}")
        .cluster(Cluster::new("up").with(&endpoints))
        .route("/", "cluster: up");
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    client.get("/").await;
    let named = client.request(Method::GET, "/").header("x-forwarded-for", "10.0.0.1");
    client.exchange(named.header("x-envoy-upstream-alt-stat-name", "shop").body(body::empty()).unwrap()).await;
    proxy.log_line(2).await;
    proxy.stats().expect(&[
        ("cluster.up.zone.here.there.upstream_rq_200", 2),
        ("cluster.up.shop.upstream_rq_200", 1),
        ("cluster.up.shop.internal.upstream_rq_2xx", 1),
        ("cluster.up.shop.zone.here.there.upstream_rq_completed", 1),
        ("cluster.up.internal.upstream_rq_200", 1),
        ("cluster.up.external.upstream_rq_200", 1),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn retries_count_for_route_and_virtual_cluster() {
    let upstream = Upstream::replying("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    let config = Config::new()
        .cluster(Cluster::new("up").host(upstream.address()).with("track_cluster_stats: {timeout_budgets: true}"))
        .virtual_host(METHODS)
        .any_route(
            "match: {prefix: /}, stat_prefix: all, route: {cluster: up, retry_policy: {retry_on: 5xx, num_retries: 1}}",
        );
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    assert_eq!(client.get("/a").await.status.as_u16(), 503);
    proxy.log_line(1).await.expect(&[("flags", "URX"), ("attempts", "2")]);
    proxy.stats().expect(&[
        ("cluster.up.retry.upstream_rq_503", 1),
        ("cluster.up.upstream_rq_503", 1),
        ("vhost.all.vcluster.reads.upstream_rq_total", 2),
        ("vhost.all.vcluster.reads.upstream_rq_completed", 1),
        ("vhost.all.vcluster.reads.upstream_rq_retry", 1),
        ("vhost.all.vcluster.reads.upstream_rq_retry_limit_exceeded", 1),
        ("vhost.all.route.all.upstream_rq_retry", 1),
    ]);
    proxy.stop().await;
}
