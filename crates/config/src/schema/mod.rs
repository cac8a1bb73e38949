//! What the configuration's messages look like: fields, oneofs, enums and their rules.
//!
//! Owns the handles `Message`, `Field`, `Oneof` and `Enumeration`, which are places in tables
//! that the build script wrote (`build/layout.rs`): looking something up reads a few records and
//! allocates nothing, so start-up costs neither time nor memory. It refuses to know text formats,
//! Envoy's leniency or what a rule means (`validate`). The tables come from the pinned
//! `envoy-types` and the overlay in `build/overlay.rs`; they are the program's own data, so a
//! place outside them (impossible) reads as zero instead of failing.

mod table;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use table::{Record, Section};

/// A message type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Message(u16);

/// An enum type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Enumeration(u16);

/// One field of a message, read out of its record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Place among all fields: names the field across messages.
    pub(crate) id: u16,
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    flags: u16,
    oneof: u8,
    name: &'static str,
    rules: u32,
    of: u16,
}

/// A group of fields of which at most one is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Oneof {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
}

/// FieldDescriptorProto.Type, with the message or enum it refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    Message(Message),
    Bytes,
    Uint32,
    Enum(Enumeration),
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

/// Message types whose text form is not a mapping of their fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WellKnown {
    Any,
    Duration,
    Timestamp,
    Struct,
    Value,
    ListValue,
    Wrapper,
    TypedStruct,
}

