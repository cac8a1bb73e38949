//! Frame heads out of a byte stream, sans I/O.
//!
//! Bytes pass by in whatever pieces the socket gives; payloads are skipped, not copied. Only the
//! frame head (RFC 9113 section 4.1) is looked at, plus the error code of RST_STREAM and the pad
//! length of padded DATA and HEADERS. Sizes are not judged: h2 does that.

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

const HEAD: usize = 9;
const MOST: usize = HEAD + 4;

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
    /// Error code of RST_STREAM.
    pub(super) code: u32,
}

/// Finds frame heads in consecutive pieces of one direction of a connection.
#[derive(Debug)]
pub(super) struct FrameScanner {
    head: [u8; MOST],
    have: usize,
    need: usize,
    skip: usize,
}

impl FrameScanner {
    /// A scanner that lets `preface` bytes pass first.
    pub(super) fn new(preface: usize) -> Self {
        Self { head: [0; MOST], have: 0, need: HEAD, skip: preface }
    }

    /// True between two frames: another frame may start here.
    pub(super) fn at_boundary(&self) -> bool {
        self.have == 0 && self.skip == 0
    }

    /// Calls `found` for each head that is complete with these bytes; stops at its first error.
    pub(super) fn scan<E>(
        &mut self,
        mut bytes: &[u8],
        mut found: impl FnMut(&FrameHead) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passed = self.skip.min(bytes.len());
                self.skip -= passed;
                bytes = bytes.get(passed..).unwrap_or_default();
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
                found(&frame)?;
            }
        }
        Ok(())
    }

    /// Payload bytes wanted beyond the head.
    fn extra(&self) -> usize {
        let frame = self.parse();
        match frame.kind {
            RST_STREAM => frame.length.min(MOST - HEAD),
            DATA | HEADERS if frame.flags & PADDED != 0 => frame.length.min(1),
            _ => 0,
        }
    }

    fn parse(&self) -> FrameHead {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3, e0, e1, e2, e3] = self.head;
        let length = usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2);
        let padded = matches!(kind, DATA | HEADERS) && flags & PADDED != 0 && self.need > HEAD;
        FrameHead {
            kind,
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
            length,
            padding: if padded { usize::from(e0) + 1 } else { 0 },
            code: if kind == RST_STREAM && self.need == MOST { u32::from_be_bytes([e0, e1, e2, e3]) } else { 0 },
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
                .scan(piece, |head| {
                    found.push(*head);
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
