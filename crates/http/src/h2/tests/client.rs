//! The client under test, h2's server as the peer.

use super::*;
use h2::{Reason, server::SendResponse};
use http::Response;
use nuncio_api::{Method, Protocol, Scheme, Text};

fn head(method: Method, path: &'static str, list: &[(&str, &str)]) -> RequestHead {
    RequestHead {
        method,
        scheme: Scheme::Https,
        authority: Text::from_static("up.example:90"),
        path: Text::from_static(path),
        protocol: Protocol::Http11,
        upgrade: None,
        headers: headers(list),
    }
}

/// The client under test on one end, h2's server on the other; each request goes to `handle`.
async fn upstream<F, R>(
    options: &ClientOptions,
    builder: h2::server::Builder,
    counters: &Rc<H2Counters>,
    handle: F,
) -> (ClientConnection, tokio::task::JoinHandle<Result<(), StreamError>>)
where
    F: Fn(http::Request<h2::RecvStream>, SendResponse<Bytes>) -> R + 'static,
    R: Future<Output = ()> + 'static,
{
    let (near, far) = pair().await;
    spawn_local(async move {
        let mut server = builder.handshake::<_, Bytes>(far).await.unwrap();
        while let Some(Ok((request, respond))) = server.accept().await {
            if request.uri().path() == "/drain" {
                server.graceful_shutdown();
            }
            spawn_local(handle(request, respond));
        }
    });
    let (connection, driver) = connect(Stream::Tcp(near), options, counters.clone()).unwrap();
    (connection, spawn_local(driver))
}

async fn plain<F, R>(handle: F) -> ClientConnection
where
    F: Fn(http::Request<h2::RecvStream>, SendResponse<Bytes>) -> R + 'static,
    R: Future<Output = ()> + 'static,
{
    upstream(&ClientOptions::default(), h2::server::Builder::new(), &Rc::default(), handle).await.0
}

async fn response(stream: &mut ClientStream) -> Result<(ResponseHead, bool), StreamError> {
    poll_fn(|cx| stream.poll_head(cx)).await
}

#[tokio::test]
async fn a_head_becomes_a_request_and_its_response_a_head() {
    conversation(async {
        let connection = plain(|request, mut respond| async move {
            assert_eq!(
                (request.method().as_str(), request.uri().to_string().as_str()),
                ("POST", "https://up.example:90/p?q")
            );
            let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
            assert_eq!(names, ["x-request-id", "te", "content-length"]);
            let mut body = request.into_body();
            assert_eq!(body.data().await.unwrap().unwrap(), "four");
            let response = Response::builder().status(201).header("x-a", "1").header("x-b", "2").body(()).unwrap();
            let mut send = respond.send_response(response, false).unwrap();
            send.send_data(Bytes::from_static(b"body"), false).unwrap();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            send.send_trailers(trailers).unwrap();
        })
        .await;
        let mut stream = connection.try_open().unwrap();
        let list_ =
            [("x-request-id", "1"), ("host", "h"), ("keep-alive", "1"), ("te", "trailers"), ("content-length", "4")];
        stream.send_head(&head(Method::POST, "/p?q", &list_), false);
        ready(&mut stream).await.unwrap();
        stream.send_data(Bytes::from_static(b"four"), true);
        let (head, end) = response(&mut stream).await.unwrap();
        assert_eq!((head.status.as_u16(), list(&head.headers), end), (201, vec![("x-a", "1"), ("x-b", "2")], false));
        let (bytes, trailers) = body(&mut stream).await.unwrap();
        assert_eq!((bytes, list(&trailers.unwrap())), (b"body".to_vec(), vec![("grpc-status", "0")]));
        assert!(stream.wire_bytes().received > 4);
        drop(stream);
        assert_eq!((connection.active_streams(), connection.opened_streams()), (0, 1));
    })
    .await;
}

