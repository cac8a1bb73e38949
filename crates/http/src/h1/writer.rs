//! Sending the body of a message the way its head announced it.
//!
//! Shared by both directions. A body that turns out longer than announced is cut, one that ends
//! early leaves the message unfinished: the connection cannot carry another one then, which
//! [`BodyWriter::is_complete`] tells.

use bytes::Bytes;
use nuncio_api::Headers;

use super::encode::{self, OutgoingBody};
use super::outbox::Outbox;

/// Where the outgoing body stands.
#[derive(Debug, Default)]
pub(super) struct BodyWriter {
    body: OutgoingBody,
    ended: bool,
    cut: bool,
}

impl BodyWriter {
    pub(super) fn start(body: OutgoingBody, end: bool) -> Self {
        let mut writer = Self { body, ended: false, cut: false };
        if end || body == OutgoingBody::Done {
            writer.finish();
        }
        writer
    }

    /// True when the whole message was queued as announced.
    pub(super) fn is_complete(&self) -> bool {
        self.ended && !self.cut
    }

    /// True when nothing more will be queued.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.body == OutgoingBody::Tunnel
    }

    /// Gives up: the message stays unfinished.
    pub(super) fn abort(&mut self) {
        self.cut |= !self.ended;
        self.ended = true;
    }

    /// Queues a piece.
    pub(super) fn data(&mut self, out: &mut Outbox, data: Bytes, end: bool) {
        if self.ended {
            return;
        }
        match &mut self.body {
            OutgoingBody::Done | OutgoingBody::Dropped => {}
            OutgoingBody::UntilClose | OutgoingBody::Tunnel => out.push(data),
            OutgoingBody::Length(left) => {
                let room = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                *left = left.saturating_sub(room as u64);
                out.push(data.slice(..room));
            }
            OutgoingBody::Chunked => {
                if !data.is_empty() {
                    encode::chunk_size(out.tail(), data.len());
                    out.push(data);
                    out.tail().extend_from_slice(b"\r\n");
                }
                if end {
                    encode::last_chunk(out.tail(), None);
                }
            }
        }
        if end || self.body == OutgoingBody::Length(0) {
            self.finish();
        }
    }

    /// Queues trailers, or just the end when the framing has no place for them or `keep` is not.
    pub(super) fn trailers(&mut self, out: &mut Outbox, trailers: &Headers, keep: bool) {
        if self.ended {
            return;
        }
        if self.body == OutgoingBody::Chunked {
            encode::last_chunk(out.tail(), Some(trailers).filter(|_| keep));
        }
        self.finish();
    }

    fn finish(&mut self) {
        self.ended = true;
        self.cut |= matches!(self.body, OutgoingBody::Length(left) if left > 0);
    }
}
