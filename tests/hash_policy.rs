//! Requests that belong together reach one host: what is hashed, what a made-up cookie says, and
//! that the next request keeps to it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use std::collections::BTreeSet;

use http::Method;
use nuncio_testkit::{Answer, Client, Cluster, Config, MATRIX, Proxy, Upstream, Version, body};

const HOSTS: [&str; 5] = ["host0", "host1", "host2", "host3", "host4"];

/// Five hosts, each of which answers with its name.
struct Scene {
    proxy: Proxy,
    _upstreams: Vec<Upstream>,
}

impl Scene {
    async fn start(up: Version, lb: &str, action: &str) -> Self {
        let upstreams: Vec<Upstream> = HOSTS.iter().map(|name| Upstream::answering(up, name)).collect();
        let cluster = Cluster::new("up").version(up).with(&format!("lb_policy: {lb}"));
        let cluster = upstreams.iter().fold(cluster, |cluster, upstream| cluster.host(upstream.address()));
        let config = Config::new().cluster(cluster).route("/", &format!("cluster: up, {action}"));
        Self { proxy: Proxy::start(&config).await, _upstreams: upstreams }
    }

    /// The hosts that answer, asked over connections of their own with one header each.
    async fn hosts<I: IntoIterator<Item = String>>(
        &self,
        down: Version,
        path: &str,
        name: &str,
        values: I,
    ) -> Vec<String> {
        let mut hosts = Vec::new();
        for value in values {
            let mut client = Client::connect(down, self.proxy.address()).await;
            hosts.push(with(&mut client, path, name, &value).await.text());
        }
        hosts
    }
}

async fn with(client: &mut Client, path: &str, name: &str, value: &str) -> Answer {
    let request = client.request(Method::GET, path).header(name, value).body(body::empty()).unwrap();
    client.exchange(request).await
}

fn distinct(hosts: &[String]) -> usize {
    hosts.iter().collect::<BTreeSet<_>>().len()
}

fn same(value: &str) -> Vec<String> {
    vec![value.to_owned(); 8]
}

fn many() -> Vec<String> {
    (0..40).map(|number| format!("user-{number}")).collect()
}

#[tokio::test]
async fn a_header_keeps_to_one_host() {
    let matrix = MATRIX.map(|(down, up)| ("RING_HASH", down, up));
    for (lb, down, up) in matrix.into_iter().chain([("MAGLEV", Version::Http1, Version::Http2)]) {
        let scene = Scene::start(up, lb, "hash_policy: [{header: {header_name: x-user}}]").await;
        for user in ["ann", "bob", "eve"] {
            let hosts = scene.hosts(down, "/", "x-user", same(user)).await;
            assert_eq!(distinct(&hosts), 1, "{lb} {down:?} {up:?} {user}: {hosts:?}");
        }
        let all = scene.hosts(down, "/", "x-user", many()).await;
        assert!(distinct(&all) > 2, "{lb}: {all:?}");
        scene.proxy.log_line(24 + 40).await.expect(&[("code", "200"), ("cluster", "up"), ("flags", "-")]);
        // The log names the host that was hashed to: the same for the same user.
        let lines = scene.proxy.log_lines();
        let logged: BTreeSet<&str> = lines.iter().take(8).map(|line| line.field("host")).collect();
        assert_eq!(logged.len(), 1, "{logged:?}");
        scene.proxy.stats().expect(&[("cluster.up.upstream_rq_total", 64), ("cluster.up.upstream_rq_200", 64)]);
        scene.proxy.stop().await;
    }
}

#[tokio::test]
async fn without_the_header_requests_are_spread() {
    let scene = Scene::start(Version::Http1, "RING_HASH", "hash_policy: [{header: {header_name: x-user}}]").await;
    let hosts = scene.hosts(Version::Http1, "/", "x-other", many()).await;
    assert!(distinct(&hosts) > 2, "{hosts:?}");
    scene.proxy.stop().await;
}

#[tokio::test]
async fn a_header_may_be_rewritten_before_it_is_hashed() {
    let policy = "hash_policy: [{header: {header_name: x-user, regex_rewrite: {pattern: {regex: \"-.*\"}, substitution: \"\"}}}]";
    let scene = Scene::start(Version::Http1, "RING_HASH", policy).await;
    let hosts = scene.hosts(Version::Http1, "/", "x-user", many()).await;
    assert_eq!(distinct(&hosts), 1, "all begin with the same word: {hosts:?}");
    scene.proxy.stop().await;
}

#[tokio::test]
async fn a_query_parameter_keeps_to_one_host() {
    let scene = Scene::start(Version::Http1, "RING_HASH", "hash_policy: [{query_parameter: {name: user}}]").await;
    for user in ["ann", "bob"] {
        let hosts = scene.hosts(Version::Http1, &format!("/?a=b&user={user}"), "x-other", many()).await;
        assert_eq!(distinct(&hosts), 1, "{hosts:?}");
    }
    scene.proxy.stop().await;
}