#[tokio::test]
async fn informational_heads_come_first() {
    conversation(async {
        let connection = plain(|_, mut respond| async move {
            for status in [100, 103] {
                respond.send_informational(Response::builder().status(status).body(()).unwrap()).unwrap();
            }
            tokio::task::yield_now().await;
            respond.send_response(Response::builder().status(204).body(()).unwrap(), true).unwrap();
        })
        .await;
        let mut stream = connection.try_open().unwrap();
        stream.send_head(&head(Method::GET, "/", &[]), true);
        let mut seen = Vec::new();
        loop {
            let (head, end) = response(&mut stream).await.unwrap();
            seen.push((head.status.as_u16(), end));
            if end {
                break;
            }
        }
        assert_eq!(seen, [(100, false), (103, false), (204, true)]);
    })
    .await;
}

#[tokio::test]
async fn resets_say_whether_a_retry_is_safe() {
    conversation(async {
        let counters = Rc::new(H2Counters::default());
        let (connection, _) = upstream(
            &ClientOptions::default(),
            h2::server::Builder::new(),
            &counters,
            |request, mut respond| async move {
                match request.uri().path() {
                    "/refused" => respond.send_reset(Reason::REFUSED_STREAM),
                    "/late" => {
                        let mut send = respond.send_response(Response::new(()), false).unwrap();
                        until(|| send.capacity() == 0).await;
                        tokio::task::yield_now().await;
                        send.send_reset(Reason::INTERNAL_ERROR);
                    }
                    _ => respond.send_reset(Reason::ENHANCE_YOUR_CALM),
                }
            },
        )
        .await;
        let failure = async |path| {
            let mut stream = connection.try_open().unwrap();
            stream.send_head(&head(Method::GET, path, &[]), true);
            match response(&mut stream).await {
                Ok(_) => body(&mut stream).await.unwrap_err(),
                Err(error) => error,
            }
        };
        assert!(matches!(failure("/refused").await, StreamError::Refused));
        assert!(matches!(failure("/").await, StreamError::RemoteReset(11)));
        assert!(matches!(failure("/late").await, StreamError::RemoteReset(2)));
        assert_eq!((counters.stream_refused_errors.get(), counters.rx_reset.get()), (1, 3));
    })
    .await;
}

#[tokio::test]
async fn a_reset_is_noticed_while_waiting_for_the_other_side() {
    conversation(async {
        let connection = plain(|_, mut respond| async move { respond.send_reset(Reason::CANCEL) }).await;
        let mut stream = connection.try_open().unwrap();
        stream.send_head(&head(Method::POST, "/", &[]), false);
        assert!(matches!(poll_fn(|cx| stream.poll_gone(cx)).await, StreamError::RemoteReset(8)));
        assert!(matches!(response(&mut stream).await, Err(StreamError::RemoteReset(8))));
    })
    .await;
}

