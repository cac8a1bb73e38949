//! From what the text format says to the tree that protobuf's JSON would have given.
//!
//! Goes down the schema: occurrences of a list's field become one list, a map's entries a mapping,
//! an Any `@type` beside the fields, a Struct the mapping that it is. Numbers become decimal and
//! bytes base64. Refuses what the text format refuses though JSON takes it (a quoted number, a
//! camelCase name, a field that is given twice). Fields that do not exist are passed on: `walk`
//! reports them, with a suggestion.

use super::{Content, Entry, Place, Read, Written};
use crate::{
    json_out::base64,
    schema::{Enumeration, Field, Kind, Message, WellKnown},
    text::{SyntaxError, Tree, Value, builder::Builder},
};

/// The whole text as a tree.
pub(super) fn tree(text: &str, message: Message, entries: &[Entry<'_>]) -> Read<Tree> {
    let mut shaper = Shaper { builder: Builder::new(text, true) };
    let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
    shaper.message(Some(message), entries, (0, end))?;
    shaper.builder.finish_tree()
}

struct Shaper<'a> {
    builder: Builder<'a>,
}

fn error(place: Place, message: impl Into<String>) -> SyntaxError {
    SyntaxError::new(place.0 as usize, message)
}

impl Shaper<'_> {
    fn message(&mut self, kind: Option<Message>, entries: &[Entry<'_>], place: Place) -> Read<()> {
        match kind.and_then(Message::well_known) {
            Some(WellKnown::Value) => return self.value(entries, place),
            Some(WellKnown::ListValue) => return self.values(entries, place),
            Some(WellKnown::Any) => {
                self.builder.open_map(place);
                self.any(entries)?;
            }
            Some(WellKnown::Struct) => {
                self.builder.open_map(place);
                let fields = kind.and_then(|kind| kind.field_numbered(1));
                let entry = fields.and_then(|field| field.map());
                self.map(entry, entries.iter().flat_map(|entry| &entry.values))?;
            }
            _ => {
                self.builder.open_map(place);
                self.fields(kind, entries)?;
            }
        }
        self.builder.close(place.1);
        Ok(())
    }

    /// The fields of a message that is a mapping, into the one that is open.
    fn fields(&mut self, kind: Option<Message>, entries: &[Entry<'_>]) -> Read<()> {
        for (index, entry) in entries.iter().enumerate() {
            if entry.is_type {
                return Err(error(entry.place, format!("`[{}]` can only stand in an Any", entry.name)));
            }
            let earlier = entries.get(..index).unwrap_or_default();
            if earlier.iter().any(|other| other.name == entry.name) {
                continue;
            }
            let same: Vec<&Entry<'_>> = entries.iter().filter(|other| other.name == entry.name).collect();
            self.builder.key(entry.name, false, entry.place);
            match kind.map(|kind| (kind, kind.field_written(entry.name))) {
                Some((_, Some(field))) if field.name() == entry.name => self.field(&field, &same)?,
                Some((_, Some(field))) => {
                    let text = format!("`{}` is spelt `{}` in the text format", entry.name, field.name());
                    return Err(error(entry.place, text));
                }
                _ => self.unknown(&same)?,
            }
        }
        Ok(())
    }

    /// All occurrences of a field.
    fn field(&mut self, field: &Field, same: &[&Entry<'_>]) -> Read<()> {
        let place = same.first().map_or((0, 0), |entry| entry.place);
        let values = same.iter().flat_map(|entry| &entry.values);
        if let Some(entry) = field.map() {
            self.builder.open_map(place);
            self.map(Some(entry), values)?;
            self.builder.close(place.1);
        } else if field.is_repeated() {
            self.builder.open_list(place);
            for value in values {
                self.single(field.kind, value)?;
            }
            self.builder.close(place.1);
        } else {
            match same {
                [Entry { is_list: false, values, .. }] => {
                    for value in values {
                        self.single(field.kind, value)?;
                    }
                }
                [one] => return Err(error(one.place, format!("`{}` is no list", field.name()))),
                more => {
                    let place = more.last().map_or(place, |entry| entry.place);
                    return Err(error(place, format!("`{}` is given twice", field.name())));
                }
            }
        }
        Ok(())
    }

    /// Entries of `key` and `value`, into the mapping that is open.
    fn map<'w, 'a: 'w>(&mut self, entry: Option<Message>, values: impl Iterator<Item = &'w Written<'a>>) -> Read<()> {
        let Some((key_field, value_field)) = entry.and_then(Message::entry) else { return Ok(()) };
        for written in values {
            let Content::Message(members) = &written.content else {
                return Err(error(written.place, "an entry of a map is `{ key: … value: … }`"));
            };
            let of = |name| members.iter().rfind(|member| member.name == name).and_then(|member| member.values.last());
            if let Some(odd) = members.iter().find(|member| !matches!(member.name, "key" | "value")) {
                return Err(error(odd.place, format!("an entry of a map has no field `{}`", odd.name)));
            }
            let key = of("key").map_or_else(|| Ok(String::new()), |key| map_key(key_field.kind, key))?;
            self.builder.key(&key, false, of("key").map_or(written.place, |key| key.place));
            match of("value") {
                Some(value) => self.single(value_field.kind, value)?,
                None => {
                    self.builder.value(Value::Null, written.place);
                }
            }
        }
        Ok(())
    }

    /// The content of an Any, into the mapping that is open.
    fn any(&mut self, entries: &[Entry<'_>]) -> Read<()> {
        let entry = match entries {
            [] => return Ok(()),
            [entry] if entry.is_type => entry,
            [first, ..] => {
                let text = "an Any is written `[type.googleapis.com/envoy.…] { … }` here";
                return Err(error(first.place, text));
            }
        };
        let [Written { content: Content::Message(members), place }] = entry.values.as_slice() else {
            return Err(error(entry.place, "the content of an Any is `{ … }`"));
        };
        self.builder.key("@type", false, entry.place);
        let url = self.builder.text(entry.name, entry.place);
        // The bracket is not part of the type's name.
        self.builder.value(Value::String(url), (entry.place.0 + 1, entry.place.1.saturating_sub(1)));
        let kind = entry.name.rsplit_once('/').and_then(|(_, name)| Message::named(name));
        match kind.and_then(Message::well_known) {
            None | Some(WellKnown::TypedStruct) => self.fields(kind, members),
            Some(_) => {
                self.builder.key("value", false, entry.place);
                self.message(kind, members, *place)
            }
        }
    }

    /// A google.protobuf.Value.
    fn value(&mut self, entries: &[Entry<'_>], place: Place) -> Read<()> {
        let kind = Message::named("google.protobuf.Value");
        let chosen = match entries {
            [] => None,
            [entry] => entry.values.first().map(|value| (entry, value)),
            [_, second, ..] => return Err(error(second.place, "a Value is one thing only")),
        };
        let Some((entry, value)) = chosen.filter(|(entry, _)| entry.name != "null_value") else {
            self.builder.value(Value::Null, place);
            return Ok(());
        };
        match kind.and_then(|kind| kind.field_written(entry.name)).filter(|field| field.name() == entry.name) {
            Some(field) => self.single(field.kind, value),
            None => Err(error(entry.place, format!("a Value has no field `{}`", entry.name))),
        }
    }

    /// A google.protobuf.ListValue.
    fn values(&mut self, entries: &[Entry<'_>], place: Place) -> Read<()> {
        let kind = Message::named("google.protobuf.Value");
        self.builder.open_list(place);
        for value in entries.iter().flat_map(|entry| &entry.values) {
            let Content::Message(members) = &value.content else {
                return Err(error(value.place, "an element of a ListValue is a Value"));
            };
            self.message(kind, members, value.place)?;
        }
        self.builder.close(place.1);
        Ok(())
    }

    fn single(&mut self, kind: Kind, written: &Written<'_>) -> Read<()> {
        let place = written.place;
        let value = match (kind, &written.content) {
            (Kind::Message(inner), Content::Message(entries)) => return self.message(Some(inner), entries, place),
            (Kind::Message(inner), _) => {
                return Err(error(place, format!("expected `{{` and the fields of {}", inner.name())));
            }
            (Kind::String, Content::Text(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => Value::String(self.builder.text(text, place)),
                Err(_) => return Err(error(place, "the text is not UTF-8")),
            },
            (Kind::Bytes, Content::Text(bytes)) => Value::String(self.builder.text(&base64(bytes), place)),
            (Kind::String | Kind::Bytes, _) => return Err(error(place, "expected a text in quotes")),
            (Kind::Bool, Content::Word { is_negative: false, word }) => match *word {
                "true" | "True" | "t" | "1" => Value::Bool(true),
                "false" | "False" | "f" | "0" => Value::Bool(false),
                _ => return Err(error(place, format!("expected true or false, not `{word}`"))),
            },
            (Kind::Enum(of), Content::Word { is_negative, word }) => {
                let name = enum_value(of, *is_negative, word).ok_or_else(|| error(place, no_value(of, word)))?;
                Value::String(self.builder.text(&name, place))
            }
            (Kind::Float | Kind::Double, Content::Word { is_negative, word }) => {
                let number = float(*is_negative, word);
                let number = number.ok_or_else(|| error(place, format!("`{word}` is no number")))?;
                let text = self.builder.text(&number, place);
                if number.ends_with(|last: char| last.is_ascii_digit()) {
                    Value::Number(text)
                } else {
                    Value::String(text)
                }
            }
            (Kind::Bool | Kind::Enum(_) | Kind::Float | Kind::Double, _) => {
                return Err(error(place, "expected a value without quotes"));
            }
            (_, Content::Word { is_negative, word }) => {
                let number = whole(*is_negative, word);
                let number = number.ok_or_else(|| error(place, format!("`{word}` is no whole number")))?;
                Value::Number(self.builder.text(&number.to_string(), place))
            }
            _ => return Err(error(place, "expected a whole number")),
        };
        self.builder.value(value, place);
        Ok(())
    }

    /// Something that `walk` is going to refuse: any shape will do.
    fn unknown(&mut self, same: &[&Entry<'_>]) -> Read<()> {
        let place = same.first().map_or((0, 0), |entry| entry.place);
        self.builder.value(Value::Null, place);
        Ok(())
    }
}

fn map_key(kind: Kind, written: &Written<'_>) -> Read<String> {
    let key = match (kind, &written.content) {
        (Kind::String, Content::Text(bytes)) => String::from_utf8(bytes.clone()).ok(),
        (Kind::Bool, Content::Word { word, .. }) => Some((*word).to_owned()),
        (Kind::String, _) => None,
        (_, Content::Word { is_negative, word }) => whole(*is_negative, word).map(|number| number.to_string()),
        _ => None,
    };
    key.ok_or_else(|| error(written.place, "this is no key of this map"))
}

/// A name as it is declared, or a number.
fn enum_value(of: Enumeration, is_negative: bool, word: &str) -> Option<String> {
    if word.starts_with(|first: char| first.is_ascii_digit()) {
        return whole(is_negative, word).map(|number| number.to_string());
    }
    let other_case = of.values().any(|value| value.name != word && value.name.eq_ignore_ascii_case(word));
    let exact = of.values().any(|value| value.name == word);
    (!is_negative && (exact || !other_case)).then(|| word.to_owned())
}

fn no_value(of: Enumeration, word: &str) -> String {
    let name = of.values().find(|value| value.name.eq_ignore_ascii_case(word));
    match name {
        Some(value) => format!("`{word}` is spelt `{}` in the text format", value.name),
        None => format!("{} has no value `{word}`", of.name()),
    }
}

/// Decimal, `0x` hexadecimal or `0` octal.
fn whole(is_negative: bool, word: &str) -> Option<i128> {
    let (digits, radix) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (word.get(2..)?, 16),
        [b'0', _, ..] => (word.get(1..)?, 8),
        _ => (word, 10),
    };
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    Some(if is_negative { -value } else { value })
}

/// The number as protobuf's JSON has it.
fn float(is_negative: bool, word: &str) -> Option<String> {
    let sign = if is_negative { "-" } else { "" };
    match word.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => return Some(format!("{sign}Infinity")),
        "nan" => return Some("NaN".to_owned()),
        _ => {}
    }
    let digits = word.strip_suffix(['f', 'F']).unwrap_or(word);
    let is_decimal = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let value: f64 = digits.parse().ok().filter(|_| is_decimal)?;
    Some(format!("{sign}{value}"))
}
