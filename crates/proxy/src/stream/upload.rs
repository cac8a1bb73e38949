//! The request body on its way up, and what is kept of it for another try.
//!
//! Frames are pulled from the client when a try is ready for them. While another try is possible
//! (retries, internal redirects) they are kept as well, up to `request_body_buffer_limit`, so that a
//! later try gets the same body from its start; keeping costs a reference per frame. Over the limit
//! keeping ends for good: the running try goes on, and there will be no other
//! (`retry_or_shadow_abandoned`).

use std::task::{Context, Poll, ready};

use nuncio_api::{Frame, message::BodyLength};
use nuncio_http::{Exchange, StreamError};

/// The body of one request, whatever becomes of its tries.
#[derive(Debug, Default)]
pub(super) struct Upload {
    /// Frames pulled so far; `None` when they are not kept (any more).
    kept: Option<Vec<Frame>>,
    kept_bytes: u64,
    limit: u64,
    /// The client has sent everything.
    pub(super) ended: bool,
    /// Body bytes pulled.
    pub(super) bytes: u64,
    /// More came than is kept.
    pub(super) overflowed: bool,
}

impl Upload {
    /// A body not read yet. `keep` is how much of it may be kept.
    pub(super) fn new(body: BodyLength, keep: Option<u64>) -> Self {
        Self {
            kept: keep.map(|_| Vec::new()),
            kept_bytes: 0,
            limit: keep.unwrap_or(0),
            ended: body.is_empty(),
            bytes: 0,
            overflowed: false,
        }
    }

    /// No frame will be asked for: the head ended the message.
    pub(super) fn is_bodiless(&self) -> bool {
        self.ended && self.kept.as_ref().is_none_or(Vec::is_empty)
    }

    /// The same body for a request that begins anew, or none; the bytes that went before count on.
    pub(super) fn again(self, dropped: bool) -> Self {
        if dropped {
            return Self { kept: Some(Vec::new()), kept_bytes: 0, ..self };
        }
        Self { bytes: self.bytes + self.kept_bytes, ..self }
    }

    /// No other try will be made.
    pub(super) fn forget(&mut self) {
        self.kept = None;
    }

    /// The next frame for a try that has been given `given` of them.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        given: &mut usize,
        down: &mut impl Exchange,
    ) -> Poll<Result<Frame, StreamError>> {
        let frame = match self.kept.as_ref().and_then(|kept| kept.get(*given)) {
            Some(frame) => frame.clone(),
            None => {
                let frame = ready!(down.poll_frame(cx))?;
                self.keep(&frame);
                frame
            }
        };
        *given += 1;
        Poll::Ready(Ok(frame))
    }

    fn keep(&mut self, frame: &Frame) {
        let length = match frame {
            Frame::Data { data, end } => {
                self.ended = *end;
                data.len() as u64
            }
            Frame::Trailers(_) => {
                self.ended = true;
                0
            }
        };
        self.bytes += length;
        let Some(kept) = &mut self.kept else { return };
        self.kept_bytes += length;
        if self.kept_bytes > self.limit {
            self.overflowed = true;
            self.kept = None;
        } else {
            kept.push(frame.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;
    use nuncio_api::Headers;
    use nuncio_http::exchange::{ResetReason, WireBytes};

    use super::*;

    /// A client that sends these frames.
    struct Sends(std::vec::IntoIter<Frame>);

    impl Exchange for Sends {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Result<Frame, StreamError>> {
            self.0.next().map_or(Poll::Pending, |frame| Poll::Ready(Ok(frame)))
        }
        fn send_data(&mut self, _: Bytes, _: bool) {}
        fn send_trailers(&mut self, _: &Headers) {}
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
            Poll::Ready(Ok(()))
        }
        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
            Poll::Ready(Ok(()))
        }
        fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<StreamError> {
            Poll::Pending
        }
        fn reset(&mut self, _: ResetReason) {}
        fn wire_bytes(&self) -> WireBytes {
            WireBytes::default()
        }
    }

    fn data(text: &'static str, end: bool) -> Frame {
        Frame::Data { data: Bytes::from_static(text.as_bytes()), end }
    }

    fn texts(upload: &mut Upload, given: &mut usize, down: &mut Sends) -> String {
        let mut cx = Context::from_waker(Waker::noop());
        let mut out = String::new();
        while let Poll::Ready(Ok(Frame::Data { data, end })) = upload.poll_frame(&mut cx, given, down) {
            out.push_str(std::str::from_utf8(&data).unwrap());
            if end {
                break;
            }
        }
        out
    }

    #[test]
    fn a_second_try_gets_the_body_from_its_start_and_then_the_rest() {
        let mut upload = Upload::new(BodyLength::Unknown, Some(100));
        let mut first = Sends(vec![data("one ", false), data("two ", false)].into_iter());
        assert_eq!(texts(&mut upload, &mut 0, &mut first), "one two ");
        let mut rest = Sends(vec![data("three", true)].into_iter());
        assert_eq!(texts(&mut upload, &mut 0, &mut rest), "one two three");
        assert!(upload.ended && !upload.overflowed);
        assert_eq!(upload.bytes, 13);
    }

    #[test]
    fn over_the_limit_nothing_is_kept_and_the_running_try_goes_on() {
        let mut upload = Upload::new(BodyLength::Unknown, Some(5));
        let mut given = 0;
        let mut down = Sends(vec![data("12345", false), data("6", false), data("7", true)].into_iter());
        assert_eq!(texts(&mut upload, &mut given, &mut down), "1234567");
        assert!(upload.overflowed && upload.kept.is_none());
    }
}
