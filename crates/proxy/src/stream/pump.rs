//! Moving bodies between the two sides of an exchange, one frame at a time.
//!
//! A frame is taken from one side only when the other is ready for it, so what is held is bounded
//! by each side's buffer limit plus one frame. Both directions run at the same time, polled from
//! the one task of the stream.

use std::task::{Context, Poll};

use nuncio_api::{Frame, Headers};
use nuncio_http::{Exchange, StreamError};

/// Which side failed.
#[derive(Debug)]
pub(super) enum Broken {
    /// The side the frames come from.
    Source(StreamError),
    /// The side they go to.
    Sink(StreamError),
}

/// One direction of an exchange.
#[derive(Debug, Default)]
pub(super) struct Pump {
    /// All frames were handed to the sink.
    pub(super) ended: bool,
    /// And the sink has sent them on.
    pub(super) done: bool,
    /// Body bytes moved.
    pub(super) bytes: u64,
    /// Trailers, kept for the log.
    pub(super) trailers: Option<Headers>,
    /// Something moved since the flag was last taken.
    moved: bool,
}

impl Pump {
    /// A direction whose message ended with its head.
    pub(super) fn already_ended() -> Self {
        Self { ended: true, ..Self::default() }
    }

    /// Whether something moved since the last call.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Moves what can be moved from `source` to `sink`. Ready when everything was moved and flushed.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut source: impl FnMut(&mut Context<'_>) -> Poll<Result<Frame, StreamError>>,
        sink: &mut impl Exchange,
    ) -> Poll<Result<(), Broken>> {
        while !self.ended {
            match sink.poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Sink(error))),
                Poll::Pending => return Poll::Pending,
            }
            match source(cx) {
                Poll::Ready(Ok(frame)) => self.hand_over(frame, sink),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Source(error))),
                Poll::Pending => break,
            }
        }
        match sink.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(Broken::Sink(error))),
            Poll::Ready(Ok(())) if self.ended => {
                self.done = true;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    fn hand_over(&mut self, frame: Frame, sink: &mut impl Exchange) {
        self.moved = true;
        match frame {
            Frame::Data { data, end } => {
                self.bytes += data.len() as u64;
                self.ended = end;
                if end || !data.is_empty() {
                    sink.send_data(data, end);
                }
            }
            Frame::Trailers(trailers) => {
                sink.send_trailers(&trailers);
                self.trailers = Some(trailers);
                self.ended = true;
            }
        }
    }
}
