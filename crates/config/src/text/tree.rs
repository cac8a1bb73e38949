//! The tree of values of one text.
//!
//! A few flat vectors hold all nodes, list items and mapping entries; texts are places in the
//! source where they can be, so reading 10,000 clusters makes few allocations. Mapping keys are
//! kept once each, which lets the tree answer questions about paths (`crate::spans`) without the
//! source.

use rustc_hash::FxHashMap;

use super::Lines;

/// Place of a node in its tree.
pub(crate) type NodeId = u32;

/// A value and where it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// What Envoy's conversion to JSON makes of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A whole number that YAML wrote without quotes.
    Int(i32),
    /// A number in JSON, as written.
    Number(Text),
    String(Text),
    List {
        first: u32,
        count: u32,
    },
    Map {
        first: u32,
        count: u32,
    },
}

/// A text, in the source or among the tree's own texts (when escapes or folding changed it).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Text {
    pub(crate) own: bool,
    pub(crate) start: u32,
    pub(crate) length: u32,
}

/// One `key: value` of a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) key: u32,
    /// Where the key is written.
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) value: NodeId,
}

/// A key written twice in one mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Duplicate {
    pub(crate) key: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) first: u32,
}

/// All values of one text.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) items: Vec<NodeId>,
    pub(super) entries: Vec<Entry>,
    pub(super) own: String,
    pub(super) keys: Keys,
    pub(crate) duplicates: Vec<Duplicate>,
    pub(crate) root: NodeId,
    pub(crate) lines: Lines,
}

/// Each distinct key once.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    names: Vec<Box<str>>,
    numbers: FxHashMap<Box<str>, u32>,
}

impl Keys {
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.into());
        self.numbers.insert(name.into(), number);
        number
    }
}

impl Tree {
    pub(crate) fn node(&self, id: NodeId) -> Node {
        let nothing = Node { value: Value::Null, start: 0, end: 0 };
        self.nodes.get(id as usize).copied().unwrap_or(nothing)
    }

    /// How many values the text has.
    pub(crate) fn values(&self) -> usize {
        self.nodes.len()
    }

    /// The items of a list; nothing for other values.
    pub(crate) fn items(&self, id: NodeId) -> &[NodeId] {
        match self.node(id).value {
            Value::List { first, count } => slice(&self.items, first, count),
            _ => &[],
        }
    }

    /// The entries of a mapping; nothing for other values.
    pub(crate) fn entries(&self, id: NodeId) -> &[Entry] {
        match self.node(id).value {
            Value::Map { first, count } => slice(&self.entries, first, count),
            _ => &[],
        }
    }

    pub(crate) fn key(&self, key: u32) -> &str {
        self.keys.names.get(key as usize).map_or("", |name| name)
    }

    /// A text; `source` is the text that the tree was read from.
    pub(crate) fn text<'a>(&'a self, text: Text, source: &'a str) -> &'a str {
        let from = if text.own { &self.own } else { source };
        let start = text.start as usize;
        from.get(start..start + text.length as usize).unwrap_or_default()
    }

    /// The last entry with this key.
    pub(crate) fn entry(&self, map: NodeId, key: &str) -> Option<Entry> {
        let key = *self.keys.numbers.get(key)?;
        self.entries(map).iter().rfind(|entry| entry.key == key).copied()
    }

    /// The node's text as it stands in the source, for messages.
    pub(crate) fn written<'a>(&self, id: NodeId, source: &'a str) -> &'a str {
        let node = self.node(id);
        source.get(node.start as usize..node.end as usize).unwrap_or_default()
    }
}

fn slice<T>(all: &[T], first: u32, count: u32) -> &[T] {
    let first = first as usize;
    all.get(first..first + count as usize).unwrap_or_default()
}
