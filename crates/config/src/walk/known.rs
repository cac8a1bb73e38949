//! The well-known types, whose text is not a mapping of their fields.
//!
//! As the legacy parser does, a Duration, a Timestamp and a wrapper may also be written as the
//! mapping that they are (`{seconds: 1}`, `{value: 10}`).

use super::{Mistake, Walker, time};
use crate::{
    path::Step,
    schema::{
        Message, WellKnown,
        wire::{WireType, put_bytes, put_nested, put_tag, put_varint},
    },
    text::{NodeId, Value},
};

impl Walker<'_> {
    pub(super) fn well_known(&mut self, out: &mut Vec<u8>, well_known: WellKnown, message: Message, node: NodeId) {
        let is_map = matches!(self.tree.node(node).value, Value::Map { .. });
        match well_known {
            WellKnown::Any => self.any(out, node),
            WellKnown::Struct => self.structure(out, node),
            WellKnown::Value => self.value(out, node),
            WellKnown::ListValue => self.values_of(out, node),
            WellKnown::TypedStruct => self.fields(out, message, node, None),
            _ if is_map => self.fields(out, message, node, None),
            WellKnown::Duration => self.time(out, node, time::duration),
            WellKnown::Timestamp => self.time(out, node, time::timestamp),
            WellKnown::Wrapper => {
                if let Some(field) = message.field_numbered(1) {
                    self.scalar(out, 1, field.kind, node);
                }
            }
        }
    }

    fn time(&mut self, out: &mut Vec<u8>, node: NodeId, parse: fn(&str) -> Result<time::Parts, time::Problem>) {
        let written = match self.tree.node(node).value {
            Value::String(text) => self.tree.text(text, self.source),
            _ => self.tree.written(node, self.source),
        };
        let is_text = matches!(self.tree.node(node).value, Value::String(_));
        match parse(written) {
            Ok(time::Parts { seconds, nanos }) if is_text => {
                put_tag(out, 1, WireType::Varint);
                put_varint(out, seconds.cast_unsigned());
                put_tag(out, 2, WireType::Varint);
                put_varint(out, i64::from(nanos).cast_unsigned());
            }
            Ok(_) => self.mismatch("a duration", node),
            Err(problem) => {
                let name = self.path.field();
                let message = match is_text {
                    true => format!("`{name}` is not {}: {}", problem.what, self.describe(node)),
                    false => {
                        format!("`{name}` must be {}, not {}", problem.what, self.describe(node))
                    }
                };
                let mistake = Mistake::new(problem.code, message).with_help(problem.help);
                self.error(mistake, node);
            }
        }
    }

    fn structure(&mut self, out: &mut Vec<u8>, node: NodeId) {
        if !matches!(self.tree.node(node).value, Value::Map { .. }) {
            return self.mismatch("a mapping", node);
        }
        for entry in self.tree.entries(node) {
            let key = self.tree.key(entry.key);
            self.path.push(Step::Key(key.into()));
            if self.is_first_in_map(node, entry) {
                put_nested(out, 1, |out| {
                    put_bytes(out, 1, key.as_bytes());
                    put_nested(out, 2, |out| self.value(out, entry.value));
                });
            }
            self.path.pop();
        }
    }

    fn values_of(&mut self, out: &mut Vec<u8>, node: NodeId) {
        if !matches!(self.tree.node(node).value, Value::List { .. }) {
            return self.mismatch("a list", node);
        }
        for (index, item) in self.tree.items(node).iter().enumerate() {
            self.path.push(Step::Index(index));
            put_nested(out, 1, |out| self.value(out, *item));
            self.path.pop();
        }
    }

    /// A google.protobuf.Value.
    fn value(&mut self, out: &mut Vec<u8>, node: NodeId) {
        if !self.enter(node) {
            return self.leave();
        }
        let mut number = |value: f64| {
            put_tag(out, 2, WireType::Fixed64);
            out.extend(value.to_le_bytes());
        };
        match self.tree.node(node).value {
            Value::Null => {
                put_tag(out, 1, WireType::Varint);
                put_varint(out, 0);
            }
            Value::Bool(value) => {
                put_tag(out, 4, WireType::Varint);
                put_varint(out, u64::from(value));
            }
            Value::Int(value) => number(f64::from(value)),
            Value::Number(text) => {
                number(self.tree.text(text, self.source).parse().unwrap_or_default());
            }
            Value::String(text) => {
                put_bytes(out, 3, self.tree.text(text, self.source).as_bytes());
            }
            Value::Map { .. } => put_nested(out, 5, |out| self.structure(out, node)),
            Value::List { .. } => put_nested(out, 6, |out| self.values_of(out, node)),
        }
        self.leave();
    }
}