impl Message {
    /// By full name, such as `envoy.config.bootstrap.v3.Bootstrap`.
    pub(crate) fn named(name: &str) -> Option<Message> {
        let (mut low, mut high) = (0, table::count(Section::Messages));
        while low < high {
            let middle = low.midpoint(high);
            match Message(middle).name().cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(Message(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    pub(crate) fn all() -> impl Iterator<Item = Message> {
        (0..table::count(Section::Messages)).map(Message)
    }

    fn record(self) -> Record {
        Record::of(Section::Messages, self.0)
    }

    pub(crate) fn name(self) -> &'static str {
        let record = self.record();
        table::name(record.long(0), record.short(4))
    }

    pub(crate) fn well_known(self) -> Option<WellKnown> {
        Some(match self.record().short(6) & 0xff {
            1 => WellKnown::Any,
            2 => WellKnown::Duration,
            3 => WellKnown::Timestamp,
            4 => WellKnown::Struct,
            5 => WellKnown::Value,
            6 => WellKnown::ListValue,
            7 => WellKnown::Wrapper,
            8 => WellKnown::TypedStruct,
            _ => return None,
        })
    }

    pub(crate) fn fields(self) -> impl Iterator<Item = Field> {
        let record = self.record();
        let first = record.short(8);
        (first..first.saturating_add(record.short(10))).map(Field::at)
    }

    pub(crate) fn field_numbered(self, number: u32) -> Option<Field> {
        let record = self.record();
        let (mut low, mut high) = (record.short(8), record.short(8) + record.short(10));
        while low < high {
            let middle = low.midpoint(high);
            match Record::of(Section::Fields, middle).long(8).cmp(&number) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(Field::at(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// By the name as it may be written: `connect_timeout` or `connectTimeout`.
    pub(crate) fn field_written(self, written: &str) -> Option<Field> {
        let mut camel = None;
        for field in self.fields() {
            if field.name == written {
                return Some(field);
            }
            if camel.is_none() && field.name.contains('_') && is_camel_of(written, field.name) {
                camel = Some(field);
            }
        }
        camel
    }

    pub(crate) fn oneofs(self) -> impl Iterator<Item = Oneof> {
        let record = self.record();
        let first = record.short(12);
        (first..first.saturating_add(record.short(14))).map(Oneof::at)
    }

    pub(crate) fn oneof(self, index: u8) -> Option<Oneof> {
        self.oneofs().nth(usize::from(index))
    }

    /// Key and value of a map entry.
    pub(crate) fn entry(self) -> Option<(Field, Field)> {
        Some((self.field_numbered(1)?, self.field_numbered(2)?))
    }
}

impl Field {
    fn at(id: u16) -> Field {
        let record = Record::of(Section::Fields, id);
        let of = record.short(12);
        Field {
            id,
            number: record.long(8),
            kind: Kind::from_descriptor(record.byte(15), of),
            flags: record.short(16),
            oneof: record.byte(18),
            name: table::name(record.long(0), u16::from(record.byte(14))),
            rules: record.long(4),
            of,
        }
    }

    /// As in the proto file: `connect_timeout`.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// A list or a map.
    pub(crate) fn is_repeated(&self) -> bool {
        self.flags & 1 != 0
    }

    /// The entry message of a map field.
    pub(crate) fn map(&self) -> Option<Message> {
        (self.flags & 2 != 0).then_some(Message(self.of))
    }

    pub(crate) fn is_deprecated(&self) -> bool {
        self.flags & 4 != 0
    }

    /// Deprecated so long that Envoy refuses it unless the runtime allows it.
    pub(crate) fn is_disallowed(&self) -> bool {
        self.flags & 8 != 0
    }

    pub(crate) fn is_optional(&self) -> bool {
        self.flags & 16 != 0
    }

    /// Index of its oneof in the message.
    pub(crate) fn oneof(&self) -> Option<u8> {
        (self.oneof != u8::MAX).then_some(self.oneof)
    }

    /// Its serialised `validate.FieldRules`.
    pub(crate) fn rules(&self) -> Option<&'static [u8]> {
        (self.rules != 0).then(|| table::rules(self.rules))
    }
}

impl Oneof {
    fn at(index: u16) -> Oneof {
        let record = Record::of(Section::Oneofs, index);
        Oneof { name: table::name(record.long(0), record.short(4)), required: record.short(6) != 0 }
    }
}

impl Enumeration {
    /// Full name.
    pub(crate) fn name(self) -> &'static str {
        let record = Record::of(Section::Enums, self.0);
        table::name(record.long(0), record.short(4))
    }

    /// Names and numbers, as declared.
    pub(crate) fn values(self) -> impl Iterator<Item = EnumValue> {
        let record = Record::of(Section::Enums, self.0);
        let first = record.short(6);
        (first..first.saturating_add(record.short(8))).map(|index| {
            let record = Record::of(Section::Values, index);
            EnumValue {
                name: table::name(record.long(0), record.short(8)),
                number: i32::from_le_bytes(record.long(4).to_le_bytes()),
                deprecated: record.short(10) & 4 != 0,
                disallowed: record.short(10) & 8 != 0,
            }
        })
    }
}

/// One name of an enum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EnumValue {
    pub(crate) name: &'static str,
    pub(crate) number: i32,
    pub(crate) deprecated: bool,
    pub(crate) disallowed: bool,
}

impl Kind {
    fn from_descriptor(kind: u8, of: u16) -> Kind {
        match kind {
            1 => Kind::Double,
            2 => Kind::Float,
            3 => Kind::Int64,
            4 => Kind::Uint64,
            5 => Kind::Int32,
            6 => Kind::Fixed64,
            7 => Kind::Fixed32,
            8 => Kind::Bool,
            9 => Kind::String,
            10 | 11 => Kind::Message(Message(of)),
            12 => Kind::Bytes,
            13 => Kind::Uint32,
            14 => Kind::Enum(Enumeration(of)),
            15 => Kind::Sfixed32,
            16 => Kind::Sfixed64,
            17 => Kind::Sint32,
            _ => Kind::Sint64,
        }
    }
}

/// Whether `written` is what protobuf's JSON mapping makes of the proto name `name`.
pub(crate) fn is_camel_of(written: &str, name: &str) -> bool {
    let mut written = written.bytes();
    let mut upper = false;
    for byte in name.bytes() {
        if byte == b'_' {
            upper = true;
            continue;
        }
        let expected = if upper { byte.to_ascii_uppercase() } else { byte };
        upper = false;
        if written.next() != Some(expected) {
            return false;
        }
    }
    written.next().is_none()
}
