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
/// A head with a coalesced body (up to 16 KiB) fits; anything larger goes back to the allocator.
const KEPT_CAPACITY: usize = 40 * 1024;

/// Buffers looked at before a new one is made; one that is still held is let go.
const TRIES: usize = 3;

thread_local! {
    static POOL: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with room for at least [`HEAD_BUFFER`] bytes.
pub(super) fn take() -> BytesMut {
    for _ in 0..TRIES {
        let free = POOL.with(|pool| pool.try_borrow_mut().ok().and_then(|mut free| free.pop()));
        let Some(mut buffer) = free else { break };
        if buffer.try_reclaim(HEAD_BUFFER) && buffer.capacity() <= KEPT_CAPACITY {
            return buffer;
        }
    }
    BytesMut::with_capacity(HEAD_BUFFER)
}

/// Gives a buffer back. Parts of it may still be held (a log line keeps headers a little longer
/// than the connection); whether they are is looked at when the buffer is wanted again.
pub(super) fn give(mut buffer: BytesMut) {
    buffer.clear();
    if buffer.capacity() > KEPT_CAPACITY {
        return;
    }
    POOL.with(|pool| {
        if let Ok(mut free) = pool.try_borrow_mut()
            && free.len() < POOL_SIZE
        {
            free.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_its_room() {
        let mut buffer = take();
        buffer.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        let head = buffer.split().freeze();
        drop(head);
        give(buffer);
        assert!(take().capacity() >= HEAD_BUFFER);
    }

    #[test]
    fn a_buffer_is_used_again_only_when_nobody_holds_a_part_of_it() {
        while POOL.with(|p| p.borrow_mut().pop()).is_some() {}
        let mut buffer = take();
        buffer.extend_from_slice(b"held");
        let held = buffer.split().freeze();
        give(buffer);
        let mut other = take();
        other.extend_from_slice(b"other");
        assert_eq!(held, "held");
        assert_eq!(POOL.with(|p| p.borrow().len()), 0);
    }

    #[test]
    fn large_buffers_and_too_many_are_not_kept() {
        while POOL.with(|p| p.borrow_mut().pop()).is_some() {}
        give(BytesMut::with_capacity(KEPT_CAPACITY * 2));
        assert_eq!(POOL.with(|p| p.borrow().len()), 0);
        for _ in 0..POOL_SIZE + 10 {
            give(BytesMut::with_capacity(HEAD_BUFFER));
        }
        assert_eq!(POOL.with(|p| p.borrow().len()), POOL_SIZE);
    }
}
