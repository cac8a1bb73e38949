//! Requests that are tried more than once: the answer, what is counted, what is logged.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Response, StatusCode};
use nuncio_testkit::{Client, Cluster, Config, MATRIX, Proxy, Upstream, Version, body, nobody};

const NOW: &str = "retry_back_off: {base_interval: 0.001s}";

/// Answers 503 so many times, then sends the body back.
fn flaky(version: Version, failures: usize) -> Upstream {
    let seen = Arc::new(AtomicUsize::new(0));
    Upstream::start(version, move |request| {
        let fails = seen.fetch_add(1, Ordering::Relaxed) < failures;
        async move {
            let mut response = Response::new(body::echo(request.into_body()));
            if fails {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            response
        }
    })
}

/// Does not answer on its first connection, and says `ok` on the others.
fn silent_at_first() -> Upstream {
    let calls = Arc::new(AtomicUsize::new(0));
    Upstream::scripted(move |mut wire| {
        let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            wire.head().await;
            if !first {
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
            wire.read_to_end().await;
        }
    })
}

fn retrying(upstream: &Upstream, version: Version, policy: &str) -> Config {
    Config::new()
        .cluster(Cluster::new("up").host(upstream.address()).version(version))
        .route("/", &format!("cluster: up, retry_policy: {{{policy}, {NOW}}}"))
}

#[tokio::test]
async fn the_body_is_sent_again_until_an_answer_is_good() {
    for (down, up) in MATRIX {
        let upstream = flaky(up, 2);
        let proxy = Proxy::start(&retrying(&upstream, up, "retry_on: 5xx, num_retries: 3")).await;
        let answer = Client::connect(down, proxy.address()).await.post("/", "the body").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "the body"), "{down:?} {up:?}");
        assert_eq!(upstream.requests().len(), 3);
        proxy.log_line(1).await.expect(&[("code", "200"), ("flags", "-"), ("details", "via_upstream")]);
        proxy.stats().expect(&[
            ("cluster.up.upstream_rq_retry", 2),
            ("cluster.up.upstream_rq_retry_success", 1),
            ("cluster.up.upstream_rq_retry_limit_exceeded", 0),
            ("cluster.up.upstream_rq_retry_backoff_exponential", 2),
            ("cluster.up.retry.upstream_rq_503", 2),
            ("cluster.up.upstream_rq_200", 1),
            ("cluster.up.upstream_rq_active", 0),
            ("cluster.up.circuit_breakers.default.rq_retry_open", 0),
        ]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn when_retries_are_used_up_the_last_answer_goes_down() {
    for (down, up) in MATRIX {
        let upstream = flaky(up, 9);
        let proxy = Proxy::start(&retrying(&upstream, up, "retry_on: 5xx, num_retries: 2")).await;
        let answer = Client::connect(down, proxy.address()).await.get("/").await;
        assert_eq!(answer.status.as_u16(), 503);
        assert_eq!(upstream.requests().len(), 3);
        proxy.log_line(1).await.expect(&[("code", "503"), ("flags", "URX"), ("details", "via_upstream")]);
        proxy.stats().expect(&[
            ("cluster.up.upstream_rq_retry", 2),
            ("cluster.up.upstream_rq_retry_success", 0),
            ("cluster.up.upstream_rq_retry_limit_exceeded", 1),
            ("cluster.up.upstream_rq_503", 1),
        ]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_sent_once() {
    let upstream = flaky(Version::Http1, 1);
    let config = Config::new().cluster(Cluster::new("up").host(upstream.address())).any_route(&format!(
        "match: {{prefix: /}}, request_body_buffer_limit: 4, route: {{cluster: up, retry_policy: {{retry_on: 5xx, {NOW}}}}}"
    ));
    let proxy = Proxy::start(&config).await;
    let answer = Client::connect(Version::Http1, proxy.address()).await.post("/", "longer").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (503, "longer"));
    assert_eq!(upstream.requests().len(), 1);
    proxy.log_line(1).await.expect(&[("code", "503"), ("flags", "-")]);
    proxy.stats().expect(&[("cluster.up.retry_or_shadow_abandoned", 1), ("cluster.up.upstream_rq_retry", 0)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_and_the_reply_says_so() {
    for down in [Version::Http1, Version::Http2] {
        let config = Config::new()
            .cluster(Cluster::new("dead").host(nobody()))
            .route("/", &format!("cluster: dead, retry_policy: {{retry_on: connect-failure, num_retries: 2, {NOW}}}"));
        let proxy = Proxy::start(&config).await;
        let answer = Client::connect(down, proxy.address()).await.get("/").await;
        assert_eq!(answer.status.as_u16(), 503);
        let text = answer.text();
        assert!(text.contains("retried and the latest reset reason: remote connection failure"), "{text}");
        proxy.log_line(1).await.expect(&[("code", "503"), ("flags", "URX,UF")]);
        proxy.stats().expect(&[
            ("cluster.dead.upstream_rq_retry", 2),
            ("cluster.dead.upstream_cx_connect_fail", 3),
            ("cluster.dead.upstream_rq_503", 1),
        ]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_try_that_is_late_is_given_up_for_another() {
    let upstream = silent_at_first();
    let proxy = Proxy::start(&retrying(&upstream, Version::Http1, "retry_on: 5xx, per_try_timeout: 0.05s")).await;
    let answer = Client::connect(Version::Http1, proxy.address()).await.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "ok"));
    proxy.log_line(1).await.expect(&[("code", "200"), ("flags", "-")]);
    proxy.stats().expect(&[
        ("cluster.up.upstream_rq_per_try_timeout", 1),
        ("cluster.up.upstream_rq_retry_success", 1),
        ("cluster.up.upstream_rq_timeout", 0),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn with_hedging_the_first_good_answer_wins_and_the_other_try_ends() {
    let upstream = silent_at_first();
    let config = Config::new().cluster(Cluster::new("up").host(upstream.address())).route(
        "/",
        &format!(
            "cluster: up, hedge_policy: {{hedge_on_per_try_timeout: true}}, \
             retry_policy: {{retry_on: 5xx, per_try_timeout: 0.05s, {NOW}}}"
        ),
    );
    let proxy = Proxy::start(&config).await;
    let answer = Client::connect(Version::Http1, proxy.address()).await.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "ok"));
    proxy.wait_for("cluster.up.upstream_rq_active", 0).await;
    proxy.stats().expect(&[
        ("cluster.up.upstream_rq_retry", 1),
        ("cluster.up.upstream_rq_total", 2),
        ("cluster.up.upstream_rq_per_try_timeout", 0),
        ("cluster.up.upstream_rq_200", 1),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_retry_avoids_the_host_that_failed() {
    let bad = flaky(Version::Http1, usize::MAX);
    let good = Upstream::answering(Version::Http1, "good");
    let policy = "retry_on: 5xx, num_retries: 1, host_selection_retry_max_attempts: 20, retry_host_predicate: [{name: p, \
         typed_config: {\"@type\": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}]";
    let config = Config::new()
        .cluster(Cluster::new("up").host(bad.address()).host(good.address()))
        .route("/", &format!("cluster: up, retry_policy: {{{policy}, {NOW}}}"));
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status.as_u16(), 200);
    }
    proxy.stop().await;
}

#[tokio::test]
async fn too_many_retries_at_a_time_are_refused() {
    let upstream = flaky(Version::Http1, usize::MAX);
    let cluster =
        Cluster::new("up").host(upstream.address()).with("circuit_breakers: {thresholds: [{max_retries: 0}]}");
    let config = Config::new()
        .cluster(cluster)
        .route("/", &format!("cluster: up, retry_policy: {{retry_on: 5xx, num_retries: 5, {NOW}}}"));
    let proxy = Proxy::start(&config).await;
    assert_eq!(Client::connect(Version::Http1, proxy.address()).await.get("/").await.status.as_u16(), 503);
    assert_eq!(upstream.requests().len(), 1);
    proxy.log_line(1).await.expect(&[("code", "503"), ("flags", "UO"), ("details", "via_upstream")]);
    proxy.stats().expect(&[("cluster.up.upstream_rq_retry_overflow", 1), ("cluster.up.upstream_rq_retry", 0)]);
    proxy.stop().await;
}

#[tokio::test]
async fn the_expected_timeout_can_count_what_is_used() {
    let upstream = Upstream::answering(Version::Http1, "ok");
    for (runtime, whole) in [("", true), ("nuncio.expected_timeout_counts_time_used: true", false)] {
        let config = Config::new()
            .cluster(Cluster::new("up").host(upstream.address()))
            .route("/", "cluster: up, timeout: 5s")
            .bootstrap(&format!("layered_runtime: {{layers: [{{name: s, static_layer: {{{runtime}}}}}]}}"));
        let proxy = Proxy::start(&config).await;
        let (feed, fed) = body::fed();
        let mut client = Client::connect(Version::Http1, proxy.address()).await;
        let request = client.request(http::Method::POST, "/").body(fed).unwrap();
        drop(feed);
        assert_eq!(client.exchange(request).await.status.as_u16(), 200);
        let told: u64 = upstream.last().header("x-envoy-expected-rq-timeout-ms").unwrap().parse().unwrap();
        assert!(if whole { told == 5000 } else { (4000..=5000).contains(&told) }, "{told}");
        proxy.stop().await;
    }
}
