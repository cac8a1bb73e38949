//! `--log-format`: spdlog's pattern language, compiled once.
//!
//! Knows the flags that make sense for a server log and Envoy's own `%_` (message on one line) and
//! `%j` (message as the inside of a JSON string). A flag that it does not know is printed as it
//! stands, as spdlog does. Alignment (`%-8l`) is understood; colour ranges are dropped. Times are
//! UTC.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::Level;

/// One line to be.
pub(super) struct Record<'a> {
    pub(super) time: SystemTime,
    pub(super) level: Level,
    pub(super) component: &'a str,
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) message: &'a str,
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
    escaped: bool,
}

#[derive(Debug, PartialEq)]
enum Piece {
    Literal(String),
    Flag { flag: char, align: Align, width: usize },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Align {
    Left,
    Right,
    Centre,
}

/// Widest alignment, as in spdlog.
const MAX_WIDTH: usize = 64;

const KNOWN: &str = "vtPnlLaAbhBcCYDxmdHIMSefFEpRrTXzsg#@!ouiO_j+";

impl Pattern {
    pub(super) fn new(text: &str, escaped: bool) -> Self {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            if char != '%' {
                literal.push(char);
                continue;
            }
            let mut spec = String::new();
            while let Some(part) = chars.next_if(|next| matches!(next, '-' | '=' | '0'..='9')) {
                spec.push(part);
            }
            match chars.next() {
                Some('%') => literal.push('%'),
                Some('^' | '$') => {}
                Some(flag) if KNOWN.contains(flag) => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(aligned(flag, &spec));
                }
                unknown => {
                    literal.push('%');
                    literal.push_str(&spec);
                    literal.extend(unknown);
                }
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Self { pieces, escaped }
    }

    /// The line with its newline.
    pub(super) fn render(&self, record: &Record<'_>) -> String {
        let moment = Moment::of(record.time);
        let mut line = String::with_capacity(96 + record.message.len());
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => line.push_str(text),
                Piece::Flag { flag, align, width } => {
                    let start = line.len();
                    self.flag(&mut line, *flag, record, &moment);
                    pad(&mut line, start, *align, *width);
                }
            }
        }
        line.push('\n');
        line
    }

    fn flag(&self, line: &mut String, flag: char, record: &Record<'_>, moment: &Moment) {
        let file_name = record.file.rsplit('/').next().unwrap_or_default();
        // Writing into a String cannot fail.
        let _ = match flag {
            'v' if self.escaped => write_escaped(line, record.message),
            'v' => line.write_str(record.message),
            '_' => line.write_str(&record.message.replace('\n', "\\n")),
            'j' => write_json(line, record.message),
            't' => write!(line, "{}", rustix::thread::gettid().as_raw_nonzero()),
            'P' => write!(line, "{}", std::process::id()),
            'n' => line.write_str(record.component),
            'l' => line.write_str(record.level.name()),
            'L' => {
                record.level.name().chars().take(1).try_for_each(|first| line.write_char(first.to_ascii_uppercase()))
            }
            'g' => line.write_str(record.file),
            's' => line.write_str(file_name),
            '#' => write!(line, "{}", record.line),
            '@' => write!(line, "{}:{}", record.file, record.line),
            '!' => Ok(()),
            'o' | 'u' | 'i' | 'O' => line.write_char('0'),
            '+' => Pattern::new(super::DEFAULT_FORMAT, self.escaped).append(line, record, moment),
            time => moment.write(line, time),
        };
    }

    fn append(&self, line: &mut String, record: &Record<'_>, moment: &Moment) -> std::fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => line.push_str(text),
                Piece::Flag { flag, .. } => self.flag(line, *flag, record, moment),
            }
        }
        Ok(())
    }
}

fn aligned(flag: char, spec: &str) -> Piece {
    let align = match spec.chars().next() {
        Some('-') => Align::Left,
        Some('=') => Align::Centre,
        _ => Align::Right,
    };
    let width = spec.trim_start_matches(['-', '=']).parse().unwrap_or(0).min(MAX_WIDTH);
    Piece::Flag { flag, align, width }
}

fn pad(line: &mut String, start: usize, align: Align, width: usize) {
    let missing = width.saturating_sub(line.len() - start);
    let before = match align {
        Align::Left => 0,
        Align::Right => missing,
        Align::Centre => missing / 2,
    };
    line.insert_str(start, &" ".repeat(before));
    line.push_str(&" ".repeat(missing - before));
}

fn write_escaped(line: &mut String, text: &str) -> std::fmt::Result {
    text.chars().try_for_each(|char| match char {
        '\n' => line.write_str("\\n"),
        '\r' => line.write_str("\\r"),
        '\t' => line.write_str("\\t"),
        '\\' => line.write_str("\\\\"),
        '"' => line.write_str("\\\""),
        other if other.is_control() => write!(line, "\\x{:02x}", u32::from(other)),
        other => line.write_char(other),
    })
}

fn write_json(line: &mut String, text: &str) -> std::fmt::Result {
    let quoted = serde_json::Value::from(text).to_string();
    line.write_str(quoted.get(1..quoted.len() - 1).unwrap_or_default())
}

