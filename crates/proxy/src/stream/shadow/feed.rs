//! The body on its way from the primary's upload to one shadow: a queue on one thread.
//!
//! Bounded by bytes: more is taken while no more than the limit is queued, so that it holds the
//! limit plus one frame. Beyond that it is cut for good. Whichever side goes, the other learns.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use nuncio_api::Frame;
use tokio::time::Instant;

/// A new queue.
pub(super) fn channel(limit: u64) -> (Feed, Body) {
    let queue = Rc::new(Queue {
        frames: RefCell::default(),
        bytes: Cell::new(0),
        state: Cell::new(State::Open),
        had_turn: Cell::new(true),
        waker: Cell::default(),
        limit,
    });
    (Feed(Rc::clone(&queue)), Body(queue))
}

struct Queue {
    frames: RefCell<VecDeque<Frame>>,
    bytes: Cell<u64>,
    state: Cell<State>,
    /// The shadow has looked since the last frame came, or could have.
    had_turn: Cell<bool>,
    waker: Cell<Option<Waker>>,
    limit: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More may come.
    Open,
    /// The request was complete at this time.
    Ended(Instant),
    /// The rest will not come.
    Cut,
}

impl Queue {
    fn enter(&self, state: State) {
        self.state.set(state);
        if state == State::Cut {
            self.frames.take();
            self.bytes.set(0);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The primary's side.
pub(super) struct Feed(Rc<Queue>);

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is queued, or nobody wants it.
    Done,
    /// It was too much, and the shadow is cut.
    Overflow,
}

impl Feed {
    /// Queues a frame. Never waits.
    pub(super) fn push(&self, frame: &Frame) -> Pushed {
        let queue = &self.0;
        let has_reader = Rc::strong_count(queue) > 1;
        if queue.state.get() != State::Open || !has_reader {
            return Pushed::Done;
        }
        let (length, ended) = match frame {
            Frame::Data { data, end } => (data.len() as u64, *end),
            Frame::Trailers(_) => (0, true),
        };
        if length == 0 && !ended {
            return Pushed::Done;
        }
        if length > 0 && queue.bytes.get() > queue.limit {
            queue.enter(State::Cut);
            return Pushed::Overflow;
        }
        queue.frames.borrow_mut().push_back(frame.clone());
        queue.bytes.set(queue.bytes.get() + length);
        queue.had_turn.set(false);
        queue.enter(if ended { State::Ended(Instant::now()) } else { State::Open });
        Pushed::Done
    }

    /// Whether half the limit is queued that the shadow has had no turn to take. Asked once for
    /// each turn.
    pub(super) fn wants_turn(&self) -> bool {
        let queue = &self.0;
        let is_behind = queue.bytes.get() > queue.limit / 2 && Rc::strong_count(queue) > 1;
        is_behind && !queue.had_turn.replace(true)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if self.0.state.get() == State::Open {
            self.0.enter(State::Cut);
        }
    }
}

/// The shadow's side.
pub(super) struct Body(Rc<Queue>);

impl Body {
    /// The next frame; never one after the last, nor when the body was cut.
    pub(super) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Frame> {
        let queue = &self.0;
        queue.had_turn.set(true);
        match queue.frames.borrow_mut().pop_front() {
            Some(frame) => {
                if let Frame::Data { data, .. } = &frame {
                    queue.bytes.set(queue.bytes.get().saturating_sub(data.len() as u64));
                }
                Poll::Ready(frame)
            }
            None => {
                queue.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Whether the rest of the body will not come; if not, the task is woken when that changes.
    pub(super) fn is_cut(&self, cx: &mut Context<'_>) -> bool {
        self.0.had_turn.set(true);
        self.0.waker.set(Some(cx.waker().clone()));
        self.0.state.get() == State::Cut
    }

    /// When the request was complete.
    pub(super) fn ended_at(&self) -> Option<Instant> {
        match self.0.state.get() {
            State::Ended(at) => Some(at),
            State::Open | State::Cut => None,
        }
    }
}
