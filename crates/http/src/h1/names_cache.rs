//! Header names from wire bytes, without an allocation for the names that keep coming back.
//!
//! `HeaderName` knows the standard names by itself; any other costs an allocation each time. A
//! small direct-mapped cache per worker thread remembers the names of the latest requests, spelt
//! as they came. It holds at most [`SLOTS`] names of at most [`LONGEST`] bytes.

use std::cell::RefCell;

use http::HeaderName;

const SLOTS: usize = 256;
const LONGEST: usize = 48;

struct Slot {
    spelling: [u8; LONGEST],
    length: usize,
    name: HeaderName,
}

/// The names that one worker thread remembers.
pub(super) struct Names {
    slots: Vec<Option<Slot>>,
}

thread_local! {
    static CACHE: RefCell<Names> = const { RefCell::new(Names { slots: Vec::new() }) };
}

/// Lends the thread's names to `work`, once for a whole head.
pub(super) fn with<T>(work: impl FnOnce(&mut Names) -> T) -> T {
    CACHE.with(|cache| match cache.try_borrow_mut() {
        Ok(mut names) => work(&mut names),
        Err(_) => work(&mut Names { slots: Vec::new() }),
    })
}

impl Names {
    /// The name in lower case; `None` when it is no token.
    pub(super) fn name_of(&mut self, raw: &[u8]) -> Option<HeaderName> {
        if raw.len() > LONGEST {
            return HeaderName::from_bytes(raw).ok();
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        let slot = self.slots.get_mut(index_of(raw))?;
        if let Some(known) = slot
            && known.spelling.get(..known.length) == Some(raw)
        {
            return Some(known.name.clone());
        }
        let name = HeaderName::from_bytes(raw).ok()?;
        let mut spelling = [0; LONGEST];
        spelling.get_mut(..raw.len())?.copy_from_slice(raw);
        *slot = Some(Slot { spelling, length: raw.len(), name: name.clone() });
        Some(name)
    }
}

/// A cheap hash over both ends and the length: collisions only cost a look-up in `HeaderName` and
/// one replaced entry.
fn index_of(raw: &[u8]) -> usize {
    let ends = match (raw.first_chunk::<8>(), raw.last_chunk::<8>()) {
        (Some(first), Some(last)) => u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(23),
        _ => raw.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    let mixed = (ends ^ raw.len() as u64).wrapping_mul(0x517c_c1b7_2722_0a95);
    (mixed >> 56) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lower_case_and_the_same_each_time() {
        for _ in 0..3 {
            assert_eq!(with(|names| names.name_of(b"X-ReQuest-Id")).unwrap().as_str(), "x-request-id");
            assert_eq!(with(|names| names.name_of(b"Content-Type")).unwrap(), http::header::CONTENT_TYPE);
        }
    }

    #[test]
    fn what_is_no_token_is_no_name() {
        for raw in [&b""[..], b"a b", b"a:", b"a\0"] {
            assert!(with(|names| names.name_of(raw)).is_none());
        }
        assert!(with(|names| names.name_of(&[b'a'; 200])).is_some());
    }
}
