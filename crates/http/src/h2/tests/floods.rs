//! Hand-made frames against the limits of `http2_protocol_options`.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) const HEADERS_BLOCK: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'h'];

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub(super) fn opening() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes
}

/// Error code of the GOAWAY among `bytes`.
pub(super) fn goaway_code(mut bytes: &[u8]) -> Option<u32> {
    while bytes.len() >= 9 {
        let length = usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        if bytes[3] == 7 {
            return Some(u32::from_be_bytes(bytes[13..17].try_into().unwrap()));
        }
        bytes = &bytes[9 + length..];
    }
    None
}

/// What the server under test says to `frames` until it closes, and how it ended.
async fn flood(frames: Vec<u8>, counters: &Rc<H2Counters>) -> (Option<u32>, Option<StreamError>) {
    let (mut near, far) = pair().await;
    let ending = serve_with(far, &ServerOptions::default(), counters, |_, mut stream| async move {
        poll_fn(|cx| stream.poll_gone(cx)).await;
    });
    near.write_all(&opening()).await.unwrap();
    near.write_all(&frames).await.unwrap();
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    drop(near);
    (goaway_code(&answer), ending.await.unwrap())
}

fn details(error: Option<StreamError>) -> &'static str {
    match error {
        Some(StreamError::Protocol(error)) => error.details,
        other => panic!("unexpected end: {other:?}"),
    }
}

