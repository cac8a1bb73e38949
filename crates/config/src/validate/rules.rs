//! Reads `validate.FieldRules` (validate/validate.proto), which the schema keeps serialised: an
//! unset rule costs nothing, and a field's rules are a handful of bytes.

use super::message::Verdict;
use crate::schema::wire::{Reader, Wire};

/// A field's rules, one level deep.
#[derive(Default)]
pub(super) struct Rules<'r> {
    required: bool,
    /// Do not look into the message.
    pub(super) skip: bool,
    /// The rules for the field's type.
    pub(super) typed: Option<Body<'r>>,
}

/// A member of `FieldRules.type`: its number and its serialised rules.
#[derive(Clone, Copy)]
pub(super) struct Body<'r> {
    pub(super) kind: u32,
    pub(super) rules: &'r [u8],
}

const MESSAGE: u32 = 17;
const REPEATED: u32 = 18;
const MAP: u32 = 19;
const ANY: u32 = 20;
const DURATION: u32 = 21;

impl<'r> Rules<'r> {
    pub(super) fn read(bytes: &'r [u8]) -> Self {
        let mut rules = Rules::default();
        for (number, wire) in Reader::new(bytes) {
            match (number, wire) {
                (MESSAGE, Wire::Bytes(bytes)) => {
                    rules.skip |= flag(bytes, 1);
                    rules.required |= flag(bytes, 2);
                }
                (kind, Wire::Bytes(bytes)) => {
                    // `required` of AnyRules, DurationRules and TimestampRules.
                    rules.required |= (ANY..=22).contains(&kind) && flag(bytes, 1);
                    rules.typed = Some(Body { kind, rules: bytes });
                }
                _ => {}
            }
        }
        rules
    }

    pub(super) fn required(&self) -> bool {
        self.required
    }

    fn of(&self, kind: u32) -> Option<&'r [u8]> {
        self.typed.filter(|body| body.kind == kind).map(|body| body.rules)
    }

    pub(super) fn duration(&self) -> Option<&'r [u8]> {
        self.of(DURATION)
    }

    pub(super) fn any(&self) -> Option<&'r [u8]> {
        self.of(ANY)
    }

    pub(super) fn repeated(&self) -> Option<Repeated<'r>> {
        let mut found = Repeated::default();
        for (number, wire) in Reader::new(self.of(REPEATED)?) {
            match (number, wire) {
                (1, Wire::Varint(count)) => found.least = count,
                (2, Wire::Varint(count)) => found.most = Some(count),
                (3, Wire::Varint(unique)) => found.unique = unique != 0,
                (4, Wire::Bytes(rules)) => found.items = rules,
                (6, Wire::Varint(ignore)) => found.ignore_empty = ignore != 0,
                _ => {}
            }
        }
        Some(found)
    }

    pub(super) fn map(&self) -> Option<Map<'r>> {
        let mut found = Map::default();
        for (number, wire) in Reader::new(self.of(MAP)?) {
            match (number, wire) {
                (1, Wire::Varint(count)) => found.least = count,
                (2, Wire::Varint(count)) => found.most = Some(count),
                (4, Wire::Bytes(rules)) => found.keys = rules,
                (5, Wire::Bytes(rules)) => found.values = rules,
                (6, Wire::Varint(ignore)) => found.ignore_empty = ignore != 0,
                _ => {}
            }
        }
        Some(found)
    }
}

fn flag(rules: &[u8], wanted: u32) -> bool {
    Reader::new(rules).any(|(number, wire)| number == wanted && wire == Wire::Varint(1))
}

/// RepeatedRules.
#[derive(Default)]
pub(super) struct Repeated<'r> {
    least: u64,
    most: Option<u64>,
    unique: bool,
    ignore_empty: bool,
    pub(super) items: &'r [u8],
}

impl Repeated<'_> {
    pub(super) fn list(&self, values: &[Wire<'_>]) -> Verdict {
        if self.ignore_empty && values.is_empty() {
            return Ok(());
        }
        count(values.len(), self.least, self.most, "item(s)")?;
        let twice = |(at, value): (usize, &Wire<'_>)| values.get(..at).unwrap_or_default().contains(value);
        if self.unique && values.iter().enumerate().any(twice) {
            return Err("must contain unique items".to_owned());
        }
        Ok(())
    }
}

/// MapRules.
#[derive(Default)]
pub(super) struct Map<'r> {
    least: u64,
    most: Option<u64>,
    ignore_empty: bool,
    pub(super) keys: &'r [u8],
    pub(super) values: &'r [u8],
}

impl Map<'_> {
    pub(super) fn pairs(&self, found: usize) -> Verdict {
        if self.ignore_empty && found == 0 {
            return Ok(());
        }
        count(found, self.least, self.most, "pair(s)")
    }
}

fn count(found: usize, least: u64, most: Option<u64>, what: &str) -> Verdict {
    let found = found as u64;
    if found < least {
        return Err(format!("must contain at least {least} {what}"));
    }
    match most {
        Some(most) if found > most => Err(format!("must contain no more than {most} {what}, not {found}")),
        _ => Ok(()),
    }
}
