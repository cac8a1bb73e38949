//! Frame heads out of a byte stream, sans I/O.
//!
//! Bytes pass by in whatever pieces the socket gives; payloads are skipped, not copied. Only the
//! frame head (RFC 9113 section 4.1) is looked at, plus the error code of RST_STREAM and GOAWAY
//! and the pad length of padded DATA and HEADERS; header blocks are shown as they pass.

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// END_STREAM of DATA and HEADERS; ACK of SETTINGS and PING.
pub(super) const END_STREAM_OR_ACK: u8 = 0x1;
/// END_HEADERS of HEADERS and CONTINUATION.
pub(super) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITISED: u8 = 0x20;
const PRIORITY_FIELDS: usize = 5;

const HEAD: usize = 9;
const MOST: usize = HEAD + 8;
const CODE: usize = 4;

/// The head of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// Payload length, padding included.
    pub(super) length: usize,
    /// Pad length byte and padding of a padded frame.
    pub(super) padding: usize,
    /// Error code of RST_STREAM and GOAWAY.
    pub(super) code: u32,
    /// The last stream of GOAWAY.
    pub(super) last: u32,
}

impl FrameHead {
    /// Whether the payload has the one size that its kind may have (RFC 9113 section 6).
    pub(super) fn has_right_size(&self) -> bool {
        let ack = self.flags & END_STREAM_OR_ACK != 0;
        match self.kind {
            PRIORITY => self.length == PRIORITY_FIELDS,
            RST_STREAM | WINDOW_UPDATE => self.length == 4,
            SETTINGS if ack => self.length == 0,
            SETTINGS => self.length.is_multiple_of(6),
            PING => self.length == 8,
            _ => true,
        }
    }
}