#[tokio::test]
async fn a_clients_address_keeps_to_one_host() {
    let policy = "hash_policy: [{connection_properties: {source_ip: true}}]";
    let scene = Scene::start(Version::Http1, "MAGLEV", policy).await;
    let hosts = scene.hosts(Version::Http1, "/", "x-other", many()).await;
    assert_eq!(distinct(&hosts), 1, "whatever the port: {hosts:?}");
    scene.proxy.stop().await;
}

#[tokio::test]
async fn a_terminal_policy_that_gives_a_hash_is_the_last() {
    let policy = "hash_policy: [{header: {header_name: x-user}, terminal: true}, {query_parameter: {name: number}}]";
    let scene = Scene::start(Version::Http1, "RING_HASH", policy).await;
    let mut hosts = Vec::new();
    for number in 0..20 {
        hosts.extend(scene.hosts(Version::Http1, &format!("/?number={number}"), "x-user", ["ann".to_owned()]).await);
    }
    assert_eq!(distinct(&hosts), 1, "the parameter is not asked: {hosts:?}");
    let mut hosts = Vec::new();
    for number in 0..20 {
        hosts.extend(scene.hosts(Version::Http1, &format!("/?number={number}"), "x-other", ["ann".to_owned()]).await);
    }
    assert!(distinct(&hosts) > 2, "where the header is missing it is: {hosts:?}");
    scene.proxy.stop().await;
}

#[tokio::test]
async fn a_cookie_is_made_up_and_then_honoured() {
    let policy =
        "hash_policy: [{cookie: {name: sticky, ttl: 90s, path: /shop, attributes: [{name: SameSite, value: Lax}]}}]";
    for (down, up) in MATRIX {
        let scene = Scene::start(up, "RING_HASH", policy).await;
        let first = Client::connect(down, scene.proxy.address()).await.get("/").await;
        let cookie = first.header("set-cookie").expect("a cookie").to_owned();
        let (pair, rest) = cookie.split_once("; ").unwrap();
        assert_eq!(rest, "Max-Age=90; Path=/shop; SameSite=Lax; HttpOnly", "{down:?} {up:?}");
        let value = pair.strip_prefix("sticky=\"").and_then(|value| value.strip_suffix('"')).expect("a value");
        for sent in [format!("sticky={value}"), format!("a=b; sticky=\"{value}\""), format!("sticky={value}; c=d")] {
            for host in scene.hosts(down, "/", "cookie", same(&sent)).await {
                assert_eq!(host, first.text(), "{sent} {down:?} {up:?}");
            }
        }
        let mut client = Client::connect(down, scene.proxy.address()).await;
        let again = with(&mut client, "/", "cookie", &format!("sticky={value}")).await;
        assert_eq!(again.header("set-cookie"), None, "the client has one");
        let others: Vec<String> = many().iter().map(|value| format!("sticky={value}")).collect();
        let all = scene.hosts(down, "/", "cookie", others).await;
        assert!(distinct(&all) > 2, "{all:?}");
        scene.proxy.log_line(1).await.expect(&[("code", "200"), ("details", "via_upstream")]);
        scene.proxy.stats().expect(&[("cluster.up.upstream_rq_200", 1 + 24 + 1 + 40)]);
        scene.proxy.stop().await;
    }
}

#[tokio::test]
async fn a_cookie_without_a_lifetime_is_never_made_up() {
    for (fields, made) in [("name: sticky", false), ("name: sticky, ttl: 0s", true)] {
        let policy = format!("hash_policy: [{{cookie: {{{fields}}}}}]");
        let scene = Scene::start(Version::Http1, "RING_HASH", &policy).await;
        let answer = Client::connect(Version::Http1, scene.proxy.address()).await.get("/").await;
        let cookie = answer.header("set-cookie");
        assert_eq!(cookie.is_some(), made, "{fields}");
        assert!(!cookie.unwrap_or_default().contains("Max-Age"), "no lifetime, a cookie of the session: {cookie:?}");
        scene.proxy.stop().await;
    }
}

#[tokio::test]
async fn weights_may_be_drawn_by_the_hash() {
    let action = "weighted_clusters: {use_hash_policy: true, clusters: [\
         {name: up, weight: 50, response_headers_to_add: [{header: {key: x-side, value: one}}]}, \
         {name: up, weight: 50, response_headers_to_add: [{header: {key: x-side, value: other}}]}]}, \
         hash_policy: [{header: {header_name: x-user}}]";
    let upstream = Upstream::answering(Version::Http1, "ok");
    let config = Config::new().cluster(Cluster::new("up").host(upstream.address())).route("/", action);
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    let mut sides = BTreeSet::new();
    for user in many() {
        let first = with(&mut client, "/", "x-user", &user).await.header("x-side").unwrap().to_owned();
        for _ in 0..3 {
            assert_eq!(with(&mut client, "/", "x-user", &user).await.header("x-side"), Some(first.as_str()), "{user}");
        }
        sides.insert(first);
    }
    assert_eq!(sides.len(), 2, "both sides have users");
    proxy.stop().await;
}
