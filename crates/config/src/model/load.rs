//! The whole way of a bootstrap: texts to model, every problem with its place.

use crate::{
    Diagnostic, Severity, Source,
    model::{Bootstrap, Options, translate_bootstrap},
};

/// Problems of the text that other stages could only repeat: something expected is not there.
const FOLLOW_UPS: [&str; 5] = ["missing-", "no-", "malformed-", "logical-dns-", "unknown-cluster"];

/// Loads texts (merged in order) as a bootstrap. Answers it with the warnings, or everything that
/// was found when there is an error.
///
/// # Errors
/// All diagnostics, at least one of them an error.
pub fn load_bootstrap(
    sources: Vec<Source>,
    options: &Options,
) -> Result<(Bootstrap, Vec<Diagnostic>), Vec<Diagnostic>> {
    let loaded = crate::load("envoy.config.bootstrap.v3.Bootstrap", sources, options.text);
    let broken = loaded.has_errors();
    let (bootstrap, found) = translate_bootstrap(&loaded.wire, options);
    let mut diagnostics = loaded.diagnostics;
    // A text that could not be read at all leaves nothing to say about its content.
    let unreadable = diagnostics.iter().any(|diagnostic| diagnostic.code == "syntax");
    for diagnostic in found.into_iter().filter(|_| !unreadable) {
        let repeats = FOLLOW_UPS.iter().any(|start| diagnostic.code.starts_with(start))
            || diagnostics.iter().any(|other| other.path == diagnostic.path && other.severity == Severity::Error);
        if !(broken && repeats) {
            diagnostics.push(diagnostic.located(&loaded.spans));
        }
    }
    let place =
        |diagnostic: &Diagnostic| diagnostic.location.as_ref().map(|location| (location.file, location.span.start));
    diagnostics.sort_by_key(place);
    match bootstrap {
        Some(bootstrap) if !broken => Ok((bootstrap, diagnostics)),
        _ => Err(diagnostics),
    }
}
