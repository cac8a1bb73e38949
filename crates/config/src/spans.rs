//! Finds the place in the sources that a path names.
//!
//! Owns the trees of the loaded texts and answers on demand, so an index costs nothing beyond
//! them. It knows what the walker knows about spelling (camelCase), one value in place of a list,
//! TypedStruct and the order in which several sources merge; it does not know the schema.

use crate::{
    diagnostic::Location,
    path::{Step, steps},
    schema,
    text::{Entry, NodeId, Tree, Value},
};

/// The places of everything in the loaded sources.
#[derive(Debug, Default)]
pub struct SpanIndex {
    /// With the index of the source it was read from.
    trees: Vec<(u32, Tree)>,
}

/// One reading of a path: a node in one of the trees, with the entry that it is the value of.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: u32,
    tree: &'a Tree,
    node: NodeId,
    entry: Option<Entry>,
}

impl SpanIndex {
    pub(crate) fn add(&mut self, file: u32, tree: Tree) {
        self.trees.push((file, tree));
    }

    /// Where `path` is written or, if it is not, where its nearest written ancestor is. When
    /// several sources set it, the one that wins.
    #[must_use]
    pub fn locate(&self, path: &str) -> Option<Location> {
        let mut places = self.roots();
        for step in steps(path) {
            let next = follow(&places, &step);
            if next.is_empty() {
                break;
            }
            places = next;
        }
        places.last().map(|place| place.location())
    }

    /// Where `path` itself is written; `None` when it is not.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Location> {
        let places = steps(path).fold(self.roots(), |places, step| follow(&places, &step));
        places.last().map(|place| place.location())
    }

    /// How many elements the list at `path` has so far: those of a further source come behind.
    pub(crate) fn count(&self, path: &str) -> usize {
        let places = steps(path).fold(self.roots(), |places, step| follow(&places, &step));
        let elements = |place: &Place<'_>| match place.tree.node(place.node).value {
            Value::List { count, .. } => count as usize,
            Value::Null => 0,
            _ => 1,
        };
        places.iter().map(elements).sum()
    }

    fn roots<'a>(&'a self) -> Vec<Place<'a>> {
        let place = |(file, tree): &'a (u32, Tree)| Place { file: *file, tree, node: tree.root, entry: None };
        self.trees.iter().map(place).collect()
    }
}

fn follow<'a>(places: &[Place<'a>], step: &Step<'_>) -> Vec<Place<'a>> {
    let mut next: Vec<Place<'a>> = match step {
        Step::Field(name) => places.iter().filter_map(|place| place.field(name)).collect(),
        Step::Key(key) => places.iter().filter_map(|place| place.key(key)).collect(),
        Step::Index(index) => item(places, *index).into_iter().collect(),
    };
    // An Any is replaced as a whole.
    if next.last().is_some_and(|last| last.key("@type").is_some()) {
        next.drain(..next.len() - 1);
    }
    next
}

/// Lists of several sources follow each other.
fn item<'a>(places: &[Place<'a>], mut index: usize) -> Option<Place<'a>> {
    for place in places {
        match place.tree.node(place.node).value {
            Value::List { count, .. } => {
                if let Some(node) = place.tree.items(place.node).get(index) {
                    return Some(Place { node: *node, entry: None, ..*place });
                }
                index -= count as usize;
            }
            _ if index == 0 => return Some(*place),
            _ => index -= 1,
        }
    }
    None
}

impl<'a> Place<'a> {
    fn at(&self, entry: Entry) -> Place<'a> {
        Place { node: entry.value, entry: Some(entry), ..*self }
    }

    fn key(&self, key: &str) -> Option<Place<'a>> {
        self.tree.entry(self.node, key).map(|entry| self.at(entry))
    }

    fn field(&self, name: &str) -> Option<Place<'a>> {
        self.key(name).or_else(|| self.camel(name)).or_else(|| {
            // In a TypedStruct, the message stands below `value`.
            let value = self.key("@type").and_then(|_| self.key("value"))?;
            value.key(name).or_else(|| value.camel(name))
        })
    }

    fn camel(&self, name: &str) -> Option<Place<'a>> {
        let entries = self.tree.entries(self.node);
        let found = entries.iter().rfind(|entry| schema::is_camel_of(self.tree.key(entry.key), name));
        found.map(|entry| self.at(*entry))
    }

    /// A scalar is where its value is, a collection where its key is.
    fn location(&self) -> Location {
        let node = self.tree.node(self.node);
        let (start, end) = match (self.entry, node.value) {
            (Some(entry), Value::List { .. } | Value::Map { .. } | Value::Null) => (entry.start, entry.end),
            _ => (node.start, node.end),
        };
        Location::new(self.file, &self.tree.lines, start, end)
    }
}
