//! Gathering, memory and back-pressure.

use super::*;
use std::cell::Cell;

fn request() -> http::Request<()> {
    http::Request::get("http://h/").body(()).unwrap()
}

#[tokio::test]
async fn many_responses_leave_in_few_writes() {
    conversation(async {
        let (near, far) = pair().await;
        let mut connection = serve(Stream::Tcp(far), Bytes::new(), &ServerOptions::default(), Rc::default());
        let wire = connection.wire();
        spawn_local(async move {
            while let Some(Ok((_, _, mut stream))) = poll_fn(|cx| connection.poll_accept(cx)).await {
                spawn_local(async move {
                    stream.send_head(&ok(), false);
                    stream.send_data(Bytes::from_static(&[7; 1024]), true);
                });
            }
        });
        let mut client = h2_client(near).await;
        let (response, _) = client.send_request(request(), true).unwrap();
        response.await.unwrap();
        let before = wire.writes();
        let responses: Vec<_> = (0..32).map(|_| client.send_request(request(), true).unwrap().0).collect();
        for response in responses {
            assert_eq!(response.await.unwrap().into_body().data().await.unwrap().unwrap().len(), 1024);
        }
        let writes = wire.writes() - before;
        assert!(writes <= 8, "32 responses of two frames took {writes} writes");
        until(|| wire.held() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_the_sender_back() {
    conversation(async {
        let (near, far) = pair().await;
        let options = ServerOptions { buffer_limit: 128 * 1024, ..ServerOptions::default() };
        let sent = Rc::new(Cell::new(0));
        let sending = sent.clone();
        let mut connection = serve(Stream::Tcp(far), Bytes::new(), &options, Rc::default());
        let wire = connection.wire();
        spawn_local(async move {
            while let Some(Ok((_, _, mut stream))) = poll_fn(|cx| connection.poll_accept(cx)).await {
                let sending = sending.clone();
                spawn_local(async move {
                    stream.send_head(&ok(), false);
                    while ready(&mut stream).await.is_ok() {
                        stream.send_data(Bytes::from_static(&[0; 16 * 1024]), false);
                        sending.set(sending.get() + 16 * 1024);
                    }
                });
            }
        });
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
        let (send, mut peer) = builder.handshake::<_, Bytes>(near).await.unwrap();
        let mut send = send;
        let (response, _) = send.send_request(request(), true).unwrap();
        let mut response = std::pin::pin!(response);
        // The peer runs until the head is there, then never again.
        let mut body = poll_fn(|cx| {
            let _ = std::pin::Pin::new(&mut peer).poll(cx);
            response.as_mut().poll(cx)
        })
        .await
        .unwrap()
        .into_body();
        let mut quiet = (0, 0);
        while quiet.1 < 1000 {
            tokio::task::yield_now().await;
            quiet = if quiet.0 == sent.get() { (quiet.0, quiet.1 + 1) } else { (sent.get(), 0) };
        }
        assert!(wire.queued() >= 128 * 1024 && wire.queued() < 160 * 1024, "{}", wire.queued());
        assert!(wire.held() <= 2 * 64 * 1024);
        let stuck = sent.get();
        spawn_local(peer);
        for _ in 0..100 {
            let data = body.data().await.unwrap().unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        until(|| sent.get() > stuck).await;
    })
    .await;
}

#[tokio::test]
async fn a_closed_window_stops_one_stream_and_not_the_others() {
    conversation(async {
        let (near, far) = pair().await;
        let sent = Rc::new(Cell::new(0));
        let sending = sent.clone();
        serve_with(far, &ServerOptions::default(), &Rc::default(), move |head, mut stream| {
            let sending = sending.clone();
            async move {
                stream.send_head(&ok(), false);
                for _ in 0..100 {
                    if ready(&mut stream).await.is_err() {
                        return;
                    }
                    stream.send_data(Bytes::from_static(&[0; 1000]), &*head.path == "/short");
                    if &*head.path == "/short" {
                        return;
                    }
                    sending.set(sending.get() + 1);
                }
            }
        });
        let mut client = h2::client::Builder::new();
        client.initial_window_size(3500).initial_connection_window_size(1 << 20);
        let (mut send, connection) = client.handshake::<_, Bytes>(near).await.unwrap();
        spawn_local(connection);
        let (slow, _) = send.send_request(request(), true).unwrap();
        let mut slow = slow.await.unwrap().into_body();
        until(|| sent.get() == 4).await;
        let short = http::Request::get("http://h/short").body(()).unwrap();
        let (short, _) = send.send_request(short, true).unwrap();
        assert_eq!(short.await.unwrap().into_body().data().await.unwrap().unwrap().len(), 1000);
        assert_eq!(sent.get(), 4, "one frame beyond the window");
        let mut read = 0;
        while read < 90_000 {
            let data = slow.data().await.unwrap().unwrap();
            slow.flow_control().release_capacity(data.len()).unwrap();
            read += data.len();
        }
    })
    .await;
}

#[tokio::test]
async fn window_comes_back_only_for_what_was_taken() {
    conversation(async {
        let (near, far) = pair().await;
        let windows = Windows { stream: 65_535, connection: 65_535, ..Windows::default() };
        let options = ServerOptions { windows, ..ServerOptions::default() };
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let wait = Cell::new(Some(wait));
        serve_with(far, &options, &Rc::default(), move |_, mut stream| {
            let wait = wait.take().unwrap();
            async move {
                wait.await.unwrap();
                let (bytes, _) = body(&mut stream).await.unwrap();
                assert_eq!(bytes.len(), 200_000);
                stream.send_head(&ok(), true);
            }
        });
        let mut client = h2_client(near).await;
        let (response, mut send) = client.send_request(request(), false).unwrap();
        send.reserve_capacity(200_000);
        let mut granted = 0;
        while granted < 65_535 {
            let capacity = poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
            send.send_data(Bytes::from(vec![0; capacity]), false).unwrap();
            granted += capacity;
            send.reserve_capacity(200_000 - granted);
        }
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!((granted, send.capacity()), (65_535, 0));
        go.send(()).unwrap();
        send.send_data(Bytes::from(vec![0; 200_000 - granted]), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    })
    .await;
}

#[tokio::test]
async fn streams_that_wait_for_room_notice_the_end() {
    conversation(async {
        let (near, far) = pair().await;
        let options = ServerOptions { buffer_limit: 1000, ..ServerOptions::default() };
        let mut connection = serve(Stream::Tcp(far), Bytes::new(), &options, Rc::default());
        let client = spawn_local(async move {
            let mut client = h2_client(near).await;
            let (response, _) = client.send_request(request(), true).unwrap();
            let _ = response.await;
        });
        let (_, _, mut stream) = poll_fn(|cx| connection.poll_accept(cx)).await.unwrap().unwrap();
        stream.send_head(&ok(), false);
        stream.send_data(Bytes::from_static(&[0; 2000]), false);
        let waiting = spawn_local(async move { ready(&mut stream).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(connection);
        assert!(waiting.await.unwrap().is_err());
        client.await.unwrap();
    })
    .await;
}
