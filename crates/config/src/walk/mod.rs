//! From the tree of values to protobuf wire bytes, with every mistake on the way.
//!
//! The walker goes down the tree and the schema together and writes the message as it goes. It
//! follows protobuf's JSON mapping with the leniency of the legacy parser that Envoy uses (see
//! the modules), never stops at the first mistake, and gives each its place. It refuses to know
//! rules about values (`validate`, on the finished bytes) and what Envoy makes of the values
//! (`crate::model`). What it skipped because of a mistake is in `Outcome::failed`, so that the
//! rules do not complain about it a second time.
//!
//! Limits: messages nest 100 deep (protobuf's limit); aliases may blow a text up to
//! ten times its values and 250,000.

mod any;
mod base64;
mod fields;
mod known;
mod number;
mod scalar;
mod suggest;
#[cfg(test)]
mod tests;
mod time;

use rustc_hash::FxHashMap;

use crate::{
    LoadOptions, SpanIndex,
    diagnostic::{Diagnostic, Location, Severity},
    path::Path,
    schema::{Field, Message},
    text::{Format, NodeId, Source, Tree, Value},
};

const DEEPEST: usize = 100;
/// How many values aliases may make of a text: this many, and ten times what it has.
const MOST_VALUES: usize = 250_000;

/// What came of one tree.
pub(crate) struct Outcome {
    pub(crate) wire: Vec<u8>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Paths that were written but not understood.
    pub(crate) failed: Vec<String>,
}

/// Encodes a tree as a message, to be merged behind those of the sources in `before`.
pub(crate) fn walk(
    tree: &Tree,
    source: &Source,
    file: u32,
    message: Message,
    (before, options): (&SpanIndex, &LoadOptions),
) -> Outcome {
    let mut walker = Walker {
        tree,
        source: &source.text,
        merges: source.format == Format::Json,
        file,
        before,
        options,
        path: Path::default(),
        anys: 0,
        depth: 0,
        values: 0,
        known: FxHashMap::default(),
        diagnostics: Vec::new(),
        failed: Vec::new(),
    };
    let mut wire = Vec::with_capacity(source.text.len() / 2);
    walker.message(&mut wire, message, tree.root);
    walker.duplicates();
    let Walker { diagnostics, failed, .. } = walker;
    Outcome { wire, diagnostics, failed }
}

struct Walker<'a> {
    tree: &'a Tree,
    source: &'a str,
    /// Whether a key that comes twice is merged (JSON) instead of replaced (YAML).
    merges: bool,
    file: u32,
    before: &'a SpanIndex,
    options: &'a LoadOptions,
    path: Path<'a>,
    /// How many Anys the walker is in: in there, nothing is merged.
    anys: usize,
    depth: usize,
    values: usize,
    /// Fields by message and key, since the same ones come again and again.
    known: FxHashMap<(Message, u32), Option<Field>>,
    diagnostics: Vec<Diagnostic>,
    failed: Vec<String>,
}

/// A mistake: what, and what to do about it.
struct Mistake {
    code: &'static str,
    message: String,
    help: Option<String>,
}

impl Mistake {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }

    fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl Walker<'_> {
    fn location(&self, (start, end): (u32, u32)) -> Option<Location> {
        Some(Location::new(self.file, &self.tree.lines, start, end))
    }

    fn report(&mut self, severity: Severity, mistake: Mistake, span: (u32, u32)) {
        let Mistake { code, message, help } = mistake;
        let path = self.path.to_string();
        if severity == Severity::Error {
            self.failed.push(path.clone());
        }
        let location = self.location(span);
        self.diagnostics.push(Diagnostic { severity, code, message, path, location, help });
    }

    /// An error about the value of the current field.
    fn error(&mut self, mistake: Mistake, node: NodeId) {
        let span = self.span(node);
        self.report(Severity::Error, mistake, span);
    }

    fn warn(&mut self, mistake: Mistake, node: NodeId) {
        let span = self.span(node);
        self.report(Severity::Warning, mistake, span);
    }

    fn span(&self, node: NodeId) -> (u32, u32) {
        let node = self.tree.node(node);
        (node.start, node.end)
    }

    /// The index of a list's first element in the merged message.
    fn first_index(&self) -> usize {
        if self.file == 0 || self.anys > 0 {
            return 0;
        }
        self.before.count(&self.path.to_string())
    }

    /// A value of the wrong kind.
    fn mismatch(&mut self, expected: &str, node: NodeId) {
        let message = format!("`{}` must be {expected}, not {}", self.path.field(), self.describe(node));
        self.error(Mistake::new("wrong-type", message), node);
    }

    /// What a value is, for messages.
    fn describe(&self, node: NodeId) -> String {
        let written = self.tree.written(node, self.source);
        match self.tree.node(node).value {
            Value::Null => "empty".to_owned(),
            Value::Bool(value) if written == value.to_string() => format!("the boolean {value}"),
            Value::Bool(value) => format!("the boolean {value} (written `{written}`)"),
            Value::Int(value) if written == value.to_string() => format!("the number {value}"),
            Value::Int(value) => format!("the number {value} (written `{written}`)"),
            Value::Number(text) => format!("the number {}", self.tree.text(text, self.source)),
            Value::String(text) => {
                format!("the text {}", excerpt(self.tree.text(text, self.source)))
            }
            Value::List { .. } => "a list".to_owned(),
            Value::Map { .. } => "a mapping".to_owned(),
        }
    }

    /// Notes one more value; false when there are too many or they nest too deep.
    fn enter(&mut self, node: NodeId) -> bool {
        self.values += 1;
        self.depth += 1;
        if self.depth > DEEPEST {
            let message = format!("values are nested more than {DEEPEST} deep");
            self.error(Mistake::new("too-deep", message), node);
            return false;
        }
        let most = MOST_VALUES + 10 * self.tree.values();
        if self.values == most {
            let message = format!("the aliases expand to more than {most} values");
            self.error(Mistake::new("too-large", message), node);
        }
        self.values < most
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Keys that came twice; the reader noted them.
    fn duplicates(&mut self) {
        for duplicate in &self.tree.duplicates {
            let (line, _) = self.tree.lines.position(duplicate.first);
            let key = self.tree.key(duplicate.key);
            let effect = if self.merges { "both are merged" } else { "only the last one counts" };
            let message = format!("the key `{key}` is on line {line} too; {effect}");
            self.diagnostics.push(Diagnostic {
                location: self.location((duplicate.start, duplicate.end)),
                ..Diagnostic::warning("duplicate-key", "", message)
            });
        }
    }
}

/// A text in backquotes, cut when it is long.
fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}
