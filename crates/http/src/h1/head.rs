//! What the heads of requests and responses have in common: finding the header lines without
//! copying them, the fields that decide framing, and the rules against smuggling.
//!
//! Pure functions over bytes. Rules: RFC 9112 sections 2.2, 5, 6 and 9.6, stricter than Envoy
//! where Envoy's reading could be told apart from another recipient's. Values stay slices of the
//! buffer that the head arrived in. Limits: bytes per head and entries per head, both before
//! anything is allocated for the entries. Failures are [`ProtocolError`]s of `details`.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, header};
use httparse::{Header, Status};
use nuncio_api::{Headers, Spelling, Text, names};
use smallvec::SmallVec;

use super::details;
use super::names_cache::{self, Names};
use super::options::{IgnoredUpgrades, PreserveCase, UnderscoresAction};
use crate::error::ProtocolError;

/// Entries that a head parses into without an allocation; `max_headers_count` beyond it takes one.
pub(super) const INLINE_HEADERS: usize = 100;
/// More names than this in the Connection headers are refused, as Envoy does.
const MAX_NOMINATED: usize = 9;

/// And in a response: each name is compared with each header.
const MAX_LOOKED_AT: usize = 100;

/// A piece of the head by offsets, so that the buffer may be frozen in between.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// Where `part` lies in `whole`; empty when it does not.
    pub(super) fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        let end = start.wrapping_add(part.len());
        if start <= end && end <= whole.len() { Self { start, end } } else { Self::default() }
    }

    pub(super) fn slice(self, bytes: &Bytes) -> Bytes {
        if self.end <= bytes.len() { bytes.slice(self.start..self.end) } else { Bytes::new() }
    }

    fn bytes(self, bytes: &Bytes) -> &[u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }
}

/// Name and value of each header line.
pub(super) type Lines = SmallVec<[(Span, Span); 32]>;

/// Records where the header lines lie. The list is large and stays where it is: moving it from
/// function to function would cost as much as finding the lines.
pub(super) fn note_lines(headers: &[Header<'_>], whole: &[u8], lines: &mut Lines) {
    lines.clear();
    lines.extend(headers.iter().map(|h| (Span::of(h.name.as_bytes(), whole), Span::of(h.value, whole))));
}

/// Decides when a growing buffer is worth another parse, so that a head that drips in byte by
/// byte costs linear time: at its first byte, at each doubling, and when its last line is there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadScan {
    tried: usize,
    scanned: usize,
}

impl HeadScan {
    /// True when parsing `buf` may tell something new.
    pub(super) fn worth_parsing(&mut self, buf: &[u8], limit: usize) -> bool {
        let from = self.scanned.saturating_sub(3);
        self.scanned = buf.len();
        let due = buf.len() >= self.tried.saturating_mul(2)
            || buf.len() > limit
            || end_of_head(buf.get(from..).unwrap_or_default()).is_some();
        if due {
            self.tried = buf.len().max(1);
        }
        due && !buf.is_empty()
    }
}

/// Offset just behind the empty line that ends a head.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|at| match bytes.get(at + 1..) {
        Some([b'\n', ..]) => Some(at + 2),
        Some([b'\r', b'\n', ..]) => Some(at + 3),
        _ => None,
    })
}

/// Empty lines before a start line are skipped (RFC 9112 section 2.2).
pub(super) fn skip_blank_lines(buf: &mut BytesMut) {
    loop {
        match buf.first() {
            Some(b'\n') => buf.advance(1),
            Some(b'\r') if buf.get(1) == Some(&b'\n') => buf.advance(2),
            _ => return,
        }
    }
}

/// What an attempt at a head came to.
pub(super) enum Attempt<T> {
    /// The head is not all there.
    Partial,
    /// It is, and so many bytes long.
    Complete(T, usize),
}

/// Turns what httparse says into what the peer is told. `Ok(None)`: the head may use obsolete
/// line folding, which httparse does not take; unfold and try again.
pub(super) fn outcome(
    result: Result<Status<usize>, httparse::Error>,
    window: &[u8],
) -> Result<Option<Status<usize>>, ProtocolError> {
    use httparse::Error;
    match result {
        Ok(status) => Ok(Some(status)),
        Err(Error::TooManyHeaders) => Err(details::TOO_MANY_HEADERS),
        Err(Error::HeaderName | Error::HeaderValue) if has_fold(window) => Ok(None),
        Err(Error::HeaderValue) => Err(details::INVALID_CHARACTERS),
        Err(_) if has_control(window) => Err(details::INVALID_CHARACTERS),
        Err(_) => Err(details::CODEC_ERROR),
    }
}

/// True when a head that begins like one holds a byte that has no place anywhere in it.
fn has_control(window: &[u8]) -> bool {
    let head = window.get(..end_of_head(window).unwrap_or(window.len())).unwrap_or_default();
    head.first().is_some_and(u8::is_ascii_graphic)
        && head.iter().any(|b| b.is_ascii_control() && !matches!(b, b'\t' | b'\r' | b'\n'))
}

