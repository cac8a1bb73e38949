//! Messages: their fields, lists and maps.
//!
//! A key is a proto name or its camelCase (when both are there, the proto name counts). Null
//! leaves a field unset. A list field takes a single value as a list of one, an empty list as an
//! element of a list adds nothing, and a null element is the type's default. At most one member
//! of a oneof may be set.

use super::{Mistake, Walker, suggest};
use crate::{
    diagnostic::Severity,
    path::Step,
    schema::{
        Field, Kind, Message, WellKnown,
        wire::{WireType, put_nested, put_tag, put_varint},
    },
    text::{Entry, NodeId, Value},
};

/// The members of oneofs that a message has set so far.
type Chosen = Vec<(u8, Field)>;

impl<'a> Walker<'a> {
    /// The content of a message, whatever its text form.
    pub(super) fn message(&mut self, out: &mut Vec<u8>, message: Message, node: NodeId) {
        if self.enter(node) {
            match message.well_known() {
                Some(well_known) => self.well_known(out, well_known, message, node),
                None => self.fields(out, message, node, None),
            }
        }
        self.leave();
    }

    /// A mapping of fields. `skip` is a key that is no field (`@type`).
    pub(super) fn fields(&mut self, out: &mut Vec<u8>, message: Message, node: NodeId, skip: Option<&str>) {
        if !matches!(self.tree.node(node).value, Value::Map { .. }) {
            let expected = format!("a mapping of the fields of {}", short(message.name()));
            return self.mismatch(&expected, node);
        }
        let mut chosen = Chosen::new();
        let entries = self.tree.entries(node);
        for entry in entries {
            match self.field_of(message, entry.key) {
                Some(field) => {
                    if !self.is_repeated_otherwise(message, entries, entry, &field) {
                        self.path.push(Step::Field(field.name()));
                        self.field(out, message, &field, entry, &mut chosen);
                        self.path.pop();
                    }
                }
                None if skip.is_some_and(|skip| self.tree.key(entry.key) == skip) => {}
                None => self.unknown_field(message, entry),
            }
        }
    }

    fn field_of(&mut self, message: Message, key: u32) -> Option<Field> {
        let tree = self.tree;
        *self.known.entry((message, key)).or_insert_with(|| message.field_written(tree.key(key)))
    }

    /// Whether this entry is the camelCase twin of another: then the other counts.
    fn is_repeated_otherwise(&mut self, message: Message, entries: &[Entry], entry: &Entry, field: &Field) -> bool {
        let key = self.tree.key(entry.key);
        if key == field.name() {
            return false;
        }
        let twin = entries.iter().find(|other| self.tree.key(other.key) == field.name());
        if twin.is_some() {
            let name = field.name();
            let message =
                format!("`{key}` and `{name}` are the same field of {}; only `{name}` counts", short(message.name()));
            let mistake = Mistake::new("duplicate-key", message);
            self.report(Severity::Warning, mistake, (entry.start, entry.end));
        }
        twin.is_some()
    }

    fn field(&mut self, out: &mut Vec<u8>, message: Message, field: &Field, entry: &Entry, chosen: &mut Chosen) {
        let node = entry.value;
        if self.tree.node(node).value == Value::Null && !takes_null(field) {
            return;
        }
        if let Some(oneof) = field.oneof() {
            match chosen.iter().find(|(other, first)| *other == oneof && first.id != field.id) {
                Some((_, first)) => return self.second_choice(message, field, first, entry),
                None => chosen.push((oneof, *field)),
            }
        }
        if let Some(entry) = field.map() {
            self.map(out, field, entry, node);
        } else if field.is_repeated() {
            let mut index = self.first_index();
            self.list(out, field, node, &mut index);
        } else {
            self.single(out, field, node);
        }
    }

    fn second_choice(&mut self, message: Message, field: &Field, first: &Field, entry: &Entry) {
        let group = field.oneof().and_then(|oneof| message.oneof(oneof));
        let (name, first) = (field.name(), first.name());
        let text = format!(
            "`{name}` cannot be set together with `{first}`: both are choices of `{}`",
            group.map_or("one group", |oneof| oneof.name)
        );
        let mistake = Mistake::new("oneof-conflict", text);
        self.report(Severity::Error, mistake, (entry.start, entry.end));
    }

    fn unknown_field(&mut self, message: Message, entry: &Entry) {
        let key = self.tree.key(entry.key);
        let text = format!("{} has no field `{key}`", short(message.name()));
        let mut mistake = Mistake::new("unknown-field", text);
        let guess = suggest::field(message, key);
        mistake.help = match guess {
            Some(guess) => Some(format!("did you mean `{guess}`?")),
            None if key == "<<" => Some("Envoy does not know YAML merge keys".to_owned()),
            None => suggest::fields(message),
        };
        let severity = if self.options.allow_unknown_fields { Severity::Warning } else { Severity::Error };
        let failed = self.failed.len();
        self.report(severity, mistake, (entry.start, entry.end));
        // Not the message failed, but probably the field that was meant.
        self.failed.truncate(failed);
        if let Some(guess) = guess {
            self.path.push(Step::Field(guess));
            self.failed.push(self.path.to_string());
            self.path.pop();
        }
    }

