//! A cluster on one worker with everything around it, for tests of this crate.

use std::{future::poll_fn, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use nuncio_api::{Frame, Headers, Protocol, RequestHead, ResponseHead, Scheme, Timers};
use nuncio_config::model::{
    Address,
    cluster::{
        Breakers, Cluster as Settings, Discovery, Dns, DnsFamily, DnsServers, Endpoint, EndpointHealth, HappyEyeballs,
        LbPolicy, LocalityBalancing, LocalityEndpoints, UpstreamProtocol, ZoneAware,
    },
    hcm::{CommonOptions, Http1Options, Http2Options, Underscores},
};
use nuncio_http::{ClientExchange, Exchange, ServerExchange, StreamError, h2};
use nuncio_net::Stream;
use nuncio_stats::{Counter, Gauge, Store};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    Acquire, AcquireOptions, Cluster, ClusterManager, ClusterSource, Host, HostStat, LbContext, PoolProtocol,
    UpstreamStream,
};

/// Runs `test` on a local set with a real clock.
pub(crate) fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// Runs `test` on a local set with a paused clock.
pub(crate) fn paused(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

pub(crate) fn endpoint(address: Address) -> Endpoint {
    Endpoint {
        address,
        additional_addresses: Vec::new(),
        hostname: String::new(),
        weight: 1,
        health: EndpointHealth::Healthy,
        canary: false,
        metadata: Arc::default(),
    }
}

/// A cluster of `endpoints` with Envoy's defaults.
pub(crate) fn settings(endpoints: Vec<Endpoint>) -> Settings {
    Settings {
        name: "c".into(),
        tracked: nuncio_config::model::cluster::TrackClusterStats::default(),
        stat_name: "c".into(),
        discovery: Discovery::Static,
        connect_timeout: Duration::from_secs(5),
        per_connection_buffer_limit: 1 << 20,
        lb: LbPolicy::RoundRobin,
        localities: LocalityBalancing::ZoneAware(ZoneAware::default()),
        slow_start: None,
        close_connections_on_host_set_change: false,
        healthy_panic_threshold: 50.0,
        endpoints: vec![LocalityEndpoints { endpoints, ..LocalityEndpoints::default() }],
        breakers_default: Breakers::default(),
        breakers_high: Breakers::default(),
        protocol: UpstreamProtocol::Http1,
        common: CommonOptions {
            idle_timeout: Some(Duration::from_secs(3600)),
            max_connection_duration: None,
            max_connection_duration_jitter: 0.0,
            max_headers_count: 100,
            max_response_headers: None,
            max_stream_duration: None,
            underscores: Underscores::Allow,
            max_requests_per_connection: 0,
        },
        http1: Http1Options {
            allow_absolute_url: true,
            accept_http_10: false,
            default_host_for_http_10: String::new(),
            header_key_format: Default::default(),
            enable_trailers: false,
            allow_chunked_length: false,
            allow_custom_methods: false,
            stream_error_on_invalid_http_message: false,
            ignored_upgrades: Vec::new(),
            send_fully_qualified_url: false,
        },
        http2: http2_options(),
        mirrors: Arc::default(),
        dns: Dns {
            refresh_rate: Duration::from_secs(5),
            failure_refresh: (Duration::from_secs(5), Duration::from_secs(5)),
            respect_ttl: false,
            min_refresh: Duration::ZERO,
            jitter: Duration::ZERO,
            family: DnsFamily::Auto,
            resolver: DnsServers::default(),
        },
        bind_address: None,
        freebind: false,
        socket_options: Vec::new(),
        tcp_keepalive: None,
        happy_eyeballs: HappyEyeballs::default(),
        drop_overload_percent: 0.0,
        metadata: std::sync::Arc::default(),
        overprovisioning_factor: 140,
        weighted_priority_health: false,
        wire: Arc::from([]),
        added_via_api: false,
    }
}

fn http2_options() -> Http2Options {
    Http2Options {
        hpack_table_size: 4096,
        max_concurrent_streams: 1024,
        initial_stream_window: 1 << 20,
        initial_connection_window: 1 << 20,
        allow_connect: false,
        max_outbound_frames: 10_000,
        max_outbound_control_frames: 1000,
        max_consecutive_empty_frames: 1,
        max_priority_frames_per_stream: 100,
        max_window_updates_per_data_frame: 10,
        stream_error_on_invalid_http_message: false,
        keepalive: None,
    }
}

/// One worker with one cluster named `c`.
pub(crate) struct World {
    pub(crate) source: Rc<ClusterSource>,
    pub(crate) manager: ClusterManager,
}

impl World {
    /// Must run inside [`local`] or [`paused`].
    pub(crate) fn new(settings: Settings) -> Self {
        let store = Store::new(2);
        let timers = Timers::new();
        tokio::task::spawn_local(timers.clone().run());
        let source = ClusterSource::new(Arc::new(settings), Arc::clone(&store));
        let manager = ClusterManager::seeded(1, Arc::clone(&store), timers, 7);
        manager.add_or_update(Arc::clone(source.settings()), source.hosts());
        Self { source, manager }
    }

    /// One host at `address`, changed by `change`.
    pub(crate) fn with_host(address: SocketAddr, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings(vec![endpoint(Address::Ip(address))]);
        change(&mut settings);
        Self::new(settings)
    }

    /// Another worker for the same cluster.
    pub(crate) fn second_worker(&self) -> ClusterManager {
        let timers = Timers::new();
        tokio::task::spawn_local(timers.clone().run());
        let manager = ClusterManager::seeded(2, Store::new(2), timers, 8);
        manager.add_or_update(Arc::clone(self.source.settings()), self.source.hosts());
        manager
    }

    pub(crate) fn cluster(&self) -> Rc<Cluster> {
        self.manager.cluster("c").unwrap()
    }

    pub(crate) fn host(&self) -> Rc<Host> {
        self.cluster().choose_host(&LbContext::default()).unwrap()
    }

    pub(crate) fn acquire(&self, protocol: PoolProtocol) -> Acquire {
        self.cluster().acquire(&self.host(), AcquireOptions { protocol, high_priority: false })
    }

    pub(crate) fn counter(&self, counter: Counter) -> u64 {
        self.source.hosts().shared().group().counter(counter)
    }

    pub(crate) fn gauge(&self, gauge: Gauge) -> u64 {
        self.source.hosts().shared().group().gauge(gauge)
    }

    /// A number of the only host.
    pub(crate) fn host_stat(&self, stat: HostStat) -> u64 {
        self.source.hosts().hosts().next().unwrap().description.stat(stat)
    }
}

pub(crate) fn request(path: &str) -> RequestHead {
    RequestHead {
        method: http::Method::GET,
        scheme: Scheme::Http,
        authority: "host".into(),
        path: path.into(),
        protocol: Protocol::Http11,
        upgrade: None,
        headers: Headers::new(),
    }
}

/// Sends a GET and reads the whole response: status and body.
pub(crate) async fn exchange(stream: &mut UpstreamStream, path: &str) -> Result<(u16, Vec<u8>), StreamError> {
    stream.send_head(&request(path), true);
    poll_fn(|cx| stream.poll_flush(cx)).await?;
    let (head, mut end) = poll_fn(|cx| stream.poll_head(cx)).await?;
    let mut body = Vec::new();
    while !end {
        match poll_fn(|cx| stream.poll_frame(cx)).await? {
            Frame::Data { data, end: last } => {
                body.extend_from_slice(&data);
                end = last;
            }
            Frame::Trailers(_) => end = true,
        }
    }
    Ok((head.status.as_u16(), body))
}

/// Lets `duration` pass at once.
pub(crate) async fn skip(duration: Duration) {
    tokio::time::pause();
    tokio::time::advance(duration).await;
    tokio::time::resume();
}

/// Lets other tasks run until `condition` holds; the deadline is on the wall clock, which `skip`
/// does not move.
#[track_caller]
pub(crate) fn until(mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let (caller, started) = (std::panic::Location::caller(), std::time::Instant::now());
    async move {
        while !condition() {
            assert!(started.elapsed() < Duration::from_secs(20), "still waiting at {caller}");
            tokio::task::yield_now().await;
        }
    }
}

/// A listener on a free port.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Answers every request on every connection with 200 and the request's path.
pub(crate) async fn echo(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::task::spawn_local(async move {
            let mut stream = stream;
            while let Some(path) = read_request(&mut stream).await {
                if respond(&mut stream, &path, "").await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Reads one request without a body; its path.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).unwrap();
    text.split(' ').nth(1).map(str::to_owned)
}

pub(crate) async fn respond(stream: &mut TcpStream, body: &str, headers: &str) -> std::io::Result<()> {
    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len());
    stream.write_all(response.as_bytes()).await
}

/// An HTTP/2 host that answers every request with 200 and its path, on every connection; after
/// `goaway_after` requests it says GOAWAY.
pub(crate) async fn echo_http2(listener: TcpListener, max_streams: u32, goaway_after: Option<u32>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::task::spawn_local(async move {
            let options = h2::ServerOptions { max_concurrent_streams: max_streams, ..h2::ServerOptions::default() };
            let mut connection = h2::serve(Stream::Tcp(stream), Bytes::new(), &options, Rc::default());
            let mut served = 0;
            while let Some(Ok((head, _, mut stream))) = poll_fn(|cx| connection.poll_accept(cx)).await {
                served += 1;
                if Some(served) == goaway_after {
                    connection.graceful_shutdown();
                }
                stream.send_head(&ResponseHead::new(http::StatusCode::OK), false);
                stream.send_data(head.path.to_bytes(), true);
                tokio::task::spawn_local(async move { poll_fn(|cx| stream.poll_flush(cx)).await });
            }
        });
    }
}
