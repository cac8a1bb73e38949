//! Response heads: bytes in, [`ParsedResponse`] out (RFC 9112 sections 4 and 6.3).
//!
//! The reading side of the upstream. What the request was decides what may follow, so the caller
//! says it in [`Asked`]. Every failure is the upstream's: 502 for the downstream.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use httparse::{Header, Status};
use nuncio_api::{Protocol, ResponseHead};

use super::details;
use super::head::{self, Attempt, Coding, Fields, INLINE_HEADERS, Lines, Span};
use super::options::ClientOptions;
use crate::error::ProtocolError;

/// What the response answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// Any ordinary request.
    #[default]
    Plain,
    /// HEAD: the response has no body, whatever its headers say.
    Head,
    /// CONNECT: a 2xx opens a tunnel.
    Connect,
    /// An HTTP/1.1 upgrade: a 101 that says to what opens a tunnel.
    Upgrade,
}

/// How the body of a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// There is none.
    Empty,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
    /// Not HTTP any more.
    Tunnel,
}

/// A response head and what it says about the rest.
#[derive(Debug)]
pub struct ParsedResponse {
    /// The head. Hop-by-hop headers are still in it; encoding skips them.
    pub head: ResponseHead,
    /// How the body ends.
    pub body: ResponseBody,
    /// The upstream keeps the connection after this response.
    pub keep_alive: bool,
    /// Length of the head on the wire.
    pub head_bytes: usize,
}

impl ParsedResponse {
    /// A 1xx other than 101: the real response is still to come.
    pub fn is_informational(&self) -> bool {
        self.head.status.is_informational() && self.head.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Takes one response head off `buf`; `None` when it is not all there yet.
pub fn parse_response(
    buf: &mut BytesMut,
    asked: Asked,
    options: &ClientOptions,
) -> Result<Option<ParsedResponse>, ProtocolError> {
    parse(buf, asked, options).map_err(details::of_upstream)
}

fn parse(buf: &mut BytesMut, asked: Asked, options: &ClientOptions) -> Result<Option<ParsedResponse>, ProtocolError> {
    let limit = options.max_head_bytes;
    let window = buf.get(..buf.len().min(limit)).unwrap_or_default();
    let mut lines = Lines::new();
    let (line, head, head_bytes) = match attempt(window, options, &mut lines)? {
        Attempt::Complete((line, None), length) => (line, buf.split_to(length).freeze(), length),
        Attempt::Complete((line, Some(unfolded)), length) => {
            bytes::Buf::advance(buf, length);
            (line, unfolded, length)
        }
        Attempt::Partial if buf.len() > limit => return Err(details::HEADERS_TOO_LARGE),
        Attempt::Partial => return Ok(None),
    };
    let mut fields = head::fields(&head, &lines, None)?;
    if let Some(settings) = options.header_key_format.remembered() {
        let mut spelling = head::spelling(&head, &lines, settings);
        spelling.reason = Some(line.reason.slice(&head)).filter(|r| settings.forward_reason_phrase && !r.is_empty());
        fields.headers.set_spelling(spelling);
    }
    assemble(&line, fields, asked, options).map(|response| Some(ParsedResponse { head_bytes, ..response }))
}

struct StatusLine {
    code: u16,
    minor_version: u8,
    reason: Span,
}

/// The start line, and the head where it had to be unfolded.
type Parts = (StatusLine, Option<Bytes>);

fn attempt(window: &[u8], options: &ClientOptions, lines: &mut Lines) -> Result<Attempt<Parts>, ProtocolError> {
    if window.is_empty() {
        return Ok(Attempt::Partial);
    }
    if let Some(done) = with_slots(window, options.max_headers_count, lines)? {
        return Ok(match done {
            Attempt::Partial => Attempt::Partial,
            Attempt::Complete(line, length) => Attempt::Complete((line, None), length),
        });
    }
    let Some((unfolded, length)) = head::unfold(window, 2)? else {
        return Ok(Attempt::Partial);
    };
    match with_slots(&unfolded, options.max_headers_count, lines)? {
        Some(Attempt::Complete(line, _)) => Ok(Attempt::Complete((line, Some(unfolded.freeze())), length)),
        _ => Err(details::CODEC_ERROR),
    }
}

type Found = Option<Attempt<StatusLine>>;

fn with_slots(window: &[u8], max: usize, lines: &mut Lines) -> Result<Found, ProtocolError> {
    if max <= INLINE_HEADERS {
        let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; INLINE_HEADERS];
        locate(window, slots.get_mut(..max).unwrap_or_default(), lines)
    } else {
        let mut slots: Vec<MaybeUninit<Header<'_>>> = Vec::new();
        slots.resize_with(max.min(window.len()), MaybeUninit::uninit);
        locate(window, &mut slots, lines)
    }
}

fn locate<'b>(
    window: &'b [u8],
    slots: &mut [MaybeUninit<Header<'b>>],
    lines: &mut Lines,
) -> Result<Found, ProtocolError> {
    let mut response = httparse::Response::new(&mut []);
    let result = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, window, slots);
    let Some(status) = head::outcome(result, window)? else {
        return Ok(None);
    };
    let Status::Complete(length) = status else {
        return Ok(Some(Attempt::Partial));
    };
    let line = StatusLine {
        code: response.code.unwrap_or(0),
        minor_version: response.version.unwrap_or(0),
        reason: Span::of(response.reason.unwrap_or_default().as_bytes(), window),
    };
    head::note_lines(response.headers, window, lines);
    Ok(Some(Attempt::Complete(line, length)))
}

