//! Numbers as protobuf's legacy JSON parser reads them, quoted or not.

/// Why a text is no number of the wanted kind.
#[derive(Debug, PartialEq)]
pub(super) enum Problem {
    NotANumber,
    Fraction,
    OutOfRange,
}

/// A whole number: decimal, `0x` hexadecimal, or with a fraction or exponent that leaves it whole.
pub(super) fn integer(text: &str, least: i128, most: i128) -> Result<i128, Problem> {
    let value = match whole(text) {
        Some(value) => value,
        None => {
            let value = decimal(text).filter(|value| value.is_finite());
            let value = value.ok_or(Problem::NotANumber)?;
            if value.abs() > 1e30 {
                return Err(Problem::OutOfRange);
            }
            if value.fract() != 0.0 {
                return Err(Problem::Fraction);
            }
            // In range: the bound above is far inside of i128.
            value as i128
        }
    };
    if (least..=most).contains(&value) { Ok(value) } else { Err(Problem::OutOfRange) }
}

fn whole(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((digits, 10), |hex| (hex, 16));
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// A fraction, or one of `NaN`, `Infinity`, `-Infinity` and their shorter spellings.
pub(super) fn float(text: &str) -> Option<f64> {
    if let Some(value) = decimal(text) {
        return Some(value);
    }
    let (negative, word) = match text.strip_prefix('-') {
        Some(word) => (true, word),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match word.to_ascii_lowercase().as_str() {
        "nan" => f64::NAN,
        "inf" | "infinity" => f64::INFINITY,
        hex if hex.starts_with("0x") => whole(word)? as f64,
        _ => return None,
    };
    Some(if negative { -value } else { value })
}

fn decimal(text: &str) -> Option<f64> {
    let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    if !text.bytes().all(is_part) {
        return None;
    }
    text.parse().ok()
}
