//! The socket of one HTTP/1 connection with its two buffers; the same for both directions.
//!
//! Reading: one `read` fills the buffer as far as it goes; tokio remembers a short read, so that
//! the next attempt costs no system call. The buffer starts small and grows while a body streams;
//! it starts large where the last message was, so that the next one may come in one read.
//! A connection that has nothing to read holds no buffer. Knows no HTTP.

use std::{
    cell::Cell,
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use nuncio_net::Stream;
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::buffers::{self, BODY_BUFFER, BODY_BUFFER_MAX, HEAD_BUFFER, Size};
use super::outbox::Outbox;

/// Bytes taken in while nobody asks for them: pipelined requests, an early body.
pub(super) const UNASKED: usize = 64 * 1024;

/// A socket and its buffers.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    pub(super) read: BytesMut,
    pub(super) out: Outbox,
    read_size: usize,
    first: Size,
    /// Bytes read since the connection was parked.
    taken: usize,
    parked: bool,
    fin_sent: bool,
    spoilt: Cell<bool>,
    pub(super) eof: bool,
}

impl Wire {
    pub(super) fn new(stream: Stream, buffered: BytesMut) -> Self {
        Self {
            stream,
            parked: buffered.is_empty(),
            read: buffered,
            out: Outbox::default(),
            read_size: HEAD_BUFFER,
            first: Size::Small,
            taken: 0,
            fin_sent: false,
            spoilt: Cell::new(false),
            eof: false,
        }
    }

    /// Reads once; 0 is the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.eof {
            return Poll::Ready(Ok(0));
        }
        if self.parked {
            ready!(self.stream.poll_read_ready(cx))?;
            self.read = buffers::take(self.first);
            self.parked = false;
        }
        if self.read.capacity() - self.read.len() < self.read_size / 4 {
            self.read.reserve(self.read_size);
        }
        let spare = self.read.capacity() - self.read.len();
        let read = ready!(pin!(self.stream.read_buf(&mut self.read)).poll(cx))?;
        if read == spare {
            self.read_size = (self.read_size * 2).clamp(BODY_BUFFER, BODY_BUFFER_MAX);
        }
        self.taken = self.taken.saturating_add(read);
        self.eof = read == 0;
        Poll::Ready(Ok(read))
    }

    /// Sizes the next reads for a body of which so many bytes are known to come.
    pub(super) fn expect(&mut self, bytes: u64) {
        let missing = bytes.saturating_sub(self.read.len() as u64);
        if missing > HEAD_BUFFER as u64 {
            let size = usize::try_from(missing).unwrap_or(BODY_BUFFER).min(BODY_BUFFER);
            self.read_size = self.read_size.max(size);
        }
    }

    /// Waits for the end of the connection, taking in up to [`UNASKED`] bytes meanwhile. An
    /// error or `Ok(())` for the end of the stream.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.eof {
                return Poll::Ready(Ok(()));
            }
            if self.read.len() >= UNASKED {
                return Poll::Pending;
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Writes what is queued.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.out.poll_write(&mut self.stream, cx)
    }

    /// Writes what is queued, then closes the sending side.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        if !self.fin_sent {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.fin_sent = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and forgets until the peer closes, so that closing does not reset the connection
    /// under a response that is still on its way.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.read.clear();
            match ready!(self.poll_fill(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    /// Gives both buffers back if nothing is in them.
    pub(super) fn park(&mut self) {
        if self.read.is_empty() && !self.parked {
            let buffer = std::mem::take(&mut self.read);
            // One that grew for a body is too large to lie idle.
            if self.read_size == HEAD_BUFFER {
                buffers::give(buffer, self.first);
            }
            self.parked = true;
            self.first = if self.taken > HEAD_BUFFER { Size::Large } else { Size::Small };
            self.taken = 0;
        }
        self.read_size = HEAD_BUFFER;
        self.out.release();
    }

    /// True when nothing was received and the peer has not closed. Costs a system call only
    /// when the socket is known to be readable. A byte that it finds is lost: the connection is
    /// of no use any more.
    pub(super) fn is_silent(&self) -> bool {
        let silent = self.read.is_empty()
            && !self.eof
            && !self.spoilt.get()
            && matches!(self.stream.try_read(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        if !silent {
            self.spoilt.set(true);
        }
        silent
    }

    /// True when [`Self::is_silent`] once said no.
    pub(super) fn is_spoilt(&self) -> bool {
        self.spoilt.get()
    }

    /// Ready when an idle connection is no longer silent.
    pub(super) fn poll_noise(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.is_silent() {
            if ready!(self.stream.poll_read_ready(cx)).is_err() {
                break;
            }
        }
        Poll::Ready(())
    }

    /// Room held for reading and for writing.
    #[cfg(test)]
    pub(super) fn capacities(&self) -> (usize, usize) {
        (self.read.capacity(), self.out.capacity())
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The socket and what was read from it but not used.
    pub(super) fn into_parts(self) -> (Stream, Bytes) {
        (self.stream, self.read.freeze())
    }
}