fn assemble(
    line: &StatusLine,
    mut fields: Fields,
    asked: Asked,
    options: &ClientOptions,
) -> Result<ParsedResponse, ProtocolError> {
    let status = StatusCode::from_u16(line.code).map_err(|_| details::CODEC_ERROR)?;
    let http_10 = line.minor_version == 0;
    fields.check_framing(options.allow_chunked_length)?;
    let body = body(status, &mut fields, asked)?;
    let to_nothing = status == StatusCode::SWITCHING_PROTOCOLS && body == ResponseBody::Empty;
    // An HTTP/1.0 peer that sends chunks does not know what it is doing: read them, then close.
    let sound = body != ResponseBody::UntilClose && !(http_10 && fields.coding != Coding::None) && !to_nothing;
    Ok(ParsedResponse {
        body,
        keep_alive: sound && !fields.connection.close && (!http_10 || fields.connection.keep_alive),
        head_bytes: 0,
        head: ResponseHead {
            status,
            protocol: if http_10 { Protocol::Http10 } else { Protocol::Http11 },
            headers: fields.headers,
        },
    })
}

fn body(status: StatusCode, fields: &mut Fields, asked: Asked) -> Result<ResponseBody, ProtocolError> {
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        without_body(fields)?;
        return match (status, asked) {
            (StatusCode::SWITCHING_PROTOCOLS, Asked::Upgrade) if fields.upgrade_value(None).is_some() => {
                Ok(ResponseBody::Tunnel)
            }
            // To nothing: the response is over, and so is the connection.
            (StatusCode::SWITCHING_PROTOCOLS, Asked::Upgrade) => Ok(ResponseBody::Empty),
            // Nobody asked: whatever follows would be taken for HTTP by one side only.
            (StatusCode::SWITCHING_PROTOCOLS, _) => Err(details::CODEC_ERROR),
            _ => Ok(ResponseBody::Empty),
        };
    }
    if asked == Asked::Connect && status.is_success() {
        fields.headers.remove(&header::CONTENT_LENGTH);
        return Ok(ResponseBody::Tunnel);
    }
    if asked == Asked::Head || status == StatusCode::NOT_MODIFIED {
        return Ok(ResponseBody::Empty);
    }
    Ok(match (fields.coding, fields.content_length) {
        (Coding::Chunked | Coding::Other, _) => ResponseBody::Chunked,
        (Coding::None, Some(0)) => ResponseBody::Empty,
        (Coding::None, Some(length)) => ResponseBody::Length(length),
        (Coding::None, None) => ResponseBody::UntilClose,
    })
}

/// 1xx and 204 announce no body; a content-length of zero is overlooked and removed.
fn without_body(fields: &mut Fields) -> Result<(), ProtocolError> {
    if fields.coding != Coding::None {
        return Err(details::TRANSFER_ENCODING_NOT_ALLOWED);
    }
    if fields.content_length.is_some_and(|n| n > 0) {
        return Err(details::CONTENT_LENGTH_NOT_ALLOWED);
    }
    fields.headers.remove(&header::CONTENT_LENGTH);
    Ok(())
}
