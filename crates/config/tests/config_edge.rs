//! The text mapping against real Envoy: 194 small configurations, each with the exit code of
//! Envoy 1.40's `--mode validate` (`config_edge/verdicts.tsv`).

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail like the test")]

use std::{fs, path::Path};

use nuncio_config::{Format, LoadOptions, Loaded, Source, load};

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

/// What Envoy refuses only when it sets things up from the message: an Any whose type is no
/// transport socket, options for an extension that does not exist, a certificate without key.
const REFUSED_LATER: [&str; 6] = [
    "any_empty.yaml",
    "any_wkt_struct.yaml",
    "bytes_b64.yaml",
    "bytes_b64_nopad.yaml",
    "bytes_urlsafe.yaml",
    "map_intkey.yaml",
];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config_edge"))
}

fn verdicts() -> Vec<(String, bool)> {
    let table = fs::read_to_string(folder().join("verdicts.tsv")).unwrap();
    let verdict = |line: &str| {
        let (name, code) = line.split_once('\t').unwrap();
        (name.to_owned(), code == "0")
    };
    table.lines().map(verdict).collect()
}

fn load_file(name: &str) -> Loaded {
    let format = Format::of_file(name);
    let text = fs::read_to_string(folder().join(name)).unwrap();
    let source = Source { name: name.to_owned(), text, format };
    load(BOOTSTRAP, vec![source], LoadOptions::default())
}

#[test]
fn every_verdict_is_envoys() {
    let mut wrong = Vec::new();
    for (name, accepted) in verdicts() {
        let loaded = load_file(&name);
        let expected = accepted || REFUSED_LATER.contains(&name.as_str());
        if loaded.has_errors() == expected {
            wrong.push(format!("{name}: accepted by Envoy: {accepted}; {:?}", loaded.diagnostics));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_refusal_has_a_place_in_the_text() {
    for (name, _) in verdicts() {
        for diagnostic in load_file(&name).diagnostics {
            assert!(diagnostic.location.is_some(), "{name}: {diagnostic:?}");
            assert!(!diagnostic.message.is_empty() && !diagnostic.message.ends_with('.'));
        }
    }
}