/// True when a line begins with white space.
pub(super) fn has_fold(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes).any(|at| matches!(bytes.get(at + 1), Some(b' ' | b'\t')))
}

/// Joins folded header lines (RFC 9112 section 5.2); the white space between them stays. `None` until the whole head
/// is there; the second value is the length of the head as received. The first `whole` lines cannot be
/// continued: a start line, and the first field line, before which there is none.
pub(super) fn unfold(window: &[u8], whole: usize) -> Result<Option<(BytesMut, usize)>, ProtocolError> {
    let Some(end) = end_of_head(window) else {
        return Ok(None);
    };
    let mut out = BytesMut::with_capacity(end);
    let head = window.get(..end).unwrap_or_default();
    for (number, line) in head.split_inclusive(|b| *b == b'\n').enumerate() {
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            out.extend_from_slice(line);
            continue;
        }
        if number < whole {
            return Err(details::CODEC_ERROR);
        }
        while matches!(out.last(), Some(b'\r' | b'\n')) {
            out.truncate(out.len() - 1);
        }
        out.extend_from_slice(line);
    }
    Ok(Some((out, end)))
}

/// Transfer-Encoding of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coding {
    /// No such header.
    #[default]
    None,
    /// Exactly one, and it says `chunked`.
    Chunked,
    /// Anything else.
    Other,
}

/// The Connection header(s).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    nominates: bool,
}

/// The headers of a head, and what those that the codec itself obeys say.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) headers: Headers,
    pub(super) content_length: Option<u64>,
    pub(super) coding: Coding,
    pub(super) connection: Connection,
    pub(super) upgrade: Option<Bytes>,
    pub(super) expect_continue: bool,
    pub(super) host: Option<Bytes>,
    pub(super) dropped_underscores: u32,
}

/// Reads the header lines of `head` in order.
pub(super) fn fields(head: &Bytes, lines: &Lines, request: Option<UnderscoresAction>) -> Result<Fields, ProtocolError> {
    names_cache::with(|names| fields_with(names, head, lines, request))
}

fn fields_with(
    names: &mut Names,
    head: &Bytes,
    lines: &Lines,
    request: Option<UnderscoresAction>,
) -> Result<Fields, ProtocolError> {
    let mut fields = Fields { headers: Headers::with_capacity(lines.len() + 8), ..Fields::default() };
    for (name, value) in lines {
        let raw_name = name.bytes(head);
        let name = names.name_of(raw_name).ok_or(details::CODEC_ERROR)?;
        if let Some(action) = request
            && action != UnderscoresAction::Allow
            && raw_name.contains(&b'_')
        {
            if action == UnderscoresAction::RejectRequest {
                return Err(details::UNEXPECTED_UNDERSCORE);
            }
            fields.dropped_underscores = fields.dropped_underscores.saturating_add(1);
            continue;
        }
        let bytes = value.slice(head);
        fields.note(&name, &bytes, request.is_some())?;
        if name == header::HOST && request.is_some() {
            continue;
        }
        let value = HeaderValue::from_maybe_shared(bytes).map_err(|_| details::INVALID_CHARACTERS)?;
        fields.headers.append(name, value);
    }
    // Of a response Envoy keeps the headers that Connection names; so do we.
    if request.is_some() {
        fields.drop_nominated(true)?;
    }
    Ok(fields)
}

/// The names of all lines as they are spelt.
pub(super) fn spelling(head: &Bytes, lines: &Lines, settings: PreserveCase) -> Spelling {
    let mut spelling = Spelling::with_capacity(lines.len());
    spelling.proper_case_for_others = settings.proper_case_for_others;
    for (name, _) in lines {
        spelling.note(name.slice(head));
    }
    spelling
}

/// Header lines as they are, with no meaning given to any (trailers).
pub(super) fn plain_headers(block: &Bytes, lines: &Lines) -> Result<Headers, ProtocolError> {
    names_cache::with(|names| {
        let mut headers = Headers::with_capacity(lines.len());
        for (name, value) in lines {
            let name = names.name_of(name.bytes(block)).ok_or(details::CODEC_ERROR)?;
            let value = HeaderValue::from_maybe_shared(value.slice(block)).map_err(|_| details::INVALID_CHARACTERS)?;
            headers.append(name, value);
        }
        Ok(headers)
    })
}

