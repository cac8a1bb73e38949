use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use nuncio_api::{Frame, Headers};

use super::{
    feed::{self, Body, Pushed},
    shadow_host,
};

fn data(length: usize, end: bool) -> Frame {
    Frame::Data { data: Bytes::from(vec![b'x'; length]), end }
}

/// Lengths of what can be taken now; trailers are 0.
fn taken(body: &Body) -> Vec<usize> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut lengths = Vec::new();
    while let Poll::Ready(frame) = body.poll_frame(&mut cx) {
        lengths.push(match frame {
            Frame::Data { data, .. } => data.len(),
            Frame::Trailers(_) => 0,
        });
    }
    lengths
}

fn is_cut(body: &Body) -> bool {
    body.is_cut(&mut Context::from_waker(Waker::noop()))
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_suffix_stands_before_the_port() {
    for (host, want) in [
        ("a", "a-shadow"),
        ("a.example:80", "a.example-shadow:80"),
        ("a:", "a-shadow:"),
        ("[::1]", "[::1]-shadow"),
        ("[::1]:80", "[::1]-shadow:80"),
        ("1.2.3.4:5", "1.2.3.4-shadow:5"),
        ("", "-shadow"),
    ] {
        assert_eq!(shadow_host(host), want);
    }
}

#[test]
fn frames_come_out_in_the_order_they_went_in() {
    let (feed, body) = feed::channel(100);
    for frame in [data(1, false), data(0, false), data(2, false), Frame::Trailers(Headers::new())] {
        assert_eq!(feed.push(&frame), Pushed::Done);
    }
    assert_eq!(taken(&body), [1, 2, 0]);
    assert!(body.ended_at().is_some() && !is_cut(&body));
}

#[test]
fn one_frame_may_go_over_the_limit_and_the_next_cuts() {
    let (feed, body) = feed::channel(10);
    assert_eq!([feed.push(&data(10, false)), feed.push(&data(50, false))], [Pushed::Done; 2]);
    assert_eq!(feed.push(&data(1, true)), Pushed::Overflow);
    assert!(is_cut(&body));
    assert_eq!(taken(&body), [0; 0]);
    assert_eq!(feed.push(&data(1, true)), Pushed::Done, "counted once");
    assert_eq!(body.ended_at(), None);
}

#[test]
fn what_was_taken_makes_room() {
    let (feed, body) = feed::channel(0);
    for _ in 0..3 {
        assert_eq!(feed.push(&data(5, false)), Pushed::Done);
        assert_eq!(taken(&body), [5]);
    }
    assert_eq!(feed.push(&data(5, false)), Pushed::Done);
    assert_eq!(feed.push(&Frame::Trailers(Headers::new())), Pushed::Done, "trailers need no room");
}

#[test]
fn a_primary_that_ends_early_cuts_and_one_that_was_complete_does_not() {
    let (feed, body) = feed::channel(10);
    feed.push(&data(5, false));
    drop(feed);
    assert!(is_cut(&body));
    let (feed, body) = feed::channel(10);
    feed.push(&data(5, true));
    drop(feed);
    assert!(!is_cut(&body));
    assert_eq!(taken(&body), [5]);
}

#[test]
fn nothing_is_kept_for_a_shadow_that_is_gone() {
    let (feed, body) = feed::channel(1);
    drop(body);
    for _ in 0..3 {
        assert_eq!(feed.push(&data(5, false)), Pushed::Done);
    }
    assert!(!feed.wants_turn());
}

#[test]
fn the_shadow_wakes_for_frames_and_for_the_end() {
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    let (feed, body) = feed::channel(10);
    assert!(body.poll_frame(&mut cx).is_pending());
    feed.push(&data(1, false));
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(body.poll_frame(&mut cx).is_ready() && body.poll_frame(&mut cx).is_pending());
    drop(feed);
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
}

#[test]
fn a_turn_is_asked_for_once_until_more_comes() {
    let (feed, body) = feed::channel(10);
    feed.push(&data(5, false));
    assert!(!feed.wants_turn(), "there is room");
    feed.push(&data(1, false));
    assert!(feed.wants_turn() && !feed.wants_turn());
    feed.push(&data(1, false));
    assert!(feed.wants_turn());
    feed.push(&data(1, false));
    assert!(!is_cut(&body));
    assert!(!feed.wants_turn(), "it had one");
}
