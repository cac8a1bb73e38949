//! What is sent into a tunnel before the upstream has agreed to it.
//!
//! An upstream that refuses must never read it as a request of its own, so it waits on this side.
//! Bounded by the buffer limit of the connection: whoever sends asks `poll_ready` first, which
//! counts [`Held::len`].

use bytes::Bytes;

/// Pieces in order, and whether the end was among them.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pieces: Vec<Bytes>,
    len: usize,
    end: bool,
}

impl Held {
    /// One of which only the end may be known already.
    pub(crate) fn new(end: bool) -> Self {
        Self { end, ..Self::default() }
    }

    /// Keeps a piece; nothing follows the end.
    pub(crate) fn push(&mut self, data: Bytes, end: bool) {
        if !self.end {
            self.len += data.len();
            self.pieces.push(data);
            self.end = end;
        }
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes it apart: the pieces, and whether the end follows them.
    pub(crate) fn release(self) -> (Vec<Bytes>, bool) {
        (self.pieces, self.end)
    }
}
