//! Durations and timestamps as text (google/protobuf/{duration,timestamp}.proto).

/// Seconds and nanoseconds, both with the sign.
#[derive(Debug, PartialEq)]
pub(super) struct Parts {
    pub(super) seconds: i64,
    pub(super) nanos: i32,
}

/// Why a text is no time.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    pub(super) code: &'static str,
    pub(super) what: &'static str,
    pub(super) help: String,
}

/// protobuf's limit, about 10,000 years.
const MOST_SECONDS: i64 = 315_576_000_000;

/// `[-]digits[.1-9 digits]s`.
pub(super) fn duration(text: &str) -> Result<Parts, Problem> {
    exact_duration(text).ok_or_else(|| Problem { code: "bad-duration", what: "a duration", help: duration_help(text) })
}

fn exact_duration(text: &str) -> Option<Parts> {
    let number = text.strip_suffix('s')?;
    let (sign, number) = match number.strip_prefix('-') {
        Some(number) => (-1, number),
        None => (1, number),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let seconds: i64 = digits(whole)?.parse().ok()?;
    let nanos = match fraction {
        Some(fraction) => nanos(fraction)?,
        None => 0,
    };
    let parts = Parts { seconds: sign * seconds, nanos: nanos * if sign < 0 { -1 } else { 1 } };
    (seconds <= MOST_SECONDS).then_some(parts)
}

fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// One to nine digits behind the point.
fn nanos(fraction: &str) -> Option<i32> {
    let missing = 9usize.checked_sub(digits(fraction)?.len())?;
    let power = 10i32.checked_pow(u32::try_from(missing).ok()?)?;
    fraction.parse::<i32>().ok()?.checked_mul(power)
}

/// Proposes the right spelling of `1ms`, `5m`, `1h`, `10`.
fn duration_help(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let seconds = match unit.trim() {
        "" | "s" | "sec" | "second" | "seconds" => 1.0,
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => f64::NAN,
    } * number.parse::<f64>().unwrap_or(f64::NAN);
    let proposal = format!("{seconds:.9}");
    let proposal = proposal.trim_end_matches('0').trim_end_matches('.');
    if seconds.is_finite() && exact_duration(&format!("{proposal}s")).is_some() {
        return format!("write `{proposal}s`");
    }
    "a duration is a number of seconds followed by an `s`, such as `0.25s`".to_owned()
}

/// RFC 3339: `2024-01-31T10:20:30.5Z`, or with an offset.
pub(super) fn timestamp(text: &str) -> Result<Parts, Problem> {
    exact_timestamp(text).ok_or_else(|| Problem {
        code: "bad-timestamp",
        what: "a timestamp",
        help: "a timestamp is like `2030-01-31T12:00:00Z`".to_owned(),
    })
}

fn exact_timestamp(text: &str) -> Option<Parts> {
    let (date, time) = text.split_once('T')?;
    let (year, month, day) = three(date, '-')?;
    let zone_at = time.find(['Z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(zone_at)?;
    let (clock, fraction) = match time.split_once('.') {
        Some((clock, fraction)) => (clock, nanos(fraction)?),
        None => (time, 0),
    };
    let (hour, minute, second) = three(clock, ':')?;
    let in_range = (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    in_range.then_some(Parts { seconds: seconds - offset(zone)?, nanos: fraction })
}

fn three(text: &str, separator: char) -> Option<(i64, i64, i64)> {
    let mut parts = text.split(separator).map(|part| digits(part)?.parse::<i64>().ok());
    let three = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(three)
}

fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, zone) = match zone.strip_prefix('-') {
        Some(zone) => (-1, zone),
        None => (1, zone.strip_prefix('+')?),
    };
    let (hours, minutes) = zone.split_once(':')?;
    let (hours, minutes): (i64, i64) = (digits(hours)?.parse().ok()?, digits(minutes)?.parse().ok()?);
    Some(sign * (hours * 3_600 + minutes * 60))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let before = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    before + months + day - 1
}
