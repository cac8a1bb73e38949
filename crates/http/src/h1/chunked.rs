//! The chunked transfer coding, reading side (RFC 9112 section 7.1).
//!
//! A state machine over the read buffer: it hands out the data of chunks as slices of it and
//! keeps nothing else. Strict where laxness smuggles: a size is hexadecimal digits that fit 64
//! bits, every line ends with CRLF, and data is exactly as long as its size says.
//!
//! ```text
//! Size -> Data(n) -> DataEnd -> Size ... -> (size 0) Trailers -> Done
//! ```
//!
//! Limits: a chunk line, all extensions of a message together, and the trailers' bytes and count.

use bytes::{Buf, Bytes, BytesMut};
use http::header;
use httparse::{EMPTY_HEADER, Status};
use nuncio_api::{Headers, names};

use super::details;
use super::head;
use crate::error::ProtocolError;

/// Sixteen digits, and an extension that somebody may have a use for.
const MAX_LINE: usize = 4 * 1024;
/// Extensions carry nothing that is passed on; a peer that spends more on them is up to no good.
const MAX_EXTENSION_BYTES: usize = 16 * 1024;

/// Limits on trailers.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrailerLimits {
    pub(super) bytes: usize,
    pub(super) count: usize,
}

/// What the decoder found next.
#[derive(Debug)]
pub(super) enum Chunk {
    /// More bytes are needed.
    Partial,
    /// A piece of the body.
    Data(Bytes),
    /// The end, with these trailers (often none).
    End(Headers),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Done,
}

/// Decoder of one message body.
#[derive(Debug)]
pub(super) struct ChunkedDecoder {
    state: State,
    extension_bytes: usize,
}

impl ChunkedDecoder {
    pub(super) fn new() -> Self {
        Self { state: State::Size, extension_bytes: 0 }
    }

    /// Takes the next piece off `buf`.
    pub(super) fn decode(&mut self, buf: &mut BytesMut, limits: TrailerLimits) -> Result<Chunk, ProtocolError> {
        loop {
            match self.state {
                State::Size => match self.size_line(buf)? {
                    None => return Ok(Chunk::Partial),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Data(size),
                },
                State::Data(left) => {
                    if buf.is_empty() {
                        return Ok(Chunk::Partial);
                    }
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
                    let left = left.saturating_sub(take as u64);
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Chunk::Data(buf.split_to(take).freeze()));
                }
                State::DataEnd => match line_end(buf)? {
                    false => return Ok(Chunk::Partial),
                    true => self.state = State::Size,
                },
                State::Trailers => match trailers(buf, limits)? {
                    None => return Ok(Chunk::Partial),
                    Some(trailers) => {
                        self.state = State::Done;
                        return Ok(Chunk::End(trailers));
                    }
                },
                State::Done => return Ok(Chunk::End(Headers::new())),
            }
        }
    }

    /// True when all data has been handed out and the trailers have not.
    pub(super) fn is_in_trailers(&self) -> bool {
        self.state == State::Trailers
    }

    /// Takes `size [extensions] CRLF`.
    fn size_line(&mut self, buf: &mut BytesMut) -> Result<Option<u64>, ProtocolError> {
        let window = buf.get(..buf.len().min(MAX_LINE)).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', window) else {
            // A bad size is told at once; only a good beginning may wait for its end.
            size(window)?;
            return if buf.len() >= MAX_LINE { Err(details::CODEC_ERROR) } else { Ok(None) };
        };
        let line = window.get(..end).and_then(|l| l.strip_suffix(b"\r")).ok_or(details::CODEC_ERROR)?;
        let (size, digits) = size(line)?;
        let size = size.ok_or(details::CODEC_ERROR)?;
        self.extension_bytes = self.extension_bytes.saturating_add(line.len().saturating_sub(digits));
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(details::CODEC_ERROR);
        }
        buf.advance(end + 1);
        Ok(Some(size))
    }
}

