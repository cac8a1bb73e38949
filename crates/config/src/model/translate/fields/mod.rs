//! Which fields are read, and the check that none is passed over in silence.
//!
//! The translating functions read what they know. Everything else that a configuration sets has
//! to be said: refused as not supported yet, or warned about once when leaving it out changes
//! nothing. `table` lists, per message, the fields that are handled and those that are ignored
//! with the reason; all others count as not supported yet. The check walks the wire bytes, so
//! that no field can be forgotten by a function, and the documentation is made from the same
//! table.

mod markdown;
mod table;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    model::report::{Path, Report},
    schema::{
        Field, Kind, Message, WellKnown,
        wire::{Reader, Wire},
    },
};

pub use markdown::compatibility_markdown;

/// What is done with the fields of one message.
pub(super) struct Support {
    message: &'static str,
    handled: &'static [&'static str],
    ignored: &'static [(&'static str, &'static str)],
    never: &'static [(&'static str, &'static str)],
}

impl Support {
    const fn of(message: &'static str, handled: &'static [&'static str]) -> Self {
        Self { message, handled, ignored: &[], never: &[] }
    }

    /// Fields that may be left out, with the reason.
    const fn ignoring(mut self, ignored: &'static [(&'static str, &'static str)]) -> Self {
        self.ignored = ignored;
        self
    }

    /// Fields that will not come, with the reason.
    const fn never(mut self, never: &'static [(&'static str, &'static str)]) -> Self {
        self.never = never;
        self
    }

    fn status(&self, field: &str) -> Status {
        let reason = |list: &'static [(&str, &'static str)]| {
            list.iter().find(|(name, _)| *name == field).map(|(_, reason)| *reason)
        };
        if self.handled == ["*"] || self.handled.contains(&field) {
            Status::Handled
        } else if let Some(reason) = reason(self.ignored) {
            Status::Ignored(reason)
        } else if let Some(reason) = reason(self.never) {
            Status::Never(reason)
        } else {
            Status::NotYet
        }
    }
}

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Handled,
    Ignored(&'static str),
    Never(&'static str),
    NotYet,
}

/// The table by schema handles.
struct Index {
    messages: FxHashSet<Message>,
    fields: FxHashMap<u16, Status>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index { messages: FxHashSet::default(), fields: FxHashMap::default() };
    for support in table::all() {
        let Some(message) = Message::named(support.message) else {
            continue;
        };
        index.messages.insert(message);
        index.fields.extend(message.fields().map(|field| (field.id, support.status(field.name()))));
    }
    index
});

/// The walk over one message's bytes.
pub(super) struct FieldCheck<'r> {
    report: &'r mut Report,
    /// Ignored fields that were warned about.
    warned: FxHashSet<u16>,
    /// Messages that the current one is inside of.
    depth: usize,
}

/// Filters in filters, and so on: real configurations stay below 30.
const MAX_DEPTH: usize = 100;

impl<'r> FieldCheck<'r> {
    pub(super) fn new(report: &'r mut Report) -> Self {
        Self { report, warned: FxHashSet::default(), depth: 0 }
    }

    /// Reports every field below that is set and not handled.
    pub(super) fn check(&mut self, message: &str, wire: &[u8], path: &Path<'_>) {
        if let Some(message) = Message::named(message) {
            self.message(message, wire, path);
        }
    }

    fn message(&mut self, message: Message, wire: &[u8], path: &Path<'_>) {
        if !INDEX.messages.contains(&message) {
            return;
        }
        if self.depth == MAX_DEPTH {
            self.report.error(path, "too-deep", format!("messages are nested more than {MAX_DEPTH} deep"));
            return;
        }
        self.depth += 1;
        self.fields(message, wire, path);
        self.depth -= 1;
    }

