//! Any bytes to a whole proxy: what comes back is responses as HTTP/1 or HTTP/2 frames them, then
//! the end of the connection, and the proxy serves the next client.

use std::cell::RefCell;

use tokio::runtime::Runtime;

use crate::{Cluster, Config, Proxy, Upstream, Version, Wire, h2_wire::FrameKind};

/// How often the next client may find its connection closed for idling before it could send.
const TRIES: usize = 20;

/// A proxy for all inputs of a thread: starting one takes longer than serving it.
struct Scene {
    runtime: Runtime,
    proxy: Proxy,
    _upstream: Upstream,
}

thread_local! {
    static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

/// Sends `data` on a connection of its own, then another client's request.
pub fn server_bytes(data: &[u8]) {
    SCENE.with_borrow_mut(|scene| {
        let scene = scene.get_or_insert_with(Scene::start);
        scene.runtime.block_on(exchange(&scene.proxy, data));
    });
}

impl Scene {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let upstream = Upstream::echo(Version::Http1);
        // What is never completed ends soon. The next client has time, on a busy machine too.
        let cluster = Cluster::new("up").host(upstream.address()).version(Version::Http1);
        let config = Config::new()
            .cluster(cluster)
            .route("/next", "cluster: up, idle_timeout: 2s")
            .route("/", "cluster: up")
            .manager("stream_idle_timeout: 0.05s")
            .manager("delayed_close_timeout: 0.02s")
            .manager("common_http_protocol_options: {idle_timeout: 0.02s}");
        let proxy = runtime.block_on(Proxy::start(&config));
        Self { runtime, proxy, _upstream: upstream }
    }
}

async fn exchange(proxy: &Proxy, data: &[u8]) {
    let mut wire = Wire::connect(proxy.address()).await;
    // A proxy that has closed already takes no more; what it said before counts all the same. Our
    // side stays open: a client that closes it while it waits counts as gone.
    let _ = wire.try_send(data).await;
    let (answer, _) = wire.read_to_end().await;
    let whole =
        if answer.is_empty() || answer.starts_with(b"HTTP/1.") { are_responses(&answer) } else { are_frames(&answer) };
    assert!(whole, "not well-formed: {:?}", String::from_utf8_lossy(&answer));
    let answer = next_answer(proxy).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "the next client got {:?}", String::from_utf8_lossy(&answer));
}

/// What another client gets.
async fn next_answer(proxy: &Proxy) -> Vec<u8> {
    for _ in 0..TRIES {
        let mut next = Wire::connect(proxy.address()).await;
        let _ = next.try_send("GET /next HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
        let (answer, _) = next.read_to_end().await;
        if !answer.is_empty() {
            return answer;
        }
    }
    Vec::new()
}

/// Whether `bytes` are whole responses, but that the last body may be cut: that is how HTTP/1
/// tells of a failure.
fn are_responses(bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return true;
    }
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let (head, rest) = (&bytes[..end], &bytes[end + 4..]);
    let Some(head) = Head::parse(head) else { return false };
    // A response to HEAD names the length of a body that does not come.
    are_responses_after_nothing(rest) || head.skip_body(rest).is_none_or(are_responses)
}

fn are_responses_after_nothing(rest: &[u8]) -> bool {
    (rest.is_empty() || rest.starts_with(b"HTTP/1.")) && are_responses(rest)
}

struct Head {
    length: Option<usize>,
    chunked: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.split("\r\n");
        let mut start = lines.next()?.splitn(3, ' ');
        let version = start.next()?;
        let status: u16 = start.next()?.parse().ok()?;
        let mut head = Self { length: None, chunked: false };
        for line in lines {
            let (name, value) = line.split_once(':')?;
            let is_token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_token || value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                return None;
            }
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = Some(value.trim().parse().ok()?),
                "transfer-encoding" => head.chunked = value.trim() == "chunked",
                _ => {}
            }
        }
        let is_known = ["HTTP/1.0", "HTTP/1.1"].contains(&version) && (100..600).contains(&status);
        (is_known && !(head.chunked && head.length.is_some())).then_some(head)
    }

    /// What follows the body; `None` when it is cut or ends with the connection.
    fn skip_body<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        if !self.chunked {
            return rest.get(self.length?..);
        }
        let mut rest = rest;
        loop {
            let end = rest.windows(2).position(|window| window == b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            rest = &rest[end + 2..];
            if size == 0 {
                return rest.strip_prefix(b"\r\n");
            }
            rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
        }
    }
}

/// Whether `bytes` are HTTP/2 frames of known types; the last may be cut by the connection's end.
fn are_frames(mut bytes: &[u8]) -> bool {
    while let [a, b, c, kind, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if *kind > FrameKind::Continuation as u8 {
            return false;
        }
        match rest.get(5 + length..) {
            Some(next) => bytes = next,
            None => return true,
        }
    }
    true
}
