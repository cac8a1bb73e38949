//! Scalar fields: texts, bytes, booleans, numbers and enums.
//!
//! What a quoted number or boolean may look like is measured from Envoy; a text field takes only
//! a text, so an unquoted `yes` or `123` is a mistake there.

use super::{Mistake, Walker, base64, fields::short, number, suggest};
use crate::{
    diagnostic::Severity,
    schema::{
        Enumeration, Field, Kind,
        wire::{WireType, put_bytes, put_tag, put_varint},
    },
    text::{NodeId, Value},
};

impl Walker<'_> {
    /// A scalar with its tag.
    pub(super) fn scalar(&mut self, out: &mut Vec<u8>, number: u32, kind: Kind, node: NodeId) {
        match kind {
            Kind::String => self.string(out, number, node),
            Kind::Bytes => self.bytes(out, number, node),
            Kind::Bool => self.boolean(out, number, node),
            Kind::Enum(enumeration) => self.enumeration(out, number, enumeration, node),
            Kind::Double | Kind::Float => self.float(out, number, kind, node),
            Kind::Message(_) => {}
            _ => self.integer(out, number, kind, node),
        }
    }

    /// The text of a number or a quoted scalar.
    fn written_scalar(&self, node: NodeId) -> Option<String> {
        match self.tree.node(node).value {
            Value::Int(value) => Some(value.to_string()),
            Value::Number(text) | Value::String(text) => Some(self.tree.text(text, self.source).to_owned()),
            _ => None,
        }
    }

    fn string(&mut self, out: &mut Vec<u8>, number: u32, node: NodeId) {
        match self.tree.node(node).value {
            Value::String(text) => {
                put_bytes(out, number, self.tree.text(text, self.source).as_bytes());
            }
            Value::Bool(_) | Value::Int(_) | Value::Number(_) => {
                let written = self.tree.written(node, self.source);
                let message = format!("`{}` must be a text, not {}", self.path.field(), self.describe(node));
                let help = format!("quote it: \"{written}\"");
                self.error(Mistake::new("wrong-type", message).with_help(help), node);
            }
            _ => self.mismatch("a text", node),
        }
    }

    fn bytes(&mut self, out: &mut Vec<u8>, number: u32, node: NodeId) {
        let Value::String(text) = self.tree.node(node).value else {
            return self.mismatch("base64", node);
        };
        match base64::decode(self.tree.text(text, self.source)) {
            Some(bytes) => put_bytes(out, number, &bytes),
            None => self.mismatch("base64", node),
        }
    }

    fn boolean(&mut self, out: &mut Vec<u8>, number: u32, node: NodeId) {
        let value = match self.tree.node(node).value {
            Value::Bool(value) => Some(value),
            Value::String(text) => quoted_boolean(self.tree.text(text, self.source)),
            _ => None,
        };
        match value {
            Some(value) => {
                put_tag(out, number, WireType::Varint);
                put_varint(out, u64::from(value));
            }
            None => self.mismatch("true or false", node),
        }
    }

    fn integer(&mut self, out: &mut Vec<u8>, number: u32, kind: Kind, node: NodeId) {
        let Some(written) = self.written_scalar(node) else {
            return self.mismatch("a whole number", node);
        };
        let (least, most) = range(kind);
        match number::integer(&written, least, most) {
            Ok(value) => put_integer(out, number, kind, value),
            Err(number::Problem::OutOfRange) => {
                let name = self.path.field();
                let text = format!("`{name}` must be from {least} to {most}, not {written}");
                self.error(Mistake::new("out-of-range", text), node);
            }
            Err(number::Problem::Fraction | number::Problem::NotANumber) => {
                self.mismatch("a whole number", node);
            }
        }
    }

    fn float(&mut self, out: &mut Vec<u8>, number: u32, kind: Kind, node: NodeId) {
        let value = self.written_scalar(node).and_then(|written| number::float(&written));
        match value {
            Some(value) if kind == Kind::Float => {
                put_tag(out, number, WireType::Fixed32);
                out.extend((value as f32).to_le_bytes());
            }
            Some(value) => {
                put_tag(out, number, WireType::Fixed64);
                out.extend(value.to_le_bytes());
            }
            None => self.mismatch("a number", node),
        }
    }

    fn enumeration(&mut self, out: &mut Vec<u8>, number: u32, enumeration: Enumeration, node: NodeId) {
        let Some(written) = self.written_scalar(node) else {
            return self.mismatch(&format!("a value of {}", short(enumeration.name())), node);
        };
        let value = named(enumeration, &written).or_else(|| {
            let (least, most) = range(Kind::Int32);
            let whole = !written.contains(['.', 'e', 'E']);
            let value = whole.then(|| number::integer(&written, least, most).ok());
            value.flatten().and_then(|value| i32::try_from(value).ok())
        });
        match value {
            Some(value) => put_integer(out, number, Kind::Int32, i128::from(value)),
            None => self.unknown_value(enumeration, &written, node),
        }
    }

    fn unknown_value(&mut self, enumeration: Enumeration, written: &str, node: NodeId) {
        let name = short(enumeration.name());
        let message = format!("{name} has no value {}", super::excerpt(written));
        let help = suggest::enum_value(enumeration, written);
        let severity = if self.options.allow_unknown_fields { Severity::Warning } else { Severity::Error };
        let span = self.span(node);
        self.report(severity, Mistake::new("unknown-enum-value", message).with_help(help), span);
    }
}