    /// One value of a field, with its tag.
    pub(super) fn single(&mut self, out: &mut Vec<u8>, field: &Field, node: NodeId) {
        match field.kind {
            Kind::Message(message) => {
                put_nested(out, field.number, |out| self.message(out, message, node));
            }
            kind => self.scalar(out, field.number, kind, node),
        }
    }

    /// The values of a list field; `index` is the place of the next one.
    fn list(&mut self, out: &mut Vec<u8>, field: &Field, node: NodeId, index: &mut usize) {
        if !matches!(self.tree.node(node).value, Value::List { .. }) {
            let name = field.name();
            let text = format!("`{name}` is a list; {} is taken as its only element", self.describe(node));
            self.warn(Mistake::new("single-value", text), node);
            return self.single(out, field, node);
        }
        for item in self.tree.items(node) {
            self.path.push(Step::Index(*index));
            match self.tree.node(*item).value {
                Value::Null if !takes_null(field) => {
                    self.null_element(*item);
                    put_default(out, field);
                    *index += 1;
                }
                Value::List { .. } if !takes_lists(field) => {
                    let text = "a list inside of the list is taken as part of it";
                    self.warn(Mistake::new("nested-list", text), *item);
                    self.path.pop();
                    self.list(out, field, *item, index);
                    continue;
                }
                _ => {
                    self.single(out, field, *item);
                    *index += 1;
                }
            }
            self.path.pop();
        }
    }

    fn null_element(&mut self, node: NodeId) {
        let text = format!("an empty element of `{}` is the default value", self.path.field());
        let mistake = Mistake::new("null-element", text);
        self.warn(mistake.with_help("remove it or give it a value"), node);
    }

    fn map(&mut self, out: &mut Vec<u8>, field: &Field, entry_type: Message, node: NodeId) {
        let (Value::Map { .. }, Some((key, value))) = (self.tree.node(node).value, entry_type.entry()) else {
            return self.mismatch("a mapping", node);
        };
        for entry in self.tree.entries(node) {
            self.path.push(Step::Key(self.tree.key(entry.key).into()));
            if self.is_first_in_map(node, entry) {
                put_nested(out, field.number, |out| {
                    self.map_key(out, &key, entry);
                    if self.tree.node(entry.value).value == Value::Null && !takes_null(&value) {
                        self.null_element(entry.value);
                        put_default(out, &value);
                    } else {
                        self.single(out, &value, entry.value);
                    }
                });
            }
            self.path.pop();
        }
    }

    /// JSON may give a field twice, but not a map's key.
    pub(super) fn is_first_in_map(&mut self, map: NodeId, entry: &Entry) -> bool {
        let key = self.tree.key(entry.key);
        let first =
            self.tree.duplicates.is_empty() || self.tree.entry(map, key).is_none_or(|last| last.start == entry.start);
        if !first {
            let text = format!("the key `{key}` comes twice in one map");
            let mistake = Mistake::new("duplicate-key", text);
            self.report(Severity::Error, mistake, (entry.start, entry.end));
        }
        first
    }

    fn map_key(&mut self, out: &mut Vec<u8>, key: &Field, entry: &Entry) {
        let written = self.tree.key(entry.key);
        if let Err(expected) = super::scalar::put_key(out, key, written) {
            let text = format!("the keys of `{}` are {expected}", self.path.field());
            let mistake = Mistake::new("wrong-type", text);
            self.report(Severity::Error, mistake, (entry.start, entry.end));
        }
    }
}

/// An element of a list, or a value of a map, that is there but empty.
fn put_default(out: &mut Vec<u8>, field: &Field) {
    let wire = match field.kind {
        Kind::Message(_) | Kind::String | Kind::Bytes => WireType::Bytes,
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireType::Fixed64,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireType::Fixed32,
        _ => WireType::Varint,
    };
    put_tag(out, field.number, wire);
    match wire {
        WireType::Varint | WireType::Bytes => put_varint(out, 0),
        WireType::Fixed32 => out.extend([0; 4]),
        WireType::Fixed64 => out.extend([0; 8]),
    }
}

/// Only a google.protobuf.Value has a use for null.
fn takes_null(field: &Field) -> bool {
    matches!(field.kind, Kind::Message(message) if message.well_known() == Some(WellKnown::Value))
        && field.map().is_none()
}

fn takes_lists(field: &Field) -> bool {
    let Kind::Message(message) = field.kind else {
        return false;
    };
    matches!(message.well_known(), Some(WellKnown::Value | WellKnown::ListValue))
}

/// A type's name without its package: `Cluster.LbPolicy`.
pub(super) fn short(name: &str) -> &str {
    let is_type = |part: &&str| part.starts_with(|first: char| first.is_ascii_uppercase());
    let start: usize = name.split('.').take_while(|part| !is_type(part)).map(|p| p.len() + 1).sum();
    name.get(start..).unwrap_or(name)
}
