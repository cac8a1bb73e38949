//! The rules for texts and bytes (StringRules, BytesRules) and for the type of an Any.

use regex::Regex;
use rustc_hash::FxHashMap;

use super::message::Verdict;
use crate::schema::wire::{Reader, Wire};

/// The compiled patterns of one pass.
#[derive(Default)]
pub(super) struct Patterns(FxHashMap<Vec<u8>, Option<Regex>>);

impl Patterns {
    /// A pattern that this engine cannot compile rejects nothing.
    fn matches(&mut self, pattern: &[u8], text: &str) -> bool {
        if !self.0.contains_key(pattern) {
            let compiled = std::str::from_utf8(pattern).ok().and_then(|p| Regex::new(p).ok());
            self.0.insert(pattern.to_vec(), compiled);
        }
        let compiled = self.0.get(pattern).and_then(Option::as_ref);
        compiled.is_none_or(|regex| regex.is_match(text))
    }
}

/// StringRules.
pub(super) fn string(rules: &[u8], text: &str, patterns: &mut Patterns) -> Verdict {
    let mut listed = Listed::default();
    let (mut well_known, mut strict) = (0, true);
    let has = |wanted| Reader::new(rules).any(|rule| rule == (wanted, Wire::Varint(1)));
    if text.is_empty() && has(26) {
        return Ok(());
    }
    for (number, wire) in Reader::new(rules) {
        match (number, wire) {
            (2 | 3 | 19, Wire::Varint(count)) => {
                length(number, count, text.chars().count(), "characters")?;
            }
            (4 | 5 | 20, Wire::Varint(count)) => {
                let which = if number == 20 { 19 } else { number - 2 };
                length(which, count, text.len(), "bytes")?;
            }
            (6, Wire::Bytes(pattern)) if !patterns.matches(pattern, text) => {
                return Err(format!("must match the pattern `{}`", lossy(pattern)));
            }
            (24, Wire::Varint(which)) => well_known = which,
            (25, Wire::Varint(value)) => strict = value != 0,
            (10, Wire::Bytes(value)) => listed.add(value, text.as_bytes()),
            (1 | 7 | 8 | 9 | 11 | 23, Wire::Bytes(part)) => {
                parts(number, part, text.as_bytes())?;
            }
            _ => {}
        }
    }
    listed.judge()?;
    header(well_known, strict, text)
}

/// BytesRules.
pub(super) fn bytes(rules: &[u8], value: &[u8]) -> Verdict {
    for (number, wire) in Reader::new(rules) {
        match (number, wire) {
            (2 | 3, Wire::Varint(count)) => length(number, count, value.len(), "bytes")?,
            (13, Wire::Varint(count)) => length(19, count, value.len(), "bytes")?,
            _ => {}
        }
    }
    Ok(())
}

/// AnyRules: `in` and `not_in` on the type URL (`required` is about presence).
pub(super) fn any_type(rules: &[u8], url: &str) -> Verdict {
    let mut listed = Listed::default();
    for (number, wire) in Reader::new(rules) {
        match (number, wire) {
            (2, Wire::Bytes(value)) => listed.add(value, url.as_bytes()),
            (3, Wire::Bytes(value)) if value == url.as_bytes() => {
                return Err(format!("must not be of the type {url}"));
            }
            _ => {}
        }
    }
    listed.judge()
}

/// 2 is at least, 3 at most, 19 exactly.
fn length(rule: u32, count: u64, found: usize, unit: &str) -> Verdict {
    let found = found as u64;
    match rule {
        2 if found == 0 && count == 1 => Err("must not be empty".to_owned()),
        2 if found < count => Err(format!("must be at least {count} {unit} long, not {found}")),
        3 if found > count => Err(format!("must be at most {count} {unit} long, not {found}")),
        19 if found != count => Err(format!("must be {count} {unit} long, not {found}")),
        _ => Ok(()),
    }
}

fn parts(rule: u32, part: &[u8], text: &[u8]) -> Verdict {
    let contains = part.is_empty() || text.windows(part.len()).any(|window| window == part);
    let (kept, what) = match rule {
        1 => (text == part, "be"),
        7 => (text.starts_with(part), "begin with"),
        8 => (text.ends_with(part), "end with"),
        9 => (contains, "contain"),
        11 => (text != part, "not be"),
        _ => (!contains, "not contain"),
    };
    if kept { Ok(()) } else { Err(format!("must {what} `{}`", lossy(part))) }
}

/// An `in` rule.
#[derive(Default)]
struct Listed {
    allowed: Vec<String>,
    found: bool,
}

impl Listed {
    fn add(&mut self, allowed: &[u8], value: &[u8]) {
        self.allowed.push(lossy(allowed));
        self.found |= allowed == value;
    }

    fn judge(&self) -> Verdict {
        if self.found || self.allowed.is_empty() {
            return Ok(());
        }
        Err(format!("must be in list [{}]", self.allowed.join(" ")))
    }
}

/// KnownRegex: 1 is a header's name, 2 its value. The lax forms only keep lines apart.
fn header(which: u64, strict: bool, text: &str) -> Verdict {
    let breaks_line = |byte: u8| matches!(byte, 0 | b'\n' | b'\r');
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+,-.^_|~`".contains(&byte);
    let is_text = |byte: u8| byte >= b' ' && byte != 0x7f || byte == b'\t';
    let kept = match (which, strict) {
        (1, true) => {
            let name = text.strip_prefix(':').unwrap_or(text);
            !name.is_empty() && name.bytes().all(is_token)
        }
        (1, false) | (2, false) => !text.bytes().any(breaks_line),
        (2, true) => text.bytes().all(is_text),
        _ => true,
    };
    match (kept, which) {
        (true, _) => Ok(()),
        (false, 1) => Err("is not a valid header name".to_owned()),
        (false, _) => Err("is not a valid header value".to_owned()),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
