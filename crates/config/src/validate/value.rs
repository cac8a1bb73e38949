//! Single values on the wire: defaults, map keys, packed lists.

use crate::schema::{
    Kind,
    wire::{Wire, varint},
};

/// The content of a length-delimited value.
pub(super) fn bytes<'a>(wire: &Wire<'a>) -> Option<&'a [u8]> {
    match wire {
        Wire::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

/// What a field is that is not on the wire.
pub(super) fn default(kind: Kind) -> Wire<'static> {
    match kind {
        Kind::String | Kind::Bytes | Kind::Message(_) => Wire::Bytes(&[]),
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Wire::Fixed64(0),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Wire::Fixed32(0),
        _ => Wire::Varint(0),
    }
}

/// A map key for a path.
pub(super) fn shown(kind: Kind, key: Wire<'_>) -> Box<str> {
    match (kind, key) {
        (_, Wire::Bytes(bytes)) => String::from_utf8_lossy(bytes).into(),
        (Kind::Bool, Wire::Varint(value)) => (value != 0).to_string().into(),
        (Kind::Int32 | Kind::Int64, Wire::Varint(value)) => value.cast_signed().to_string().into(),
        (_, Wire::Varint(value) | Wire::Fixed64(value)) => value.to_string().into(),
        (_, Wire::Fixed32(value)) => value.to_string().into(),
    }
}

/// Numbers may come packed into one length-delimited field.
pub(super) fn unpacked<'a>(kind: Kind, values: &[Wire<'a>]) -> Vec<Wire<'a>> {
    if matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_)) {
        return values.to_vec();
    }
    let mut all = Vec::with_capacity(values.len());
    for value in values {
        let &Wire::Bytes(mut packed) = value else {
            all.push(*value);
            continue;
        };
        while let Some(value) = unpack(default(kind), &mut packed) {
            all.push(value);
        }
    }
    all
}

fn unpack(like: Wire<'_>, packed: &mut &[u8]) -> Option<Wire<'static>> {
    Some(match like {
        Wire::Fixed64(_) => Wire::Fixed64(u64::from_le_bytes(*packed.split_off(..8)?.first_chunk()?)),
        Wire::Fixed32(_) => Wire::Fixed32(u32::from_le_bytes(*packed.split_off(..4)?.first_chunk()?)),
        _ => Wire::Varint(varint(packed)?),
    })
}
