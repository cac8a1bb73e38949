//! The pages of `docs/` and the examples of `config/` say what the program does.
//!
//! `docs/compatibility.md` is made from the loader's own table: `NUNCIO_BLESS=1 cargo test --test docs`
//! writes it anew. Every whole bootstrap in a page, and every example, must load; every link between
//! pages must lead somewhere; every flag and every phase of a request must have its line.

#![allow(clippy::unwrap_used, reason = "a test may panic, helpers outside of #[test] too")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use nuncio_config::{
    Diagnostic, Format, LoadOptions, OutputFormat, Source, load,
    model::{self, compatibility_markdown, translate_bootstrap},
    render,
};

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

/// Set to write generated pages instead of comparing them.
const BLESS: &str = "NUNCIO_BLESS";

/// A block with one of these at the start of a line is a whole bootstrap, not a fragment.
const WHOLE: [&str; 3] = ["static_resources:", "dynamic_resources:", "admin:"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files of one kind below a folder, in order.
fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The pages people read.
fn pages() -> Vec<PathBuf> {
    let mut pages = files_below(&root().join("docs"), "md");
    pages.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docker/README.md"].map(|page| root().join(page)));
    pages
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// What stands between fences of a language, with the number of the fence's line.
fn blocks(page: &str, language: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(words) = line.trim().strip_prefix("```") else { continue };
        let indent = line.len() - line.trim_start().len();
        let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
        let text: String = inside.map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n").collect();
        if words.split_whitespace().next() == Some(language) {
            found.push((number + 1, text));
        }
    }
    found
}

/// Everything that is wrong with a bootstrap; empty when it loads.
fn findings(name: &str, text: &str) -> String {
    let source = Source { name: name.to_owned(), text: text.to_owned(), format: Format::Yaml };
    let loaded = load(BOOTSTRAP, vec![source], LoadOptions::default());
    let mut diagnostics = loaded.diagnostics;
    if !diagnostics.iter().any(Diagnostic::is_error) {
        let (_, found) = translate_bootstrap(&loaded.wire, &model::Options::default());
        diagnostics.extend(found.into_iter().map(|diagnostic| diagnostic.located(&loaded.spans)));
    }
    render(&diagnostics, &loaded.sources, OutputFormat::Human { color: false })
}

#[test]
fn the_compatibility_page_is_what_the_loader_does() {
    let path = root().join("docs/compatibility.md");
    let generated = compatibility_markdown();
    if std::env::var_os(BLESS).is_some() {
        fs::write(&path, generated).unwrap();
        return;
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    assert!(page == generated, "{} is out of date: `{BLESS}=1 cargo test --test docs` writes it", shown(&path));
}

#[test]
fn every_example_loads_without_a_word() {
    let examples = files_below(&root().join("config"), "yaml");
    assert!(!examples.is_empty());
    for path in examples {
        let found = findings(&shown(&path), &fs::read_to_string(&path).unwrap());
        assert!(found.is_empty(), "{found}");
    }
}

#[test]
fn every_whole_bootstrap_in_a_page_loads_without_a_word() {
    for page in pages() {
        for (line, text) in blocks(&fs::read_to_string(&page).unwrap(), "yaml") {
            if text.lines().any(|line| WHOLE.iter().any(|key| line.starts_with(key))) {
                let found = findings(&format!("{}:{line}", shown(&page)), &text);
                assert!(found.is_empty(), "{found}");
            }
        }
    }
}

#[test]
fn every_flag_is_on_the_page_of_the_command_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_nuncio")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let page = fs::read_to_string(root().join("docs/command-line.md")).unwrap();
    let flags = help.lines().filter_map(|line| line.trim_start().split("--").nth(1)?.split([' ', ',']).next());
    let unexplained: Vec<&str> = flags.filter(|flag| !page.contains(&format!("--{flag}"))).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
}

#[test]
fn the_life_of_a_request_names_the_phases_that_are_reported() {
    let page = fs::read_to_string(root().join("docs/life-of-a-request.md")).unwrap();
    let table = page.lines().skip_while(|line| !line.starts_with("| phase |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let named: BTreeSet<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    let sources = files_below(&root().join("crates/proxy/src"), "rs");
    let sources: String = sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let calls = sources.split("phase!(\"").skip(1);
    let reported: BTreeSet<&str> = calls.filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(named, reported);
}

#[test]
fn links_between_pages_lead_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap_or_default();
            let target = page.parent().unwrap().join(file);
            assert!(target.exists(), "{}: nothing at {link}", shown(&page));
        }
    }
}

#[test]
fn blocks_are_found_with_their_lines_and_without_their_indent() {
    let page = "text\n```yaml\na: 1\n```\n- item\n  ```yaml\n  b:\n    c: 2\n  ```\n```json\n{}\n```\n";
    let found = blocks(page, "yaml");
    assert_eq!(found, [(2, "a: 1\n".to_owned()), (6, "b:\n  c: 2\n".to_owned())]);
}
