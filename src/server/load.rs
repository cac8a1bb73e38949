//! From the command line to a checked bootstrap.
//!
//! Reads `--config-path` and `--config-yaml` (the second is merged over the first), hands the texts
//! to `nuncio-config` and applies what the command line overrides (node, stats tags). Everything
//! that is wrong is kept as diagnostics, rendered by whoever asked.

use std::{fs, io::IsTerminal as _, path::Path};

use nuncio_config::{
    Diagnostic, Format, LoadOptions, OutputFormat, Source, SpanIndex,
    model::{self, Bootstrap},
    render,
};

use crate::cli::options::Options;

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

/// The texts that the command line names.
pub(crate) fn sources(options: &Options) -> Result<Vec<Source>, String> {
    let flags = &options.flags;
    let mut sources = Vec::new();
    if let Some(path) = &flags.config_path {
        sources.push(read(path, allow_unknown_fields(options))?);
    }
    if let Some(yaml) = flags.config_yaml.as_ref().filter(|yaml| !yaml.is_empty()) {
        sources.push(Source { name: "--config-yaml".to_owned(), text: yaml.clone(), format: Format::Yaml });
    }
    if sources.is_empty() {
        return Err("no configuration: give --config-path or --config-yaml, or try `nuncio demo`".to_owned());
    }
    Ok(sources)
}

/// One file.
pub(crate) fn read(path: &Path, allow_unknown: bool) -> Result<Source, String> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{name}: there is no such file"),
        _ => format!("{name}: cannot be read: {error}"),
    })?;
    Source::from_file(name, bytes, BOOTSTRAP, allow_unknown)
}

fn allow_unknown_fields(options: &Options) -> bool {
    options.flags.allow_unknown_static_fields || options.flags.allow_unknown_fields
}

/// What came of a configuration.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Only when nothing is wrong.
    pub(crate) bootstrap: Option<Bootstrap>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) sources: Vec<Source>,
}

impl Checked {
    /// Everything there is to say, with the lines in question.
    pub(crate) fn report(&self) -> String {
        let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        render(&self.diagnostics, &self.sources, OutputFormat::Human { color })
    }
}

/// Loads and checks the texts as one bootstrap.
pub(crate) fn check(sources: Vec<Source>, load: LoadOptions, translate: &model::Options) -> Checked {
    with_places(sources, load, translate).checked
}

/// What came of a configuration, and where everything in it is written.
pub(crate) struct Placed {
    pub(crate) checked: Checked,
    pub(crate) spans: SpanIndex,
}

/// The same, keeping the places.
pub(crate) fn with_places(sources: Vec<Source>, load: LoadOptions, translate: &model::Options) -> Placed {
    let loaded = nuncio_config::load(BOOTSTRAP, sources, load);
    let (sources, spans, mut diagnostics) = (loaded.sources, loaded.spans, loaded.diagnostics);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Placed { checked: Checked { bootstrap: None, diagnostics, sources }, spans };
    }
    let (bootstrap, found) = model::translate_bootstrap(&loaded.wire, translate);
    diagnostics.extend(found.into_iter().map(|diagnostic| diagnostic.located(&spans)));
    Placed { checked: Checked { bootstrap, diagnostics, sources }, spans }
}

/// The same with what the command line says.
pub(crate) fn with_options(sources: Vec<Source>, options: &Options) -> Checked {
    let flags = &options.flags;
    let load = LoadOptions { allow_unknown_fields: allow_unknown_fields(options), ..LoadOptions::default() };
    let translate = model::Options {
        service_node: flags.service_node.clone(),
        service_cluster: flags.service_cluster.clone(),
        service_zone: flags.service_zone.clone(),
        ..model::Options::default()
    };
    let mut checked = check(sources, load, &translate);
    if flags.skip_deprecated_logs {
        checked.diagnostics.retain(|diagnostic| diagnostic.is_error() || !diagnostic.code.contains("deprecated"));
    }
    if let Some(bootstrap) = &mut checked.bootstrap {
        for (tag, value) in &options.stats_tags {
            bootstrap.fixed_stats_tags.retain(|(known, _)| known != tag);
            bootstrap.fixed_stats_tags.push((tag.clone(), value.clone()));
        }
    }
    checked
}
