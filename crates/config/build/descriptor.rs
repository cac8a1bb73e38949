//! Reads the messages and enums out of a FileDescriptorSet (descriptor.proto), with the options
//! that matter to configuration: `validate.rules`, `validate.required` on oneofs, `deprecated`
//! and `envoy.annotations.disallowed_by_default`.

use crate::wire::{Value, fields};

/// Extension numbers: validate/validate.proto and envoy/annotations/deprecation.proto.
const VALIDATE: u32 = 1071;
const DISALLOWED: u32 = 189_503_207;
const DISALLOWED_VALUE: u32 = 70_100_853;

/// Packages that only describe descriptors; no configuration can hold them.
const NOT_CONFIGURATION: [&str; 4] = ["validate", "udpa.annotations", "xds.annotations.v3", "envoy.annotations"];

#[derive(Default)]
pub(crate) struct Schema {
    pub messages: Vec<Message>,
    pub enums: Vec<Enumeration>,
}

#[derive(Default)]
pub(crate) struct Message {
    pub name: String,
    pub fields: Vec<Field>,
    pub oneofs: Vec<Oneof>,
    pub map_entry: bool,
}

#[derive(Default)]
pub(crate) struct Field {
    pub name: String,
    pub number: u32,
    /// FieldDescriptorProto.Type.
    pub kind: u8,
    pub repeated: bool,
    pub optional: bool,
    pub deprecated: bool,
    pub disallowed: bool,
    pub oneof: Option<u8>,
    /// Full name of the message or enum, without the leading dot.
    pub of: String,
    /// A serialised validate.FieldRules.
    pub rules: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Oneof {
    pub name: String,
    pub required: bool,
}

#[derive(Default)]
pub(crate) struct Enumeration {
    pub name: String,
    pub values: Vec<EnumValue>,
}

#[derive(Default)]
pub(crate) struct EnumValue {
    pub name: String,
    pub number: i32,
    pub deprecated: bool,
    pub disallowed: bool,
}

pub(crate) fn read(set: &[u8]) -> Option<Schema> {
    let mut schema = Schema::default();
    for (number, value) in fields(set)? {
        if let (1, Value::Bytes(file)) = (number, value) {
            read_file(file, &mut schema)?;
        }
    }
    Some(schema)
}

fn read_file(bytes: &[u8], schema: &mut Schema) -> Option<()> {
    let parts = fields(bytes)?;
    let file = text_of(&parts, 1);
    let package = text_of(&parts, 2);
    if NOT_CONFIGURATION.contains(&package.as_str()) || file == "google/protobuf/descriptor.proto" {
        return Some(());
    }
    for (number, value) in parts {
        match (number, value) {
            (4, Value::Bytes(message)) => read_message(message, &package, schema)?,
            (5, Value::Bytes(enumeration)) => read_enum(enumeration, &package, schema)?,
            _ => {}
        }
    }
    Some(())
}

fn text_of(parts: &[(u32, Value<'_>)], wanted: u32) -> String {
    let found = parts.iter().find_map(|(number, value)| match value {
        Value::Bytes(bytes) if *number == wanted => Some(*bytes),
        _ => None,
    });
    String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
}

fn read_message(bytes: &[u8], outer: &str, schema: &mut Schema) -> Option<()> {
    let parts = fields(bytes)?;
    let name = format!("{outer}.{}", text_of(&parts, 1));
    let mut message = Message { name, ..Message::default() };
    for (number, value) in parts {
        match (number, value) {
            (2, Value::Bytes(field)) => message.fields.push(read_field(field)?),
            (3, Value::Bytes(nested)) => read_message(nested, &message.name, schema)?,
            (4, Value::Bytes(nested)) => read_enum(nested, &message.name, schema)?,
            (7, Value::Bytes(options)) => message.map_entry = flag(options, 7)?,
            (8, Value::Bytes(oneof)) => message.oneofs.push(read_oneof(oneof)?),
            _ => {}
        }
    }
    schema.messages.push(message);
    Some(())
}

fn read_field(bytes: &[u8]) -> Option<Field> {
    let mut field = Field::default();
    for (number, value) in fields(bytes)? {
        match (number, value) {
            (1, Value::Bytes(name)) => field.name = utf8(name),
            (3, Value::Varint(number)) => field.number = u32::try_from(number).ok()?,
            (4, Value::Varint(label)) => field.repeated = label == 3,
            (5, Value::Varint(kind)) => field.kind = u8::try_from(kind).ok()?,
            (6, Value::Bytes(of)) => field.of = utf8(of).trim_start_matches('.').to_owned(),
            (8, Value::Bytes(options)) => read_field_options(options, &mut field)?,
            (9, Value::Varint(oneof)) => field.oneof = Some(u8::try_from(oneof).ok()?),
            (17, Value::Varint(optional)) => field.optional = optional != 0,
            _ => {}
        }
    }
    if field.optional {
        field.oneof = None;
    }
    Some(field)
}

fn read_field_options(bytes: &[u8], field: &mut Field) -> Option<()> {
    for (number, value) in fields(bytes)? {
        match (number, value) {
            (3, Value::Varint(deprecated)) => field.deprecated = deprecated != 0,
            (DISALLOWED, Value::Varint(disallowed)) => field.disallowed = disallowed != 0,
            (VALIDATE, Value::Bytes(rules)) => field.rules.extend_from_slice(rules),
            _ => {}
        }
    }
    Some(())
}

fn read_oneof(bytes: &[u8]) -> Option<Oneof> {
    let mut oneof = Oneof::default();
    for (number, value) in fields(bytes)? {
        match (number, value) {
            (1, Value::Bytes(name)) => oneof.name = utf8(name),
            (2, Value::Bytes(options)) => oneof.required = flag(options, VALIDATE)?,
            _ => {}
        }
    }
    Some(oneof)
}

fn read_enum(bytes: &[u8], outer: &str, schema: &mut Schema) -> Option<()> {
    let parts = fields(bytes)?;
    let name = format!("{outer}.{}", text_of(&parts, 1));
    let mut enumeration = Enumeration { name, values: Vec::new() };
    for (number, value) in parts {
        if let (2, Value::Bytes(value)) = (number, value) {
            enumeration.values.push(read_enum_value(value)?);
        }
    }
    schema.enums.push(enumeration);
    Some(())
}

fn read_enum_value(bytes: &[u8]) -> Option<EnumValue> {
    let mut read = EnumValue::default();
    for (number, value) in fields(bytes)? {
        match (number, value) {
            (1, Value::Bytes(name)) => read.name = utf8(name),
            // A negative number travels as a sign-extended varint: the low half is the number.
            (2, Value::Varint(number)) => read.number = number as i32,
            (3, Value::Bytes(options)) => {
                read.deprecated = flag(options, 1)?;
                read.disallowed = flag(options, DISALLOWED_VALUE)?;
            }
            _ => {}
        }
    }
    Some(read)
}

fn flag(options: &[u8], wanted: u32) -> Option<bool> {
    let set =
        fields(options)?.into_iter().any(|(number, value)| number == wanted && matches!(value, Value::Varint(1..)));
    Some(set)
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
