//! The rules for numbers, booleans, enums and durations. All numeric rules have the same shape:
//! const 1, lt 2, lte 3, gt 4, gte 5, in 6, not_in 7, ignore_empty 8; a duration's are shifted by
//! one. A lower bound above the upper one excludes the range between them.

use std::{cmp::Ordering, fmt};

use super::message::Verdict;
use crate::schema::{
    Kind,
    wire::{Reader, Wire},
};

/// A number of any kind.
#[derive(Clone, Copy, PartialEq)]
enum Number {
    Whole(i128),
    Float(f64),
    /// In nanoseconds.
    Duration(i128),
}

impl Number {
    fn of(kind: Kind, wire: Wire<'_>) -> Option<Number> {
        Some(match (kind, wire) {
            (Kind::Double, Wire::Fixed64(bits)) => Number::Float(f64::from_bits(bits)),
            (Kind::Float, Wire::Fixed32(bits)) => Number::Float(f64::from(f32::from_bits(bits))),
            (Kind::Uint32, Wire::Varint(value)) => Number::Whole(i128::from(value & 0xffff_ffff)),
            (Kind::Uint64, Wire::Varint(value)) => Number::Whole(i128::from(value)),
            (Kind::Sint32 | Kind::Sint64, Wire::Varint(value)) => {
                let half = i128::from(value >> 1);
                Number::Whole(if value & 1 == 0 { half } else { -half - 1 })
            }
            (_, Wire::Varint(value)) => Number::Whole(i128::from(value.cast_signed())),
            (Kind::Sfixed32, Wire::Fixed32(bits)) => Number::Whole(bits.cast_signed().into()),
            (Kind::Sfixed64, Wire::Fixed64(bits)) => Number::Whole(bits.cast_signed().into()),
            (_, Wire::Fixed32(bits)) => Number::Whole(bits.into()),
            (_, Wire::Fixed64(bits)) => Number::Whole(bits.into()),
            (_, Wire::Bytes(bytes)) => duration_of(bytes),
        })
    }

    fn is_zero(self) -> bool {
        match self {
            Number::Whole(value) | Number::Duration(value) => value == 0,
            Number::Float(value) => value == 0.0,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Number::Whole(a), Number::Whole(b)) | (Number::Duration(a), Number::Duration(b)) => Some(a.cmp(b)),
            (Number::Float(a), Number::Float(b)) => a.partial_cmp(b),
            _ => None,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Whole(value) => value.fmt(f),
            Number::Float(value) => value.fmt(f),
            Number::Duration(nanos) => {
                let (sign, nanos) = (if *nanos < 0 { "-" } else { "" }, nanos.abs());
                let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
                write!(f, "{sign}{}s", text.trim_end_matches('0').trim_end_matches('.'))
            }
        }
    }
}

fn duration_of(bytes: &[u8]) -> Number {
    let (mut seconds, mut nanos) = (0i128, 0i128);
    for (number, wire) in Reader::new(bytes) {
        match (number, wire) {
            (1, Wire::Varint(value)) => seconds = value.cast_signed().into(),
            (2, Wire::Varint(value)) => nanos = value.cast_signed().into(),
            _ => {}
        }
    }
    Number::Duration(seconds * 1_000_000_000 + nanos)
}

#[derive(Default)]
struct Bounds {
    exactly: Option<Number>,
    below: Option<(Number, bool)>,
    above: Option<(Number, bool)>,
    among: Vec<Number>,
    not_among: Vec<Number>,
    ignore_zero: bool,
}

impl Bounds {
    /// Reads rules whose numbers are `shift` above those of a number's rules.
    fn read(rules: &[u8], kind: Kind, shift: u32) -> Self {
        let mut bounds = Bounds::default();
        for (number, wire) in Reader::new(rules) {
            let Some(value) = Number::of(kind, wire) else {
                continue;
            };
            match number.checked_sub(shift) {
                Some(1) => bounds.exactly = Some(value),
                Some(2) => bounds.below = Some((value, false)),
                Some(3) => bounds.below = Some((value, true)),
                Some(4) => bounds.above = Some((value, false)),
                Some(5) => bounds.above = Some((value, true)),
                Some(6) => bounds.among.push(value),
                Some(7) => bounds.not_among.push(value),
                Some(8) => bounds.ignore_zero = true,
                _ => {}
            }
        }
        bounds
    }

