//! What loading has to say about a configuration, and how it is shown.
//!
//! Owns the `Diagnostic` type, which the later stages (the model) fill in too, and its three
//! renderings: for people (`human`), for programs (`json`) and for code hosts (`sarif`). A
//! rendering never fails: a diagnostic without a place is shown without one.

mod human;
mod json;
mod sarif;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::text::{Lines, Source};

/// How bad it is. Only errors keep a configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// Accepted, but probably not what was meant, or soon to be refused.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A place in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Index of the source among those that were loaded.
    pub file: u32,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// Bytes in the source's text.
    pub span: Range<usize>,
}

impl Location {
    pub(crate) fn new(file: u32, lines: &Lines, start: u32, end: u32) -> Self {
        let (line, column) = lines.position(start);
        let span = start as usize..end.max(start) as usize;
        Self { file, line, column, span }
    }
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing, such as `unknown-field`; stable, for filters and documentation.
    pub code: &'static str,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The field it is about; empty for the text as a whole.
    pub path: String,
    /// Where it is written.
    pub location: Option<Location>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error about a field; add a place with `located`.
    #[must_use]
    pub fn error(code: &'static str, path: impl Into<String>, message: impl Into<String>) -> Self {
        let (message, path) = (message.into(), path.into());
        Self { severity: Severity::Error, code, message, path, location: None, help: None }
    }

    /// A warning about a field; add a place with `located`.
    #[must_use]
    pub fn warning(code: &'static str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, path, message) }
    }

    /// With the place that its path names.
    #[must_use]
    pub fn located(self, spans: &crate::SpanIndex) -> Self {
        Self { location: spans.locate(&self.path), ..self }
    }

    /// With advice.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Whether it keeps the configuration from being used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// A rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// For a terminal or a log, with the line in question.
    Human {
        /// Whether to colour it with terminal escapes.
        color: bool,
    },
    /// An array of objects.
    Json,
    /// SARIF 2.1.0, which code hosts show beside the lines of a change.
    Sarif,
}

/// Renders diagnostics in the order given.
#[must_use]
pub fn render(diags: &[Diagnostic], sources: &[Source], format: OutputFormat) -> String {
    match format {
        OutputFormat::Human { color } => human::render(diags, sources, color),
        OutputFormat::Json => json::render(diags, sources),
        OutputFormat::Sarif => sarif::render(diags, sources),
    }
}

/// The source that a location is in.
fn source_of<'a>(location: &Location, sources: &'a [Source]) -> Option<&'a Source> {
    sources.get(location.file as usize)
}
