//! What is wrong with a header block that h2 refused, sans I/O.
//!
//! h2 says no more than that a block is bad; Envoy's access log tells broken compression, a field
//! that must not be there and a message that is not whole from each other. This reads a block
//! once more, only after it was refused, along HPACK's structure (RFC 7541 section 6) and without
//! its dynamic table: what stands there, or is Huffman coded, counts as sound. It judges nothing
//! that is let through, so a wrong guess costs a less exact word in the log.

/// Entries that a dynamic table of the usual 4096 bytes can have, after the static ones.
const MOST_ENTRIES: usize = 61 + 128;
const MOST_TABLE: usize = 4096;

/// What a refused block suffers from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It cannot be decompressed.
    Broken,
    /// A field that HTTP/2 forbids, or nothing that can be seen from here.
    Field,
    /// Fields that are missing or contradict the message (RFC 9113 section 8).
    Message,
}

/// One field; `None` stands for a name or value that cannot be seen from here.
#[derive(Debug, Default)]
struct Field<'a> {
    name: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

/// Reads a refused block. `ended` says that no body follows.
pub(super) fn inspect(block: &[u8], ended: bool) -> Verdict {
    let mut seen = Seen::default();
    let mut fields = Fields { rest: block, first: true };
    while !fields.rest.is_empty() {
        match fields.next() {
            Some(Some(field)) => seen.take(&field, ended),
            Some(None) => {}
            None => return Verdict::Broken,
        }
    }
    if !seen.forbidden && (seen.contradiction || seen.is_short()) { Verdict::Message } else { Verdict::Field }
}

/// Whether the block cannot be decompressed or has a field that no block may have: what makes h2
/// end the connection.
pub(super) fn ends_connection(block: &[u8]) -> Option<Verdict> {
    let mut fields = Fields { rest: block, first: true };
    let mut forbidden = false;
    while !fields.rest.is_empty() {
        match fields.next() {
            Some(field) => forbidden |= field.is_some_and(|field| field.is_unreadable()),
            None => return Some(Verdict::Broken),
        }
    }
    forbidden.then_some(Verdict::Field)
}

/// Whether a pseudo header is among trailers, where none may be.
pub(super) fn has_pseudo_header(block: &[u8]) -> bool {
    let mut fields = Fields { rest: block, first: true };
    while let Some(field) = fields.next() {
        if field.is_some_and(|field| field.name.is_some_and(|name| name.first() == Some(&b':'))) {
            return true;
        }
        if fields.rest.is_empty() {
            break;
        }
    }
    false
}

/// What was seen of a request's head.
#[derive(Debug, Default)]
struct Seen {
    method: bool,
    scheme: bool,
    path: bool,
    length: bool,
    unseen: bool,
    forbidden: bool,
    contradiction: bool,
}

impl Seen {
    fn take(&mut self, field: &Field<'_>, ended: bool) {
        self.forbidden |= field.is_unreadable();
        let Some(name) = field.name else {
            self.unseen = true;
            return;
        };
        let value = field.value;
        match name {
            b":method" => self.forbidden |= std::mem::replace(&mut self.method, true),
            b":scheme" => self.forbidden |= std::mem::replace(&mut self.scheme, true),
            b":path" => {
                self.forbidden |= std::mem::replace(&mut self.path, true) || value.is_some_and(<[u8]>::is_empty);
                self.contradiction |= value.is_some_and(|path| !path.starts_with(b"/") && path != b"*");
            }
            b"content-length" => {
                let digits = value.is_some_and(|v| !v.is_empty() && v.iter().all(u8::is_ascii_digit));
                self.forbidden |= std::mem::replace(&mut self.length, true) || (value.is_some() && !digits);
                self.contradiction |= ended && digits && value.is_some_and(|v| v.iter().any(|digit| *digit != b'0'));
            }
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                self.forbidden = true;
            }
            b"te" => self.forbidden |= value.is_some_and(|value| value != b"trailers"),
            _ => {}
        }
    }

    fn is_short(&self) -> bool {
        !(self.unseen || (self.method && self.scheme && self.path))
    }
}

impl Field<'_> {
    /// A name or value that no HTTP library takes in.
    fn is_unreadable(&self) -> bool {
        let name = self.name.is_some_and(|name| {
            let plain = name.strip_prefix(b":").unwrap_or(name);
            plain.is_empty()
                || plain.iter().any(|byte| !is_token(*byte) || byte.is_ascii_uppercase())
                || (plain.len() < name.len()
                    && !matches!(plain, b"method" | b"scheme" | b"authority" | b"path" | b"protocol" | b"status"))
        });
        let value = self.value.is_some_and(|value| match self.name {
            Some(b":method") => !value.iter().all(|byte| is_token(*byte)),
            _ => value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')),
        });
        name || value
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Walks over a block.
struct Fields<'a> {
    rest: &'a [u8],
    first: bool,
}

