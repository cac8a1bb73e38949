//! A google.protobuf.Struct's bytes as a tree, so that it can be walked like a text
//! (google/protobuf/struct.proto). Its values have no places.

use super::{Tree, Value, builder::Builder};
use crate::schema::wire::{Reader, Wire};

const NOWHERE: (u32, u32) = (0, 0);

/// The tree of a Struct. What nests deeper than `depth` levels is left out.
pub(crate) fn structure(bytes: &[u8], depth: usize) -> Tree {
    let mut builder = Builder::new("", true);
    map(&mut builder, bytes, depth);
    builder.finish_tree().unwrap_or_default()
}

fn map(builder: &mut Builder<'_>, bytes: &[u8], depth: usize) {
    builder.open_map(NOWHERE);
    for entry in members(bytes).filter(|_| depth > 0) {
        let key = last_of(entry, 1).unwrap_or_default();
        builder.key(&String::from_utf8_lossy(key), false, NOWHERE);
        value(builder, last_of(entry, 2).unwrap_or_default(), depth - 1);
    }
    builder.close(0);
}

fn list(builder: &mut Builder<'_>, bytes: &[u8], depth: usize) {
    builder.open_list(NOWHERE);
    for item in members(bytes).filter(|_| depth > 0) {
        value(builder, item, depth - 1);
    }
    builder.close(0);
}

/// google.protobuf.Value: null 1, number 2, string 3, bool 4, struct 5, list 6.
fn value(builder: &mut Builder<'_>, bytes: &[u8], depth: usize) {
    let found = match Reader::new(bytes).last() {
        Some((2, Wire::Fixed64(bits))) => number(builder, f64::from_bits(bits)),
        Some((3, Wire::Bytes(text))) => Value::String(builder.text(&String::from_utf8_lossy(text), NOWHERE)),
        Some((4, Wire::Varint(value))) => Value::Bool(value != 0),
        Some((5, Wire::Bytes(bytes))) => return map(builder, bytes, depth),
        Some((6, Wire::Bytes(bytes))) => return list(builder, bytes, depth),
        _ => Value::Null,
    };
    builder.value(found, NOWHERE);
}

fn number(builder: &mut Builder<'_>, number: f64) -> Value {
    Value::Number(builder.text(&number.to_string(), NOWHERE))
}

/// The occurrences of field 1: a Struct's entries, a ListValue's items.
fn members(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    Reader::new(bytes).filter_map(|field| match field {
        (1, Wire::Bytes(bytes)) => Some(bytes),
        _ => None,
    })
}

fn last_of(bytes: &[u8], wanted: u32) -> Option<&[u8]> {
    let found = Reader::new(bytes).filter_map(|(number, wire)| match wire {
        Wire::Bytes(bytes) if number == wanted => Some(bytes),
        _ => None,
    });
    found.last()
}
