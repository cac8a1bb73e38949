//! Diagnostics as a SARIF 2.1.0 log (OASIS): one run, one result each, one rule per code.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Diagnostic, source_of};
use crate::text::Source;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn render(diags: &[Diagnostic], sources: &[Source]) -> String {
    let codes: BTreeSet<&str> = diags.iter().map(|diagnostic| diagnostic.code).collect();
    let rules: Vec<Value> = codes.into_iter().map(|code| json!({ "id": code })).collect();
    let results: Vec<Value> = diags.iter().map(|diagnostic| result(diagnostic, sources)).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "nuncio",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn result(diagnostic: &Diagnostic, sources: &[Source]) -> Value {
    let text = match &diagnostic.help {
        Some(help) => format!("{} ({help})", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let physical = diagnostic.location.as_ref().and_then(|place| {
        let source = source_of(place, sources)?;
        Some(json!({
            "artifactLocation": { "uri": source.name },
            "region": {
                "startLine": place.line,
                "startColumn": place.column,
                "byteOffset": place.span.start,
                "byteLength": place.span.len(),
            },
        }))
    });
    let mut location = json!({
        "logicalLocations": [{ "fullyQualifiedName": diagnostic.path, "kind": "object" }],
    });
    if let (Some(physical), Some(location)) = (physical, location.as_object_mut()) {
        location.insert("physicalLocation".to_owned(), physical);
    }
    json!({
        "ruleId": diagnostic.code,
        "level": diagnostic.severity.word(),
        "message": { "text": text },
        "locations": [location],
    })
}
