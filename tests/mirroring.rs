//! Mirrored requests: what reaches the mirror, and that nothing of it reaches the client.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt as _;
use nuncio_testkit::{Client, Cluster, Config, MATRIX, Proxy, Upstream, Version, Wire, body, nobody, until, within};
use tokio::sync::watch;

type Whole = (Bytes, Option<HeaderMap>);

/// An upstream that keeps what it is sent.
struct Keeper {
    upstream: Upstream,
    kept: Arc<Mutex<Vec<Whole>>>,
}

impl Keeper {
    fn start(version: Version) -> Self {
        let kept = Arc::<Mutex<Vec<_>>>::default();
        let keep = Arc::clone(&kept);
        let upstream = Upstream::start(version, move |request| {
            let keep = Arc::clone(&keep);
            async move {
                let Ok(whole) = request.into_body().collect().await else { return Response::new(body::empty()) };
                let trailers = whole.trailers().cloned();
                keep.lock().unwrap().push((whole.to_bytes(), trailers));
                Response::new(body::full("nobody reads this"))
            }
        });
        Self { upstream, kept }
    }

    /// The first request that came completely.
    async fn whole(&self) -> Whole {
        until("a whole request at the mirror", || self.kept.lock().unwrap().first().cloned().ok_or("none")).await
    }
}

/// A mirror that takes requests and never answers.
fn silent() -> Upstream {
    Upstream::scripted(|mut wire| async move { drop(wire.read_to_end().await) })
}

/// A mirror that does not even read; it ends with the test.
fn deaf() -> Upstream {
    Upstream::scripted(|wire| async move {
        let _open = wire;
        std::future::pending::<()>().await;
    })
}

/// Everything to `up`, and again to `mirror`.
fn mirrored(up: &Upstream, mirror: Cluster) -> Config {
    mirrored_with(up, mirror, "timeout: 15s")
}

fn mirrored_with(up: &Upstream, mirror: Cluster, fields: &str) -> Config {
    Config::new()
        .cluster(Cluster::new("up").host(up.address()))
        .cluster(mirror)
        .route("/", &format!("cluster: up, {fields}, request_mirror_policies: [{{cluster: mirror}}]"))
}

fn to(mirror: &Upstream) -> Cluster {
    Cluster::new("mirror").host(mirror.address())
}

