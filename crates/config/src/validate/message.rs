//! Goes down the bytes and the schema together and applies each field's rules.

use rustc_hash::FxHashMap;

use super::{
    DISALLOWED, ONEOF_REQUIRED, number,
    rules::{Body, Rules},
    text,
    value::{bytes, default, shown, unpacked},
};
use crate::{
    Diagnostic,
    path::{Path, Step},
    schema::{
        Enumeration, Field, Kind, Message, WellKnown,
        wire::{Reader, Wire},
    },
};

const DEEPEST: usize = 100;

/// What is wrong with one value, to follow its name: "must be less than 5".
pub(super) type Verdict = Result<(), String>;

#[derive(Default)]
pub(super) struct Checker {
    pub(super) path: Path<'static>,
    depth: usize,
    /// How many Anys the check is in.
    pub(super) anys: usize,
    /// Whether the message is read before the runtime is.
    pub(super) before_runtime: bool,
    patterns: text::Patterns,
    pub(super) found: Vec<Diagnostic>,
}

impl Checker {
    /// Checks one message's bytes.
    pub(super) fn message(&mut self, message: Message, bytes: &[u8]) {
        if self.depth >= DEEPEST {
            return self.error("too-deep", format!("messages are nested {DEEPEST} deep"));
        }
        self.depth += 1;
        let mut present: Vec<(Field, Wire<'_>)> = Vec::new();
        let mut reader = Reader::new(bytes);
        for (number, wire) in reader.by_ref() {
            match message.field_numbered(number) {
                Some(field) => present.push((field, wire)),
                None => self.unknown(message, number),
            }
        }
        if reader.broken {
            self.error("malformed", format!("the bytes are not a {}", message.name()));
        }
        self.oneofs(message, &mut present);
        for field in message.fields() {
            let mut values = present.iter().filter(|(other, _)| other.id == field.id).peekable();
            let is_enum = matches!(field.kind, Kind::Enum(_));
            if values.peek().is_none() && field.rules().is_none() && !is_enum {
                continue;
            }
            let values: Vec<Wire<'_>> = values.map(|(_, wire)| *wire).collect();
            self.path.push(Step::Field(field.name()));
            self.field(&field, &values);
            self.path.pop();
        }
        self.depth -= 1;
    }

    fn unknown(&mut self, message: Message, number: u32) {
        let text = format!("{} has no field with the number {number}", message.name());
        let path = self.path.to_string();
        self.found.push(Diagnostic::warning("unknown-field", path, text));
    }

    fn error(&mut self, code: &'static str, message: impl Into<String>) {
        self.found.push(Diagnostic::error(code, self.path.to_string(), message));
    }

    fn judge(&mut self, verdict: Verdict) {
        if let Err(reason) = verdict {
            let text = format!("`{}` {reason}", self.path.field());
            self.error("constraint", text);
        }
    }

    /// Leaves only the last choice of each oneof, and misses those that must be made.
    fn oneofs(&mut self, message: Message, present: &mut Vec<(Field, Wire<'_>)>) {
        let mut last: FxHashMap<u8, u16> = FxHashMap::default();
        for (field, _) in present.iter() {
            if let Some(oneof) = field.oneof() {
                last.insert(oneof, field.id);
            }
        }
        present.retain(|(field, _)| field.oneof().is_none_or(|oneof| last.get(&oneof) == Some(&field.id)));
        for (index, oneof) in (0u8..).zip(message.oneofs()) {
            if oneof.required && !last.contains_key(&index) {
                let choices: Vec<&str> =
                    message.fields().filter(|field| field.oneof() == Some(index)).map(|field| field.name()).collect();
                let what = match (self.path.len(), choices.len()) {
                    (0, _) => message.name().to_owned(),
                    _ => format!("`{}`", self.path.field()),
                };
                let text = match choices.as_slice() {
                    [only] => format!("{what} must set `{only}`"),
                    _ => format!("{what} must set one of {} ({})", oneof.name, choices.join(", ")),
                };
                self.error(ONEOF_REQUIRED, text);
            }
        }
    }

    fn field(&mut self, field: &Field, values: &[Wire<'_>]) {
        if !values.is_empty() {
            self.deprecated_field(field);
        }
        let rules = Rules::read(field.rules().unwrap_or_default());
        if let Some(entry) = field.map() {
            self.map(entry, &rules, values);
        } else if field.is_repeated() {
            self.list(field, &rules, values);
        } else if let Kind::Message(message) = field.kind {
            let is_choice = field.oneof().is_some();
            self.single_message(message, &rules, values, is_choice);
        } else if let Some(value) = values.last() {
            self.scalar(field.kind, &rules, *value);
        } else if field.oneof().is_none() && !field.is_optional() {
            self.absent(field, &rules);
        }
    }

    /// The rules hold for the default value too. An enum whose default is deprecated but not
    /// refused is not worth a warning: nobody wrote it.
    fn absent(&mut self, field: &Field, rules: &Rules<'_>) {
        let before = self.found.len();
        self.scalar(field.kind, rules, default(field.kind));
        if matches!(field.kind, Kind::Enum(_)) {
            let written = self.found.split_off(before);
            let matters = |found: &Diagnostic| found.is_error() || found.code == DISALLOWED;
            self.found.extend(written.into_iter().filter(matters));
        }
    }

    fn single_message(&mut self, message: Message, rules: &Rules<'_>, values: &[Wire<'_>], is_choice: bool) {
        let parts: Vec<&[u8]> = values.iter().filter_map(bytes).collect();
        match parts.as_slice() {
            [] if rules.required() && !is_choice => self.judge(Err("is required".to_owned())),
            [] => {}
            [one] => self.message_value(message, rules, one),
            several => self.message_value(message, rules, &several.concat()),
        }
    }

    fn message_value(&mut self, message: Message, rules: &Rules<'_>, bytes: &[u8]) {
        if rules.skip {
            return;
        }
        match message.well_known() {
            None => self.message(message, bytes),
            Some(WellKnown::Any) => self.any(rules, bytes),
            Some(WellKnown::Duration) => {
                self.judge(rules.duration().map_or(Ok(()), |rules| number::duration(rules, bytes)));
            }
            Some(WellKnown::Wrapper) => self.wrapper(message, rules, bytes),
            Some(_) => {}
        }
    }

    fn wrapper(&mut self, message: Message, rules: &Rules<'_>, bytes: &[u8]) {
        if let Some(field) = message.field_numbered(1) {
            let last = Reader::new(bytes).filter(|(number, _)| *number == 1).last();
            self.scalar(field.kind, rules, last.map_or(default(field.kind), |(_, wire)| wire));
        }
    }

    /// An Any of a type that the schema does not know is left to whoever looks it up.
    fn any(&mut self, rules: &Rules<'_>, bytes: &[u8]) {
        let (mut url, mut value): (&[u8], &[u8]) = (&[], &[]);
        for (number, wire) in Reader::new(bytes) {
            match (number, wire) {
                (1, Wire::Bytes(bytes)) => url = bytes,
                (2, Wire::Bytes(bytes)) => value = bytes,
                _ => {}
            }
        }
        let url = String::from_utf8_lossy(url);
        self.judge(rules.any().map_or(Ok(()), |rules| text::any_type(rules, &url)));
        let name = url.rsplit_once('/').map(|(_, name)| name);
        match name.and_then(Message::named) {
            Some(message) if message.well_known().is_none() => {
                self.anys += 1;
                self.message(message, value);
                self.anys -= 1;
            }
            _ => {}
        }
    }

    fn list(&mut self, field: &Field, rules: &Rules<'_>, values: &[Wire<'_>]) {
        let values = unpacked(field.kind, values);
        let (verdict, items) = match rules.repeated() {
            Some(rules) => (rules.list(&values), Rules::read(rules.items)),
            None => (Ok(()), Rules::default()),
        };
        self.judge(verdict);
        for (index, value) in values.iter().enumerate() {
            self.path.push(Step::Index(index));
            match (field.kind, bytes(value)) {
                (Kind::Message(message), Some(bytes)) => {
                    self.message_value(message, &items, bytes);
                }
                (Kind::Message(_), None) => {}
                (kind, _) => self.scalar(kind, &items, *value),
            }
            self.path.pop();
        }
    }

    fn map(&mut self, entry: Message, rules: &Rules<'_>, values: &[Wire<'_>]) {
        let Some((key, value)) = entry.entry() else {
            return;
        };
        let map = rules.map().unwrap_or_default();
        let (key_rules, value_rules) = (Rules::read(map.keys), Rules::read(map.values));
        let mut last: FxHashMap<Vec<u8>, Wire<'_>> = FxHashMap::default();
        for entry in values.iter().filter_map(bytes) {
            let (mut found_key, mut found_value) = (default(key.kind), default(value.kind));
            for (number, wire) in Reader::new(entry) {
                match number {
                    1 => found_key = wire,
                    _ => found_value = wire,
                }
            }
            self.path.push(Step::Key(shown(key.kind, found_key)));
            self.scalar(key.kind, &key_rules, found_key);
            match (value.kind, bytes(&found_value)) {
                (Kind::Message(message), Some(bytes)) => {
                    self.message_value(message, &value_rules, bytes);
                }
                (kind, _) => self.scalar(kind, &value_rules, found_value),
            }
            self.path.pop();
            last.insert(shown(key.kind, found_key).as_bytes().to_vec(), found_value);
        }
        self.judge(map.pairs(last.len()));
    }