impl<'a> Fields<'a> {
    /// The next representation: `Some(None)` for a change of the table's size, `None` when broken.
    fn next(&mut self) -> Option<Option<Field<'a>>> {
        let byte = *self.rest.first()?;
        let (bits, indexed) = match byte.leading_zeros() {
            0 => (7, true),
            1 => (6, false),
            2 => {
                let allowed = self.first && self.integer(5)? <= MOST_TABLE;
                return allowed.then_some(None);
            }
            _ => (4, false),
        };
        self.first = false;
        let index = self.integer(bits)?;
        if index > MOST_ENTRIES || (indexed && index == 0) {
            return None;
        }
        let name = if index == 0 { self.string()? } else { static_name(index) };
        let value = if indexed { static_value(index) } else { self.string()? };
        Some(Some(Field { name, value }))
    }

    /// RFC 7541 section 5.1.
    fn integer(&mut self, bits: u32) -> Option<usize> {
        let most = (1_usize << bits) - 1;
        let mut value = usize::from(self.byte()?) & most;
        if value < most {
            return Some(value);
        }
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A string: `Some(None)` when it is Huffman coded. (Of those, what starts with a colon can be
    /// told by its first bits.)
    fn string(&mut self) -> Option<Option<&'a [u8]>> {
        let coded = self.rest.first()? & 0x80 != 0;
        let length = self.integer(7)?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        let colon = coded && text.first().is_some_and(|byte| byte >> 1 == COLON);
        Some(if colon { Some(b":") } else { Some(text).filter(|_| !coded) })
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }
}

/// The colon in HPACK's Huffman code.
const COLON: u8 = 0b101_1100;

/// Those of the static table (RFC 7541 appendix A) that matter here; any other name is sound.
fn static_name(index: usize) -> Option<&'static [u8]> {
    match index {
        1 => Some(b":authority"),
        2 | 3 => Some(b":method"),
        4 | 5 => Some(b":path"),
        6 | 7 => Some(b":scheme"),
        8..=14 => Some(b":status"),
        28 => Some(b"content-length"),
        57 => Some(b"transfer-encoding"),
        15..=61 => Some(b"other"),
        _ => None,
    }
}

fn static_value(index: usize) -> Option<&'static [u8]> {
    match index {
        4 | 5 => Some(b"/"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'h'];

    fn with(more: &[u8]) -> Vec<u8> {
        [WHOLE, more].concat()
    }

    fn literal(name: &str, value: &str) -> Vec<u8> {
        let mut bytes = vec![0, name.len() as u8];
        bytes.extend(name.bytes());
        bytes.push(value.len() as u8);
        bytes.extend(value.bytes());
        bytes
    }

    #[test]
    fn broken_compression_is_told_from_bad_fields() {
        for broken in [&b"\x80"[..], b"\xff\x80\x01", b"\x41\x05h", b"\x3f\xe1\xff\x03", b"\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(inspect(broken, true), Verdict::Broken, "{broken:x?}");
            assert_eq!(ends_connection(broken), Some(Verdict::Broken), "{broken:x?}");
        }
        assert_eq!(inspect(&with(b"\x20"), true), Verdict::Broken, "the table's size after a field");
        assert_eq!(ends_connection(WHOLE), None);
    }

    #[test]
    fn what_is_missing_is_told_from_what_is_forbidden() {
        assert_eq!(inspect(&WHOLE[1..], true), Verdict::Message);
        assert_eq!(inspect(&with(b"\x0f\x0d\x015"), true), Verdict::Message, "content-length without a body");
        assert_eq!(inspect(&[0x82, 0x86, 0x04, 2, b'u', b'p'], true), Verdict::Message, "path without slash");
        assert_eq!(inspect(&[0x82, 0x86, 0x04, 0], true), Verdict::Field, "empty path");
        assert_eq!(inspect(&with(b"\x84"), true), Verdict::Field, "path twice");
        assert_eq!(inspect(&with(b"\x0f\x0d\x011\x0f\x0d\x012"), true), Verdict::Field, "content-length twice");
        for (name, value) in [("connection", "close"), ("te", "gzip"), ("content-length", "x"), (":odd", "1")] {
            assert_eq!(inspect(&with(&literal(name, value)), true), Verdict::Field, "{name}");
        }
    }

    #[test]
    fn what_no_library_takes_in_ends_the_connection() {
        for (name, value) in [("X-Upper", "1"), ("", "1"), ("a b", "1"), ("a", "1\r\nb: 2"), ("a", "\0"), (":odd", "1")]
        {
            assert_eq!(ends_connection(&with(&literal(name, value))), Some(Verdict::Field), "{name:?}: {value:?}");
        }
        assert_eq!(ends_connection(&with(&literal("a", "1"))), None);
    }

    #[test]
    fn what_the_dynamic_table_holds_counts_as_sound() {
        assert_eq!(ends_connection(&[0xbe, 0xbf]), None);
        assert_eq!(inspect(&[0xbe, 0xbf], true), Verdict::Field);
    }

    #[test]
    fn pseudo_headers_among_trailers_are_found_in_every_form() {
        assert!(has_pseudo_header(&[0x84]));
        assert!(has_pseudo_header(&[0x04, 2, b'/', b'x']));
        assert!(has_pseudo_header(&literal(":path", "/x")));
        assert!(has_pseudo_header(b"\x00\x84\xb9\x58\xd3\x3f\x81/"), "Huffman coded");
        assert!(!has_pseudo_header(&literal("x-trailer", "v")));
        assert!(!has_pseudo_header(b""));
        assert!(!has_pseudo_header(b"\x00\x05a"), "broken ones are h2's to refuse");
    }

    #[test]
    fn any_bytes_get_a_verdict() {
        let mut state = 7_u32;
        for length in 0..400 {
            let bytes: Vec<u8> = (0..length % 40)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let _ = (inspect(&bytes, length % 2 == 0), ends_connection(&bytes), has_pseudo_header(&bytes));
        }
    }
}
