//! Diagnostics as a JSON array, one object each; `file`, `line`, `column`, `start` and `end`
//! (bytes) are null when there is no place.

use serde_json::{Value, json};

use super::{Diagnostic, source_of};
use crate::text::Source;

pub(super) fn render(diags: &[Diagnostic], sources: &[Source]) -> String {
    let all: Vec<Value> = diags.iter().map(|diagnostic| one(diagnostic, sources)).collect();
    let mut text = format!("{:#}", Value::Array(all));
    text.push('\n');
    text
}

fn one(diagnostic: &Diagnostic, sources: &[Source]) -> Value {
    let place = diagnostic.location.as_ref();
    json!({
        "severity": diagnostic.severity.word(),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "path": diagnostic.path,
        "file": place.and_then(|place| source_of(place, sources)).map(|source| &source.name),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "start": place.map(|place| place.span.start),
        "end": place.map(|place| place.span.end),
        "help": diagnostic.help,
    })
}
