//! Header names from wire bytes, without an allocation for the names that keep coming back.
//!
//! `HeaderName` knows the standard names by itself; any other costs an allocation each time. A
//! small direct-mapped cache per worker thread remembers the names of the latest requests, spelt
//! as they came. It holds at most [`SLOTS`] names of at most [`LONGEST`] bytes.

use std::{cell::RefCell, hash::Hasher};

use http::HeaderName;

const SLOTS: usize = 256;
const LONGEST: usize = 48;

struct Slot {
    spelling: [u8; LONGEST],
    length: usize,
    name: HeaderName,
}

thread_local! {
    static CACHE: RefCell<Vec<Option<Slot>>> = const { RefCell::new(Vec::new()) };
}

/// The name in lower case; `None` when it is no token.
pub(super) fn name_of(raw: &[u8]) -> Option<HeaderName> {
    if raw.len() > LONGEST {
        return HeaderName::from_bytes(raw).ok();
    }
    CACHE.with(|cache| match cache.try_borrow_mut() {
        Ok(mut slots) => cached(&mut slots, raw),
        Err(_) => HeaderName::from_bytes(raw).ok(),
    })
}

fn cached(slots: &mut Vec<Option<Slot>>, raw: &[u8]) -> Option<HeaderName> {
    if slots.is_empty() {
        slots.resize_with(SLOTS, || None);
    }
    let slot = slots.get_mut(index_of(raw))?;
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

/// A cheap hash: collisions only cost a look-up in `HeaderName` and one replaced entry.
fn index_of(raw: &[u8]) -> usize {
    let mut hasher = Fold(raw.len() as u64);
    hasher.write(raw);
    (hasher.finish() % SLOTS as u64) as usize
}

struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            if let Some(part) = word.get_mut(..chunk.len()) {
                part.copy_from_slice(chunk);
            }
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        self.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lower_case_and_the_same_each_time() {
        for _ in 0..3 {
            assert_eq!(name_of(b"X-ReQuest-Id").unwrap().as_str(), "x-request-id");
            assert_eq!(name_of(b"Content-Type").unwrap(), http::header::CONTENT_TYPE);
        }
    }

    #[test]
    fn what_is_no_token_is_no_name() {
        for raw in [&b""[..], b"a b", b"a:", b"a\0"] {
            assert!(name_of(raw).is_none());
        }
        assert!(name_of(&[b'a'; 200]).is_some());
    }
}
