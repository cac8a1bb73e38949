//! Between h2 and the socket of one connection.
//!
//! h2 owns its I/O object, the connection task must reach the same bytes: both share a [`Wire`].
//! Reading goes through [`Ahead`], under the eyes of the [`FrameMeter`]. Writing gathers: h2's
//! flushes do nothing, and the connection task calls [`Wire::poll_drain`] once after each turn of
//! h2. When the buffer is full, h2 is told to wait until the socket takes bytes again, which also
//! stops it from reading.
//!
//! Back-pressure on streams: [`Wire::queue`] counts body bytes handed to h2 since everything that
//! the peer's windows allow was last written; above `per_connection_buffer_limit_bytes` the
//! streams wait in [`Wire::poll_room`].

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use h2::Reason;
use nuncio_net::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    ahead::Ahead,
    failure,
    gather::Gather,
    meter::{Flood, FrameMeter},
    scan,
};

/// Socket, gather buffer and meter of one connection, shared by h2, the connection task and the
/// streams.
pub(super) struct Wire {
    inner: RefCell<Inner>,
    flood: Cell<Option<Flood>>,
    broken: Cell<bool>,
    blocked: Cell<bool>,
    heard: Cell<bool>,
    queued: Cell<usize>,
    limit: usize,
    waiters: RefCell<Vec<Waker>>,
}

struct Inner {
    stream: Stream,
    ahead: Ahead,
    gather: Gather,
    meter: FrameMeter,
    shut: bool,
    #[cfg(test)]
    writes: usize,
}

impl Wire {
    /// `initial` was read from `stream` before; `limit` bounds queued body bytes.
    pub(super) fn new(stream: Stream, initial: Bytes, meter: FrameMeter, limit: usize) -> Rc<Self> {
        Rc::new(Self {
            inner: RefCell::new(Inner {
                stream,
                ahead: Ahead::new(initial),
                gather: Gather::default(),
                meter,
                shut: false,
                #[cfg(test)]
                writes: 0,
            }),
            flood: Cell::new(None),
            broken: Cell::new(false),
            blocked: Cell::new(false),
            heard: Cell::new(false),
            queued: Cell::new(0),
            limit: limit.max(1),
            waiters: RefCell::default(),
        })
    }

    /// Writes what was gathered. Ready when nothing is left; `true` says that h2 was held up
    /// meanwhile and must be polled again.
    pub(super) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let result = self.inner.borrow_mut().poll_drain(cx);
        ready!(result)?;
        let blocked = self.blocked.replace(false);
        if !blocked {
            self.release();
        }
        Poll::Ready(Ok(blocked))
    }

    /// Writes what is left and closes our direction; h2's orderly end. Errors no longer matter.
    fn poll_close(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner.borrow_mut();
        if ready!(inner.poll_drain(cx)).is_ok() {
            ready!(inner.poll_shut(cx));
        }
        Poll::Ready(())
    }

    /// The same without waiting for a peer that may never read again: one attempt.
    pub(super) fn finish(&self, cx: &mut Context<'_>) {
        let _ = self.poll_close(cx);
        self.release();
    }

    /// Lets go of streams that wait for room: the connection is over, as they will find.
    pub(super) fn release(&self) {
        self.queued.set(0);
        self.wake_waiters();
    }

    /// Reads and throws away until the peer closes too. Closing a socket with unread bytes makes
    /// the kernel send a reset, which can destroy a GOAWAY under way; bound this by a timer.
    pub(super) fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        let mut inner = self.inner.borrow_mut();
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut inner.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Whether the peer sent anything since the last call.
    pub(super) fn take_heard(&self) -> bool {
        self.heard.take()
    }

    /// The limit that was passed, if one was.
    pub(super) fn flood(&self) -> Option<Flood> {
        self.flood.get()
    }

    /// Puts a GOAWAY after what was gathered: h2 has no more say on a connection that is ended
    /// from here.
    pub(super) fn say_goaway(&self, reason: Reason) {
        let mut inner = self.inner.borrow_mut();
        if let Some(frame) = inner.meter.goaway(reason.into()) {
            inner.meter.sent_goaway(&frame);
            inner.gather.push(&frame);
        }
    }

    /// True when the peer announced that it takes no more streams.
    pub(super) fn peer_is_going_away(&self) -> bool {
        self.inner.borrow().meter.peer_is_going_away()
    }

    /// True when the peer's first SETTINGS are known.
    pub(super) fn peer_has_settled(&self) -> bool {
        self.inner.borrow().meter.peer_has_settled()
    }

    /// What may be queued on this connection.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The peer broke the protocol of the whole connection, whatever its streams are told.
    pub(super) fn set_broken(&self) {
        self.broken.set(true);
    }

    /// Whether the peer broke the protocol of the whole connection.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// A head was handed up.
    pub(super) fn accepted(&self, stream: u32) {
        self.inner.borrow_mut().meter.heads().accepted(stream);
    }

    /// Why streams were reset whose heads were never handed up.
    pub(super) fn take_refused(&self) -> Vec<&'static str> {
        self.inner.borrow_mut().meter.heads().take_refused().map(failure::of_head).collect()
    }

    /// Takes trailers that break the protocol for the reason why the connection ends.
    pub(super) fn end_for_trailers(&self) -> Option<Flood> {
        let inner = self.inner.borrow();
        let (_, flood) = inner.meter.bad_trailers()?;
        inner.meter.count(flood);
        self.flood.set(Some(flood));
        Some(flood)
    }

    /// What is wrong with the trailers of `stream`.
    pub(super) fn bad_trailers_of(&self, stream: u32) -> Option<Flood> {
        self.inner.borrow().meter.bad_trailers().filter(|(bad, _)| *bad == stream).map(|(_, flood)| flood)
    }

    /// The last head was too large to be read at all.
    pub(super) fn forget_last_head(&self) {
        self.inner.borrow_mut().meter.heads().forget_last();
    }

    /// The connection is over by the peer's fault: why each head that waits was never handed up.
    pub(super) fn take_waiting(&self) -> Vec<&'static str> {
        let mut inner = self.inner.borrow_mut();
        inner.meter.heads().rest().map(|verdict| verdict.map_or(failure::CODEC, failure::of_head)).collect()
    }

    /// Counts body bytes handed to h2.
    pub(super) fn queue(&self, bytes: usize) {
        self.queued.set(self.queued.get().saturating_add(bytes));
    }

    /// Ready while less than the buffer limit is queued on this connection.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.queued.get() < self.limit {
            return Poll::Ready(());
        }
        let mut waiters = self.waiters.borrow_mut();
        if !waiters.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiters.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn wake_waiters(&self) {
        if !self.waiters.borrow().is_empty() {
            for waker in self.waiters.take() {
                waker.wake();
            }
        }
    }

    fn check(&self, result: Result<(), Flood>) -> io::Result<()> {
        if let Err(flood) = result {
            self.flood.set(Some(flood));
        }
        match self.flood.get() {
            Some(flood) => Err(io::Error::other(flood.details())),
            None => Ok(()),
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.inner.borrow().gather.held()
    }

    #[cfg(test)]
    pub(super) fn writes(&self) -> usize {
        self.inner.borrow().writes
    }

    #[cfg(test)]
    pub(super) fn queued(&self) -> usize {
        self.queued.get()
    }
}

