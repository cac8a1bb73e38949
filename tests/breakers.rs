//! Circuit breakers: what is over a limit is answered at once, what is not is served.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use nuncio_testkit::{Client, Cluster, Config, Proxy, Upstream, Version};
use tokio::{sync::watch, task::JoinHandle};

/// An upstream that answers when told.
struct Held {
    upstream: Upstream,
    release: watch::Sender<bool>,
}

impl Held {
    fn new(version: Version) -> Self {
        let (release, released) = watch::channel(false);
        let upstream = Upstream::start(version, move |_| {
            let mut released = released.clone();
            async move {
                released.wait_for(|released| *released).await.unwrap();
                http::Response::new(nuncio_testkit::body::full("held"))
            }
        });
        Self { upstream, release }
    }

    async fn proxy(&self, version: Version, thresholds: &str) -> Proxy {
        let cluster = Cluster::new("up")
            .host(self.upstream.address())
            .version(version)
            .with(&format!("circuit_breakers: {{thresholds: [{{track_remaining: true, {thresholds}}}]}}"));
        Proxy::start(&Config::new().cluster(cluster).route("/", "cluster: up")).await
    }
}

/// A GET on a connection of its own: status, body, x-envoy-overloaded.
fn get(proxy: &Proxy) -> JoinHandle<(u16, String, bool)> {
    let address = proxy.address();
    tokio::spawn(async move {
        let answer = Client::connect(Version::Http1, address).await.get("/").await;
        (answer.status.as_u16(), answer.text(), answer.header("x-envoy-overloaded").is_some())
    })
}

const OVERFLOW: &str = "upstream connect error or disconnect/reset before headers. reset reason: overflow";

#[tokio::test]
async fn requests_wait_for_a_connection_up_to_the_limit_of_pending_ones() {
    let held = Held::new(Version::Http1);
    let proxy = held.proxy(Version::Http1, "max_connections: 1, max_pending_requests: 1").await;
    let first = get(&proxy);
    proxy.wait_for("cluster.up.upstream_rq_active", 1).await;
    let second = get(&proxy);
    proxy.wait_for("cluster.up.upstream_rq_pending_active", 1).await;
    proxy.stats().expect(&[
        ("cluster.up.circuit_breakers.default.cx_open", 1),
        ("cluster.up.circuit_breakers.default.rq_pending_open", 1),
        ("cluster.up.circuit_breakers.default.remaining_cx", 0),
        ("cluster.up.circuit_breakers.default.remaining_pending", 0),
    ]);
    assert_eq!(get(&proxy).await.unwrap(), (503, OVERFLOW.to_owned(), true));
    proxy.log_line(1).await.expect(&[
        ("code", "503"),
        ("flags", "UO"),
        ("details", "upstream_reset_before_response_started{overflow}"),
    ]);
    held.release.send(true).unwrap();
    for waiting in [first, second] {
        assert_eq!(waiting.await.unwrap(), (200, "held".to_owned(), false));
    }
    proxy.stats().expect(&[
        ("cluster.up.upstream_rq_pending_overflow", 1),
        ("cluster.up.upstream_cx_total", 1),
        ("cluster.up.upstream_rq_200", 2),
        ("cluster.up.upstream_rq_503", 1),
        ("cluster.up.circuit_breakers.default.rq_pending_open", 0),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn requests_over_max_requests_are_refused_on_a_shared_connection() {
    let held = Held::new(Version::Http2);
    let proxy = held.proxy(Version::Http2, "max_requests: 2").await;
    let waiting = [get(&proxy), get(&proxy)];
    proxy.wait_for("cluster.up.upstream_rq_active", 2).await;
    proxy.stats().expect(&[
        ("cluster.up.circuit_breakers.default.rq_open", 1),
        ("cluster.up.circuit_breakers.default.remaining_rq", 0),
    ]);
    assert_eq!(get(&proxy).await.unwrap(), (503, OVERFLOW.to_owned(), true));
    proxy.log_line(1).await.expect(&[("code", "503"), ("flags", "UO")]);
    held.release.send(true).unwrap();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().0, 200);
    }
    proxy.stats().expect(&[
        ("cluster.up.upstream_rq_active_overflow", 1),
        ("cluster.up.circuit_breakers.default.rq_open", 0),
        ("cluster.up.circuit_breakers.default.remaining_rq", 2),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_gives_up_while_pending_makes_room() {
    let held = Held::new(Version::Http1);
    let proxy = held.proxy(Version::Http1, "max_connections: 1, max_pending_requests: 1").await;
    let first = get(&proxy);
    proxy.wait_for("cluster.up.upstream_rq_active", 1).await;
    let mut second = nuncio_testkit::Wire::connect(proxy.address()).await;
    second.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    proxy.wait_for("cluster.up.upstream_rq_pending_active", 1).await;
    second.reset();
    proxy.wait_for("cluster.up.upstream_rq_pending_active", 0).await;
    proxy.log_line(1).await.expect(&[("code", "0"), ("flags", "DC")]);
    let third = get(&proxy);
    proxy.wait_for("cluster.up.upstream_rq_pending_active", 1).await;
    held.release.send(true).unwrap();
    assert_eq!((first.await.unwrap().0, third.await.unwrap().0), (200, 200));
    proxy.stop().await;
}
