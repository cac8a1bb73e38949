//! Tells an HTTP/2 client by its first bytes (RFC 9113 section 3.4, `codec_type: AUTO`).

/// What a client sends first.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// So much of it decides: no request of HTTP/1 begins like this.
const TELLING: &[u8; 12] = b"PRI * HTTP/2";

/// Answer of [`is_h2_preface`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniff {
    /// Nothing else but the preface begins like this (h2 judges the rest of it).
    Yes,
    /// The bytes cannot become a preface.
    No,
    /// All bytes match so far.
    NeedMore,
}

/// Whether the bytes that a connection starts with are the HTTP/2 preface.
pub fn is_h2_preface(bytes: &[u8]) -> Sniff {
    let common = bytes.len().min(TELLING.len());
    if bytes.get(..common) != TELLING.get(..common) {
        Sniff::No
    } else if common == TELLING.len() {
        Sniff::Yes
    } else {
        Sniff::NeedMore
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_told_as_soon_as_possible() {
        assert_eq!(is_h2_preface(b""), Sniff::NeedMore);
        assert_eq!(is_h2_preface(b"P"), Sniff::NeedMore);
        assert_eq!(is_h2_preface(b"PO"), Sniff::No);
        assert_eq!(is_h2_preface(b"PRI * HTTP/"), Sniff::NeedMore);
        assert_eq!(is_h2_preface(b"PRI * HTTP/2.0\r\n\r\nXX"), Sniff::Yes, "h2 refuses it");
        assert_eq!(is_h2_preface(PREFACE), Sniff::Yes);
        assert_eq!(is_h2_preface(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0"), Sniff::Yes);
        assert_eq!(is_h2_preface(b"PRI * HTTP/1.1\r\n\r\n"), Sniff::No);
    }
}