#[tokio::test]
async fn an_early_answer_with_no_error_is_still_read() {
    conversation(async {
        let connection = plain(|request, mut respond| async move {
            let mut send = respond.send_response(Response::new(()), false).unwrap();
            send.send_data(Bytes::from_static(b"enough"), true).unwrap();
            // Dropped with the request unread: h2 resets with NO_ERROR.
            drop(request);
        })
        .await;
        let mut stream = connection.try_open().unwrap();
        stream.send_head(&head(Method::POST, "/", &[]), false);
        let (_, _) = response(&mut stream).await.unwrap();
        loop {
            ready(&mut stream).await.unwrap();
            stream.send_data(Bytes::from_static(&[0; 1000]), false);
            if !stream.is_sending() {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(body(&mut stream).await.unwrap().0, b"enough");
    })
    .await;
}

#[tokio::test]
async fn a_local_reset_and_a_dropped_stream_reach_the_server() {
    conversation(async {
        let codes = Rc::new(std::cell::RefCell::new(Vec::new()));
        let seen = codes.clone();
        let connection = plain(move |_, mut respond| {
            let seen = seen.clone();
            async move {
                let reason = poll_fn(|cx| respond.poll_reset(cx)).await.unwrap();
                seen.borrow_mut().push(reason);
            }
        })
        .await;
        let mut stream = connection.try_open().unwrap();
        stream.send_head(&head(Method::GET, "/", &[]), true);
        until(|| connection.wire().writes() > 0).await;
        stream.reset(crate::exchange::ResetReason::Protocol);
        drop(stream);
        let mut stream = connection.try_open().unwrap();
        stream.send_head(&head(Method::GET, "/", &[]), true);
        let writes = connection.wire().writes();
        until(|| connection.wire().writes() > writes).await;
        drop(stream);
        until(|| codes.borrow().len() == 2).await;
        assert_eq!(*codes.borrow(), [Reason::PROTOCOL_ERROR, Reason::CANCEL]);
    })
    .await;
}

#[tokio::test]
async fn places_follow_the_lower_limit_and_come_back() {
    conversation(async {
        let mut builder = h2::server::Builder::new();
        builder.max_concurrent_streams(2);
        let (connection, _) =
            upstream(&ClientOptions::default(), builder, &Rc::default(), |_, mut respond| async move {
                respond.send_response(Response::new(()), true).unwrap();
            })
            .await;
        assert_eq!(connection.max_streams(), 100, "before SETTINGS: what every server allows");
        until(|| connection.max_streams() == 2).await;
        let first = connection.try_open().unwrap();
        let _second = connection.try_open().unwrap();
        assert!(connection.try_open().is_none());
        let waiting = {
            let connection = connection.clone();
            spawn_local(async move { poll_fn(|cx| connection.poll_ready(cx)).await })
        };
        tokio::task::yield_now().await;
        drop(first);
        waiting.await.unwrap().unwrap();
        let mut third = connection.try_open().unwrap();
        third.send_head(&head(Method::GET, "/", &[]), true);
        assert_eq!(response(&mut third).await.unwrap().0.status, 200);
    })
    .await;
}

#[tokio::test]
async fn goaway_stops_new_streams_and_lets_old_ones_end() {
    conversation(async {
        let (connection, driver) = upstream(
            &ClientOptions::default(),
            h2::server::Builder::new(),
            &Rc::default(),
            |_, mut respond| async move {
                respond.send_response(Response::new(()), true).unwrap();
            },
        )
        .await;
        let mut stream = connection.try_open().unwrap();
        stream.send_head(&head(Method::GET, "/drain", &[]), true);
        assert_eq!(response(&mut stream).await.unwrap().0.status, 200);
        until(|| connection.is_draining()).await;
        assert!(connection.try_open().is_none());
        assert!(poll_fn(|cx| connection.poll_ready(cx)).await.is_err());
        drop(stream);
        driver.await.unwrap().unwrap();
        assert!(connection.is_closed());
    })
    .await;
}

#[tokio::test]
async fn the_connection_ends_with_its_last_handle() {
    conversation(async {
        let (connection, driver) =
            upstream(&ClientOptions::default(), h2::server::Builder::new(), &Rc::default(), |_, _| async {}).await;
        let clone = connection.clone();
        drop(connection);
        tokio::task::yield_now().await;
        assert!(!driver.is_finished());
        drop(clone);
        driver.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_lost_connection_fails_its_streams() {
    conversation(async {
        let (near, far) = pair().await;
        let (connection, driver) = connect(Stream::Tcp(near), &ClientOptions::default(), Rc::default()).unwrap();
        let driver = spawn_local(driver);
        let mut stream = connection.try_open().unwrap();
        stream.send_head(&head(Method::GET, "/", &[]), true);
        drop(far);
        assert!(matches!(response(&mut stream).await, Err(StreamError::Connection(_))));
        let _ = driver.await.unwrap();
        assert!(connection.is_closed() && connection.try_open().is_none());
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_travels_as_extended_connect() {
    conversation(async {
        let mut builder = h2::server::Builder::new();
        builder.enable_connect_protocol();
        let (connection, _) =
            upstream(&ClientOptions::default(), builder, &Rc::default(), |request, mut respond| async move {
                assert_eq!(request.method(), "CONNECT");
                assert_eq!(request.extensions().get::<h2::ext::Protocol>().unwrap().as_str(), "websocket");
                respond
                    .send_response(Response::new(()), false)
                    .unwrap()
                    .send_data(Bytes::from_static(b"x"), true)
                    .unwrap();
            })
            .await;
        let mut stream = connection.try_open().unwrap();
        assert!(!connection.supports_upgrades());
        stream.send_head(&websocket(), false);
        let (head, end) = response(&mut stream).await.unwrap();
        assert_eq!((head.status.as_u16(), end), (101, false));
        assert_eq!(list(&head.headers), [("upgrade", "websocket"), ("connection", "upgrade")]);
        assert_eq!(body(&mut stream).await.unwrap().0, b"x");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_new_stream_after_a_silence_goes_out_with_a_ping() {
    conversation(async {
        let second = Duration::from_secs(1);
        let keepalive = crate::h2::KeepaliveOptions {
            interval: None,
            idle_interval: Some(2 * second),
            timeout: second,
            jitter_percent: 0.0,
        };
        let options = ClientOptions { keepalive: Some(keepalive), ..ClientOptions::default() };
        let counters = Rc::new(H2Counters::default());
        // A peer that takes everything and says nothing.
        let (near, _far) = pair().await;
        let (connection, driver) = connect(Stream::Tcp(near), &options, counters.clone()).unwrap();
        let mut driver = spawn_local(driver);
        let mut first = connection.try_open().unwrap();
        first.send_head(&head(Method::GET, "/", &[]), true);
        let early = timeout(4 * second, &mut driver).await;
        assert!(early.is_err(), "a stream on a fresh connection needs no proof");
        let mut second_ = connection.try_open().unwrap();
        second_.send_head(&head(Method::GET, "/", &[]), true);
        assert!(driver.await.unwrap().is_err());
        assert_eq!(counters.keepalive_timeout.get(), 1);
    })
    .await;
}

fn websocket() -> RequestHead {
    RequestHead { upgrade: Some(Text::from_static("websocket")), ..head(Method::GET, "/ws", &[]) }
}

#[tokio::test]
async fn an_upgrade_fails_where_the_peer_offers_none() {
    conversation(async {
        let connection = plain(|_, _| async { unreachable!() }).await;
        let mut stream = connection.try_open().unwrap();
        stream.send_head(&websocket(), false);
        let Err(StreamError::Protocol(error)) = response(&mut stream).await else { panic!() };
        assert_eq!(error.details, "http2.extended_connect_not_enabled");
    })
    .await;
}

#[tokio::test]
async fn what_is_meant_for_a_tunnel_waits_for_the_peers_consent() {
    conversation(async {
        for agrees in [true, false] {
            let heard = Rc::new(std::cell::RefCell::new(Vec::new()));
            let hears = Rc::clone(&heard);
            let (connection, _) = upstream(
                &ClientOptions::default(),
                h2::server::Builder::new(),
                &Rc::default(),
                move |request, mut respond| {
                    let hears = Rc::clone(&hears);
                    async move {
                        let status = if agrees { 200 } else { 403 };
                        let answer = Response::builder().status(status).body(()).unwrap();
                        let mut send = respond.send_response(answer, false).unwrap();
                        if agrees {
                            let mut body = request.into_body();
                            while let Some(bytes) = body.data().await {
                                hears.borrow_mut().extend(bytes.unwrap());
                            }
                        }
                        send.send_data(Bytes::from_static(b"done"), true).unwrap();
                    }
                },
            )
            .await;
            let mut stream = connection.try_open().unwrap();
            let mut connect = head(Method::CONNECT, "", &[]);
            connect.path = Text::default();
            stream.send_head(&connect, false);
            stream.send_data(Bytes::from_static(b"early "), false);
            stream.send_data(Bytes::from_static(b"and late"), true);
            assert!(!response(&mut stream).await.unwrap().1);
            assert_eq!(body(&mut stream).await.unwrap().0, b"done");
            assert_eq!(&*heard.borrow(), if agrees { &b"early and late"[..] } else { b"" });
        }
    })
    .await;
}