/// The size at the start of a chunk line and how many digits it has; checks what follows it.
fn size(line: &[u8]) -> Result<(Option<u64>, usize), ProtocolError> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let mut size = None;
    for byte in line.iter().take(digits) {
        let digit = (*byte as char).to_digit(16).unwrap_or(0);
        let so_far: u64 = size.unwrap_or(0);
        if so_far >> 60 != 0 {
            return Err(details::CODEC_ERROR);
        }
        size = Some(so_far << 4 | u64::from(digit));
    }
    let rest = line.get(digits..).unwrap_or_default();
    // The CR of a line whose LF has not come yet.
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    let extension = rest.trim_ascii_start();
    let spaced = rest.len() > extension.len();
    let sound = (digits > 0 || line.is_empty())
        && (extension.is_empty() || extension.first() == Some(&b';'))
        && rest.iter().all(|b| matches!(b, b'\t' | b' '..=b'~' | 0x80..));
    if sound && !(spaced && digits == 0) { Ok((size, digits)) } else { Err(details::CODEC_ERROR) }
}

/// Takes the CRLF after the data of a chunk.
fn line_end(buf: &mut BytesMut) -> Result<bool, ProtocolError> {
    match (buf.first(), buf.get(1)) {
        (Some(b'\r'), Some(b'\n')) => {
            buf.advance(2);
            Ok(true)
        }
        (None, _) | (Some(b'\r'), None) => Ok(false),
        _ => Err(details::CODEC_ERROR),
    }
}

/// Takes the trailer section with its empty line.
fn trailers(buf: &mut BytesMut, limits: TrailerLimits) -> Result<Option<Headers>, ProtocolError> {
    match (buf.first(), buf.get(1)) {
        (None, _) | (Some(b'\r'), None) => return Ok(None),
        (Some(b'\r'), Some(b'\n')) => {
            buf.advance(2);
            return Ok(Some(Headers::new()));
        }
        _ => {}
    }
    let window = buf.get(..buf.len().min(limits.bytes)).unwrap_or_default();
    let mut lines = head::Lines::new();
    let block = if head::has_fold(window) {
        let Some((unfolded, length)) = head::unfold(window, 1)? else {
            return if buf.len() > limits.bytes { Err(details::HEADERS_TOO_LARGE) } else { Ok(None) };
        };
        locate(&unfolded, limits.count, &mut lines)?.ok_or(details::CODEC_ERROR)?;
        buf.advance(length);
        unfolded.freeze()
    } else {
        match locate(window, limits.count, &mut lines)? {
            Some(length) => buf.split_to(length).freeze(),
            None if buf.len() > limits.bytes => return Err(details::HEADERS_TOO_LARGE),
            None => return Ok(None),
        }
    };
    let mut trailers = head::plain_headers(&block, &lines)?;
    trailers.retain(|name, _| !belongs_to_heads(name));
    Ok(Some(trailers))
}

/// Finds the trailer lines; their length with the empty line, or `None` when more bytes are needed.
fn locate(window: &[u8], count: usize, lines: &mut head::Lines) -> Result<Option<usize>, ProtocolError> {
    let mut slots = vec![EMPTY_HEADER; count.min(window.len())];
    match httparse::parse_headers(window, &mut slots) {
        Ok(Status::Complete((length, headers))) => {
            head::note_lines(headers, window, lines);
            Ok(Some(length))
        }
        Ok(Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) if count <= window.len() => Err(details::TOO_MANY_HEADERS),
        Err(httparse::Error::HeaderValue) => Err(details::INVALID_CHARACTERS),
        Err(_) => Err(details::CODEC_ERROR),
    }
}

/// Fields that frame or route a message have no meaning after it (RFC 9110 section 6.5.1).
fn belongs_to_heads(name: &http::HeaderName) -> bool {
    matches!(
        *name,
        header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::HOST
            | header::CONNECTION
            | header::UPGRADE
            | header::TE
            | header::TRAILER
            | header::EXPECT
    ) || *name == names::KEEP_ALIVE
        || *name == names::PROXY_CONNECTION
}
