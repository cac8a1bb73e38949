//! The bytes of one connection that wait for its single write per wake-up.
//!
//! h2 hands over each frame by itself; here they pile up (at most [`LIMIT`]) and leave together.
//! The memory belongs to the worker, not to the connection: it is borrowed for as long as bytes
//! wait and returned when they are gone, so thousands of idle connections hold none.

use std::cell::RefCell;

/// Above this the gathered bytes and the frame at hand are written in one vectored call: a send
/// of 64 KiB costs several times its system call, so gathering more gains nothing.
pub(super) const LIMIT: usize = 64 * 1024;

/// Buffers kept per worker: about as many connections as one turn of the event loop leaves with
/// unsent bytes when sockets are writable.
const SPARE: usize = 8;

thread_local! {
    static SPARES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Gathered bytes.
#[derive(Debug, Default)]
pub(super) struct Gather {
    bytes: Vec<u8>,
    start: usize,
}

impl Gather {
    /// What waits.
    pub(super) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more bytes may wait.
    pub(super) fn room(&self) -> usize {
        LIMIT.saturating_sub(self.len())
    }

    /// Adds bytes; the caller looked at [`Gather::room`].
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.bytes.capacity() == 0 {
            self.bytes = SPARES.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(LIMIT));
        }
        if self.start > 0 && self.bytes.len() + bytes.len() > self.bytes.capacity() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The last bytes that wait, if there are so many.
    pub(super) fn last_mut<const COUNT: usize>(&mut self) -> Option<&mut [u8; COUNT]> {
        self.bytes.get_mut(self.start..)?.last_chunk_mut()
    }

    /// Takes off what was written; gives the memory back when nothing is left.
    pub(super) fn written(&mut self, count: usize) {
        self.start = self.bytes.len().min(self.start + count);
        if self.is_empty() {
            self.release();
        }
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    fn release(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        self.start = 0;
        if bytes.capacity() == 0 || bytes.capacity() > 2 * LIMIT {
            return;
        }
        bytes.clear();
        SPARES.with_borrow_mut(|spares| {
            if spares.len() < SPARE {
                spares.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_held_only_while_bytes_wait() {
        let mut gather = Gather::default();
        assert_eq!(gather.held(), 0);
        gather.push(b"one");
        gather.push(b"two");
        assert_eq!(gather.waiting(), b"onetwo");
        gather.written(2);
        assert_eq!((gather.waiting(), gather.room()), (&b"etwo"[..], LIMIT - 4));
        gather.written(4);
        assert_eq!((gather.len(), gather.held()), (0, 0));
    }

    #[test]
    fn written_bytes_make_room_without_growing() {
        let mut gather = Gather::default();
        gather.push(&[1; LIMIT]);
        let held = gather.held();
        gather.written(1000);
        gather.push(&[2; 1000]);
        assert_eq!((gather.held(), gather.room()), (held, 0));
        assert_eq!(gather.waiting()[LIMIT - 1000..], [2; 1000]);
    }
}