/// By name, in any case.
fn named(enumeration: Enumeration, written: &str) -> Option<i32> {
    let mut other_case = None;
    for value in enumeration.values() {
        if value.name == written {
            return Some(value.number);
        }
        if other_case.is_none() && value.name.eq_ignore_ascii_case(written) {
            other_case = Some(value.number);
        }
    }
    other_case
}

fn quoted_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

fn range(kind: Kind) -> (i128, i128) {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i32::MIN.into(), i32::MAX.into()),
        Kind::Uint32 | Kind::Fixed32 => (0, u32::MAX.into()),
        Kind::Uint64 | Kind::Fixed64 => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}

/// Writes a number that is in the kind's range: its low bytes, signed or not, are the value.
fn put_integer(out: &mut Vec<u8>, number: u32, kind: Kind, value: i128) {
    let low = value.to_le_bytes();
    let low64 = u64::from_le_bytes(low.first_chunk().copied().unwrap_or_default());
    match kind {
        Kind::Fixed32 | Kind::Sfixed32 => {
            put_tag(out, number, WireType::Fixed32);
            out.extend(low.first_chunk::<4>().copied().unwrap_or_default());
        }
        Kind::Fixed64 | Kind::Sfixed64 => {
            put_tag(out, number, WireType::Fixed64);
            out.extend(low64.to_le_bytes());
        }
        Kind::Sint32 | Kind::Sint64 => {
            put_tag(out, number, WireType::Varint);
            let signed = low64.cast_signed();
            put_varint(out, (signed << 1 ^ signed >> 63).cast_unsigned());
        }
        _ => {
            put_tag(out, number, WireType::Varint);
            put_varint(out, low64);
        }
    }
}

/// Writes a map's key; the error says what the keys are.
pub(super) fn put_key(out: &mut Vec<u8>, key: &Field, written: &str) -> Result<(), &'static str> {
    match key.kind {
        Kind::String => put_bytes(out, key.number, written.as_bytes()),
        Kind::Bool => {
            let value = written.parse::<bool>().map_err(|_| "true or false")?;
            put_tag(out, key.number, WireType::Varint);
            put_varint(out, u64::from(value));
        }
        kind => {
            let (least, most) = range(kind);
            let value = number::integer(written, least, most).map_err(|_| "whole numbers")?;
            put_integer(out, key.number, kind, value);
        }
    }
    Ok(())
}