/// What passes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// A frame's head.
    Head(&'a FrameHead),
    /// A piece of the header block in the frame last seen.
    Block(&'a [u8]),
    /// That header block is complete.
    BlockEnd,
}

/// Finds frame heads in consecutive pieces of one direction of a connection.
#[derive(Debug)]
pub(super) struct FrameScanner {
    head: [u8; MOST],
    have: usize,
    need: usize,
    skip: usize,
    /// Of what is skipped: first so many bytes that are no header block, then so many that are.
    before: usize,
    block: usize,
    block_ends: bool,
}

impl FrameScanner {
    /// A scanner that lets `preface` bytes pass first.
    pub(super) fn new(preface: usize) -> Self {
        Self { head: [0; MOST], have: 0, need: HEAD, skip: preface, before: 0, block: 0, block_ends: false }
    }

    /// True between two frames: another frame may start here.
    pub(super) fn at_boundary(&self) -> bool {
        self.have == 0 && self.skip == 0
    }

    /// Calls `found` for what these bytes complete; stops at its first error.
    pub(super) fn scan<E>(
        &mut self,
        mut bytes: &[u8],
        mut found: impl FnMut(Seen<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let (part, rest) = bytes.split_at(self.skip.min(bytes.len()));
                self.skip -= part.len();
                bytes = rest;
                self.pass(part, &mut found)?;
                continue;
            }
            let (part, rest) = bytes.split_at((self.need - self.have).min(bytes.len()));
            if let Some(room) = self.head.get_mut(self.have..self.have + part.len()) {
                room.copy_from_slice(part);
            }
            self.have += part.len();
            bytes = rest;
            if self.have == HEAD && self.need == HEAD {
                self.need += self.extra();
            }
            if self.have == self.need {
                let frame = self.parse();
                self.skip = frame.length - (self.need - HEAD);
                self.have = 0;
                self.need = HEAD;
                self.expect_block(&frame);
                found(Seen::Head(&frame))?;
                if self.skip == 0 {
                    self.pass(&[], &mut found)?;
                }
            }
        }
        Ok(())
    }

    /// Shows what `part` of a payload has of a header block.
    fn pass<E>(&mut self, part: &[u8], found: &mut impl FnMut(Seen<'_>) -> Result<(), E>) -> Result<(), E> {
        let hidden = self.before.min(part.len());
        self.before -= hidden;
        let shown = part.get(hidden..).unwrap_or_default();
        let shown = shown.get(..self.block.min(shown.len())).unwrap_or_default();
        self.block -= shown.len();
        if !shown.is_empty() {
            found(Seen::Block(shown))?;
        }
        if self.skip == 0 && std::mem::take(&mut self.block_ends) { found(Seen::BlockEnd) } else { Ok(()) }
    }

    fn expect_block(&mut self, frame: &FrameHead) {
        let priority = frame.kind == HEADERS && frame.flags & PRIORITISED != 0;
        let has_block = matches!(frame.kind, HEADERS | CONTINUATION);
        self.before = if priority { PRIORITY_FIELDS } else { 0 };
        self.block = if has_block { frame.length.saturating_sub(frame.padding + self.before) } else { 0 };
        self.block_ends = has_block && frame.flags & END_HEADERS != 0;
    }

    /// Payload bytes wanted beyond the head.
    fn extra(&self) -> usize {
        let frame = self.parse();
        match frame.kind {
            RST_STREAM => frame.length.min(CODE),
            GOAWAY => frame.length.min(MOST - HEAD),
            DATA | HEADERS if frame.flags & PADDED != 0 => frame.length.min(1),
            _ => 0,
        }
    }

    fn parse(&self) -> FrameHead {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3, e0, e1, e2, e3, f0, f1, f2, f3] = self.head;
        let (first, second) = (u32::from_be_bytes([e0, e1, e2, e3]), u32::from_be_bytes([f0, f1, f2, f3]));
        let (last, code) = match kind {
            RST_STREAM if self.need == HEAD + CODE => (0, first),
            GOAWAY if self.need == MOST => (first & 0x7fff_ffff, second),
            _ => (0, 0),
        };
        let length = usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2);
        let padded = matches!(kind, DATA | HEADERS) && flags & PADDED != 0 && self.need > HEAD;
        FrameHead {
            kind,
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
            length,
            padding: if padded { usize::from(e0) + 1 } else { 0 },
            code,
            last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn heads(pieces: &[&[u8]], preface: usize) -> (Vec<FrameHead>, bool) {
        let mut scanner = FrameScanner::new(preface);
        let mut found = Vec::new();
        for piece in pieces {
            scanner
                .scan(piece, |seen| {
                    if let Seen::Head(head) = seen {
                        found.push(*head);
                    }
                    Ok::<_, ()>(())
                })
                .unwrap();
        }
        (found, scanner.at_boundary())
    }

    #[test]
    fn heads_are_the_same_however_the_bytes_are_cut() {
        let mut bytes = b"preface".to_vec();
        bytes.extend(frame(SETTINGS, 0, 0, &[0; 12]));
        bytes.extend(frame(HEADERS, 0x5, 1, b"block"));
        bytes.extend(frame(DATA, 0x8, 1, &[2, 7, 0, 0]));
        bytes.extend(frame(RST_STREAM, 0, 3, &8_u32.to_be_bytes()));
        bytes.extend(frame(DATA, 0, 5, b""));
        let (whole, boundary) = heads(&[&bytes], 7);
        assert!(boundary);
        assert_eq!(whole.iter().map(|h| h.kind).collect::<Vec<_>>(), [SETTINGS, HEADERS, DATA, RST_STREAM, DATA]);
        assert_eq!((whole[2].length, whole[2].padding), (4, 3));
        assert_eq!((whole[3].stream, whole[3].code), (3, 8));
        for size in 1..bytes.len() {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(heads(&pieces, 7), (whole.clone(), true), "pieces of {size}");
        }
    }

    #[test]
    fn header_blocks_are_shown_without_what_stands_around_them() {
        let mut bytes = frame(HEADERS, PADDED | PRIORITISED, 1, b"\x02PRIORbloc..");
        bytes.extend(frame(CONTINUATION, END_HEADERS, 1, b"k"));
        bytes.extend(frame(DATA, 0, 1, b"data"));
        bytes.extend(frame(HEADERS, END_HEADERS, 3, b""));
        for size in 1..=bytes.len() {
            let mut scanner = FrameScanner::new(0);
            let (mut block, mut ends) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(size) {
                let result = scanner.scan(piece, |seen| {
                    match seen {
                        Seen::Block(part) => block.extend_from_slice(part),
                        Seen::BlockEnd => ends.push(block.len()),
                        Seen::Head(_) => {}
                    }
                    Ok::<_, ()>(())
                });
                result.unwrap();
            }
            assert_eq!((&*block, &*ends), (&b"block"[..], &[5, 5][..]), "pieces of {size}");
        }
    }

    #[test]
    fn malformed_lengths_do_not_derail_it() {
        let mut bytes = frame(RST_STREAM, 0, 1, &[9]);
        bytes.extend(frame(DATA, 0x8, 1, b""));
        bytes.extend(frame(RST_STREAM, 0, 1, &[0, 0, 0, 1, 5, 5]));
        bytes.extend(frame(PING, 0, 0, &[0; 8]));
        let (found, boundary) = heads(&[&bytes], 0);
        assert!(boundary);
        assert_eq!(found.iter().map(|h| (h.kind, h.code)).collect::<Vec<_>>(), [(3, 0), (0, 0), (3, 1), (6, 0)]);
    }

    #[test]
    fn a_half_frame_is_no_boundary() {
        let bytes = frame(DATA, 0, 1, b"payload");
        for cut in 1..bytes.len() {
            assert!(!heads(&[&bytes[..cut]], 0).1, "cut at {cut}");
        }
    }
}
