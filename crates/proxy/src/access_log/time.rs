//! `%START_TIME%` and its like: moments under a strftime-like format.
//!
//! The default, RFC 3339 in UTC with milliseconds, is what nearly every line starts with; the text
//! of the last second is kept per thread, so that a line only writes three digits. Every other
//! format is walked at each line. What the letters mean was taken from Envoy 1.40: strftime in the
//! C locale, `%E3S`-like forms, and `%f` with `%1f` to `%9f` for the fraction of the second. A
//! letter that means nothing is printed as it stands. Moments are known to the microsecond.
//!
//! Owns the formatting and the local time zone (`TZ`, else `/etc/localtime`, read once).

use std::{
    cell::Cell,
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::{
    Timestamp,
    civil::{DateTime, Weekday},
    tz::{Offset, TimeZone},
};

const DEFAULT_LOCAL: &str = "%Y-%m-%dT%H:%M:%E3S%z";
const DEFAULT_UTC: &str = "%Y-%m-%dT%H:%M:%S.";
const DEFAULT_LENGTH: usize = "2026-11-22T15:10:46.".len();

static LOCAL_ZONE: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

thread_local! {
    /// Second since 1970 and its text in the default format, up to the fraction.
    static LAST_SECOND: Cell<(i64, [u8; DEFAULT_LENGTH])> = const { Cell::new((i64::MIN, [0; DEFAULT_LENGTH])) };
}

/// Writes `at` under `format`, or under the default of its zone.
pub(super) fn write(at: SystemTime, local: bool, format: Option<&str>, out: &mut Vec<u8>) {
    let (second, micros) = since_epoch(at);
    match (format, local) {
        (None, false) => write_default(second, micros, out),
        (None, true) => Moment::new(second, micros, true).write(DEFAULT_LOCAL, out),
        (Some(format), _) => Moment::new(second, micros, local).write(format, out),
    }
}

fn since_epoch(at: SystemTime) -> (i64, u32) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_micros())
}

fn write_default(second: i64, micros: u32, out: &mut Vec<u8>) {
    let mut last = LAST_SECOND.get();
    if last.0 != second {
        let mut text = Vec::with_capacity(DEFAULT_LENGTH);
        Moment::new(second, 0, false).write(DEFAULT_UTC, &mut text);
        match text.as_slice().try_into() {
            Ok(text) => last = (second, text),
            // A year of five digits does not fit, and is not worth keeping.
            Err(_) => return Moment::new(second, micros, false).write("%Y-%m-%dT%H:%M:%E3SZ", out),
        }
        LAST_SECOND.set(last);
    }
    out.extend_from_slice(&last.1);
    fraction(micros, 3, out);
    out.push(b'Z');
}

/// A moment, taken apart in one time zone.
struct Moment {
    second: i64,
    micros: u32,
    civil: DateTime,
    offset: i32,
    zone: String,
}

impl Moment {
    fn new(second: i64, micros: u32, local: bool) -> Self {
        let timestamp = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        let (offset, zone) = if local {
            let found = LOCAL_ZONE.to_offset_info(timestamp);
            (found.offset(), found.abbreviation().to_owned())
        } else {
            (Offset::UTC, "UTC".to_owned())
        };
        Self { second, micros, civil: offset.to_datetime(timestamp), offset: offset.seconds(), zone }
    }

