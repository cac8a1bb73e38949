//! Keys grouped by length: all keys that are a prefix (or suffix) of a text, with one hash
//! look-up per distinct length instead of one comparison per key.

use rustc_hash::FxHashMap;

/// Values under keys of one length.
type Keys<V> = FxHashMap<Box<[u8]>, V>;

/// Values under byte-string keys, grouped by key length.
#[derive(Debug)]
pub(super) struct ByLength<V> {
    /// Longest first.
    groups: Vec<(usize, Keys<V>)>,
}

impl<V> Default for ByLength<V> {
    fn default() -> Self {
        Self { groups: Vec::new() }
    }
}

impl<V: Default> ByLength<V> {
    /// The value under `key`, made if new.
    pub(super) fn entry(&mut self, key: &[u8]) -> &mut V {
        let at = match self.groups.binary_search_by(|(length, _)| key.len().cmp(length)) {
            Ok(at) => at,
            Err(at) => {
                self.groups.insert(at, (key.len(), FxHashMap::default()));
                at
            }
        };
        #[allow(clippy::indexing_slicing, reason = "the slot was found or made just above")]
        self.groups[at].1.entry(key.into()).or_default()
    }

    /// True when there is no key.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Values whose key starts `text`, longest key first.
    pub(super) fn prefixes_of<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, &'a V)> {
        self.groups.iter().filter_map(|(length, keys)| Some((*length, keys.get(text.get(..*length)?)?)))
    }

    /// Values whose key ends `text`, longest key first.
    pub(super) fn suffixes_of<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, &'a V)> {
        self.groups.iter().filter_map(|(length, keys)| {
            let start = text.len().checked_sub(*length)?;
            Some((*length, keys.get(text.get(start..)?)?))
        })
    }
}
