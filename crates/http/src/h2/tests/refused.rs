//! Requests that are refused before they become a stream: told to the owner with Envoy's words.

use super::{
    floods::{HEADERS_BLOCK, frame, goaway_code, opening},
    *,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn with(more: &[u8]) -> Vec<u8> {
    [HEADERS_BLOCK, more].concat()
}

fn head(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(1, 0x5, stream, block)
}

/// What `frames` lead to: requests handed up, requests refused, the code of the GOAWAY.
async fn outcome(frames: &[u8], options: ServerOptions) -> (Vec<u32>, Vec<Refused>, Option<u32>) {
    let (mut near, far) = pair().await;
    near.write_all(&[opening(), frames.to_vec()].concat()).await.unwrap();
    near.shutdown().await.unwrap();
    let mut connection = serve(Stream::Tcp(far), Bytes::new(), &options, Rc::default());
    let (mut streams, mut refused) = (Vec::new(), Vec::new());
    loop {
        let polled = poll_fn(|cx| {
            let polled = connection.poll_accept(cx);
            refused.extend(connection.take_refused());
            polled
        });
        match polled.await {
            Some(Ok((_, _, stream))) => streams.push(stream),
            _ => break,
        }
    }
    drop(connection);
    let mut answer = Vec::new();
    let _ = near.read_to_end(&mut answer).await;
    (streams.iter().map(ServerStream::id).collect(), refused, goaway_code(&answer))
}

fn broken(details: &'static str) -> Refused {
    Refused { details, limit: false }
}

#[tokio::test]
async fn malformed_heads_are_told_with_their_fault() {
    conversation(async {
        let cases: [(&str, Vec<u8>, &str); 6] = [
            ("no path", vec![0x82, 0x86, 0x41, 1, b'h'], "http2.violation.of.messaging.rule"),
            ("no authority", vec![0x82, 0x86, 0x84], "http2.violation.of.messaging.rule"),
            ("content-length of no body", with(b"\x0f\x0d\x015"), "http2.violation.of.messaging.rule"),
            ("te", with(b"\0\x02te\x04gzip"), "http2.invalid.header.field"),
            ("upper case", with(b"\0\x01A\x011"), "http2.invalid.header.field"),
            ("bad index", with(b"\xff\x80\x01"), "codec_error:The_user_callback_function_failed"),
        ];
        for (name, block, details) in cases {
            let (streams, refused, code) = outcome(&head(1, &block), ServerOptions::default()).await;
            assert!(streams.is_empty(), "{name}");
            let expected = if name == "bad index" { 9 } else { 1 };
            assert_eq!((refused, code), (vec![broken(details)], Some(expected)), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn limits_are_told_apart_from_faults_and_end_nothing_else() {
    conversation(async {
        let mut options = ServerOptions::default();
        options.headers.max_count = 5;
        let frames = [head(1, &with(b"\0\x01a\x011\0\x01b\x011")), head(3, HEADERS_BLOCK)].concat();
        let (streams, refused, code) = outcome(&frames, options).await;
        assert_eq!(refused, [Refused { details: "http2.too_many_headers", limit: true }]);
        assert_eq!((streams, code), (vec![3], None));
    })
    .await;
}

#[tokio::test]
async fn a_refused_request_leaves_those_around_it_alone_if_so_configured() {
    conversation(async {
        let options = ServerOptions { stream_error_on_invalid_http_message: true, ..ServerOptions::default() };
        let bad = with(b"\0\x02te\x04gzip");
        let frames = [head(1, HEADERS_BLOCK), head(3, &bad), head(5, HEADERS_BLOCK)].concat();
        let (streams, refused, code) = outcome(&frames, options).await;
        assert_eq!((streams, code), (vec![1, 5], None));
        assert_eq!(refused, [broken("http2.invalid.header.field")]);
    })
    .await;
}

#[tokio::test]
async fn a_body_of_another_length_is_no_refused_request() {
    conversation(async {
        let frames = [frame(1, 0x4, 1, &with(b"\x0f\x0d\x015")), frame(0, 1, 1, b"abc")].concat();
        let (streams, refused, code) = outcome(&frames, ServerOptions::default()).await;
        assert_eq!((streams, refused, code), (vec![1], Vec::new(), None));
    })
    .await;
}

#[tokio::test]
async fn data_after_the_end_of_its_stream_is_named_as_such() {
    conversation(async {
        let frames = [head(1, HEADERS_BLOCK), frame(0, 1, 1, b"abc")].concat();
        assert_eq!(outcome(&frames, ServerOptions::default()).await.2, Some(5));
        let idle = outcome(&frame(0, 1, 1, b"abc"), ServerOptions::default()).await;
        assert_eq!(idle.2, Some(1), "on an idle stream");
    })
    .await;
}

#[tokio::test]
async fn trailers_that_break_the_protocol_end_the_connection_after_what_came_before() {
    conversation(async {
        for (name, trailers) in [
            ("a pseudo header", frame(1, 0x5, 1, b"\x04\x02/x")),
            ("no end of the stream", frame(1, 0x4, 1, b"\0\x01a\x011")),
        ] {
            let frames = [frame(1, 0x4, 1, HEADERS_BLOCK), frame(0, 0, 1, b"abc"), trailers].concat();
            let (streams, refused, code) = outcome(&frames, ServerOptions::default()).await;
            assert_eq!((streams, refused, code), (vec![1], Vec::new(), Some(1)), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn streams_learn_that_the_peer_broke_their_connection() {
    conversation(async {
        for (name, fault) in [("a wrong frame", frame(6, 0, 1, &[0; 8])), ("a malformed head", head(3, &[0x82, 0x86]))]
        {
            let (mut near, far) = pair().await;
            let (tell, told) = tokio::sync::oneshot::channel();
            let tell = std::cell::Cell::new(Some(tell));
            let counters = Rc::new(H2Counters::default());
            serve_with(far, &ServerOptions::default(), &counters, move |_, mut stream| {
                let tell = tell.take();
                async move {
                    let error = poll_fn(|cx| stream.poll_gone(cx)).await;
                    tell.unwrap().send(error).unwrap();
                }
            });
            near.write_all(&[opening(), head(1, HEADERS_BLOCK)].concat()).await.unwrap();
            until(|| counters.streams_active.get() == 1).await;
            near.write_all(&fault).await.unwrap();
            let error = told.await.unwrap();
            let StreamError::Protocol(error) = error else { panic!("{name}: {error:?}") };
            assert_eq!(error.details, crate::h2::failure::CODEC, "{name}");
        }
    })
    .await;
}
