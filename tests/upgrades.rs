//! Upgrades and CONNECT through the proxy, in every combination of protocols: what goes through a
//! tunnel, how it is counted, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, upgrade};
use hyper_util::rt::TokioIo;
use nuncio_testkit::{Client, Cluster, Config, MATRIX, Proxy, Upstream, Version, Wire, body, nobody, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

type Tunnel = TokioIo<upgrade::Upgraded>;

const BOTH: &str = "upgrade_configs: [{upgrade_type: websocket}, {upgrade_type: CONNECT}]";
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const CONNECT: &str = "CONNECT far:80 HTTP/1.1\r\nHost: far:80\r\n\r\n";

/// Agrees to every upgrade and CONNECT, and sends back what comes through the tunnel.
fn echo(version: Version) -> Upstream {
    Upstream::start(version, |mut request: Request<Incoming>| async move {
        let is_upgrade = request.headers().contains_key(header::UPGRADE);
        let tunnel = upgrade::on(&mut request);
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(tunnel.await.unwrap()));
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        });
        let mut response = Response::new(body::full(""));
        if is_upgrade {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        response
    })
}

fn config(version: Version, upstream: &Upstream) -> Config {
    Config::new()
        .cluster(Cluster::new("up").host(upstream.address()).version(version))
        .any_route("match: {connect_matcher: {}}, route: {cluster: up}")
        .any_route("match: {path: /first}, direct_response: {status: 200}")
        .route("/", "cluster: up")
        .manager(BOTH)
        .manager("http2_protocol_options: {allow_connect: true}")
}

/// Asks for a WebSocket, or with CONNECT for a connection.
async fn open(version: Version, client: &mut Client, websocket: bool) -> Tunnel {
    // By then an HTTP/2 client knows that the proxy takes extended CONNECT.
    client.get("/first").await;
    let mut request = match (websocket, version) {
        (true, Version::Http1) => client
            .request(Method::GET, "/ws")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .body(body::full(""))
            .unwrap(),
        (true, Version::Http2) => client.request(Method::CONNECT, "/ws").body(body::full("")).unwrap(),
        (false, _) => Request::connect("far:80").header("host", "far:80").body(body::full("")).unwrap(),
    };
    if websocket && version == Version::Http2 {
        request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    }
    let response = client.send(request).await;
    let agreed = if websocket && version == Version::Http1 { 101 } else { 200 };
    assert_eq!(response.status(), agreed);
    TokioIo::new(within("the tunnel", upgrade::on(response)).await.unwrap())
}

