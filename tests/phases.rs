//! docs/life-of-a-request.md against what requests really go through.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use std::collections::BTreeSet;

use nuncio_testkit::{Client, Cluster, Config, Proxy, Upstream, Version, nobody};

const PAGE: &str = include_str!("../docs/life-of-a-request.md");

/// The first column of the page's table.
fn documented() -> Vec<String> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once('`')).map(|(name, _)| name.to_owned()).collect()
}

/// The names that the page gives for a forwarded request, in its order.
fn documented_way_of_a_forwarded_request() -> Vec<String> {
    let (_, after) = PAGE.split_once("A forwarded request runs ").expect("the sentence in the page");
    let (sentence, _) = after.split_once(".\n").expect("the end of the sentence");
    sentence.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

async fn phases_of(down: Version, path: &str) -> Vec<String> {
    let upstream = Upstream::echo(Version::Http1);
    let moved = Upstream::scripted(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 302 Found\r\nlocation: http://h/direct\r\ncontent-length: 0\r\n\r\n").await;
        wire.read_to_end().await;
    });
    let config = Config::new()
        .cluster(Cluster::new("up").host(upstream.address()))
        .cluster(Cluster::new("moved").host(moved.address()))
        .cluster(Cluster::new("dead").host(nobody()))
        .any_route("match: {path: /direct}, direct_response: {status: 200, body: {inline_string: direct}}")
        .any_route("match: {path: /redirect}, redirect: {path_redirect: /}")
        .route("/forward", "cluster: up")
        .route("/moved", "cluster: moved, internal_redirect_policy: {}")
        .route("/retried", "cluster: dead, retry_policy: {retry_on: connect-failure}")
        .route("/dead", "cluster: dead");
    let proxy = Proxy::start(&config).await;
    Client::connect(down, proxy.address()).await.post(path, "body").await;
    proxy.log_line(1).await;
    let phases = proxy.phases();
    proxy.stop().await;
    phases
}

#[tokio::test]
async fn a_forwarded_request_goes_the_way_that_the_page_tells() {
    for down in [Version::Http1, Version::Http2] {
        assert_eq!(phases_of(down, "/forward").await, documented_way_of_a_forwarded_request(), "{down:?}");
    }
}

#[tokio::test]
async fn other_requests_leave_that_way_where_they_are_answered() {
    for down in [Version::Http1, Version::Http2] {
        for (path, want) in [
            ("/direct", vec!["normalize", "client", "route match", "direct response", "finish"]),
            ("/redirect", vec!["normalize", "client", "route match", "redirect", "finish"]),
            ("/none", vec!["normalize", "client", "route match", "local reply", "finish"]),
            (
                "/dead",
                vec![
                    "normalize",
                    "client",
                    "route match",
                    "plan",
                    "admission",
                    "host pick",
                    "connection",
                    "local reply",
                    "finish",
                ],
            ),
        ] {
            assert_eq!(phases_of(down, path).await, want, "{down:?} {path}");
        }
    }
}

#[tokio::test]
async fn the_page_lists_every_phase_and_nothing_else() {
    let mut seen = BTreeSet::new();
    for path in ["/forward", "/direct", "/redirect", "/none", "/retried", "/moved"] {
        seen.extend(phases_of(Version::Http1, path).await);
    }
    assert_eq!(documented().into_iter().collect::<BTreeSet<_>>(), seen);
}