    fn fields(&mut self, message: Message, wire: &[u8], path: &Path<'_>) {
        let mut places = Places::default();
        for (number, value) in Reader::new(wire) {
            // A number that no field has is the business of the wire rules.
            let Some(field) = message.field_numbered(number) else {
                continue;
            };
            let place = if field.is_repeated() && field.map().is_none() { Some(places.next(number)) } else { None };
            if is_unset(&field, value) {
                continue;
            }
            let at = match place {
                Some(index) => path.item(field.name(), index),
                None => path.field(field.name()),
            };
            match INDEX.fields.get(&field.id) {
                Some(Status::Handled) => self.handled(&field, value, path, &at),
                // A list is refused once, at its first item.
                Some(status) if place.is_none_or(|index| index == 0) => self.unhandled(&field, *status, value, &at),
                _ => {}
            }
        }
    }

    fn handled(&mut self, field: &Field, value: Wire<'_>, parent: &Path<'_>, at: &Path<'_>) {
        let (Wire::Bytes(bytes), Kind::Message(inner)) = (value, field.kind) else {
            return;
        };
        if let Some(entry) = field.map() {
            return self.map_entry(field, entry, bytes, parent);
        }
        if inner.well_known() == Some(WellKnown::Any) {
            return self.any(bytes, at);
        }
        self.message(inner, bytes, at);
    }

    fn map_entry(&mut self, field: &Field, entry: Message, bytes: &[u8], parent: &Path<'_>) {
        let mut key = "";
        let mut value: &[u8] = &[];
        for part in Reader::new(bytes) {
            match part {
                (1, Wire::Bytes(bytes)) => key = std::str::from_utf8(bytes).unwrap_or_default(),
                (2, Wire::Bytes(bytes)) => value = bytes,
                _ => {}
            }
        }
        let at = parent.key(field.name(), key);
        match entry.entry().map(|(_, value)| value.kind) {
            Some(Kind::Message(inner)) if inner.well_known() == Some(WellKnown::Any) => self.any(value, &at),
            Some(Kind::Message(inner)) => self.message(inner, value, &at),
            _ => {}
        }
    }

    fn any(&mut self, bytes: &[u8], at: &Path<'_>) {
        let mut name = "";
        let mut value: &[u8] = &[];
        for part in Reader::new(bytes) {
            match part {
                (1, Wire::Bytes(url)) => {
                    name = std::str::from_utf8(url).unwrap_or_default().rsplit('/').next().unwrap_or_default();
                }
                (2, Wire::Bytes(bytes)) => value = bytes,
                _ => {}
            }
        }
        self.check(name, value, at);
    }

    fn unhandled(&mut self, field: &Field, status: Status, value: Wire<'_>, at: &Path<'_>) {
        match status {
            Status::Handled => {}
            Status::Ignored(reason) => {
                if self.warned.insert(field.id) {
                    let text = format!("ignored: `{}` ({reason})", field.name());
                    self.report.warning(at, "ignored-field", text, None);
                }
            }
            Status::NotYet if is_false(field, value) => {}
            Status::NotYet => {
                self.report.unsupported(at, format_args!("`{}`", field.name()));
            }
            Status::Never(reason) => {
                self.report.error(at, "not-supported", format!("`{}` is not supported: {reason}", field.name()));
            }
        }
    }
}

/// How often each repeated field was seen in a message.
#[derive(Default)]
struct Places(Vec<(u32, usize)>);

impl Places {
    fn next(&mut self, number: u32) -> usize {
        let at = self.0.iter().position(|(seen, _)| *seen == number);
        match at.and_then(|at| self.0.get_mut(at)) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.0.push((number, 0));
                0
            }
        }
    }
}

/// A scalar at its default says nothing.
fn is_unset(field: &Field, value: Wire<'_>) -> bool {
    match value {
        Wire::Varint(0) | Wire::Fixed64(0) | Wire::Fixed32(0) => !field.is_optional(),
        Wire::Bytes(bytes) => bytes.is_empty() && matches!(field.kind, Kind::String | Kind::Bytes),
        _ => false,
    }
}

/// A wrapped `false` asks for nothing.
fn is_false(field: &Field, value: Wire<'_>) -> bool {
    let (Wire::Bytes(bytes), Kind::Message(inner)) = (value, field.kind) else {
        return false;
    };
    inner.name() == "google.protobuf.BoolValue" && Reader::new(bytes).all(|part| matches!(part, (1, Wire::Varint(0))))
}
