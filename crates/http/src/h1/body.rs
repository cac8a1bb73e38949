//! Reading the body of a message, however its end is marked.
//!
//! Sans-I/O: [`BodyReader::decode`] takes frames off the read buffer and says when it needs more;
//! the connection reads. Data is handed out without copying. A frame carries `end` whenever the
//! end is already known, so that the other side can close its message in the same write.

use bytes::{Bytes, BytesMut};
use nuncio_api::{Frame, Headers, message::BodyLength};

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
    /// The trailers of a chunked body whose data has been handed out.
    Trailers(Box<Headers>),
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
            Self::Done | Self::Trailers(_) => 0,
            _ => 1,
        }
    }

    /// The next frame in `buf`; `None` when more bytes are needed. Done once it gave an end.
    pub(super) fn decode(&mut self, buf: &mut BytesMut, rules: BodyRules) -> Result<Option<Frame>, ProtocolError> {
        match self {
            Self::Done => Ok(Some(end())),
            Self::Trailers(trailers) => {
                let trailers = std::mem::take(&mut **trailers);
                *self = Self::Done;
                Ok(Some(Frame::Trailers(trailers)))
            }
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
                let received = chunks_at_hand(chunks, buf, rules)?;
                Ok(self.frame_of(received))
            }
        }
    }

    /// What the chunks that came in are as a frame; moves on when they were the last.
    fn frame_of(&mut self, received: Received) -> Option<Frame> {
        let Received { data, end: Some(trailers) } = received else {
            return (!received.data.is_empty()).then_some(Frame::Data { data: received.data, end: false });
        };
        *self = Self::Done;
        if trailers.is_empty() {
            return Some(Frame::Data { data, end: true });
        }
        if data.is_empty() {
            return Some(Frame::Trailers(trailers));
        }
        *self = Self::Trailers(Box::new(trailers));
        Some(Frame::Data { data, end: false })
    }
}

/// The chunks of one look at the read buffer.
#[derive(Default)]
struct Received {
    data: Bytes,
    /// Present when the body is over: its trailers, or none when nobody wants them.
    end: Option<Headers>,
}

/// Takes all chunks that are in `buf`, as one piece: chunks say where the end is, not where one
/// write should end (Envoy joins them as well). A single chunk is not copied. When a chunk is
/// broken, the data that came in with it is not handed out.
fn chunks_at_hand(
    chunks: &mut ChunkedDecoder,
    buf: &mut BytesMut,
    rules: BodyRules,
) -> Result<Received, ProtocolError> {
    let mut received = Received::default();
    let mut joined = BytesMut::new();
    loop {
        let chunk = match chunks.decode(buf, rules.trailers) {
            // Told when it is looked for again: the data before broken trailers is complete.
            Err(_) if chunks.is_in_trailers() && !received.data.is_empty() => break,
            other => other?,
        };
        match chunk {
            Chunk::Data(data) if received.data.is_empty() => received.data = data,
            Chunk::Data(data) => {
                if joined.is_empty() {
                    joined.reserve(received.data.len() + data.len() + buf.len());
                    joined.extend_from_slice(&received.data);
                }
                joined.extend_from_slice(&data);
            }
            Chunk::Partial => break,
            Chunk::End(trailers) => {
                received.end = Some(if rules.keep_trailers { trailers } else { Headers::new() });
                break;
            }
        }
    }
    if !joined.is_empty() {
        received.data = joined.freeze();
    }
    Ok(received)
}

/// A frame that only says the message is over.
pub(super) fn end() -> Frame {
    Frame::Data { data: Bytes::new(), end: true }
}