    fn judge(&self, value: Number) -> Verdict {
        if self.ignore_zero && value.is_zero() {
            return Ok(());
        }
        if let Some(exactly) = self.exactly.filter(|exactly| *exactly != value) {
            return Err(format!("must equal {exactly}, not {value}"));
        }
        self.range(value)?;
        if !self.among.is_empty() && !self.among.contains(&value) {
            return Err(format!("must be in list {}, not {value}", list(&self.among)));
        }
        if self.not_among.contains(&value) {
            return Err(format!("must not be in list {}", list(&self.not_among)));
        }
        Ok(())
    }

    fn range(&self, value: Number) -> Verdict {
        let is_below = |(bound, or_equal): (Number, bool)| value < bound || (or_equal && value == bound);
        let is_above = |(bound, or_equal): (Number, bool)| value > bound || (or_equal && value == bound);
        match (self.above, self.below) {
            (Some(above), Some(below)) if above.0 > below.0 => {
                if is_above(above) || is_below(below) {
                    return Ok(());
                }
                Err(format!("must be outside range {} to {}, not {value}", below.0, above.0))
            }
            (Some(above), Some(below)) => {
                if is_above(above) && is_below(below) {
                    return Ok(());
                }
                let open = if above.1 { '[' } else { '(' };
                let close = if below.1 { ']' } else { ')' };
                Err(format!("must be inside range {open}{}, {}{close}, not {value}", above.0, below.0))
            }
            (Some(above), None) if !is_above(above) => {
                let or_equal = if above.1 { " or equal to" } else { "" };
                Err(format!("must be greater than{or_equal} {}, not {value}", above.0))
            }
            (None, Some(below)) if !is_below(below) => {
                let or_equal = if below.1 { " or equal to" } else { "" };
                Err(format!("must be less than{or_equal} {}, not {value}", below.0))
            }
            _ => Ok(()),
        }
    }
}

fn list(values: &[Number]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    format!("[{}]", values.join(" "))
}

/// A number's rules.
pub(super) fn number(rules: &[u8], kind: Kind, value: Wire<'_>) -> Verdict {
    match Number::of(kind, value) {
        Some(value) => Bounds::read(rules, kind, 0).judge(value),
        None => Ok(()),
    }
}

/// DurationRules.
pub(super) fn duration(rules: &[u8], value: &[u8]) -> Verdict {
    // Of no kind that is read otherwise: the rules' durations are messages.
    Bounds::read(rules, Kind::Bytes, 1).judge(duration_of(value))
}

/// BoolRules: only `const`.
pub(super) fn boolean(rules: &[u8], value: bool) -> Verdict {
    for (number, wire) in Reader::new(rules) {
        if number == 1 && wire != Wire::Varint(u64::from(value)) {
            return Err(format!("must equal {}", !value));
        }
    }
    Ok(())
}

/// EnumRules: const 1, defined_only 2, in 3, not_in 4.
pub(super) fn enumeration(rules: &[u8], value: i32, defined: bool) -> Verdict {
    let (mut among, mut exclusive) = (false, false);
    for (number, wire) in Reader::new(rules) {
        let Wire::Varint(rule) = wire else { continue };
        let same = i64::from(value) == rule.cast_signed();
        match number {
            1 if !same => return Err(format!("must equal {}", rule.cast_signed())),
            2 if rule != 0 && !defined => {
                return Err(format!("must be one of the defined enum values, not {value}"));
            }
            3 => (among, exclusive) = (among || same, true),
            4 if same => return Err(format!("must not be in list [{value}]")),
            _ => {}
        }
    }
    if exclusive && !among {
        return Err(format!("must be in the list of allowed values, not {value}"));
    }
    Ok(())
}
