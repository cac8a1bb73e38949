//! Retries and time-outs as a client from the inside asks for them in headers, and what the
//! upstream's answer says about trying again: gRPC statuses, `retry-after`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, Response, StatusCode};
use nuncio_testkit::{Answer, Body, Client, Cluster, Config, Proxy, Upstream, Version, body};

const INSIDE: &str = "internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}";

/// Answers so once, then with `ok`.
fn once(first: impl Fn() -> Response<Body> + Send + Sync + 'static) -> Upstream {
    let seen = AtomicUsize::new(0);
    let first = Arc::new(first);
    Upstream::start(Version::Http2, move |_| {
        let fails = seen.fetch_add(1, Ordering::Relaxed) == 0;
        let first = Arc::clone(&first);
        async move { if fails { first() } else { Response::new(body::full("ok")) } }
    })
}

fn with_status(code: u16) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

fn silent() -> Upstream {
    Upstream::scripted(|mut wire| async move {
        wire.read_to_end().await;
    })
}

/// A client of the inside, whose words about retries and time-outs count.
fn inside(upstream: &Upstream, version: Version, action: &str) -> Config {
    Config::new()
        .cluster(Cluster::new("up").host(upstream.address()).version(version))
        .manager("use_remote_address: true")
        .manager(INSIDE)
        .route("/", &format!("cluster: up{action}"))
}

