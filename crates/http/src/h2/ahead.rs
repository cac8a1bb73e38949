//! Reading ahead of h2.
//!
//! h2 reads into the rest of the buffer that its present frame needs: two calls for each frame of
//! 16 KiB, which is what nearly every peer sends. So when a read has filled h2's buffer to the
//! brim, the next one takes up to [`SIZE`] at once, and h2 is served from that. Small messages
//! fit and are read straight through.
//!
//! The memory belongs to the worker, as that of the gather buffer does: a connection borrows it
//! while bytes wait in it, which h2 lets happen only while its own writes are held up.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};

/// Four frames of the usual size; beyond that copying costs more than the calls it saves.
const SIZE: usize = 64 * 1024;

/// Buffers kept per worker. One is in use at a time, unless peers do not read what is written.
const SPARE: usize = 4;

thread_local! {
    static SPARES: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of one connection that were read and that h2 has not asked for yet.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Read while the protocol was being found out.
    initial: Bytes,
    buffer: Option<Box<[u8]>>,
    start: usize,
    end: usize,
    /// The last read left nothing free: there is probably more.
    is_worth_it: bool,
}

impl Ahead {
    /// `initial` comes before what the socket gives.
    pub(super) fn new(initial: Bytes) -> Self {
        let mut ahead = Self::default();
        ahead.initial = initial;
        ahead
    }

    /// As the socket's own `poll_read`.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.initial.is_empty() {
            self.take_initial(buf);
            return Poll::Ready(Ok(()));
        }
        if self.start == self.end {
            if !self.is_worth_it {
                ready!(Pin::new(stream).poll_read(cx, buf))?;
                self.is_worth_it = buf.remaining() == 0;
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_fill(cx, stream))?;
            self.is_worth_it = self.end > buf.remaining();
        }
        self.take(buf);
        Poll::Ready(Ok(()))
    }

    fn take_initial(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.initial.len().min(buf.remaining());
        buf.put_slice(self.initial.get(..count).unwrap_or_default());
        self.initial.advance(count);
        if self.initial.is_empty() {
            self.initial = Bytes::new();
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, stream: &mut (impl AsyncRead + Unpin)) -> Poll<io::Result<()>> {
        let mut buffer = self.buffer.take().unwrap_or_else(borrow);
        let mut into = ReadBuf::new(&mut buffer);
        let outcome = Pin::new(stream).poll_read(cx, &mut into);
        (self.start, self.end) = (0, into.filled().len());
        self.buffer = Some(buffer);
        if self.end == 0 {
            self.give_back();
        }
        outcome
    }

    fn take(&mut self, buf: &mut ReadBuf<'_>) {
        let count = (self.end - self.start).min(buf.remaining());
        let waiting = self.buffer.as_deref().and_then(|buffer| buffer.get(self.start..self.start + count));
        buf.put_slice(waiting.unwrap_or_default());
        self.start += count;
        if self.start == self.end {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        (self.start, self.end) = (0, 0);
        let Some(buffer) = self.buffer.take() else { return };
        SPARES.with_borrow_mut(|spares| {
            if spares.len() < SPARE {
                spares.push(buffer);
            }
        });
    }

    #[cfg(test)]
    fn holds_memory(&self) -> bool {
        self.buffer.is_some()
    }
}

fn borrow() -> Box<[u8]> {
    SPARES.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; SIZE].into_boxed_slice())
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
#[path = "ahead/tests.rs"]
mod tests;
