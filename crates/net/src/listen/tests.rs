//! Binding, sharing and refusing, on ports that the kernel picks.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
};

use super::*;

fn loopback() -> ListenSettings {
    ListenSettings::new(SocketAddress::Ip("127.0.0.1:0".parse().unwrap()))
}

#[tokio::test]
async fn every_worker_gets_a_socket_on_the_port_that_the_first_one_got() {
    let settings = loopback();
    let first = BoundSocket::bind(&settings).unwrap();
    let second = first.another(&settings).unwrap();
    assert_ne!(first.local_address().ip().unwrap().port(), 0);
    assert_eq!(first.local_address(), second.local_address());
    let address = first.local_address().ip().unwrap();
    let (first, second) = (first.into_listener().unwrap(), second.into_listener().unwrap());
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(std::net::TcpStream::connect(address).unwrap());
        tokio::select! {
            accepted = first.accept() => drop(accepted.unwrap()),
            accepted = second.accept() => drop(accepted.unwrap()),
        }
    }
}

#[test]
fn a_port_that_somebody_listens_on_is_refused_even_with_reuse_port() {
    let taken = BoundSocket::bind(&loopback()).unwrap();
    let settings = ListenSettings::new(taken.local_address().clone());
    assert!(matches!(BoundSocket::bind(&settings), Err(ListenError::InUse)));
    let alone = ListenSettings { reuse_port: false, ..settings };
    assert!(matches!(BoundSocket::bind(&alone), Err(ListenError::InUse)));
}

#[test]
fn without_reuse_port_workers_share_one_socket() {
    let settings = ListenSettings { reuse_port: false, ..loopback() };
    let first = BoundSocket::bind(&settings).unwrap();
    let second = first.another(&settings).unwrap();
    assert_eq!(first.local_address(), second.local_address());
}

#[tokio::test]
async fn a_v4_client_of_a_dual_stack_socket_shows_its_v4_address() {
    let settings =
        ListenSettings { ipv4_compat: true, ..ListenSettings::new(SocketAddress::Ip("[::]:0".parse().unwrap())) };
    let Ok(bound) = BoundSocket::bind(&settings) else {
        return;
    };
    let port = bound.local_address().ip().unwrap().port();
    let listener = bound.into_listener().unwrap();
    let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (_, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, SocketAddress::Ip(client.local_addr().unwrap()));
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_replaces_a_stale_file() {
    let folder = std::env::temp_dir().join(format!("nuncio-listen-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("s");
    let settings = ListenSettings { mode: 0o600, ..ListenSettings::new(SocketAddress::Pipe(path.clone())) };
    let first = BoundSocket::bind(&settings).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(BoundSocket::bind(&settings), Err(ListenError::InUse)));
    drop(first);
    let listener = BoundSocket::bind(&settings).unwrap().into_listener().unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, SocketAddress::Pipe(PathBuf::new()));
    let Stream::Unix(stream) = stream else { panic!("a Unix stream") };
    let mut stream = stream.into_std().unwrap();
    stream.write_all(b"x").unwrap();
    let mut byte = [0];
    client.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_plain_file_in_the_way_is_left_alone() {
    let path = std::env::temp_dir().join(format!("nuncio-plain-{}", std::process::id()));
    std::fs::write(&path, "mine").unwrap();
    let settings = ListenSettings::new(SocketAddress::Pipe(path.clone()));
    assert!(matches!(BoundSocket::bind(&settings), Err(ListenError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn what_waits_in_the_queue_can_be_taken_without_waiting() {
    let listener = BoundSocket::bind(&loopback()).unwrap().into_listener().unwrap();
    assert!(listener.take_queued().is_none());
    let client = std::net::TcpStream::connect(listener.local_address().ip().unwrap()).unwrap();
    let (_, peer) = listener.take_queued().unwrap();
    assert_eq!(peer, SocketAddress::Ip(client.local_addr().unwrap()));
    assert!(listener.take_queued().is_none());
}

#[tokio::test]
async fn who_comes_after_the_end_of_listening_was_announced_waits_in_vain_and_others_are_served() {
    let listener = BoundSocket::bind(&loopback()).unwrap().into_listener().unwrap();
    let address = listener.local_address().ip().unwrap();
    let early = std::net::TcpStream::connect(address).unwrap();
    if !listener.refuse_new() {
        return;
    }
    let late = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    late.set_nonblocking(true).unwrap();
    // Nobody answers, so it neither succeeds nor fails.
    late.connect(&address.into()).unwrap_err();
    let (_, peer) = listener.take_queued().unwrap();
    assert_eq!(peer.ip(), Some(early.local_addr().unwrap()));
    assert!(listener.take_queued().is_none());
    assert!(late.take_error().unwrap().is_none() && late.peer_addr().is_err());
}