/// A moment taken apart, UTC.
pub(super) struct Moment {
    since: Duration,
    year: i64,
    month: u32,
    day: u32,
    /// 0 = Sunday.
    weekday: usize,
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Moment {
    pub(super) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let days = since.as_secs() / 86_400;
        let (year, month, day) = civil(i64::try_from(days).unwrap_or(0));
        let weekday = usize::try_from((days + 4) % 7).unwrap_or(0);
        Self { since, year, month, day, weekday }
    }

    fn clock(&self) -> (u64, u64, u64) {
        let seconds = self.since.as_secs() % 86_400;
        (seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    fn write(&self, line: &mut String, flag: char) -> std::fmt::Result {
        let (hour, minute, second) = self.clock();
        let (year, month, day) = (self.year, self.month, self.day);
        let hour12 = if hour % 12 == 0 { 12 } else { hour % 12 };
        let half = if hour < 12 { "AM" } else { "PM" };
        let weekday = DAYS.get(self.weekday).copied().unwrap_or_default();
        let name = MONTHS.get(month as usize - 1).copied().unwrap_or_default();
        match flag {
            'Y' => write!(line, "{year}"),
            'C' => write!(line, "{:02}", year % 100),
            'm' => write!(line, "{month:02}"),
            'd' => write!(line, "{day:02}"),
            'D' | 'x' => write!(line, "{month:02}/{day:02}/{:02}", year % 100),
            'H' => write!(line, "{hour:02}"),
            'I' => write!(line, "{hour12:02}"),
            'M' => write!(line, "{minute:02}"),
            'S' => write!(line, "{second:02}"),
            'p' => line.write_str(half),
            'e' => write!(line, "{:03}", self.since.subsec_millis()),
            'f' => write!(line, "{:06}", self.since.subsec_micros()),
            'F' => write!(line, "{:09}", self.since.subsec_nanos()),
            'E' => write!(line, "{}", self.since.as_secs()),
            'R' => write!(line, "{hour:02}:{minute:02}"),
            'r' => write!(line, "{hour12:02}:{minute:02}:{second:02} {half}"),
            'T' | 'X' => write!(line, "{hour:02}:{minute:02}:{second:02}"),
            'z' => line.write_str("+00:00"),
            'a' => line.write_str(weekday.get(..3).unwrap_or_default()),
            'A' => line.write_str(weekday),
            'b' | 'h' => line.write_str(name.get(..3).unwrap_or_default()),
            'B' => line.write_str(name),
            'c' => write!(
                line,
                "{} {} {day} {hour:02}:{minute:02}:{second:02} {year}",
                weekday.get(..3).unwrap_or_default(),
                name.get(..3).unwrap_or_default(),
            ),
            _ => Ok(()),
        }
    }
}

/// Year, month and day of a day since 1970, by the Gregorian calendar: years are counted from
/// March, so that the leap day comes last.
fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = u32::try_from(of_year - (153 * from_march + 2) / 5 + 1).unwrap_or(1);
    let month = u32::try_from(if from_march < 10 { from_march + 3 } else { from_march - 9 }).unwrap_or(1);
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// `2026-11-22T15:10:44.195Z`, as the admin endpoint writes moments.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    Pattern::new("%Y-%m-%dT%T.%eZ", false)
        .render(&Record { time, level: Level::Info, component: "", file: "", line: 0, message: "" })
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(pattern: &str, message: &str) -> String {
        let record = Record {
            time: UNIX_EPOCH + Duration::from_millis(1_795_359_735_626),
            level: Level::Warning,
            component: "main",
            file: "src/server/mod.rs",
            line: 7,
            message,
        };
        Pattern::new(pattern, false).render(&record).trim_end_matches('\n').to_owned()
    }

    #[test]
    fn the_default_format_is_envoys() {
        let line = render(super::super::DEFAULT_FORMAT, "hello");
        assert!(line.starts_with("[2026-11-22 15:02:15.626]["), "{line}");
        assert!(line.ends_with("][warning][main] [src/server/mod.rs:7] hello"), "{line}");
    }

    #[test]
    fn common_flags_are_known_and_others_stay() {
        assert_eq!(render("%L %n %s:%# %D %I%p %a %b %% %q", ""), "W main mod.rs:7 11/22/26 03PM Sun Nov % %q");
        assert_eq!(render("%c|%E|%f|%R|%z", ""), "Sun Nov 22 15:02:15 2026|1795359735|626000|15:02|+00:00");
        assert_eq!(render("[%-9l][%9l][%=9l]%^%v%$", "x"), "[warning  ][  warning][ warning ]x");
    }

    #[test]
    fn messages_can_be_escaped_for_lines_and_for_json() {
        assert_eq!(render("%_", "a\nb"), "a\\nb");
        assert_eq!(render("{\"m\":\"%j\"}", "say \"x\"\n"), "{\"m\":\"say \\\"x\\\"\\n\"}");
        let record =
            Record { time: UNIX_EPOCH, level: Level::Info, component: "", file: "", line: 0, message: "a\n\tb" };
        assert_eq!(Pattern::new("%v", true).render(&record), "a\\n\\tb\n");
    }

    #[test]
    fn the_calendar_knows_leap_years() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(19_783), (2024, 3, 1));
        assert_eq!(rfc3339(UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }
}