    fn scalar(&mut self, kind: Kind, rules: &Rules<'_>, value: Wire<'_>) {
        if let Kind::Enum(enumeration) = kind {
            self.enum_value(enumeration, rules, value);
            return;
        }
        let Some(body) = rules.typed else { return };
        let verdict = match (body, value) {
            (Body { kind: 14, rules }, Wire::Bytes(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => text::string(rules, text, &mut self.patterns),
                Err(_) => Err("is not UTF-8".to_owned()),
            },
            (Body { kind: 15, rules }, Wire::Bytes(value)) => text::bytes(rules, value),
            (Body { kind: 13, rules }, Wire::Varint(value)) => number::boolean(rules, value != 0),
            (Body { kind: 1..=12, rules }, value) => number::number(rules, kind, value),
            _ => Ok(()),
        };
        self.judge(verdict);
    }

    fn enum_value(&mut self, enumeration: Enumeration, rules: &Rules<'_>, value: Wire<'_>) {
        let Wire::Varint(value) = value else { return };
        // An enum is an int32: the low half of what is on the wire.
        let [a, b, c, d, ..] = value.to_le_bytes();
        let value = i32::from_le_bytes([a, b, c, d]);
        let declared = enumeration.values().find(|known| known.number == value);
        if let Some(Body { kind: 16, rules }) = rules.typed {
            self.judge(number::enumeration(rules, value, declared.is_some()));
        }
        if let Some(declared) = declared {
            self.deprecated_value(declared);
        }
    }
}