    fn write(&self, format: &str, out: &mut Vec<u8>) {
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            let (before, from) = rest.split_at(at);
            out.extend_from_slice(before.as_bytes());
            let taken = self.specifier(from, out);
            rest = from.get(taken..).unwrap_or_default();
        }
        out.extend_from_slice(rest.as_bytes());
    }

    /// Writes the specifier that `text` starts with; answers its length.
    fn specifier(&self, text: &str, out: &mut Vec<u8>) -> usize {
        match *text.as_bytes() {
            [_, b'E', b'*', letter @ (b'S' | b'f' | b'z'), ..] => {
                self.full_precision(letter, out);
                4
            }
            [_, b'E', b'4', b'Y', ..] => {
                padded(i64::from(self.civil.year()), 4, b'0', out);
                4
            }
            [_, b'E', digit @ b'0'..=b'9', letter @ (b'S' | b'f'), ..] => {
                self.with_digits(usize::from(digit - b'0'), letter, out);
                4
            }
            [_, b'E', b'T', ..] => {
                out.push(b'T');
                3
            }
            [_, b'E' | b':', b'z', ..] => {
                self.offset(":", false, out);
                3
            }
            [_, b':', b':', b'z', ..] => {
                self.offset(":", true, out);
                4
            }
            [_, digit @ b'1'..=b'9', b'f', ..] => {
                fraction(self.micros, usize::from(digit - b'0'), out);
                3
            }
            [_, letter, ..] => match self.letter(letter, out) {
                true => 2,
                false => {
                    out.push(b'%');
                    1
                }
            },
            _ => {
                out.push(b'%');
                1
            }
        }
    }

    /// `%E*S`, `%E*f`: as many digits as say something. `%E*z`: the offset to the second.
    fn full_precision(&self, letter: u8, out: &mut Vec<u8>) {
        if letter == b'z' {
            return self.offset(":", true, out);
        }
        let mut digits = Vec::with_capacity(6);
        fraction(self.micros, 6, &mut digits);
        let end = digits.iter().rposition(|d| *d != b'0').map_or(0, |last| last + 1);
        digits.truncate(end);
        match (letter, digits.is_empty()) {
            (b'S', empty) => {
                padded(i64::from(self.civil.second()), 2, b'0', out);
                if !empty {
                    out.push(b'.');
                }
            }
            (_, true) => out.push(b'0'),
            (_, false) => {}
        }
        out.extend_from_slice(&digits);
    }

    /// `%E3S`, `%E3f`.
    fn with_digits(&self, digits: usize, letter: u8, out: &mut Vec<u8>) {
        if letter == b'S' {
            padded(i64::from(self.civil.second()), 2, b'0', out);
            if digits > 0 {
                out.push(b'.');
            }
        }
        fraction(self.micros, digits, out);
    }

    /// Specifiers of one letter; false when it means nothing.
    fn letter(&self, letter: u8, out: &mut Vec<u8>) -> bool {
        self.date_letter(letter, out) || self.week_letter(letter, out) || self.time_letter(letter, out)
    }

    fn date_letter(&self, letter: u8, out: &mut Vec<u8>) -> bool {
        let civil = &self.civil;
        let year = i64::from(civil.year());
        match letter {
            b'Y' => padded(year, 1, b'0', out),
            b'C' => padded(year.div_euclid(100), 2, b'0', out),
            b'y' => padded(year.rem_euclid(100), 2, b'0', out),
            b'm' => padded(i64::from(civil.month()), 2, b'0', out),
            b'd' => padded(i64::from(civil.day()), 2, b'0', out),
            b'e' => padded(i64::from(civil.day()), 2, b' ', out),
            b'j' => padded(i64::from(civil.day_of_year()), 3, b'0', out),
            b'B' => out.extend_from_slice(month_name(civil.month()).as_bytes()),
            b'b' | b'h' => out.extend(month_name(civil.month()).bytes().take(3)),
            b'D' | b'x' => self.write("%m/%d/%y", out),
            b'F' => self.write("%Y-%m-%d", out),
            b'c' => self.write("%a %b %e %H:%M:%S %Y", out),
            _ => return false,
        }
        true
    }

    fn week_letter(&self, letter: u8, out: &mut Vec<u8>) -> bool {
        let weekday = self.civil.weekday();
        let from_sunday = i64::from(weekday.to_sunday_zero_offset());
        let from_monday = i64::from(weekday.to_monday_zero_offset());
        let day = i64::from(self.civil.day_of_year()) - 1;
        let iso = self.civil.date().iso_week_date();
        match letter {
            b'A' => out.extend_from_slice(day_name(weekday).as_bytes()),
            b'a' => out.extend(day_name(weekday).bytes().take(3)),
            b'u' => padded(from_monday + 1, 1, b'0', out),
            b'w' => padded(from_sunday, 1, b'0', out),
            b'U' => padded((day + 7 - from_sunday) / 7, 2, b'0', out),
            b'W' => padded((day + 7 - from_monday) / 7, 2, b'0', out),
            b'V' => padded(i64::from(iso.week()), 2, b'0', out),
            b'G' => padded(i64::from(iso.year()), 1, b'0', out),
            b'g' => padded(i64::from(iso.year()).rem_euclid(100), 2, b'0', out),
            _ => return false,
        }
        true
    }

    fn time_letter(&self, letter: u8, out: &mut Vec<u8>) -> bool {
        let civil = &self.civil;
        let hour = i64::from(civil.hour());
        let hour_of_12 = (hour + 11) % 12 + 1;
        match letter {
            b'H' => padded(hour, 2, b'0', out),
            b'k' => padded(hour, 2, b' ', out),
            b'I' => padded(hour_of_12, 2, b'0', out),
            b'l' => padded(hour_of_12, 2, b' ', out),
            b'p' => out.extend_from_slice(if hour < 12 { b"AM" } else { b"PM" }),
            b'P' => out.extend_from_slice(if hour < 12 { b"am" } else { b"pm" }),
            b'M' => padded(i64::from(civil.minute()), 2, b'0', out),
            b'S' => padded(i64::from(civil.second()), 2, b'0', out),
            b'R' => self.write("%H:%M", out),
            b'T' | b'X' => self.write("%H:%M:%S", out),
            b'r' => self.write("%I:%M:%S %p", out),
            b's' => padded(self.second, 1, b'0', out),
            b'f' => fraction(self.micros, 9, out),
            b'z' => self.offset("", false, out),
            b'Z' => out.extend_from_slice(self.zone.as_bytes()),
            b't' => out.push(b'\t'),
            b'n' => out.push(b'\n'),
            b'%' => out.push(b'%'),
            _ => return false,
        }
        true
    }

    fn offset(&self, separator: &str, seconds: bool, out: &mut Vec<u8>) {
        out.push(if self.offset < 0 { b'-' } else { b'+' });
        let size = i64::from(self.offset).abs();
        padded(size / 3600, 2, b'0', out);
        out.extend_from_slice(separator.as_bytes());
        padded(size / 60 % 60, 2, b'0', out);
        if seconds {
            out.extend_from_slice(separator.as_bytes());
            padded(size % 60, 2, b'0', out);
        }
    }
}