async fn ask(proxy: &Proxy, headers: &[(&str, &str)]) -> Answer {
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    let request = client.request(Method::GET, "/");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    client.exchange(request.body(body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_client_of_the_inside_may_ask_for_retries() {
    for (headers, status) in [
        (&[("x-envoy-retry-on", "5xx")][..], 200),
        (&[("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "0")], 503),
        (&[("x-envoy-retry-on", "retriable-status-codes"), ("x-envoy-retriable-status-codes", "503")], 200),
        (&[("x-envoy-retry-on", "retriable-4xx")], 503),
        (&[], 503),
    ] {
        let upstream = once(|| with_status(503));
        let proxy = Proxy::start(&inside(&upstream, Version::Http2, "")).await;
        assert_eq!(ask(&proxy, headers).await.status.as_u16(), status, "{headers:?}");
        assert!(upstream.requests().iter().all(|seen| seen.header("x-envoy-retry-on").is_none()), "it ends here");
        let exceeded = headers.contains(&("x-envoy-max-retries", "0"));
        let flags = if exceeded { "URX" } else { "-" };
        proxy.log_line(1).await.expect(&[("code", &status.to_string()), ("flags", flags), ("details", "via_upstream")]);
        proxy.stats().expect(&[
            ("cluster.up.upstream_rq_retry", u64::from(status == 200)),
            ("cluster.up.upstream_rq_retry_limit_exceeded", u64::from(exceeded)),
        ]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_client_of_the_outside_may_not() {
    let upstream = once(|| with_status(503));
    let config = Config::forwarding_to(Version::Http2, upstream.address()).manager("use_remote_address: true");
    let proxy = Proxy::start(&config).await;
    let headers = [("x-envoy-retry-on", "5xx"), ("x-envoy-upstream-rq-timeout-ms", "1")];
    assert_eq!(ask(&proxy, &headers).await.status.as_u16(), 503);
    assert_eq!(upstream.last().header("x-envoy-expected-rq-timeout-ms"), Some("15000"));
    proxy.log_line(1).await.expect(&[("code", "503"), ("attempts", "1")]);
    proxy.stats().expect(&[("cluster.up.upstream_rq_retry", 0)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_of_the_inside_may_ask_for_less_time() {
    let upstream = silent();
    for (alternative, status, text) in [(None, 504, "upstream request timeout"), (Some("1"), 204, "")] {
        let proxy = Proxy::start(&inside(&upstream, Version::Http1, "")).await;
        let mut headers = vec![("x-envoy-upstream-rq-timeout-ms", "50")];
        headers.extend(alternative.map(|value| ("x-envoy-upstream-rq-timeout-alt-response", value)));
        let answer = ask(&proxy, &headers).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, text));
        let code = status.to_string();
        proxy.log_line(1).await.expect(&[("code", &code), ("flags", "UT"), ("details", "response_timeout")]);
        proxy.stats().expect(&[("cluster.up.upstream_rq_timeout", 1)]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_try_that_stalls_ends_by_its_idle_time() {
    let upstream = silent();
    let action = ", timeout: 0s, retry_policy: {num_retries: 1, retry_on: reset, per_try_idle_timeout: 0.05s}";
    let proxy = Proxy::start(&inside(&upstream, Version::Http1, action)).await;
    let answer = ask(&proxy, &[]).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (504, "upstream request timeout"));
    let line = proxy.log_line(1).await;
    line.expect(&[("code", "504"), ("details", "upstream_per_try_idle_timeout"), ("attempts", "2")]);
    proxy.stats().expect(&[
        ("cluster.up.upstream_rq_per_try_idle_timeout", 2),
        ("cluster.up.upstream_rq_retry", 1),
        ("cluster.up.upstream_rq_retry_limit_exceeded", 1),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn grpc_timeout_bounds_the_stream_where_the_route_lets_it() {
    let upstream = silent();
    let action = ", max_stream_duration: {grpc_timeout_header_max: 10s}";
    let proxy = Proxy::start(&inside(&upstream, Version::Http1, action)).await;
    let answer = ask(&proxy, &[("content-type", "application/grpc"), ("grpc-timeout", "50m")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, Some("4")));
    proxy.log_line(1).await.expect(&[("details", "max_duration_timeout")]);
    proxy.stats().expect(&[("http.main.downstream_rq_max_duration_reached", 1)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_grpc_status_is_tried_again() {
    for (listed, tries) in [("unavailable", 2), ("internal", 1)] {
        let upstream = once(|| {
            let mut response = Response::new(body::empty());
            response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
            response.headers_mut().insert("grpc-status", "14".parse().unwrap());
            response
        });
        let action = format!(", retry_policy: {{retry_on: {listed}}}");
        let proxy = Proxy::start(&inside(&upstream, Version::Http2, &action)).await;
        let answer = ask(&proxy, &[("content-type", "application/grpc")]).await;
        assert_eq!(answer.header("grpc-status"), (tries == 1).then_some("14"), "{listed}");
        proxy.log_line(1).await.expect(&[("code", "200"), ("attempts", &tries.to_string())]);
        proxy.stats().expect(&[("cluster.up.upstream_rq_retry", tries - 1)]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn an_upstream_that_says_when_is_tried_again_then() {
    for (most, obeyed) in [("2s", true), ("0.5s", false)] {
        let upstream = once(|| {
            let mut response = with_status(429);
            response.headers_mut().insert("retry-after", "1".parse().unwrap());
            response
        });
        let action = format!(
            ", retry_policy: {{retry_on: retriable-status-codes, retriable_status_codes: [429], \
             retry_back_off: {{base_interval: 0.001s}}, rate_limited_retry_back_off: \
             {{reset_headers: [{{name: retry-after, format: SECONDS}}], max_interval: {most}}}}}"
        );
        let proxy = Proxy::start(&inside(&upstream, Version::Http2, &action)).await;
        let start = Instant::now();
        assert_eq!(ask(&proxy, &[]).await.status.as_u16(), 200);
        assert!(!obeyed || start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
        proxy.log_line(1).await.expect(&[("code", "200"), ("attempts", "2")]);
        proxy.stats().expect(&[
            ("cluster.up.upstream_rq_retry_backoff_ratelimited", u64::from(obeyed)),
            ("cluster.up.upstream_rq_retry_backoff_exponential", u64::from(!obeyed)),
        ]);
        proxy.stop().await;
    }
}
