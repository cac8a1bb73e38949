//! Where a translation collects what is wrong, and the path that says where.
//!
//! Every problem is collected, none stops the translation of what stands beside it. Paths are
//! linked lists on the stack of the translating functions, so that a field without a problem
//! costs no text. They are spelled as the configuration is: snake case, indexes in brackets, the
//! content of an `Any` directly below `typed_config`.

use std::fmt;

use crate::{Diagnostic, Severity};

/// The place of a field, from the message that is being translated down.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root(&'a str),
    Field(&'a str),
    Item(&'a str, usize),
    Key(&'a str, &'a str),
    Entry(&'a str),
}

impl<'a> Path<'a> {
    /// The start; `text` may be empty.
    pub(crate) fn root(text: &'a str) -> Self {
        Self { parent: None, step: Step::Root(text) }
    }

    /// A field of this message.
    pub(crate) fn field<'b>(&'b self, name: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Field(name) }
    }

    /// An element of a repeated field.
    pub(crate) fn item<'b>(&'b self, name: &'b str, index: usize) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Item(name, index) }
    }

    /// A value of a map field.
    pub(crate) fn key<'b>(&'b self, name: &'b str, key: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Key(name, key) }
    }

    /// A value of this map or struct.
    pub(crate) fn entry<'b>(&'b self, key: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Entry(key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if !matches!((parent.step, self.step), (Step::Root(""), _) | (_, Step::Entry(_))) {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Root(name) | Step::Field(name) => f.write_str(name),
            Step::Item(name, index) => write!(f, "{name}[{index}]"),
            Step::Key(name, key) => write!(f, "{name}[\"{}\"]", escaped(key)),
            Step::Entry(key) => write!(f, "[\"{}\"]", escaped(key)),
        }
    }
}

/// A map key inside quotes.
fn escaped(key: &str) -> String {
    key.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The problems found so far, in the order found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    diagnostics: Vec<Diagnostic>,
    failed: bool,
}

impl Report {
    /// Adds an error: the configuration cannot be used.
    pub(crate) fn error(&mut self, path: &Path<'_>, code: &'static str, message: impl Into<String>) {
        self.add(Severity::Error, path, code, message.into(), None);
    }

    /// Adds an error with advice.
    pub(crate) fn error_with(
        &mut self,
        path: &Path<'_>,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Error, path, code, message.into(), Some(help.into()));
    }

    /// Adds a warning: the configuration works, perhaps not as meant.
    pub(crate) fn warning(
        &mut self,
        path: &Path<'_>,
        code: &'static str,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(Severity::Warning, path, code, message.into(), help);
    }

    /// Adds an error about something Envoy can do and nuncio cannot.
    pub(crate) fn unsupported(&mut self, path: &Path<'_>, what: impl fmt::Display) {
        self.error_with(path, NOT_SUPPORTED_YET, format!("{what} is not supported yet"), COMPATIBILITY);
    }

    /// True when an error was added.
    pub(crate) fn has_errors(&self) -> bool {
        self.failed
    }

    /// What was found.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    fn add(&mut self, severity: Severity, path: &Path<'_>, code: &'static str, message: String, help: Option<String>) {
        self.failed |= severity == Severity::Error;
        self.diagnostics.push(Diagnostic { severity, code, message, path: path.to_string(), location: None, help });
    }
}

/// Where to read what is built.
const COMPATIBILITY: &str = "docs/compatibility.md lists what is supported";

/// Code of the refusals of features that Envoy has and nuncio has not.
pub const NOT_SUPPORTED_YET: &str = "not-supported-yet";
