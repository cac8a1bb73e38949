use std::task::Waker;

use super::*;

/// Gives out what it has in pieces as large as asked for, and counts the calls.
struct Source {
    bytes: Vec<u8>,
    calls: usize,
}

impl AsyncRead for Source {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.calls += 1;
        if self.bytes.is_empty() {
            return Poll::Pending;
        }
        let count = self.bytes.len().min(buf.remaining());
        buf.put_slice(&self.bytes[..count]);
        self.bytes.drain(..count);
        Poll::Ready(Ok(()))
    }
}

/// Everything there is to read, with a buffer of `room` bytes.
fn drain(ahead: &mut Ahead, source: &mut Source, room: usize) -> Vec<u8> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut all = Vec::new();
    let mut memory = vec![0; room];
    loop {
        let mut buf = ReadBuf::new(&mut memory);
        match ahead.poll_read(&mut cx, source, &mut buf) {
            Poll::Ready(Ok(())) => all.extend_from_slice(buf.filled()),
            other => {
                assert!(other.is_pending());
                return all;
            }
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

#[test]
fn what_was_read_before_comes_first() {
    let mut ahead = Ahead::new(Bytes::from_static(b"preface"));
    let mut source = Source { bytes: b" and more".to_vec(), calls: 0 };
    assert_eq!(drain(&mut ahead, &mut source, 3), b"preface and more");
}

#[test]
fn large_bodies_take_few_calls_and_arrive_whole() {
    let mut ahead = Ahead::default();
    let bytes = pattern(10 * SIZE + 17);
    let mut source = Source { bytes: bytes.clone(), calls: 0 };
    assert_eq!(drain(&mut ahead, &mut source, 8 * 1024), bytes);
    assert!(source.calls <= 13, "{} calls", source.calls);
    assert!(!ahead.holds_memory());
}

#[test]
fn small_messages_are_read_straight_through() {
    let mut ahead = Ahead::default();
    for _ in 0..3 {
        let mut source = Source { bytes: pattern(100), calls: 0 };
        assert_eq!(drain(&mut ahead, &mut source, 8 * 1024), pattern(100));
        assert!(!ahead.is_worth_it && !ahead.holds_memory());
    }
}

#[test]
fn memory_is_held_only_while_bytes_wait() {
    let mut ahead = Ahead::default();
    let mut source = Source { bytes: pattern(3000), calls: 0 };
    let mut cx = Context::from_waker(Waker::noop());
    let mut memory = [0; 1000];
    for held in [false, true, false] {
        let mut buf = ReadBuf::new(&mut memory);
        assert!(ahead.poll_read(&mut cx, &mut source, &mut buf).is_ready());
        assert_eq!(ahead.holds_memory(), held);
    }
}
