//! Floats in the four ways in which Envoy prints them.
//!
//! Text uses the shortest digits, bucket names six significant digits, JSON
//! whichever of plain and scientific is shorter, Prometheus up to 32 digits.

use std::fmt::Write;

/// Shortest digits that read back as the same number; `nan` when there is none.
pub(super) fn push_shortest(out: &mut String, value: Option<f64>) {
    match value {
        Some(value) if value != 0.0 && !(1e-4..1e16).contains(&value.abs()) => out.push_str(&scientific(value)),
        Some(value) => push(out, value),
        None => out.push_str("nan"),
    }
}

/// Shortest digits, scientific if that is fewer characters; `null` if absent.
pub(super) fn push_json(out: &mut String, value: Option<f64>) {
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return out.push_str("null");
    };
    let (plain, scientific) = (value.to_string(), scientific(value));
    out.push_str(if value != 0.0 && scientific.len() < plain.len() { &scientific } else { &plain });
}

/// Like C's `%.<digits>g`.
pub(super) fn push_general(out: &mut String, value: f64, digits: usize) {
    if value == 0.0 || !value.is_finite() {
        return push(out, value);
    }
    let rounded = format!("{value:.*e}", digits.saturating_sub(1));
    let exponent: i32 = rounded.rsplit_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        return out.push_str(&with_two_digit_exponent(&rounded));
    }
    let places = usize::try_from(limit - 1 - exponent).unwrap_or(0);
    out.push_str(trimmed(&format!("{value:.places$}")));
}

fn push(out: &mut String, value: f64) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{value}");
}

fn scientific(value: f64) -> String {
    with_two_digit_exponent(&format!("{value:e}"))
}

/// Rust writes `1.80e6` where C writes `1.8e+06`.
fn with_two_digit_exponent(number: &str) -> String {
    let Some((digits, exponent)) = number.split_once('e') else {
        return number.to_owned();
    };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{}e{sign}{exponent:0>2}", trimmed(digits))
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(push: impl Fn(&mut String)) -> String {
        let mut out = String::new();
        push(&mut out);
        out
    }

    #[test]
    fn bucket_names_have_six_digits() {
        let six = |value| with(|out| push_general(out, value, 6));
        assert_eq!(
            [0.5, 1.0, 250.0, 600_000.0, 1_800_000.0, 123_456_789.0].map(six),
            ["0.5", "1", "250", "600000", "1.8e+06", "1.23457e+08"]
        );
    }

    #[test]
    fn prometheus_numbers_have_up_to_32_digits() {
        let long = |value| with(|out| push_general(out, value, 32));
        assert_eq!(long(2_064.855_330_193_213_4), "2064.8553301932133763330057263374");
        assert_eq!(long(99_536.604_971_500_2), "99536.604971500200917944312095642");
        assert_eq!([0.0, 0.5, 3_600_000.0].map(long), ["0", "0.5", "3600000"]);
    }

    #[test]
    fn json_takes_the_shorter_form() {
        let json = |value| with(|out| push_json(out, Some(value)));
        assert_eq!(
            [300_000.0, 1_800_000.0, 10_000.0, 0.5, 0.0, 511.999_999_999_999_94].map(json),
            ["3e+05", "1800000", "10000", "0.5", "0", "511.99999999999994"]
        );
        assert_eq!(with(|out| push_json(out, None)), "null");
    }

    #[test]
    fn text_takes_the_shortest_digits() {
        let text = |value| with(|out| push_shortest(out, Some(value)));
        assert_eq!([0.0, 1.05, 300_000.0, 1e17, 0.000_01].map(text), ["0", "1.05", "300000", "1e+17", "1e-05"]);
        assert_eq!(with(|out| push_shortest(out, None)), "nan");
    }
}