/// The first `digits` (at most 9) digits of the fraction of a second.
fn fraction(micros: u32, digits: usize, out: &mut Vec<u8>) {
    let start = out.len();
    padded(i64::from(micros) * 1000, 9, b'0', out);
    out.truncate(start + digits);
}

fn padded(number: i64, width: usize, fill: u8, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number);
    out.extend(std::iter::repeat_n(fill, width.saturating_sub(digits.len())));
    out.extend_from_slice(digits.as_bytes());
}

fn month_name(month: i8) -> &'static str {
    match month {
        1 => "January",
        2 => "February",
        3 => "March",
        4 => "April",
        5 => "May",
        6 => "June",
        7 => "July",
        8 => "August",
        9 => "September",
        10 => "October",
        11 => "November",
        _ => "December",
    }
}

fn day_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(micros: u64, format: Option<&str>) -> String {
        let mut out = Vec::new();
        write(UNIX_EPOCH + Duration::from_micros(micros), false, format, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_default_is_rfc_3339_with_milliseconds() {
        assert_eq!(text(1_795_370_730_806_103, None), "2026-11-22T18:05:30.806Z");
        assert_eq!(text(1_795_370_730_900_000, None), "2026-11-22T18:05:30.900Z");
        assert_eq!(text(1_795_370_731_000_999, None), "2026-11-22T18:05:31.000Z");
    }

    #[test]
    fn letters_mean_what_they_mean_to_envoy() {
        // Formats and texts of one line that Envoy 1.40 wrote.
        let cases = [
            ("%s.%3f", "1795370730.806"),
            ("%f", "806103000"),
            ("%1f|%2f|%4f|%6f|%9f", "8|80|8061|806103|806103000"),
            ("%Y/%m/%d %H:%M:%S %z %Z %Ez %E*z %:z", "2026/11/22 18:05:30 +0000 UTC +00:00 +00:00:00 +00:00"),
            (
                "%a %A %b %B %d %e %j %u %w %y %C %G %g %V %U %W",
                "Sun Sunday Nov November 22 22 326 7 0 26 20 2026 26 47 47 46",
            ),
            (
                "%I %p %l %k %R %T %r %D %F %c %x %X %h",
                "06 PM  6 18 18:05 18:05:30 06:05:30 PM 11/22/26 2026-11-22 Sun Nov 22 18:05:30 2026 11/22/26 18:05:30 Nov",
            ),
            ("%E3S %E*S %ES %E3f %E*f %E4Y %ET", "30.806 30.806103 %ES 806 806103 2026 T"),
            ("%Q %q %J %L %i %v", "%Q %q %J %L %i %v"),
            ("%E9S|%E1S|%E0S|%::z|%P|%+", "30.806103000|30.8|30|+00:00:00|pm|%+"),
            ("%ms %s%3f", "11s 1795370730806"),
            ("abc", "abc"),
        ];
        for (format, expected) in cases {
            assert_eq!(text(1_795_370_730_806_103, Some(format)), expected, "{format}");
        }
    }

    #[test]
    fn a_whole_second_has_no_fraction_worth_printing() {
        assert_eq!(text(1_795_370_730_000_000, Some("%E*S %E*f %E3S")), "30 0 30.000");
    }

    #[test]
    fn a_percent_sign_at_the_end_is_printed() {
        assert_eq!(text(0, Some("50%")), "50%");
    }
}
