//! How the names of a message were spelt when it came.
//!
//! [`crate::Headers`] holds names in lower case. Where `preserve_case` is configured, the HTTP/1
//! codec that read a message notes the names as they came, and the codec that writes it on looks
//! them up; nothing between has to know. Names are slices of the buffer that the head came in, so
//! they cost no copy. As in Envoy the first spelling of a name stands for all its repetitions, and
//! HTTP/2 and local replies have none. Bounded by `max_headers_count`.

use bytes::Bytes;

/// What a codec remembers of the head it read (`PreserveCaseFormatterConfig`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spelling {
    names: Vec<Bytes>,
    /// The reason phrase of a response, when it is to be forwarded.
    pub reason: Option<Bytes>,
    /// Names that did not come with the message are written in proper case; else in lower case.
    pub proper_case_for_others: bool,
}

impl Spelling {
    /// An empty list with room for `count` names.
    pub fn with_capacity(count: usize) -> Self {
        Self { names: Vec::with_capacity(count), ..Self::default() }
    }

    /// Remembers a name.
    pub fn note(&mut self, name: Bytes) {
        self.names.push(name);
    }

    /// How `name` was spelt when it came first; `None` when it did not.
    pub fn of(&self, name: &str) -> Option<&[u8]> {
        self.names.iter().find(|known| known.eq_ignore_ascii_case(name.as_bytes())).map(|known| &known[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_spelling_of_a_name_counts() {
        let mut spelling = Spelling::with_capacity(2);
        spelling.note(Bytes::from_static(b"X-FoO"));
        spelling.note(Bytes::from_static(b"x-foo"));
        assert_eq!(spelling.of("x-foo"), Some(&b"X-FoO"[..]));
        assert_eq!(spelling.of("x-fo"), None);
    }
}
