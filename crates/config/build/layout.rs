//! Writes the tables. `src/schema/table.rs` reads them and must agree with every offset here.
//!
//! All numbers are little-endian. The header is eleven u32: magic, then for messages, fields,
//! oneofs, enums and values the offset and the count of the section. Messages and enums are
//! sorted by full name, the fields of a message by number, so that both are found by halving.
//!
//! | record | layout |
//! |---|---|
//! | message, 16 | name u32, name length u16, flags u16, first field u16, fields u16, first oneof u16, oneofs u16 |
//! | field, 20 | name u32, rules u32 (0 none), number u32, type u16, name length u8, kind u8, flags u16, oneof u8, 0 |
//! | oneof, 8 | name u32, name length u16, required u16 |
//! | enum, 12 | name u32, name length u16, first value u16, values u16, 0 u16 |
//! | value, 12 | name u32, number i32, name length u16, flags u16 |
//! | rules | length u16, then a serialised validate.FieldRules |

use std::collections::HashMap;

use crate::descriptor::{Enumeration, Field, Message, Schema};

const MAGIC: u32 = 0x3153_434e;
const HEADER: usize = 11 * 4;
const NONE: u16 = u16::MAX;

/// Places text once and says where it is.
#[derive(Default)]
struct Names {
    text: String,
    placed: HashMap<String, u32>,
}

impl Names {
    fn place(&mut self, name: &str) -> u32 {
        if let Some(at) = self.placed.get(name) {
            return *at;
        }
        let at = self.text.len() as u32;
        self.text.push_str(name);
        self.placed.insert(name.to_owned(), at);
        at
    }
}

#[derive(Default)]
struct Sections {
    messages: Vec<u8>,
    fields: Vec<u8>,
    oneofs: Vec<u8>,
    enums: Vec<u8>,
    values: Vec<u8>,
    rules: Vec<u8>,
    placed_rules: HashMap<Vec<u8>, u32>,
}

pub(crate) fn write(schema: &Schema) -> Result<(String, Vec<u8>), String> {
    let messages = sorted(&schema.messages, |message: &Message| &message.name);
    let enums = sorted(&schema.enums, |enumeration: &Enumeration| &enumeration.name);
    let message_index = index(messages.iter().map(|message| message.name.as_str()))?;
    let enum_index = index(enums.iter().map(|enumeration| enumeration.name.as_str()))?;
    let mut names = Names::default();
    let mut sections = Sections::default();
    // Offset 0 says "no rules".
    sections.rules.push(0);
    for message in &messages {
        let of = |field: &Field| {
            let of = field.of.as_str();
            let entry = message_index.get(of).copied();
            let is_map = entry.is_some_and(|at| messages[usize::from(at)].map_entry);
            (entry.or_else(|| enum_index.get(of).copied()).unwrap_or(NONE), is_map)
        };
        put_message(&mut sections, &mut names, message, of)?;
    }
    for enumeration in &enums {
        put_enum(&mut sections, &mut names, enumeration)?;
    }
    Ok((names.text, sections.join()))
}

fn sorted<T>(all: &[T], name: impl Fn(&T) -> &String) -> Vec<&T> {
    let mut sorted: Vec<&T> = all.iter().collect();
    sorted.sort_by(|a, b| name(a).cmp(name(b)));
    sorted
}

fn index<'a>(names: impl Iterator<Item = &'a str>) -> Result<HashMap<&'a str, u16>, String> {
    names.enumerate().map(|(at, name)| Ok((name, short(at)?))).collect()
}

fn short(number: usize) -> Result<u16, String> {
    u16::try_from(number).map_err(|_| format!("{number} does not fit the tables"))
}

fn put_message(
    to: &mut Sections,
    names: &mut Names,
    message: &Message,
    of: impl Fn(&Field) -> (u16, bool),
) -> Result<(), String> {
    let first_field = short(to.fields.len() / 20)?;
    let first_oneof = short(to.oneofs.len() / 8)?;
    for field in sorted_by_number(&message.fields) {
        let (of, is_map) = of(field);
        if of == NONE && !field.of.is_empty() {
            return Err(format!("{}.{} is of unknown type {}", message.name, field.name, field.of));
        }
        put_field(to, names, field, of, is_map)?;
    }
    for oneof in &message.oneofs {
        to.oneofs.extend(names.place(&oneof.name).to_le_bytes());
        to.oneofs.extend(short(oneof.name.len())?.to_le_bytes());
        to.oneofs.extend(u16::from(oneof.required).to_le_bytes());
    }
    to.messages.extend(names.place(&message.name).to_le_bytes());
    for number in [
        short(message.name.len())?,
        well_known(&message.name) | u16::from(message.map_entry) << 8,
        first_field,
        short(message.fields.len())?,
        first_oneof,
        short(message.oneofs.len())?,
    ] {
        to.messages.extend(number.to_le_bytes());
    }
    Ok(())
}

