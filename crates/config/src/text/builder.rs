//! Puts a tree together while a reader goes through the text once.

use rustc_hash::FxHashMap;

use super::{
    Entry, NodeId, SyntaxError, Text, Tree, Value,
    tree::{Duplicate, Node},
};

/// Above this many entries, a mapping is searched for duplicates by hash.
const FEW: usize = 16;

/// What is open while reading.
enum Frame {
    List { node: NodeId, base: usize },
    Map { node: NodeId, base: usize, key: Option<Key> },
}

#[derive(Clone, Copy)]
pub(super) struct Key {
    /// `None` for a key whose value is to be dropped (`!ignore`).
    pub(super) number: Option<u32>,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Collects the events of a reader.
pub(super) struct Builder<'a> {
    pub(super) source: &'a str,
    pub(super) tree: Tree,
    frames: Vec<Frame>,
    open_items: Vec<NodeId>,
    open_entries: Vec<Entry>,
    /// Whether a later duplicate replaces an earlier one (YAML) or both stay, for protobuf to
    /// merge (JSON).
    last_wins: bool,
}

impl<'a> Builder<'a> {
    pub(super) fn new(source: &'a str, last_wins: bool) -> Self {
        Self {
            source,
            tree: Tree::default(),
            frames: Vec::new(),
            open_items: Vec::new(),
            open_entries: Vec::new(),
            last_wins,
        }
    }

    /// Whether the next scalar is a mapping's key.
    pub(super) fn wants_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Map { key: None, .. }))
    }

    /// Whether a node is still being read; an alias to it would be endless.
    pub(super) fn holds(&self, wanted: NodeId) -> bool {
        self.frames.iter().any(|frame| match frame {
            Frame::List { node, .. } | Frame::Map { node, .. } => *node == wanted,
        })
    }

    pub(super) fn key(&mut self, name: &str, ignored: bool, (start, end): (u32, u32)) {
        let number = (!ignored).then(|| self.tree.keys.number(name));
        if let Some(Frame::Map { key, .. }) = self.frames.last_mut() {
            *key = Some(Key { number, start, end });
        }
    }

    /// A text value, kept as a place in the source when it stands there unchanged.
    pub(super) fn text(&mut self, text: &str, (start, end): (u32, u32)) -> Text {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        for start in [start, start + 1] {
            let written = (start as usize)..(start as usize).saturating_add(text.len());
            if written.end <= end as usize && self.source.get(written) == Some(text) {
                return Text { own: false, start, length };
            }
        }
        let start = u32::try_from(self.tree.own.len()).unwrap_or(u32::MAX);
        self.tree.own.push_str(text);
        Text { own: true, start, length }
    }

    /// Adds a finished value where the reader is.
    pub(super) fn value(&mut self, value: Value, (start, end): (u32, u32)) -> NodeId {
        let node = self.push(Node { value, start, end });
        self.attach(node);
        node
    }

    /// A text that belongs nowhere yet: an anchored key, which an alias may use as a value.
    pub(super) fn aside(&mut self, text: &str, place: (u32, u32)) -> NodeId {
        let value = Value::String(self.text(text, place));
        self.push(Node { value, start: place.0, end: place.1 })
    }

    fn push(&mut self, node: Node) -> NodeId {
        let id = u32::try_from(self.tree.nodes.len()).unwrap_or(u32::MAX);
        self.tree.nodes.push(node);
        id
    }

    /// Adds a node (again, for an alias) to the open collection, or makes it the root.
    pub(super) fn attach(&mut self, node: NodeId) {
        match self.frames.last_mut() {
            None => self.tree.root = node,
            Some(Frame::List { .. }) => self.open_items.push(node),
            Some(Frame::Map { key, .. }) => {
                if let Some(Key { number: Some(key), start, end }) = key.take() {
                    self.open_entries.push(Entry { key, start, end, value: node });
                }
            }
        }
    }

    pub(super) fn open_list(&mut self, span: (u32, u32)) -> NodeId {
        let node = self.value(Value::List { first: 0, count: 0 }, span);
        self.frames.push(Frame::List { node, base: self.open_items.len() });
        node
    }

    pub(super) fn open_map(&mut self, span: (u32, u32)) -> NodeId {
        let node = self.value(Value::Map { first: 0, count: 0 }, span);
        self.frames.push(Frame::Map { node, base: self.open_entries.len(), key: None });
        node
    }

    /// Ends the innermost open collection.
    pub(super) fn close(&mut self, end: u32) {
        match self.frames.pop() {
            Some(Frame::List { node, base }) => {
                let first = place(self.tree.items.len());
                self.tree.items.extend(self.open_items.drain(base..));
                let count = place(self.tree.items.len()) - first;
                self.finish(node, Value::List { first, count }, end);
            }
            Some(Frame::Map { node, base, .. }) => {
                self.settle_duplicates(base);
                let first = place(self.tree.entries.len());
                self.tree.entries.extend(self.open_entries.drain(base..));
                let count = place(self.tree.entries.len()) - first;
                self.finish(node, Value::Map { first, count }, end);
            }
            None => {}
        }
    }

    fn finish(&mut self, node: NodeId, value: Value, end: u32) {
        if let Some(node) = self.tree.nodes.get_mut(node as usize) {
            node.value = value;
            node.end = end.max(node.end);
        }
    }

    /// Notes the keys that the entries from `base` on repeat and, where the last one wins, drops
    /// the earlier ones.
    fn settle_duplicates(&mut self, base: usize) {
        let Some(entries) = self.open_entries.get(base..) else {
            return;
        };
        if !repeats(entries) {
            return;
        }
        let mut last: FxHashMap<u32, Entry> = FxHashMap::default();
        for entry in entries {
            if let Some(first) = last.insert(entry.key, *entry) {
                let Entry { key, start, end, .. } = *entry;
                self.tree.duplicates.push(Duplicate { key, start, end, first: first.start });
            }
        }
        if self.last_wins {
            let mut kept: Vec<Entry> = last.into_values().collect();
            kept.sort_by_key(|entry| entry.start);
            self.open_entries.truncate(base);
            self.open_entries.extend(kept);
        }
    }

    /// The finished tree.
    pub(super) fn finish_tree(mut self) -> Result<Tree, SyntaxError> {
        self.tree.lines = super::Lines::of(self.source);
        if self.tree.nodes.is_empty() {
            return Err(SyntaxError::new(0, "the document is empty"));
        }
        Ok(self.tree)
    }
}

fn repeats(entries: &[Entry]) -> bool {
    if entries.len() <= FEW {
        let mut rest = entries;
        while let Some((entry, others)) = rest.split_first() {
            if others.iter().any(|other| other.key == entry.key) {
                return true;
            }
            rest = others;
        }
        return false;
    }
    let mut keys: Vec<u32> = entries.iter().map(|entry| entry.key).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
}

fn place(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
