//! What Envoy makes of a YAML scalar: yaml-cpp's conversions, in the order in which Envoy tries
//! them (boolean, then 64-bit integer, else text).
//!
//! Integers outside 32 bits become their decimal text and fractions stay text, because Envoy
//! passes all scalars through a protobuf Struct.

use std::borrow::Cow;

/// A scalar after conversion.
#[derive(Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Bool(bool),
    Int(i32),
    Text(Cow<'a, str>),
}

/// Whether yaml-cpp takes an untagged plain scalar for null.
pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Converts a scalar that is not a string by its quotes or tag.
pub(crate) fn convert(text: &str) -> Scalar<'_> {
    if let Some(value) = boolean(text) {
        return Scalar::Bool(value);
    }
    match integer(text) {
        Some(value) => match i32::try_from(value) {
            Ok(value) => Scalar::Int(value),
            Err(_) => Scalar::Text(Cow::Owned(value.to_string())),
        },
        None => Scalar::Text(Cow::Borrowed(text)),
    }
}

/// `y`, `yes`, `true`, `on` and their opposites, in lower case, upper case or Capitalised.
fn boolean(text: &str) -> Option<bool> {
    if text.len() > 5 || !text.is_ascii() {
        return None;
    }
    let (first, rest) = text.split_at_checked(1)?;
    let lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
    let upper = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
    if !(lower(rest) || upper(text)) || !(lower(first) || upper(first)) {
        return None;
    }
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// A C integer: optional sign, then decimal, `0x` hexadecimal or `0` octal; spaces may follow.
fn integer(text: &str) -> Option<i64> {
    let text = text.trim_end_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", text.get(1..)?),
        b'+' => ("", text.get(1..)?),
        _ => ("", text),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (digits.get(2..)?, 16),
        [b'0', _, ..] => (digits.get(1..)?, 8),
        _ => (digits, 10),
    };
    if !digits.bytes().next()?.is_ascii_hexdigit() {
        return None;
    }
    if radix == 10 && sign.is_empty() {
        return digits.parse().ok();
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}
