//! Buffers that connections of one worker thread share over time.
//!
//! A connection holds a buffer only while bytes are in it; between requests it gives it back, so
//! ten thousand idle connections cost no buffers. The pool is per thread, needs no lock and keeps
//! at most [`POOL_SIZE`] buffers of at most [`KEPT_CAPACITY`] bytes each; past that they are freed.

use std::cell::RefCell;

use bytes::BytesMut;

/// Room for a head, or for a small response with its body: what a connection starts with.
pub(super) const HEAD_BUFFER: usize = 8 * 1024;
/// What a streaming body grows the read buffer to: fewer system calls, still in the L2 cache.
pub(super) const BODY_BUFFER: usize = 64 * 1024;
/// Upper end of the growth, when reads keep filling the buffer.
pub(super) const BODY_BUFFER_MAX: usize = 128 * 1024;

/// A worker polls its connections one after another, so few buffers are in use at once.
const POOL_SIZE: usize = 128;
/// Large ones kept, about 1 MiB.
const LARGE_POOL_SIZE: usize = 16;
/// A head with a coalesced body (up to 16 KiB) fits; anything larger goes back to the allocator.
const KEPT_CAPACITY: usize = 40 * 1024;

/// Buffers looked at before a new one is made; one that is still held is let go.
const TRIES: usize = 3;

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// A head with a small body: [`HEAD_BUFFER`].
    Small,
    /// A head and a body of [`BODY_BUFFER`].
    Large,
}

impl Size {
    fn room(self) -> usize {
        match self {
            Self::Small => HEAD_BUFFER,
            Self::Large => HEAD_BUFFER + BODY_BUFFER,
        }
    }

    /// Above this a buffer is not kept.
    fn largest(self) -> usize {
        match self {
            Self::Small => KEPT_CAPACITY,
            Self::Large => 2 * BODY_BUFFER,
        }
    }
}

type Pool = RefCell<Vec<BytesMut>>;

thread_local! {
    static POOL: Pool = const { RefCell::new(Vec::new()) };
    static LARGE_POOL: Pool = const { RefCell::new(Vec::new()) };
}

fn with_pool<T>(size: Size, work: impl FnOnce(&mut Vec<BytesMut>) -> T) -> Option<T> {
    let pool = match size {
        Size::Small => &POOL,
        Size::Large => &LARGE_POOL,
    };
    pool.with(|pool| pool.try_borrow_mut().ok().map(|mut free| work(&mut free)))
}

/// An empty buffer with the room that `size` says, at least.
pub(super) fn take(size: Size) -> BytesMut {
    for _ in 0..TRIES {
        let Some(mut buffer) = with_pool(size, Vec::pop).flatten() else { break };
        if buffer.try_reclaim(size.room()) && buffer.capacity() <= size.largest() {
            return buffer;
        }
    }
    BytesMut::with_capacity(size.room())
}

/// Gives a buffer back. Parts of it may still be held (a log line keeps headers a little longer
/// than the connection); whether they are is looked at when the buffer is wanted again.
pub(super) fn give(mut buffer: BytesMut, size: Size) {
    buffer.clear();
    if buffer.capacity() > size.largest() {
        return;
    }
    let most = match size {
        Size::Small => POOL_SIZE,
        Size::Large => LARGE_POOL_SIZE,
    };
    with_pool(size, |free| {
        if free.len() < most {
            free.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_its_room() {
        let mut buffer = take(Size::Small);
        buffer.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        let head = buffer.split().freeze();
        drop(head);
        give(buffer, Size::Small);
        assert!(take(Size::Small).capacity() >= HEAD_BUFFER);
    }

    #[test]
    fn a_buffer_is_used_again_only_when_nobody_holds_a_part_of_it() {
        while POOL.with(|p| p.borrow_mut().pop()).is_some() {}
        let mut buffer = take(Size::Small);
        buffer.extend_from_slice(b"held");
        let held = buffer.split().freeze();
        give(buffer, Size::Small);
        let mut other = take(Size::Small);
        other.extend_from_slice(b"other");
        assert_eq!(held, "held");
        assert_eq!(POOL.with(|p| p.borrow().len()), 0);
    }

    #[test]
    fn a_large_buffer_comes_back_with_all_its_room() {
        let mut buffer = take(Size::Large);
        buffer.resize(buffer.capacity(), b'x');
        let body = buffer.split().freeze();
        give(buffer, Size::Large);
        drop(body);
        assert!(take(Size::Large).capacity() >= HEAD_BUFFER + BODY_BUFFER);
        assert_eq!(LARGE_POOL.with(|p| p.borrow().len()), 0);
    }

    #[test]
    fn large_buffers_and_too_many_are_not_kept() {
        while POOL.with(|p| p.borrow_mut().pop()).is_some() {}
        give(BytesMut::with_capacity(KEPT_CAPACITY * 2), Size::Small);
        assert_eq!(POOL.with(|p| p.borrow().len()), 0);
        for _ in 0..POOL_SIZE + 10 {
            give(BytesMut::with_capacity(HEAD_BUFFER), Size::Small);
        }
        assert_eq!(POOL.with(|p| p.borrow().len()), POOL_SIZE);
    }
}
