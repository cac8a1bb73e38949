//! Bytes that wait to be written to a socket.
//!
//! Small pieces gather in one buffer, so that a head and a small body leave in one write; a large
//! piece keeps its own memory and leaves in a vectored write beside what stands before and after
//! it. Nothing here limits the total: the connection asks [`Outbox::len`] before it takes more.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use nuncio_net::Stream;
use tokio::io::AsyncWrite;

use super::buffers::{self, Size};

/// Up to this size copying is cheaper than one more entry in a vectored write.
const COPIED: usize = 16 * 1024;
/// Pieces handed to one vectored write.
const VECTOR: usize = 16;

/// The queue: `pieces` first, then `tail`.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Bytes>,
    pieces_len: usize,
    tail: BytesMut,
}

impl Outbox {
    /// The buffer to encode into.
    pub(super) fn tail(&mut self) -> &mut BytesMut {
        if self.tail.capacity() == 0 {
            self.tail = buffers::take(Size::Small);
        }
        &mut self.tail
    }

    /// Queues a piece of a body.
    pub(super) fn push(&mut self, data: Bytes) {
        if data.len() <= COPIED {
            self.tail().extend_from_slice(&data);
            return;
        }
        if !self.tail.is_empty() {
            let before = self.tail.split().freeze();
            self.pieces_len += before.len();
            self.pieces.push_back(before);
        }
        self.pieces_len += data.len();
        self.pieces.push_back(data);
    }

    /// Bytes queued.
    pub(super) fn len(&self) -> usize {
        self.pieces_len + self.tail.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.tail.capacity() + self.pieces.capacity()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets what is queued.
    pub(super) fn discard(&mut self) {
        self.pieces.clear();
        self.pieces_len = 0;
        self.tail.clear();
    }

    /// Gives the memory back; only when nothing is queued.
    pub(super) fn release(&mut self) {
        if self.is_empty() && self.tail.capacity() > 0 {
            buffers::give(std::mem::take(&mut self.tail), Size::Small);
            self.pieces = VecDeque::new();
        }
    }

    /// Writes until nothing is queued.
    pub(super) fn poll_write(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = ready!(self.poll_write_once(Pin::new(stream), cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.consume(written);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_once(&self, stream: Pin<&mut Stream>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.pieces.is_empty() {
            return stream.poll_write(cx, &self.tail);
        }
        let mut vector = [IoSlice::new(&[]); VECTOR];
        let mut filled = 0;
        let tail = Some(self.tail.as_ref()).filter(|t| !t.is_empty());
        for (slot, piece) in vector.iter_mut().zip(self.pieces.iter().map(Bytes::as_ref).chain(tail)) {
            *slot = IoSlice::new(piece);
            filled += 1;
        }
        stream.poll_write_vectored(cx, vector.get(..filled).unwrap_or_default())
    }

    fn consume(&mut self, mut written: usize) {
        while written > 0 {
            let Some(first) = self.pieces.front_mut() else {
                break;
            };
            let part = written.min(first.len());
            first.advance(part);
            self.pieces_len -= part;
            written -= part;
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
        if written == self.tail.len() {
            self.tail.clear();
        } else if written > 0 {
            self.tail.advance(written.min(self.tail.len()));
        }
    }
}