impl Inner {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gather.is_empty() {
            let Poll::Ready(result) = Pin::new(&mut self.stream).poll_write(cx, self.gather.waiting()) else {
                self.meter.settled(self.gather.len());
                return Poll::Pending;
            };
            self.count_write();
            match result? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.gather.written(count),
            }
        }
        self.meter.settled(0);
        Poll::Ready(Ok(()))
    }

    fn poll_shut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.shut {
            let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
            self.shut = true;
        }
        Poll::Ready(())
    }

    /// Takes in `bufs`: into the buffer while there is room, else together with it to the socket.
    fn poll_accept(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        loop {
            let room = self.gather.room();
            if total <= room {
                return Poll::Ready(Ok(self.keep(bufs, total)));
            }
            match self.poll_write_through(cx, bufs) {
                Poll::Pending if room > 0 => return Poll::Ready(Ok(self.keep(bufs, room))),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(count)) => {
                    let beyond = count.saturating_sub(self.gather.len());
                    self.gather.written(count - beyond);
                    if beyond > 0 {
                        return Poll::Ready(Ok(beyond));
                    }
                }
            }
        }
    }

    fn poll_write_through(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = {
            let mut all: smallvec::SmallVec<[IoSlice<'_>; 4]> = smallvec::SmallVec::new();
            all.push(IoSlice::new(self.gather.waiting()));
            all.extend(bufs.iter().copied());
            Pin::new(&mut self.stream).poll_write_vectored(cx, &all)
        };
        if result.is_ready() {
            self.count_write();
        }
        result
    }

    fn keep(&mut self, bufs: &[IoSlice<'_>], most: usize) -> usize {
        let mut left = most;
        for buf in bufs {
            let part = buf.get(..left.min(buf.len())).unwrap_or_default();
            self.gather.push(part);
            left -= part.len();
        }
        most - left
    }

    fn count_sent(&mut self, bufs: &[IoSlice<'_>], count: usize) -> Result<(), Flood> {
        let mut left = count;
        for buf in bufs {
            let part = buf.get(..left.min(buf.len())).unwrap_or_default();
            self.meter.sent(part)?;
            left -= part.len();
        }
        Ok(())
    }

    /// h2 calls nearly every error of a connection PROTOCOL_ERROR; where RFC 9113 wants another
    /// code and the meter knows, its GOAWAY is amended while it waits here.
    fn amend_goaway(&mut self) {
        let Some(reason) = self.meter.take_better_reason() else { return };
        if let Some([0, 0, 8, scan::GOAWAY, .., c0, c1, c2, c3]) = self.gather.last_mut::<17>() {
            [*c0, *c1, *c2, *c3] = u32::from(reason).to_be_bytes();
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<Result<(), Flood>>> {
        let before = buf.filled().len();
        ready!(self.ahead.poll_read(cx, &mut self.stream, buf))?;
        Poll::Ready(Ok(self.meter.received(buf.filled().get(before..).unwrap_or_default())))
    }

    #[cfg(test)]
    fn count_write(&mut self) {
        self.writes += 1;
    }

    #[cfg(not(test))]
    fn count_write(&mut self) {}
}

/// What h2 takes for its socket.
pub(super) struct GatherIo(pub(super) Rc<Wire>);

impl AsyncRead for GatherIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.check(Ok(()))?;
        let result = self.0.inner.borrow_mut().poll_read(cx, buf);
        let metered = ready!(result)?;
        self.0.heard.set(true);
        Poll::Ready(self.0.check(metered))
    }
}

impl AsyncWrite for GatherIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.check(Ok(()))?;
        let result = self.0.inner.borrow_mut().poll_accept(cx, bufs);
        let Poll::Ready(count) = result else {
            self.0.blocked.set(true);
            return Poll::Pending;
        };
        let count = count?;
        let mut inner = self.0.inner.borrow_mut();
        let metered = inner.count_sent(bufs, count);
        inner.amend_goaway();
        drop(inner);
        self.0.check(metered)?;
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx).map(Ok)
    }
}