#[tokio::test]
async fn empty_data_frames_end_the_connection() {
    conversation(async {
        let counters = Rc::new(H2Counters::default());
        let mut frames = frame(1, 0x4, 1, HEADERS_BLOCK);
        frames.extend(frame(0, 0, 1, b""));
        frames.extend(frame(0, 0, 1, b""));
        let (code, error) = flood(frames, &counters).await;
        assert_eq!((code, details(error)), (Some(11), "http2.inbound_empty_frames_flood"));
        assert_eq!((counters.inbound_empty_frames_flood.get(), counters.goaway_sent.get()), (1, 0));
        until(|| counters.streams_active.get() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn priority_frames_end_the_connection() {
    conversation(async {
        let counters = Rc::new(H2Counters::default());
        let frames = frame(2, 0, 1, &[0, 0, 0, 0, 1]).repeat(101);
        let (code, error) = flood(frames, &counters).await;
        assert_eq!((code, details(error)), (Some(11), "http2.inbound_priority_frames_flood"));
        assert_eq!(counters.inbound_priority_frames_flood.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn window_updates_end_the_connection() {
    conversation(async {
        let counters = Rc::new(H2Counters::default());
        let frames = frame(8, 0, 0, &[0, 0, 0, 1]).repeat(6);
        let (code, error) = flood(frames, &counters).await;
        assert_eq!((code, details(error)), (Some(11), "http2.inbound_window_update_frames_flood"));
        assert_eq!(counters.inbound_window_update_frames_flood.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn continuations_end_the_connection() {
    conversation(async {
        let counters = Rc::new(H2Counters::default());
        let mut frames = frame(1, 0, 1, HEADERS_BLOCK);
        for index in 0..200_u8 {
            frames.extend(frame(9, 0, 1, &[0x40, 1, b'a' + index % 26, 1, b'v']));
        }
        let (code, error) = flood(frames, &counters).await;
        assert_eq!((code, details(error)), (Some(11), "http2.too_many_headers"));
        assert_eq!(counters.header_overflow.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn pings_that_are_answered_unread_end_the_connection() {
    conversation(async {
        let (near, far) = pair().await;
        let counters = Rc::new(H2Counters::default());
        let ending = serve_with(far, &ServerOptions::default(), &counters, |_, _| async {});
        let (mut reader, mut writer) = near.into_split();
        writer.write_all(&opening()).await.unwrap();
        let pings = frame(6, 0, 0, &[7; 8]).repeat(1000);
        // Never reading, until the socket of the answers is full and the limit is passed.
        while writer.write_all(&pings).await.is_ok() && counters.outbound_control_flood.get() == 0 {}
        let mut answer = Vec::new();
        let _ = reader.read_to_end(&mut answer).await;
        drop((reader, writer));
        assert_eq!(details(ending.await.unwrap()), "http2.outbound_control_frames_flood");
        assert_eq!(counters.outbound_control_flood.get(), 1);
        assert_eq!((counters.outbound_control_frames_active.get(), counters.pending_send_bytes.get()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    conversation(async {
        let counters = Rc::new(H2Counters::default());
        let (mut near, far) = pair().await;
        let ending = serve_with(far, &ServerOptions::default(), &counters, |_, mut stream| async move {
            poll_fn(|cx| stream.poll_gone(cx)).await;
        });
        near.write_all(&opening()).await.unwrap();
        let mut stream = 1;
        while !ending.is_finished() && stream < 10_000 {
            let mut frames = frame(1, 0x5, stream, HEADERS_BLOCK);
            frames.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
            if near.write_all(&frames).await.is_err() {
                break;
            }
            stream += 2;
            tokio::task::yield_now().await;
        }
        drop(near);
        let text = match ending.await.unwrap() {
            Some(StreamError::Protocol(error)) => error.details,
            other => panic!("unexpected end: {other:?}"),
        };
        assert!(["too_many_premature_resets", crate::h2::failure::CODEC].contains(&text), "{text}");
        assert!(stream >= 500, "ended after {stream}");
    })
    .await;
}

const MALFORMED: [(&str, &[u8]); 4] = [
    ("no path", &[0x82, 0x86, 0x41, 1, b'h']),
    ("empty path", &[0x82, 0x86, 0x04, 0, 0x41, 1, b'h']),
    ("te", &[0x82, 0x86, 0x84, 0x41, 1, b'h', 0, 2, b't', b'e', 4, b'g', b'z', b'i', b'p']),
    (
        "connection",
        &[0x82, 0x86, 0x84, 0x41, 1, b'h', 0, 10, b'c', b'o', b'n', b'n', b'e', b'c', b't', b'i', b'o', b'n', 1, b'x'],
    ),
];

#[tokio::test]
async fn malformed_requests_end_the_connection() {
    conversation(async {
        for (name, block) in MALFORMED {
            let counters = Rc::new(H2Counters::default());
            let (code, error) = flood(frame(1, 0x5, 1, block), &counters).await;
            assert_eq!((code, details(error)), (Some(1), "http2.violation.of.messaging.rule"), "{name}");
            assert_eq!(counters.rx_messaging_error.get(), 1, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn malformed_requests_reset_only_their_stream_if_so_configured() {
    conversation(async {
        for (name, block) in MALFORMED {
            let counters = Rc::new(H2Counters::default());
            let (mut near, far) = pair().await;
            let options = ServerOptions { stream_error_on_invalid_http_message: true, ..ServerOptions::default() };
            serve_with(far, &options, &counters, |_, mut stream| async move { stream.send_head(&ok(), true) });
            near.write_all(&opening()).await.unwrap();
            near.write_all(&frame(1, 0x5, 1, block)).await.unwrap();
            near.write_all(&frame(1, 0x5, 3, HEADERS_BLOCK)).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(&[0, 0, 1, 1, 5, 0, 0, 0, 3, 0x88]) {
                near.read_buf(&mut answer).await.unwrap();
            }
            assert_eq!((counters.tx_reset.get(), counters.goaway_sent.get()), (1, 0), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_of_another_length_resets_only_its_stream() {
    conversation(async {
        let (mut near, far) = pair().await;
        let counters = Rc::new(H2Counters::default());
        serve_with(far, &ServerOptions::default(), &counters, |_, mut stream| async move {
            let error = body(&mut stream).await.unwrap_err();
            assert!(matches!(error, StreamError::Protocol(error) if error.status == 400), "a bad request");
        });
        let mut block = HEADERS_BLOCK.to_vec();
        block.extend([0x0f, 0x0d, 1, b'5']);
        near.write_all(&opening()).await.unwrap();
        near.write_all(&[frame(1, 0x4, 1, &block), frame(0, 1, 1, b"abc")].concat()).await.unwrap();
        until(|| counters.tx_reset.get() == 1 && counters.streams_active.get() == 0).await;
        assert_eq!(counters.goaway_sent.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_was_read_while_sniffing_is_not_lost() {
    conversation(async {
        let mut bytes = opening();
        bytes.extend(frame(1, 0x5, 1, HEADERS_BLOCK));
        for cut in [24, 30, bytes.len() - 3, bytes.len()] {
            let (mut near, far) = pair().await;
            let initial = Bytes::copy_from_slice(&bytes[..cut]);
            let mut connection = serve(Stream::Tcp(far), initial, &ServerOptions::default(), Rc::default());
            near.write_all(&bytes[cut..]).await.unwrap();
            let (head, length, _) = poll_fn(|cx| connection.poll_accept(cx)).await.unwrap().unwrap();
            assert_eq!((&*head.authority, length.is_empty()), ("h", true), "cut at {cut}");
        }
    })
    .await;
}

#[tokio::test]
async fn settings_are_those_of_envoy() {
    conversation(async {
        let (mut near, far) = pair().await;
        serve_with(far, &ServerOptions::default(), &Rc::default(), |_, _| async {});
        near.write_all(&opening()).await.unwrap();
        let mut answer = vec![0; 9 + 30 + 9];
        near.read_exact(&mut answer).await.unwrap();
        let settings: Vec<(u16, u32)> = answer[9..39]
            .chunks(6)
            .map(|s| (u16::from_be_bytes([s[0], s[1]]), u32::from_be_bytes([s[2], s[3], s[4], s[5]])))
            .collect();
        for expected in [(1, 4096), (3, 1024), (4, 16 << 20), (5, 16 << 10)] {
            assert!(settings.contains(&expected), "{settings:?}");
        }
    })
    .await;
}