#[tokio::test]
async fn the_mirror_gets_the_request_and_the_client_its_own_answer() {
    for (down, version) in MATRIX {
        let up = Upstream::echo(Version::Http1);
        let mirror = Keeper::start(version);
        let proxy = Proxy::start(&mirrored(&up, to(&mirror.upstream).version(version))).await;
        let mut client = Client::connect(down, proxy.address()).await;
        assert_eq!(client.post("/a?b", "something").await.text(), "something");
        assert_eq!(mirror.whole().await.0, "something", "{down:?} {version:?}");
        let seen = mirror.upstream.last();
        assert_eq!((seen.path.as_str(), seen.host.as_str()), ("/a?b", "test-shadow"));
        assert_eq!(seen.header("x-envoy-internal"), Some("true"));
        proxy.wait_for("cluster.mirror.upstream_rq_active", 0).await;
        proxy.stats().expect(&[
            ("cluster.mirror.upstream_rq_200", 1),
            ("cluster.mirror.internal.upstream_rq_2xx", 1),
            ("cluster.mirror.external.upstream_rq_2xx", 0),
            ("cluster.mirror.upstream_rq_total", 1),
            ("cluster.up.upstream_rq_total", 1),
            ("http.main.rq_total", 1),
        ]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_second_request_goes_over_the_same_connection_to_the_mirror() {
    for version in [Version::Http1, Version::Http2] {
        let up = Upstream::answering(Version::Http1, "ok");
        let mirror = Keeper::start(version);
        let proxy = Proxy::start(&mirrored(&up, to(&mirror.upstream).version(version))).await;
        let mut client = Client::connect(Version::Http1, proxy.address()).await;
        for count in 1..=3 {
            client.get("/").await;
            proxy.wait_for("cluster.mirror.upstream_rq_200", count).await;
            proxy.wait_for("cluster.mirror.upstream_rq_active", 0).await;
        }
        assert_eq!(mirror.upstream.connections(), 1, "{version:?}");
        proxy.stop().await;
    }
}

#[tokio::test]
async fn big_bodies_and_trailers_reach_the_mirror_whole() {
    let sent = body::pattern(5 << 20);
    for (down, version) in MATRIX {
        let up = Keeper::start(Version::Http2);
        let mirror = Keeper::start(version);
        // No mirror lags behind as far as this.
        let config = Config::new()
            .cluster(Cluster::new("up").host(up.upstream.address()).version(Version::Http2))
            .cluster(to(&mirror.upstream).version(version).protocol(match version {
                Version::Http1 => "enable_trailers: true",
                Version::Http2 => "",
            }))
            .listener("per_connection_buffer_limit_bytes: 8000000")
            .manager("http_protocol_options: {enable_trailers: true}")
            .route("/", "cluster: up, request_mirror_policies: [{cluster: mirror}]");
        let proxy = Proxy::start(&config).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let (feed, fed) = body::fed();
        let request = client.request(Method::POST, "/").header("trailer", "x-sum").body(fed).unwrap();
        let pieces = sent.clone();
        let upload = tokio::spawn(async move {
            for piece in pieces.chunks(300_000) {
                assert!(feed.data(Bytes::copy_from_slice(piece)).await);
            }
            feed.trailers(body::fields(&[("x-sum", "42")])).await;
        });
        assert_eq!(client.exchange(request).await.status, 200);
        upload.await.unwrap();
        let (body, trailers) = mirror.whole().await;
        assert!(body == sent, "{down:?} {version:?}: {} bytes came", body.len());
        assert_eq!(trailers.unwrap()["x-sum"], "42", "{down:?} {version:?}");
        proxy.stats().expect(&[("cluster.up.retry_or_shadow_abandoned", 0)]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_mirror_that_does_not_answer_is_not_waited_for() {
    for down in [Version::Http1, Version::Http2] {
        let (up, mirror) = (Upstream::answering(Version::Http1, "at once"), silent());
        let proxy = Proxy::start(&mirrored(&up, to(&mirror))).await;
        let mut client = Client::connect(down, proxy.address()).await;
        for _ in 0..3 {
            assert_eq!(client.get("/").await.text(), "at once");
        }
        proxy.wait_for("cluster.mirror.upstream_rq_active", 3).await;
        // Nor when the process ends: what still runs is cut.
        proxy.stop().await;
    }
}

#[tokio::test]
async fn the_routes_timeout_ends_a_mirror_that_does_not_answer() {
    let (up, mirror) = (Upstream::answering(Version::Http1, "at once"), silent());
    let proxy = Proxy::start(&mirrored_with(&up, to(&mirror), "timeout: 0.05s")).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(client.post("/", "abc").await.status, 200);
    proxy.wait_for("cluster.mirror.upstream_rq_504", 2).await;
    proxy.wait_for("cluster.mirror.upstream_rq_active", 0).await;
    proxy.stats().expect(&[("cluster.mirror.upstream_rq_timeout", 2), ("cluster.up.upstream_rq_timeout", 0)]);
    proxy.stop().await;
}

#[tokio::test]
async fn max_stream_duration_of_its_cluster_ends_a_mirror() {
    let (up, mirror) = (Upstream::answering(Version::Http1, "at once"), silent());
    let proxy = Proxy::start(&mirrored(&up, to(&mirror).common("max_stream_duration: 0.05s"))).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    assert_eq!(client.get("/").await.status, 200);
    proxy.wait_for("cluster.mirror.upstream_rq_max_duration_reached", 1).await;
    proxy.wait_for("cluster.mirror.upstream_rq_active", 0).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_mirror_that_is_not_there_changes_nothing() {
    let up = Upstream::echo(Version::Http1);
    let proxy = Proxy::start(&mirrored(&up, Cluster::new("mirror").host(nobody()))).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(client.post("/", "abc").await.text(), "abc");
    proxy.wait_for("cluster.mirror.upstream_rq_503", 2).await;
    proxy.stats().expect(&[("cluster.mirror.upstream_cx_connect_fail", 2), ("http.main.downstream_rq_2xx", 2)]);
    proxy.stop().await;
}

#[tokio::test]
async fn mirrors_answer_to_the_breakers_of_their_cluster() {
    let (up, mirror) = (Upstream::answering(Version::Http1, "ok"), silent());
    let limits = "circuit_breakers: {thresholds: [{max_connections: 1, max_pending_requests: 1}]}";
    let proxy = Proxy::start(&mirrored(&up, to(&mirror).with(limits))).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    for _ in 0..5 {
        assert_eq!(client.get("/").await.status, 200);
    }
    // One has the connection, one waits for it.
    proxy.wait_for("cluster.mirror.upstream_rq_503", 3).await;
    proxy.stats().expect(&[
        ("cluster.mirror.upstream_rq_pending_overflow", 3),
        ("cluster.mirror.upstream_rq_active", 1),
        ("cluster.mirror.upstream_rq_pending_active", 1),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_mirror_that_lags_behind_too_far_is_cut_and_the_primary_gets_all() {
    for version in [Version::Http1, Version::Http2] {
        let (up, mirror) = (Keeper::start(Version::Http1), deaf());
        let config = mirrored(&up.upstream, to(&mirror)).listener("per_connection_buffer_limit_bytes: 100000");
        let proxy = Proxy::start(&config).await;
        let mut client = Client::connect(version, proxy.address()).await;
        // More than all socket buffers on the way take.
        let sent = body::pattern(16 << 20);
        assert_eq!(client.post("/", sent.clone()).await.status, 200);
        assert!(up.whole().await.0 == sent);
        proxy.wait_for("cluster.mirror.upstream_rq_active", 0).await;
        proxy
            .stats()
            .expect(&[("cluster.up.retry_or_shadow_abandoned", 1), ("cluster.mirror.upstream_rq_completed", 0)]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_mirror_goes_when_the_client_goes_before_its_request_is_complete() {
    let (up, mirror) = (silent(), silent());
    let proxy = Proxy::start(&mirrored(&up, to(&mirror))).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf").await;
    proxy.wait_for("cluster.mirror.upstream_rq_active", 1).await;
    drop(wire);
    proxy.wait_for("cluster.mirror.upstream_rq_active", 0).await;
    proxy.stats().expect(&[("cluster.mirror.upstream_rq_completed", 0), ("cluster.up.upstream_rq_active", 0)]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_mirror_stays_when_the_client_goes_after_its_request_was_complete() {
    let (release, released) = watch::channel(false);
    let mirror = Upstream::start(Version::Http1, move |_| {
        let mut released = released.clone();
        async move {
            released.wait_for(|released| *released).await.unwrap();
            Response::new(body::full("late"))
        }
    });
    let up = silent();
    let proxy = Proxy::start(&mirrored(&up, to(&mirror))).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nwhole").await;
    mirror.wait_for_requests(1).await;
    drop(wire);
    proxy.wait_for("cluster.up.upstream_rq_active", 0).await;
    proxy.stats().expect(&[("cluster.mirror.upstream_rq_active", 1)]);
    release.send(true).unwrap();
    proxy.wait_for("cluster.mirror.upstream_rq_200", 1).await;
    proxy.wait_for("cluster.mirror.upstream_rq_active", 0).await;
    proxy.stop().await;
}

#[tokio::test]
async fn an_answer_to_half_a_request_ends_the_mirror() {
    let (release, released) = watch::channel(false);
    let up = Upstream::scripted(move |mut wire| {
        let mut released = released.clone();
        async move {
            wire.head().await;
            released.wait_for(|released| *released).await.unwrap();
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly").await;
            drop(wire.read_to_end().await);
        }
    });
    let mirror = silent();
    let proxy = Proxy::start(&mirrored(&up, to(&mirror))).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf").await;
    proxy.wait_for("cluster.mirror.upstream_rq_active", 1).await;
    release.send(true).unwrap();
    assert_eq!(wire.response().await.text(), "early");
    proxy.wait_for("cluster.mirror.upstream_rq_active", 0).await;
    proxy.stats().expect(&[("cluster.mirror.upstream_rq_completed", 0)]);
    proxy.stop().await;
}

#[tokio::test]
async fn draining_does_not_wait_for_mirrors() {
    let (up, mirror) = (Upstream::answering(Version::Http1, "ok"), silent());
    let proxy = Proxy::start(&mirrored_with(&up, to(&mirror), "timeout: 0s")).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    client.get("/").await;
    proxy.wait_for("cluster.mirror.upstream_rq_active", 1).await;
    proxy.drain();
    client.closed().await;
    proxy.wait_for("http.main.downstream_cx_active", 0).await;
    proxy.stop().await;
}

#[tokio::test]
async fn the_mirror_of_an_upgrade_gets_what_the_client_sends() {
    const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let (heard, mut hears) = watch::channel(false);
    let up = Upstream::scripted(|mut wire| async move {
        wire.head().await;
        wire.send(AGREED).await;
        wire.read_exactly(5).await;
        wire.send("world").await;
        drop(wire.read_to_end().await);
    });
    let mirror = Upstream::scripted(move |mut wire| {
        let heard = heard.clone();
        async move {
            wire.head().await;
            wire.send(AGREED).await;
            assert_eq!(wire.read_exactly(5).await, b"hello");
            heard.send(true).unwrap();
            wire.send("nobody reads this").await;
            drop(wire.read_to_end().await);
        }
    });
    let config = mirrored(&up, to(&mirror)).manager("upgrade_configs: [{upgrade_type: websocket}]");
    let proxy = Proxy::start(&config).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
    assert_eq!(wire.head().await.status(), 101);
    wire.send("hello").await;
    assert_eq!(wire.read_exactly(5).await, b"world");
    within("the mirror", hears.wait_for(|heard| *heard)).await.unwrap();
    drop(wire);
    proxy.wait_for("cluster.mirror.upstream_rq_active", 0).await;
    proxy.stop().await;
}

#[tokio::test]
async fn clusters_that_mirror_to_each_other_come_to_an_end() {
    let (up, mirror) = (Upstream::answering(Version::Http1, "ok"), Upstream::answering(Version::Http1, "ok"));
    let options = |to: &str| {
        let kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        format!(
            "typed_extension_protocol_options: {{{kind}: {{\"@type\": type.googleapis.com/{kind}, \
             explicit_http_config: {{http_protocol_options: {{}}}}, request_mirror_policies: [{{cluster: {to}}}]}}}}"
        )
    };
    let there =
        |name: &str, upstream: &Upstream, to: &str| Cluster::new(name).host(upstream.address()).with(&options(to));
    let config = Config::new()
        .cluster(there("up", &up, "mirror"))
        .cluster(there("mirror", &mirror, "up"))
        .route("/", "cluster: up");
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    assert_eq!(client.get("/").await.text(), "ok");
    proxy.wait_for("cluster.mirror.upstream_rq_200", 2).await;
    proxy.wait_for("cluster.up.upstream_rq_200", 2).await;
    let mut hosts: Vec<_> = mirror.requests().into_iter().map(|seen| seen.host).collect();
    hosts.sort();
    assert_eq!(hosts, ["test-shadow", "test-shadow-shadow-shadow"]);
    proxy.stop().await;
}
