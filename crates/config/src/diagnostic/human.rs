//! Diagnostics as compilers show them:
//!
//! ```text
//! error[unknown-field]: `Cluster` has no field `connection_timeout`
//!   --> envoy.yaml:12:5
//!    |
//! 12 |     connection_timeout: 1s
//!    |     ^^^^^^^^^^^^^^^^^^
//!    = in: static_resources.clusters[0]
//!    = help: did you mean `connect_timeout`?
//! ```

use std::fmt::Write;

use super::{Diagnostic, Location, Severity, source_of};
use crate::text::Source;

/// A longer line is cut on both sides of the place.
const WIDEST: usize = 160;

pub(super) fn render(diags: &[Diagnostic], sources: &[Source], color: bool) -> String {
    let mut out = String::new();
    for diagnostic in diags {
        // Writing to a String cannot fail.
        let _ = one(&mut out, diagnostic, sources, &Paint { color });
    }
    out
}

struct Paint {
    color: bool,
}

impl Paint {
    fn severity(&self, severity: Severity) -> &'static str {
        match severity {
            _ if !self.color => "",
            Severity::Error => "\x1b[1;31m",
            Severity::Warning => "\x1b[1;33m",
            Severity::Note => "\x1b[1;36m",
        }
    }

    fn frame(&self) -> &'static str {
        if self.color { "\x1b[1;34m" } else { "" }
    }

    fn bold(&self) -> &'static str {
        if self.color { "\x1b[1m" } else { "" }
    }

    fn end(&self) -> &'static str {
        if self.color { "\x1b[0m" } else { "" }
    }
}

fn one(out: &mut String, diagnostic: &Diagnostic, sources: &[Source], paint: &Paint) -> std::fmt::Result {
    let Diagnostic { severity, code, message, path, location, help } = diagnostic;
    let (mark, frame, bold, end) = (paint.severity(*severity), paint.frame(), paint.bold(), paint.end());
    writeln!(out, "{mark}{}[{code}]{end}{bold}: {message}{end}", severity.word())?;
    let mut margin = 1;
    if let Some(location) = location
        && let Some(source) = source_of(location, sources)
    {
        margin = location.line.to_string().len();
        snippet(out, location, source, (mark, paint), margin)?;
    }
    if !path.is_empty() {
        writeln!(out, "{frame}{:margin$} ={end} in: {path}", "")?;
    }
    for line in help.iter().flat_map(|help| help.lines()) {
        writeln!(out, "{frame}{:margin$} ={end} {bold}help{end}: {line}", "")?;
    }
    writeln!(out)
}

fn snippet(
    out: &mut String,
    location: &Location,
    source: &Source,
    (mark, paint): (&str, &Paint),
    margin: usize,
) -> std::fmt::Result {
    let (frame, end) = (paint.frame(), paint.end());
    let Location { line, column, .. } = location;
    writeln!(out, "{frame}{:margin$}-->{end} {}:{line}:{column}", "", source.name)?;
    let Some(shown) = Shown::of(location, &source.text) else {
        return Ok(());
    };
    writeln!(out, "{frame}{:margin$} |{end}", "")?;
    writeln!(out, "{frame}{line} |{end} {}", shown.text)?;
    let (indent, carets) = (&shown.indent, "^".repeat(shown.width));
    writeln!(out, "{frame}{:margin$} |{end} {indent}{mark}{carets}{end}", "")
}

/// The line of a place, cut to what fits, with the text to indent the carets by.
struct Shown {
    text: String,
    indent: String,
    width: usize,
}

impl Shown {
    fn of(location: &Location, text: &str) -> Option<Shown> {
        let at = location.span.start;
        let start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
        let end = text.get(at..)?.find('\n').map_or(text.len(), |newline| at + newline);
        let line = text.get(start..end)?.trim_end();
        let before = line.get(..(at - start).min(line.len())).unwrap_or(line);
        let marked = text.get(at..location.span.end.min(end)).unwrap_or_default().trim_end();
        let skip = before.chars().count().saturating_sub(WIDEST / 2);
        let cut = |text: &str| text.chars().skip(skip).take(WIDEST).collect::<String>();
        // Tabs stay tabs, so that the carets stand below whatever the terminal makes of them.
        let as_space = |character: char| if character == '\t' { '\t' } else { ' ' };
        Some(Shown {
            text: cut(line),
            indent: cut(before).chars().map(as_space).collect(),
            width: marked.chars().count().clamp(1, WIDEST / 2),
        })
    }
}
