//! Clusters whose hosts are found by name: from the resolver of the system and from a name server
//! that changes its mind.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use nuncio_testkit::{Client, Cluster, Config, Proxy, Upstream, Version, until};

#[tokio::test]
async fn a_strict_dns_cluster_forwards_to_localhost() {
    for down in [Version::Http1, Version::Http2] {
        let upstream = Upstream::answering(Version::Http1, "found");
        let cluster = Cluster::new("up")
            .named_host("localhost", upstream.address().port())
            .with("type: STRICT_DNS")
            .with("dns_lookup_family: V4_ONLY");
        let proxy = Proxy::start(&Config::new().cluster(cluster).route("/", "cluster: up")).await;
        let mut client = Client::connect(down, proxy.address()).await;
        assert_eq!(client.get("/").await.text(), "found");
        proxy.log_line(1).await.expect(&[("code", "200"), ("host", &upstream.address().to_string())]);
        proxy.stats().expect(&[
            ("cluster.up.membership_total", 1),
            ("cluster.up.membership_healthy", 1),
            ("cluster.up.update_attempt", 1),
            ("cluster.up.update_success", 1),
        ]);
        proxy.stop().await;
    }
}

/// A name server for one zone, answering every A question with the same addresses; `None` stands
/// for a server that cannot answer.
struct NameServer {
    address: SocketAddr,
    answers: Arc<Mutex<Option<Vec<Ipv4Addr>>>>,
    socket: UdpSocket,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    fn start(answers: &[Ipv4Addr]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let answers = Arc::new(Mutex::new(Some(answers.to_vec())));
        let (serving, given) = (socket.try_clone().unwrap(), Arc::clone(&answers));
        let thread = std::thread::spawn(move || serve(&serving, &given));
        Self { address: socket.local_addr().unwrap(), answers, socket, thread: Some(thread) }
    }

    fn answer(&self, answers: &[Ipv4Addr]) {
        *self.answers.lock().unwrap() = Some(answers.to_vec());
    }

    fn fail(&self) {
        *self.answers.lock().unwrap() = None;
    }

    fn cluster(&self, port: u16) -> Cluster {
        let server = self.address.port();
        Cluster::new("up")
            .named_host("hosts.test", port)
            .with("type: STRICT_DNS")
            .with("dns_lookup_family: V4_ONLY")
            .with("dns_refresh_rate: 0.05s")
            .with(&format!(
                "typed_dns_resolver_config: {{name: envoy.network.dns_resolver.cares, typed_config: \
                 {{\"@type\": type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig, \
                 resolvers: [{{socket_address: {{address: 127.0.0.1, port_value: {server}}}}}]}}}}"
            ))
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        // Nothing is shorter than a header: it tells the thread to end.
        self.socket.send_to(&[], self.address).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(socket: &UdpSocket, answers: &Mutex<Option<Vec<Ipv4Addr>>>) {
    let mut packet = [0; 512];
    loop {
        let (length, peer) = socket.recv_from(&mut packet).unwrap();
        if length == 0 {
            return;
        }
        let answers = answers.lock().unwrap().clone();
        let _ = socket.send_to(&answer(&packet[..length], answers.as_deref()), peer);
    }
}

/// A response (RFC 1035 section 4.1): header, the question again, one A record per address.
fn answer(query: &[u8], addresses: Option<&[Ipv4Addr]>) -> Vec<u8> {
    const HEADER: usize = 12;
    const SERVER_FAILURE: u8 = 2;
    let code = if addresses.is_some() { 0 } else { SERVER_FAILURE };
    let addresses = addresses.unwrap_or_default();
    let name = query[HEADER..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let question = &query[HEADER..HEADER + name + 4];
    let count = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    let mut out = query[..2].to_vec();
    out.extend([0x81, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0]);
    out.extend_from_slice(question);
    for address in addresses {
        // The name by reference, type A, class IN, a TTL of one second, four bytes.
        out.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        out.extend(address.octets());
    }
    out
}

#[tokio::test]
async fn hosts_come_and_go_with_the_answers() {
    let upstream = Upstream::answering(Version::Http1, "found");
    let server = NameServer::start(&[Ipv4Addr::new(127, 0, 0, 1)]);
    let config = Config::new().cluster(server.cluster(upstream.address().port())).route("/", "cluster: up");
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    assert_eq!(client.get("/").await.text(), "found");
    server.answer(&[Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)]);
    proxy.wait_for("cluster.up.membership_total", 2).await;
    server.answer(&[]);
    proxy.wait_for("cluster.up.membership_total", 0).await;
    assert_eq!(client.get("/").await.status, 503);
    proxy.log_line(2).await.expect(&[("flags", "UH")]);
    server.answer(&[Ipv4Addr::new(127, 0, 0, 1)]);
    proxy.wait_for("cluster.up.membership_total", 1).await;
    assert_eq!(client.get("/").await.text(), "found");
    assert!(proxy.stats().get("cluster.up.update_success") >= 4);
    proxy.stop().await;
}

#[tokio::test]
async fn a_name_server_that_fails_leaves_the_hosts_as_they_were() {
    let upstream = Upstream::answering(Version::Http1, "found");
    let server = NameServer::start(&[Ipv4Addr::new(127, 0, 0, 1)]);
    let config = Config::new().cluster(server.cluster(upstream.address().port())).route("/", "cluster: up");
    let proxy = Proxy::start(&config).await;
    server.fail();
    until("a refresh that fails", || match proxy.stats().or_zero("cluster.up.update_failure") {
        0 => Err("none failed yet"),
        _ => Ok(()),
    })
    .await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    assert_eq!(client.get("/").await.text(), "found");
    proxy.stats().expect(&[("cluster.up.membership_total", 1)]);
    proxy.stop().await;
}
