//! Any text as a bootstrap: accepted or refused, never a panic, and an error says where.

use nuncio_config::{Format, OutputFormat, Source, model, render};

/// Loads `data` as YAML and as JSON.
pub fn config_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    for (name, format) in [("fuzz.yaml", Format::Yaml), ("fuzz.json", Format::Json)] {
        let source = Source { name: name.to_owned(), text: text.clone(), format };
        let Err(diagnostics) = model::load_bootstrap(vec![source.clone()], &model::Options::default()) else {
            continue;
        };
        assert!(diagnostics.iter().any(|diagnostic| diagnostic.is_error()), "refused without an error");
        for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.is_error()) {
            assert!(!diagnostic.message.is_empty(), "an error without a word");
            let Some(location) = &diagnostic.location else {
                assert!(diagnostic.path.is_empty(), "without a place: {diagnostic:?}");
                continue;
            };
            assert!(text.get(location.span.clone()).is_some(), "outside the text: {diagnostic:?}");
            assert!(location.line > 0 && location.column > 0, "counted from zero: {diagnostic:?}");
        }
        let report = render(&diagnostics, &[source], OutputFormat::Human { color: false });
        assert!(report.contains("error"), "a report without an error: {report}");
    }
}
