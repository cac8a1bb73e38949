//! The one header map of the proxy: an ordered list, as on the wire.
//!
//! Envoy keeps headers in arrival order and writes them in that order, repeated names included;
//! a hash map would not. A request carries ten to twenty headers and at most
//! `max_headers_count` (100), so a linear scan over names (which compare as small enums or
//! short slices) costs less than hashing. Nothing here grows by itself: the codecs enforce the
//! limits while they decode.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::spelling::Spelling;

/// Headers (or trailers) in wire order; names are lower case, repeated names stay separate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    entries: Vec<(HeaderName, HeaderValue)>,
    spelling: Option<Arc<Spelling>>,
}

impl Headers {
    /// An empty list that allocates nothing.
    pub const fn new() -> Self {
        Self { entries: Vec::new(), spelling: None }
    }

    /// An empty list with room for `count` entries.
    pub fn with_capacity(count: usize) -> Self {
        Self { entries: Vec::with_capacity(count), spelling: None }
    }

    /// How the names were spelt when they came, where the codec was asked to remember.
    pub fn spelling(&self) -> Option<&Spelling> {
        self.spelling.as_deref()
    }

    /// Attaches the spelling of the names.
    pub fn set_spelling(&mut self, spelling: Spelling) {
        self.spelling = Some(Arc::new(spelling));
    }

    /// Number of entries, repeated names counted each time.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first value of `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.entries.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The first value of `name` as text; `None` when absent or not visible ASCII.
    pub fn get_str(&self, name: &HeaderName) -> Option<&str> {
        self.get(name).and_then(|v| v.to_str().ok())
    }

    /// All values of `name`, in order.
    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a HeaderValue> + 'a {
        self.entries.iter().filter(move |(n, _)| n == name).map(|(_, v)| v)
    }

    /// True when `name` is present at least once.
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// Adds an entry at the end, beside any earlier one of the same name.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.entries.push((name, value));
    }

    /// Sets `name` to one value: the first entry keeps its place, further ones go; else appended.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        let Some(first) = self.entries.iter().position(|(n, _)| *n == name) else {
            self.entries.push((name, value));
            return;
        };
        if let Some(entry) = self.entries.get_mut(first) {
            entry.1 = value;
        }
        let mut index = 0;
        self.entries.retain(|(n, _)| {
            let keep = index <= first || *n != name;
            index += 1;
            keep
        });
    }

    /// Removes every entry of `name`, keeping the order of the others; returns the first value.
    pub fn remove(&mut self, name: &HeaderName) -> Option<HeaderValue> {
        let first = self.entries.iter().position(|(n, _)| n == name)?;
        let (_, value) = self.entries.remove(first);
        self.entries.retain(|(n, _)| n != name);
        Some(value)
    }

    /// Keeps the entries for which `keep` answers true.
    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
        self.entries.retain(|(n, v)| keep(n, v));
    }

    /// Joins repeated entries of the names that `joins` accepts into the first, with commas.
    ///
    /// Costs a few bit operations per entry when no name repeats.
    pub fn join_repeated(&mut self, joins: impl Fn(&HeaderName) -> bool) {
        let mut seen = 0u64;
        let mut suspect = false;
        for (name, _) in &self.entries {
            let bit = 1u64 << fingerprint(name.as_str());
            suspect |= seen & bit != 0;
            seen |= bit;
        }
        if suspect {
            self.join_slowly(&joins);
        }
    }

    fn join_slowly(&mut self, joins: &impl Fn(&HeaderName) -> bool) {
        let mut at = 0;
        while let Some((name, _)) = self.entries.get(at) {
            let name = name.clone();
            let later = self.entries.iter().skip(at + 1).any(|(n, _)| *n == name);
            if later && joins(&name) {
                let all: Vec<&[u8]> = self.get_all(&name).map(HeaderValue::as_bytes).collect();
                if let Ok(joined) = HeaderValue::from_bytes(&all.join(b",".as_slice())) {
                    self.set(name, joined);
                }
            }
            at += 1;
        }
    }

    /// Drops all entries, keeping the allocation.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// All entries in wire order.
    pub fn iter(&self) -> std::slice::Iter<'_, (HeaderName, HeaderValue)> {
        self.entries.iter()
    }

    /// Sum of name and value lengths in bytes, as Envoy's `byteSize` counts.
    pub fn byte_size(&self) -> usize {
        self.entries.iter().map(|(n, v)| n.as_str().len() + v.len()).sum()
    }
}

/// A number below 64 that tells most names apart.
fn fingerprint(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let byte = |at: Option<&u8>| at.map_or(0, |b| u32::from(*b));
    let mixed = byte(bytes.first()) * 7 + byte(bytes.last()) * 13 + byte(bytes.get(bytes.len() / 2)) * 3;
    (mixed + bytes.len() as u32) & 63
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a (HeaderName, HeaderValue);
    type IntoIter = std::slice::Iter<'a, (HeaderName, HeaderValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

impl IntoIterator for Headers {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = std::vec::IntoIter<(HeaderName, HeaderValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Headers {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(iter: I) -> Self {
        Self { entries: iter.into_iter().collect(), spelling: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> Headers {
        list.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn set_keeps_the_place_of_the_first_and_drops_the_rest() {
        let mut h = headers(&[("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")]);
        h.set(HeaderName::from_static("a"), HeaderValue::from_static("9"));
        assert_eq!(h, headers(&[("a", "9"), ("b", "2"), ("c", "4")]));
    }

    #[test]
    fn repeated_names_are_joined_where_wanted() {
        let mut h = headers(&[("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")]);
        h.join_repeated(|name| *name == "a");
        assert_eq!(h, headers(&[("a", "1,3"), ("b", "2"), ("b", "4")]));
    }

    #[test]
    fn remove_keeps_the_order_of_the_others() {
        let mut h = headers(&[("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")]);
        assert_eq!(h.remove(&HeaderName::from_static("a")), Some(HeaderValue::from_static("1")));
        assert_eq!(h, headers(&[("b", "2"), ("c", "4")]));
    }
}
