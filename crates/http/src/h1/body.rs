//! Reading the body of a message, however its end is marked.
//!
//! Sans-I/O: [`BodyReader::decode`] takes frames off the read buffer and says when it needs more;
//! the connection reads. Data is handed out without copying. A frame carries `end` whenever the
//! end is already known, so that the other side can close its message in the same write.

use bytes::{Bytes, BytesMut};
use nuncio_api::{Frame, message::BodyLength};

use super::chunked::{Chunk, ChunkedDecoder, TrailerLimits};
use super::response::ResponseBody;
use crate::error::ProtocolError;

/// Where the incoming body stands.
#[derive(Debug, Default)]
pub(super) enum BodyReader {
    /// Nothing (more) is expected.
    #[default]
    Done,
    /// So many bytes are left.
    Length(u64),
    /// Chunks are left.
    Chunked(ChunkedDecoder),
    /// Everything until the connection ends belongs to it.
    UntilClose,
    /// As `UntilClose`, and it is not HTTP.
    Tunnel,
}

/// Limits and options of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyRules {
    pub(super) trailers: TrailerLimits,
    pub(super) keep_trailers: bool,
}

impl BodyReader {
    pub(super) fn of_request(body: BodyLength, tunnel: bool) -> Self {
        match body {
            _ if tunnel => Self::Tunnel,
            BodyLength::Empty | BodyLength::Known(0) => Self::Done,
            BodyLength::Known(length) => Self::Length(length),
            BodyLength::Unknown => Self::Chunked(ChunkedDecoder::new()),
        }
    }

    pub(super) fn of_response(body: ResponseBody) -> Self {
        match body {
            ResponseBody::Empty | ResponseBody::Length(0) => Self::Done,
            ResponseBody::Length(length) => Self::Length(length),
            ResponseBody::Chunked => Self::Chunked(ChunkedDecoder::new()),
            ResponseBody::UntilClose => Self::UntilClose,
            ResponseBody::Tunnel => Self::Tunnel,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    pub(super) fn is_tunnel(&self) -> bool {
        matches!(self, Self::Tunnel)
    }

    /// True when the end of the connection is a proper end of this body.
    pub(super) fn ends_with_the_connection(&self) -> bool {
        matches!(self, Self::UntilClose | Self::Tunnel)
    }

    /// Bytes that are certainly still to come; what a read buffer is sized by.
    pub(super) fn expected(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Done => 0,
            _ => 1,
        }
    }

    /// The next frame in `buf`; `None` when more bytes are needed. Done once it gave an end.
    pub(super) fn decode(&mut self, buf: &mut BytesMut, rules: BodyRules) -> Result<Option<Frame>, ProtocolError> {
        match self {
            Self::Done => Ok(Some(end())),
            _ if buf.is_empty() => Ok(None),
            Self::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                *left = left.saturating_sub(take as u64);
                let done = *left == 0;
                if done {
                    *self = Self::Done;
                }
                Ok(Some(Frame::Data { data: buf.split_to(take).freeze(), end: done }))
            }
            Self::UntilClose | Self::Tunnel => Ok(Some(Frame::Data { data: buf.split().freeze(), end: false })),
            Self::Chunked(chunks) => {
                let frame = chunked_frame(chunks, buf, rules)?;
                if matches!(frame, Some(Frame::Data { end: true, .. } | Frame::Trailers(_))) {
                    *self = Self::Done;
                }
                Ok(frame)
            }
        }
    }
}

fn chunked_frame(
    chunks: &mut ChunkedDecoder,
    buf: &mut BytesMut,
    rules: BodyRules,
) -> Result<Option<Frame>, ProtocolError> {
    match chunks.decode(buf, rules.trailers)? {
        Chunk::Partial => Ok(None),
        Chunk::End(trailers) if rules.keep_trailers && !trailers.is_empty() => Ok(Some(Frame::Trailers(trailers))),
        Chunk::End(_) => Ok(Some(end())),
        Chunk::Data(data) => {
            let last = chunks.is_between_chunks() && buf.starts_with(LAST_CHUNK);
            if last {
                chunks.decode(buf, rules.trailers)?;
            }
            Ok(Some(Frame::Data { data, end: last }))
        }
    }
}

/// End of a chunk's data, the last chunk, no trailers: how nearly every chunked message ends.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// A frame that only says the message is over.
pub(super) fn end() -> Frame {
    Frame::Data { data: Bytes::new(), end: true }
}