fn sorted_by_number(fields: &[Field]) -> Vec<&Field> {
    let mut sorted: Vec<&Field> = fields.iter().collect();
    sorted.sort_by_key(|field| field.number);
    sorted
}

fn put_field(to: &mut Sections, names: &mut Names, field: &Field, of: u16, is_map: bool) -> Result<(), String> {
    let rules = to.place_rules(&field.rules)?;
    let flags = u16::from(field.repeated)
        | u16::from(is_map) << 1
        | u16::from(field.deprecated) << 2
        | u16::from(field.disallowed) << 3
        | u16::from(field.optional) << 4;
    to.fields.extend(names.place(&field.name).to_le_bytes());
    to.fields.extend(rules.to_le_bytes());
    to.fields.extend(field.number.to_le_bytes());
    to.fields.extend(of.to_le_bytes());
    let length = u8::try_from(field.name.len()).map_err(|_| format!("long name {}", field.name))?;
    to.fields.extend([length, field.kind]);
    to.fields.extend(flags.to_le_bytes());
    to.fields.extend([field.oneof.unwrap_or(u8::MAX), 0]);
    Ok(())
}

fn put_enum(to: &mut Sections, names: &mut Names, from: &Enumeration) -> Result<(), String> {
    to.enums.extend(names.place(&from.name).to_le_bytes());
    to.enums.extend(short(from.name.len())?.to_le_bytes());
    to.enums.extend(short(to.values.len() / 12)?.to_le_bytes());
    to.enums.extend(short(from.values.len())?.to_le_bytes());
    to.enums.extend([0, 0]);
    for value in &from.values {
        let flags = u16::from(value.deprecated) << 2 | u16::from(value.disallowed) << 3;
        to.values.extend(names.place(&value.name).to_le_bytes());
        to.values.extend(value.number.to_le_bytes());
        to.values.extend(short(value.name.len())?.to_le_bytes());
        to.values.extend(flags.to_le_bytes());
    }
    Ok(())
}

impl Sections {
    fn place_rules(&mut self, rules: &[u8]) -> Result<u32, String> {
        if rules.is_empty() {
            return Ok(0);
        }
        if let Some(at) = self.placed_rules.get(rules) {
            return Ok(*at);
        }
        let at = self.rules.len() as u32;
        self.rules.extend(short(rules.len())?.to_le_bytes());
        self.rules.extend(rules);
        self.placed_rules.insert(rules.to_vec(), at);
        Ok(at)
    }

    /// The rules come right behind the header, so that their places need only a fixed shift.
    fn join(self) -> Vec<u8> {
        let mut body = self.rules;
        body.resize(body.len().next_multiple_of(4), 0);
        let mut header = MAGIC.to_le_bytes().to_vec();
        for (section, size) in
            [(self.messages, 16), (self.fields, 20), (self.oneofs, 8), (self.enums, 12), (self.values, 12)]
        {
            header.extend(((HEADER + body.len()) as u32).to_le_bytes());
            header.extend(((section.len() / size) as u32).to_le_bytes());
            body.extend(section);
        }
        header.extend(body);
        header
    }
}

/// The types whose text form is not that of an ordinary message; see `schema::WellKnown`.
fn well_known(name: &str) -> u16 {
    match name {
        "xds.type.v3.TypedStruct" | "udpa.type.v1.TypedStruct" => return 8,
        _ => {}
    }
    match name.strip_prefix("google.protobuf.") {
        Some("Any") => 1,
        Some("Duration") => 2,
        Some("Timestamp") => 3,
        Some("Struct") => 4,
        Some("Value") => 5,
        Some("ListValue") => 6,
        Some(wrapper) if wrapper.len() > 5 && wrapper.ends_with("Value") => 7,
        _ => 0,
    }
}