impl Fields {
    /// Obeys one header line.
    fn note(&mut self, name: &HeaderName, value: &Bytes, request: bool) -> Result<(), ProtocolError> {
        match *name {
            header::CONTENT_LENGTH => {
                if self.content_length.is_some() {
                    return Err(details::CODEC_ERROR);
                }
                self.content_length = Some(content_length(value).ok_or(details::CODEC_ERROR)?);
            }
            header::TRANSFER_ENCODING => {
                let chunked = self.coding == Coding::None && value.eq_ignore_ascii_case(b"chunked");
                self.coding = if chunked { Coding::Chunked } else { Coding::Other };
            }
            header::CONNECTION => self.connection.note(value),
            header::UPGRADE => self.upgrade = Some(joined(self.upgrade.take(), value)),
            header::EXPECT if request => self.expect_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            // Two of them, even of the same value, are an error (RFC 9112 section 3.2).
            header::HOST if request && self.host.is_some() => return Err(details::CODEC_ERROR),
            header::HOST if request => self.host = Some(value.clone()),
            ref other if *other == names::PROXY_CONNECTION => {
                self.connection.close |= value.eq_ignore_ascii_case(b"close");
            }
            _ => {}
        }
        Ok(())
    }

    /// Removes the headers that Connection nominates (RFC 9110 section 7.6.1). Framing has been
    /// decided by then, so `Connection: content-length` changes no length.
    fn drop_nominated(&mut self, request: bool) -> Result<(), ProtocolError> {
        if !self.connection.nominates {
            return Ok(());
        }
        let mut nominated: SmallVec<[Bytes; 4]> = SmallVec::new();
        let mut count = 0;
        for value in self.headers.get_all(&header::CONNECTION) {
            for token in value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                if token.is_empty() {
                    continue;
                }
                count += 1;
                if request && (count > MAX_NOMINATED || must_not_be_nominated(token)) {
                    return Err(details::CONNECTION_HEADER_REJECTED);
                }
                if count > MAX_LOOKED_AT {
                    return Err(details::CODEC_ERROR);
                }
                if request && token.eq_ignore_ascii_case(b"host") {
                    // Removed like any other; the request is one without a host then, as in Envoy.
                    self.host = None;
                }
                nominated.push(Bytes::copy_from_slice(token));
            }
        }
        self.headers.retain(|name, _| {
            kept_though_nominated(name) || !nominated.iter().any(|n| n.eq_ignore_ascii_case(name.as_str().as_bytes()))
        });
        Ok(())
    }

    /// How many body bytes the framing headers announce, after the checks that both directions
    /// share. `allow_chunked_length`: Transfer-Encoding wins and Content-Length goes.
    pub(super) fn check_framing(&mut self, allow_chunked_length: bool) -> Result<(), ProtocolError> {
        match self.coding {
            Coding::None => Ok(()),
            Coding::Other if self.content_length.is_some() => Err(details::CONTENT_LENGTH_AND_CHUNKED),
            Coding::Other => Err(details::INVALID_TRANSFER_ENCODING),
            Coding::Chunked if self.content_length.is_none() => Ok(()),
            Coding::Chunked if allow_chunked_length => {
                self.content_length = None;
                self.headers.remove(&header::CONTENT_LENGTH);
                // Whoever sent both may be trying something: nothing after this message counts.
                self.connection.close = true;
                Ok(())
            }
            Coding::Chunked => Err(details::CONTENT_LENGTH_AND_CHUNKED),
        }
    }

    /// The value of Upgrade, possibly empty, when Connection asks for it. A list of protocols is
    /// one value: the choice among them is not offered. Of a list without those that are `ignored`
    /// something must be left.
    pub(super) fn upgrade_value(&self, ignored: Option<&IgnoredUpgrades>) -> Option<Text> {
        let value = self.upgrade.as_ref().filter(|_| self.connection.upgrade)?;
        let Some(ignored) = ignored else {
            return Text::from_utf8(value.slice_ref(value.trim_ascii())).ok();
        };
        let tokens = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
        let left: SmallVec<[&[u8]; 4]> = tokens.filter(|token| !token.is_empty() && !ignored.contains(token)).collect();
        if left.is_empty() { None } else { Text::from_utf8(left.join(&b',').into()).ok() }
    }
}

impl Connection {
    fn note(&mut self, value: &[u8]) {
        for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if !token.is_empty() {
                self.nominates = true;
            }
        }
    }
}

/// Two header lines of one name as one value.
fn joined(before: Option<Bytes>, value: &Bytes) -> Bytes {
    match before {
        None => value.clone(),
        Some(before) => [before.as_ref(), b",", value.as_ref()].concat().into(),
    }
}

/// Headers that a client may not make the proxy forget.
fn must_not_be_nominated(token: &[u8]) -> bool {
    const KEPT: [&[u8]; 4] = [b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"authorization"];
    token.first() == Some(&b':') || KEPT.iter().any(|k| token.eq_ignore_ascii_case(k))
}

/// Hop-by-hop headers that are not removed here: encoding skips them, the layer above reads them.
fn kept_though_nominated(name: &HeaderName) -> bool {
    matches!(*name, header::CONNECTION | header::TE | header::UPGRADE | header::TRANSFER_ENCODING)
        || *name == names::KEEP_ALIVE
}

/// A content-length is decimal digits and nothing else (RFC 9110 section 8.6).
pub(super) fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| match byte {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}
