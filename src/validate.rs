//! `nuncio validate`: says everything that is wrong with configuration files, without serving.
//!
//! Each file is loaded on its own. Findings of all files are one report, so that `--format json`
//! and `--format sarif` are one document.

use std::{io::IsTerminal as _, path::Path};

use nuncio_config::{Diagnostic, Format, LoadOptions, OutputFormat, Source, model, render};

use crate::{
    cli::{ReportFormat, Validate},
    exit::{Exit, say},
    server::load,
};

/// Checks all files; fails when one of them is refused.
pub(crate) fn run(arguments: &Validate) -> Exit {
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    let mut sources: Vec<Source> = Vec::new();
    let mut accepted: Vec<String> = Vec::new();
    for path in &arguments.files {
        let file = u32::try_from(sources.len()).unwrap_or(u32::MAX);
        let source = match read(path, arguments.allow_unknown_static_fields) {
            Ok(source) => source,
            Err(message) => {
                diagnostics.push(Diagnostic::error("unreadable", "", message));
                continue;
            }
        };
        let options =
            LoadOptions { allow_unknown_fields: arguments.allow_unknown_static_fields, ..LoadOptions::default() };
        let checked = load::check(vec![source], options, &model::Options::default());
        if checked.bootstrap.is_some() {
            accepted.push(path.display().to_string());
        }
        sources.extend(checked.sources);
        diagnostics.extend(checked.diagnostics.into_iter().map(|found| in_file(found, file)));
    }
    print(arguments.format, &diagnostics, &sources, &accepted);
    if accepted.len() == arguments.files.len() { Exit::Success } else { Exit::Failure }
}

fn print(format: ReportFormat, diagnostics: &[Diagnostic], sources: &[Source], accepted: &[String]) {
    let format = match format {
        ReportFormat::Human => {
            let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            OutputFormat::Human { color }
        }
        ReportFormat::Json => OutputFormat::Json,
        ReportFormat::Sarif => OutputFormat::Sarif,
    };
    let mut report = render(diagnostics, sources, format);
    if !report.is_empty() && !report.ends_with('\n') {
        report.push('\n');
    }
    if matches!(format, OutputFormat::Human { .. }) {
        report.extend(accepted.iter().map(|name| format!("configuration '{name}' OK\n")));
    }
    say(&report);
}

fn read(path: &Path, allow_unknown: bool) -> Result<Source, String> {
    if path != Path::new("-") {
        return load::read(path, allow_unknown);
    }
    let text = std::io::read_to_string(std::io::stdin());
    let text = text.map_err(|error| format!("standard input: cannot be read: {error}"))?;
    Ok(Source { name: "<stdin>".to_owned(), text, format: Format::Yaml })
}

/// The finding with its place counted among all files.
fn in_file(mut found: Diagnostic, file: u32) -> Diagnostic {
    if let Some(location) = &mut found.location {
        location.file = location.file.saturating_add(file);
    }
    found
}