async fn hears(tunnel: &mut Tunnel, said: &[u8]) {
    tunnel.write_all(said).await.unwrap();
    let mut heard = vec![0; said.len()];
    within("the echo", tunnel.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard, said);
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_whatever_is_spoken_on_either_side() {
    for (down, up) in MATRIX {
        for websocket in [true, false] {
            let upstream = echo(up);
            let proxy = Proxy::start(&config(up, &upstream)).await;
            let mut client = Client::connect(down, proxy.address()).await;
            let mut tunnel = open(down, &mut client, websocket).await;
            hears(&mut tunnel, b"ping").await;
            hears(&mut tunnel, b"and again").await;
            proxy.wait_for("http.main.downstream_cx_upgrades_active", 1).await;
            drop(tunnel);
            drop(client);
            proxy.wait_for("http.main.downstream_cx_upgrades_active", 0).await;
            proxy.log_line(2).await.expect(&[
                ("method", if websocket { "GET" } else { "CONNECT" }),
                ("path", if websocket { "/ws" } else { "-" }),
                ("protocol", down.as_logged()),
                ("code", if websocket { "101" } else { "200" }),
                ("rx", "13"),
                ("tx", "13"),
                ("cluster", "up"),
                ("upstream_protocol", up.as_logged()),
            ]);
            proxy.stats().expect(&[
                ("http.main.downstream_cx_upgrades_total", 1),
                ("http.main.downstream_rq_ws_on_non_ws_route", 0),
                ("cluster.up.upstream_rq_101", u64::from(websocket)),
                ("cluster.up.upstream_rq_200", u64::from(!websocket)),
                ("cluster.up.upstream_rq_total", 1),
            ]);
            proxy.stop().await;
        }
    }
}

#[tokio::test]
async fn much_goes_through_while_nobody_holds_more_than_its_buffers() {
    const SIZE: usize = 4 << 20;
    for (down, up) in MATRIX {
        let upstream = echo(up);
        let proxy = Proxy::start(&config(up, &upstream).listener("per_connection_buffer_limit_bytes: 65536")).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let (mut read, mut write) = tokio::io::split(open(down, &mut client, true).await);
        let said: Vec<u8> = (0..SIZE).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let writing = async {
            for piece in said.chunks(100_000) {
                write.write_all(piece).await.unwrap();
            }
        };
        let mut heard = vec![0; SIZE];
        let reading = async { read.read_exact(&mut heard).await.unwrap() };
        within("all of it", async { tokio::join!(writing, reading) }).await;
        assert!(heard == said, "{down:?} {up:?}");
        drop((read, write, client));
        proxy.stop().await;
    }
}

#[tokio::test]
async fn what_is_not_enabled_is_refused_and_counted() {
    let upstream = echo(Version::Http1);
    let config = Config::forwarding_to(Version::Http1, upstream.address())
        .any_route("match: {connect_matcher: {}}, route: {cluster: up}");
    let proxy = Proxy::start(&config).await;
    for request in [UPGRADE, CONNECT] {
        let mut wire = Wire::connect(proxy.address()).await;
        wire.send(request).await;
        let answer = wire.response().await;
        assert_eq!((answer.status(), answer.header("connection")), (403, Some("close")));
    }
    proxy.log_line(2).await.expect(&[("details", "upgrade_failed"), ("cluster", "up"), ("attempts", "0")]);
    proxy.stats().expect(&[
        ("http.main.downstream_rq_ws_on_non_ws_route", 2),
        ("http.main.downstream_cx_upgrades_total", 0),
        ("cluster.up.upstream_rq_total", 0),
    ]);
    proxy.stop().await;
}

#[tokio::test]
async fn an_upstream_that_refuses_never_sees_what_was_meant_for_the_tunnel() {
    let upstream = Upstream::scripted(|mut wire| async move {
        wire.request().await;
        wire.send("HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno").await;
        assert_eq!(wire.read_to_end().await.0, b"");
    });
    let proxy = Proxy::start(&config(Version::Http1, &upstream)).await;
    for request in [UPGRADE, CONNECT] {
        let mut wire = Wire::connect(proxy.address()).await;
        wire.send(format!("{request}GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        let answer = wire.response().await;
        assert_eq!((answer.status(), answer.text().as_str()), (403, "no"));
        assert_eq!(answer.header("connection"), Some("close"));
        wire.expect_close().await;
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_tunnel_outlives_the_routes_timeout_but_not_its_idleness() {
    let upstream = echo(Version::Http1);
    let config = Config::new()
        .cluster(Cluster::new("up").host(upstream.address()))
        .route("/", "cluster: up, timeout: 0.1s, idle_timeout: 0.3s")
        .manager(BOTH);
    let proxy = Proxy::start(&config).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send(UPGRADE).await;
    assert_eq!(wire.head().await.status(), 101);
    wire.send("ping").await;
    assert_eq!(wire.read_exactly(4).await, b"ping");
    wire.expect_close().await;
    let line = [("code", "101"), ("flags", "SI"), ("details", "stream_idle_timeout"), ("rx", "4"), ("tx", "4")];
    proxy.log_line(1).await.expect(&line);
    proxy.stats().expect(&[("http.main.downstream_rq_idle_timeout", 1)]);
    proxy.stop().await;
}

#[tokio::test]
async fn connect_ends_here_where_the_route_says_so() {
    // A server that speaks first, and hears who the client is.
    let upstream = Upstream::scripted(|mut wire| async move {
        wire.send("220 hello\r\n").await;
        let preamble = wire.read_until(b"\r\n").await;
        wire.send(preamble).await;
        let said = wire.read_exactly(4).await;
        wire.send(said).await;
    });
    for settings in ["", "proxy_protocol_config: {version: V1}"] {
        let config = Config::new().cluster(Cluster::new("up").host(upstream.address())).any_route(&format!(
            "match: {{connect_matcher: {{}}}}, route: {{cluster: up, \
                 upgrade_configs: [{{upgrade_type: CONNECT, connect_config: {{{settings}}}}}]}}"
        ));
        let proxy = Proxy::start(&config).await;
        let mut wire = Wire::connect(proxy.address()).await;
        wire.send(CONNECT).await;
        assert_eq!(wire.head().await.status(), 200);
        assert_eq!(wire.read_exactly(11).await, b"220 hello\r\n");
        let (client, own) = (wire.local_address().port(), proxy.address().port());
        let line = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {client} {own}\r\n");
        if settings.is_empty() {
            wire.send(&line).await;
        }
        assert_eq!(String::from_utf8(wire.read_exactly(line.len()).await).unwrap(), line);
        wire.send("ping").await;
        let (rest, _) = wire.read_to_end().await;
        assert_eq!(rest, b"ping");
        proxy.log_line(1).await.expect(&[("code", "200"), ("flags", "-"), ("details", "via_upstream")]);
        proxy.stats().expect(&[("cluster.up.upstream_cx_total", 1), ("cluster.up.upstream_cx_http1_total", 0)]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_told_in_place_of_the_tunnel() {
    let config = Config::new()
        .cluster(Cluster::new("up").host(nobody()))
        .any_route("match: {connect_matcher: {}}, route: {cluster: up}")
        .manager(BOTH);
    let proxy = Proxy::start(&config).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send(CONNECT).await;
    assert_eq!(wire.response().await.status(), 503);
    proxy.log_line(1).await.expect(&[("flags", "UF"), ("attempts", "1")]);
    proxy.stop().await;
}

#[tokio::test]
async fn an_open_tunnel_counts_against_the_circuit_breaker() {
    let upstream = echo(Version::Http1);
    let config = Config::new()
        .cluster(
            Cluster::new("up").host(upstream.address()).with("circuit_breakers: {thresholds: [{max_requests: 1}]}"),
        )
        .route("/", "cluster: up")
        .manager(BOTH);
    let proxy = Proxy::start(&config).await;
    let mut first = Wire::connect(proxy.address()).await;
    first.send(UPGRADE).await;
    assert_eq!(first.head().await.status(), 101);
    let mut second = Wire::connect(proxy.address()).await;
    second.send(UPGRADE).await;
    assert_eq!(second.response().await.status(), 503);
    first.half_close().await;
    proxy.wait_for("http.main.downstream_cx_upgrades_active", 0).await;
    let mut third = Wire::connect(proxy.address()).await;
    third.send(UPGRADE).await;
    assert_eq!(third.head().await.status(), 101);
    drop((first, second, third));
    proxy.stop().await;
}

#[tokio::test]
async fn a_drain_lets_tunnels_go_on_until_their_ends() {
    for (down, up) in MATRIX {
        let upstream = echo(up);
        let proxy = Proxy::start(&config(up, &upstream)).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let mut tunnel = open(down, &mut client, true).await;
        hears(&mut tunnel, b"ping").await;
        proxy.drain();
        hears(&mut tunnel, b"still there").await;
        drop(tunnel);
        drop(client);
        proxy.wait_for("http.main.downstream_cx_active", 0).await;
        proxy.stop().await;
    }
}

#[tokio::test]
async fn the_last_words_of_a_tunnel_arrive_before_its_cut() {
    let upstream = Upstream::scripted(|mut wire| async move {
        wire.request().await;
        wire.send("HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
        wire.read_exactly(4).await;
        wire.send("bye").await;
    });
    // Twice through a proxy, with HTTP/2 between: the second cuts a stream, the first sees it cut.
    let second = Proxy::start(&config(Version::Http1, &upstream)).await;
    let first = Config::new()
        .cluster(Cluster::new("up").host(second.address()).version(Version::Http2))
        .route("/", "cluster: up")
        .manager(BOTH);
    let first = Proxy::start(&first).await;
    for _ in 0..20 {
        let mut wire = Wire::connect(first.address()).await;
        wire.send(UPGRADE).await;
        assert_eq!(wire.head().await.status(), 101);
        wire.send("ping").await;
        assert_eq!(wire.read_to_end().await.0, b"bye");
    }
    second.log_line(1).await.expect(&[("flags", "UC"), ("code", "101"), ("tx", "3")]);
    first.log_line(1).await.expect(&[("flags", "UR"), ("code", "101"), ("tx", "3")]);
    first.stop().await;
    second.stop().await;
}
