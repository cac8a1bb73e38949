//! The server under test, h2's client as the peer.

use std::io;

use super::*;
use h2::Reason;
use http::Request;

fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

async fn collect(mut body: h2::RecvStream) -> Result<(Vec<u8>, Option<http::HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, body.trailers().await?))
}

#[tokio::test]
async fn a_request_becomes_a_head_and_its_answer_a_response() {
    conversation(async {
        let (near, far) = pair().await;
        let counters = Rc::new(H2Counters::default());
        let ending = serve_with(far, &ServerOptions::default(), &counters, |head, mut stream| async move {
            assert_eq!((head.method.as_str(), &*head.authority, &*head.path), ("GET", "example.com:81", "/a?b=c"));
            assert_eq!(list(&head.headers), [("x-first", "1"), ("accept", "*/*"), ("cookie", "a=1; b=2")]);
            let head = ResponseHead {
                headers: headers(&[
                    ("server", "nuncio"),
                    ("connection", "close"),
                    ("transfer-encoding", "chunked"),
                    ("set-cookie", "a"),
                    ("set-cookie", "b"),
                    ("x-request-id", "17"),
                ]),
                ..ok()
            };
            stream.send_head(&head, false);
            ready(&mut stream).await.unwrap();
            stream.send_data(Bytes::from_static(b"hello"), false);
            stream.send_trailers(&headers(&[("grpc-status", "0")]));
        });
        let mut client = h2_client(near).await;
        let mut request = get("http://example.com:81/a?b=c");
        for (name, value) in [("x-first", "1"), ("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2")] {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let (response, _) = client.send_request(request, true).unwrap();
        let response = response.await.unwrap();
        let names: Vec<_> = response.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(names, [("server", "nuncio"), ("set-cookie", "a"), ("set-cookie", "b"), ("x-request-id", "17")]);
        let (body, trailers) = collect(response.into_body()).await.unwrap();
        assert_eq!((body, trailers.unwrap()["grpc-status"].to_str().unwrap()), (b"hello".to_vec(), "0"));
        until(|| counters.streams_active.get() == 0).await;
        drop(client);
        assert!(ending.await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn bodies_and_trailers_come_up_with_the_end_on_the_last_frame() {
    conversation(async {
        let (near, far) = pair().await;
        let counters = Rc::new(H2Counters::default());
        serve_with(far, &ServerOptions::default(), &counters, |_, mut stream| async move {
            let (bytes, trailers) = body(&mut stream).await.unwrap();
            stream.send_head(&ok(), false);
            stream.send_data(Bytes::from(bytes), trailers.is_none());
            if let Some(trailers) = trailers {
                stream.send_trailers(&trailers);
            }
        });
        let mut client = h2_client(near).await;
        for with_trailers in [false, true] {
            let (response, mut send) = client.send_request(get("http://h/"), false).unwrap();
            send.send_data(Bytes::from_static(b"one "), false).unwrap();
            send.send_data(Bytes::from_static(b"two"), !with_trailers).unwrap();
            if with_trailers {
                let mut map = http::HeaderMap::new();
                map.insert("x-end", "yes".parse().unwrap());
                send.send_trailers(map).unwrap();
            }
            let (bytes, trailers) = collect(response.await.unwrap().into_body()).await.unwrap();
            assert_eq!((bytes, trailers.is_some()), (b"one two".to_vec(), with_trailers));
        }
        assert_eq!(counters.trailers.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn informational_responses_precede_the_final_one() {
    conversation(async {
        let (near, far) = pair().await;
        serve_with(far, &ServerOptions::default(), &Rc::default(), |_, mut stream| async move {
            stream.send_informational(http::StatusCode::CONTINUE, &Headers::new());
            stream.send_informational(http::StatusCode::EARLY_HINTS, &headers(&[("link", "</a>")]));
            stream.send_head(&ok(), true);
        });
        let mut client = h2_client(near).await;
        let (mut response, _) = client.send_request(get("http://h/"), true).unwrap();
        let mut seen = Vec::new();
        while let Some(Ok(hint)) = poll_fn(|cx| response.poll_informational(cx)).await {
            seen.push(hint.status().as_u16());
        }
        assert_eq!((seen, response.await.unwrap().status().as_u16()), (vec![100, 103], 200));
    })
    .await;
}

#[tokio::test]
async fn a_reset_by_the_client_is_told_while_nothing_is_read() {
    conversation(async {
        let (near, far) = pair().await;
        let (tell, told) = tokio::sync::oneshot::channel();
        let tell = std::cell::Cell::new(Some(tell));
        let counters = Rc::new(H2Counters::default());
        serve_with(far, &ServerOptions::default(), &counters, move |_, mut stream| {
            let tell = tell.take().unwrap();
            async move { tell.send(poll_fn(|cx| stream.poll_gone(cx)).await).unwrap() }
        });
        let mut client = h2_client(near).await;
        let (_response, mut send) = client.send_request(get("http://h/"), false).unwrap();
        tokio::task::yield_now().await;
        send.send_reset(Reason::CANCEL);
        assert!(matches!(told.await.unwrap(), StreamError::RemoteReset(8)));
        assert_eq!(counters.rx_reset.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_reset_reaches_the_client_with_its_code() {
    conversation(async {
        let (near, far) = pair().await;
        let counters = Rc::new(H2Counters::default());
        serve_with(far, &ServerOptions::default(), &counters, |head, mut stream| async move {
            if &*head.path == "/late" {
                stream.send_head(&ok(), false);
            }
            stream.reset(crate::exchange::ResetReason::Refused);
        });
        let mut client = h2_client(near).await;
        for path in ["http://h/", "http://h/late"] {
            let (response, _) = client.send_request(get(path), true).unwrap();
            let error = match response.await {
                Ok(response) => collect(response.into_body()).await.unwrap_err(),
                Err(error) => error,
            };
            assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM), "{path}");
        }
        assert_eq!(counters.tx_reset.get(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_reset() {
    conversation(async {
        let (near, far) = pair().await;
        serve_with(far, &ServerOptions::default(), &Rc::default(), |_, stream| async move { drop(stream) });
        let mut client = h2_client(near).await;
        let (response, _) = client.send_request(get("http://h/"), true).unwrap();
        assert_eq!(response.await.unwrap_err().reason(), Some(Reason::CANCEL));
    })
    .await;
}

#[tokio::test]
async fn too_many_headers_and_underscores_reset_the_stream() {
    conversation(async {
        let (near, far) = pair().await;
        let counters = Rc::new(H2Counters::default());
        let limits = HeaderLimits { max_count: 10, max_kb: 1, underscores: Underscores::Reject };
        let options = ServerOptions { headers: limits, ..ServerOptions::default() };
        serve_with(far, &options, &counters, |_, mut stream| async move { stream.send_head(&ok(), true) });
        let mut client = h2_client(near).await;
        let mut status = async |count: usize, name: &str, size: usize| {
            let mut request = get("http://h/");
            for index in 0..count {
                let name = HeaderName::try_from(format!("{name}{index}")).unwrap();
                request.headers_mut().append(name, "v".repeat(size).parse().unwrap());
            }
            let (response, _) = client.send_request(request, true).unwrap();
            response.await.map(|r| r.status().as_u16()).map_err(|e| e.reason().unwrap())
        };
        assert_eq!(status(6, "x-", 1).await, Ok(200));
        assert_eq!(status(7, "x-", 1).await, Err(Reason::INTERNAL_ERROR));
        assert_eq!(status(1, "x-", 1020).await, Ok(200));
        assert_eq!(status(1, "x-", 1023).await, Err(Reason::INTERNAL_ERROR));
        assert_eq!(status(1, "x_", 1).await, Err(Reason::INTERNAL_ERROR));
        assert_eq!((counters.header_overflow.get(), counters.header_list_size_too_large.get()), (1, 1));
        assert_eq!(counters.requests_rejected_with_underscores_in_headers.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn graceful_shutdown_lets_open_streams_end() {
    conversation(async {
        let (near, far) = pair().await;
        let counters = Rc::new(H2Counters::default());
        let mut connection = serve(Stream::Tcp(far), Bytes::new(), &ServerOptions::default(), counters.clone());
        let server = spawn_local(async move {
            let (_, _, mut stream) = poll_fn(|cx| connection.poll_accept(cx)).await.unwrap().unwrap();
            connection.graceful_shutdown();
            let answer = spawn_local(async move {
                let (bytes, _) = body(&mut stream).await.unwrap();
                stream.send_head(&ok(), false);
                stream.send_data(Bytes::from(bytes), true);
            });
            assert!(poll_fn(|cx| connection.poll_accept(cx)).await.is_none());
            answer.await.unwrap();
        });
        let (send, connection) = h2::client::handshake(near).await.unwrap();
        let peer = spawn_local(connection);
        let mut client = send.ready().await.unwrap();
        let (response, mut send) = client.send_request(get("http://h/"), false).unwrap();
        until(|| counters.goaway_sent.get() == 1).await;
        send.send_data(Bytes::from_static(b"late"), true).unwrap();
        assert_eq!(collect(response.await.unwrap().into_body()).await.unwrap().0, b"late");
        assert!(poll_fn(|cx| client.poll_ready(cx)).await.is_err());
        server.await.unwrap();
        peer.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_extended_connect_is_an_upgrade_inside() {
    conversation(async {
        let (near, far) = pair().await;
        let options = ServerOptions { allow_connect: true, ..ServerOptions::default() };
        serve_with(far, &options, &Rc::default(), |head, mut stream| async move {
            assert_eq!((head.method.as_str(), head.upgrade.as_deref(), &*head.path), ("GET", Some("websocket"), "/ws"));
            assert_eq!(list(&head.headers), [("upgrade", "websocket"), ("connection", "upgrade")]);
            let head = ResponseHead::new(http::StatusCode::SWITCHING_PROTOCOLS);
            stream.send_head(&head, false);
            let (bytes, _) = body(&mut stream).await.unwrap();
            stream.send_data(Bytes::from(bytes), true);
        });
        let mut client = h2_client(near).await;
        while !client.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
        let mut request = Request::builder().method("CONNECT").uri("http://h/ws").body(()).unwrap();
        request.extensions_mut().insert(h2::ext::Protocol::from("websocket"));
        let (response, mut send) = client.send_request(request, false).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        send.send_data(Bytes::from_static(b"frames"), true).unwrap();
        assert_eq!(collect(response.into_body()).await.unwrap().0, b"frames");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_given_up() {
    conversation(async {
        let (mut near, far) = pair().await;
        let counters = Rc::new(H2Counters::default());
        let second = Duration::from_secs(1);
        let keepalive =
            KeepaliveOptions { interval: Some(2 * second), idle_interval: None, timeout: second, jitter_percent: 15.0 };
        let options = ServerOptions { keepalive: Some(keepalive), ..ServerOptions::default() };
        let mut connection = serve(Stream::Tcp(far), Bytes::new(), &options, counters.clone());
        let opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        tokio::io::AsyncWriteExt::write_all(&mut near, opening).await.unwrap();
        let end = poll_fn(|cx| connection.poll_accept(cx)).await;
        assert!(matches!(end, Some(Err(StreamError::Connection(error))) if error.kind() == io::ErrorKind::TimedOut));
        assert_eq!(counters.keepalive_timeout.get(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_is_kept() {
    conversation(async {
        let (near, far) = pair().await;
        let counters = Rc::new(H2Counters::default());
        let second = Duration::from_secs(1);
        let keepalive =
            KeepaliveOptions { interval: Some(second), idle_interval: None, timeout: 5 * second, jitter_percent: 0.0 };
        let options = ServerOptions { keepalive: Some(keepalive), ..ServerOptions::default() };
        let answer = |_, mut stream: ServerStream| async move { stream.send_head(&ok(), true) };
        let mut served = serve_with(far, &options, &counters, answer);
        let mut client = h2_client(near).await;
        assert!(timeout(10 * second, &mut served).await.is_err(), "the connection ends within ten pings");
        let (response, _) = client.send_request(get("http://h/"), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
        assert_eq!(counters.keepalive_timeout.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn the_whole_answer_arrives_though_the_request_is_not_wanted() {
    conversation(async {
        let (near, far) = pair().await;
        serve_with(far, &ServerOptions::default(), &Rc::default(), |_, mut stream| async move {
            stream.send_head(&ok(), false);
            stream.send_data(Bytes::from(vec![1; 50_000]), true);
            stream.reset(crate::exchange::ResetReason::NoError);
        });
        let mut client = h2_client(near).await;
        let (response, mut send) = client.send_request(get("http://h/"), false).unwrap();
        let (bytes, _) = collect(response.await.unwrap().into_body()).await.unwrap();
        assert_eq!(bytes.len(), 50_000);
        assert_eq!(poll_fn(|cx| send.poll_reset(cx)).await.unwrap(), Reason::NO_ERROR);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_never_completes_its_preface_can_be_cut_off() {
    conversation(async {
        let (mut near, far) = pair().await;
        let mut connection = serve(Stream::Tcp(far), Bytes::new(), &ServerOptions::default(), Rc::default());
        tokio::io::AsyncWriteExt::write_all(&mut near, b"PRI * HTTP/2").await.unwrap();
        let server = spawn_local(async move {
            let waited = timeout(Duration::ZERO, poll_fn(|cx| connection.poll_accept(cx))).await;
            assert!(waited.is_err(), "nothing has come");
            connection.abrupt_shutdown();
            poll_fn(|cx| connection.poll_accept(cx)).await.is_none()
        });
        assert!(server.await.unwrap());
        let mut rest = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut near, &mut rest).await.unwrap();
    })
    .await;
}
