//! The way of a text: reading, walking, checking.

use crate::{
    Diagnostic, SpanIndex,
    diagnostic::{Location, Severity},
    schema::Message,
    text::{self, Lines, Source},
    validate, walk,
};

/// What the loading of text may pass over.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Envoy's `--allow-unknown-static-fields`: fields and enum names that do not exist are
    /// warned about and left out.
    pub allow_unknown_fields: bool,
    /// Envoy's runtime guard `envoy.features.enable_all_deprecated_features`: fields that are
    /// refused by default are only warned about.
    pub allow_disallowed_fields: bool,
}

/// What came of the sources. Not to be used as configuration when there is an error among the
/// diagnostics.
#[derive(Debug)]
pub struct Loaded {
    /// The message, in protobuf's wire format.
    pub wire: Vec<u8>,
    /// Where everything in it is written.
    pub spans: SpanIndex,
    /// The texts, as they were given; a location's `file` is an index in here.
    pub sources: Vec<Source>,
    /// Everything there is to say, in the order of the texts.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Whether the configuration must be refused.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Loads texts as one message. Several texts are merged in order as protobuf's MergeFrom does,
/// which is what Envoy does with `--config-yaml` over `--config-path`: lists grow, messages
/// merge, of other values the last one counts.
#[must_use]
pub fn load(message_type: &str, sources: Vec<Source>, options: LoadOptions) -> Loaded {
    let mut loaded = Loaded { wire: Vec::new(), spans: SpanIndex::default(), sources, diagnostics: Vec::new() };
    let Some(message) = Message::named(message_type) else {
        let text = format!("there is no message type `{message_type}`");
        loaded.diagnostics.push(Diagnostic::error("unknown-type", "", text));
        return loaded;
    };
    let mut failed = Vec::new();
    let mut complete = true;
    for (file, source) in (0u32..).zip(&loaded.sources) {
        match text::read(source, message) {
            Ok(tree) => {
                let outcome = walk::walk(&tree, source, file, message, (&loaded.spans, &options));
                append(&mut loaded.wire, outcome.wire);
                loaded.diagnostics.extend(outcome.diagnostics);
                failed.extend(outcome.failed);
                loaded.spans.add(file, tree);
            }
            Err(error) => {
                loaded.diagnostics.push(syntax_error(error, file, source));
                complete = false;
            }
        }
    }
    if complete {
        check(&mut loaded, message, &options, &failed);
    }
    let place = |diagnostic: &Diagnostic| {
        let location = diagnostic.location.as_ref();
        location.map(|location| (location.file, location.span.start))
    };
    loaded.diagnostics.sort_by_key(place);
    loaded
}

/// Bytes of the same message behind each other are the merged message.
fn append(wire: &mut Vec<u8>, more: Vec<u8>) {
    if wire.is_empty() {
        *wire = more;
    } else {
        wire.extend(more);
    }
}

/// The rules, except about fields that could not be read anyway.
fn check(loaded: &mut Loaded, message: Message, options: &LoadOptions, failed: &[String]) {
    let mut violations = validate::check(message, &loaded.wire);
    violations.retain(|violation| !failed.iter().any(|failed| concerns(violation, failed)));
    for mut violation in violations {
        if options.allow_disallowed_fields && violation.code == validate::DISALLOWED {
            violation.severity = Severity::Warning;
        }
        loaded.diagnostics.push(violation.located(&loaded.spans));
    }
}

/// Whether a violation only repeats that something could not be read: it is about that field, or
/// about the oneof that the field is a choice of.
fn concerns(violation: &Diagnostic, failed: &str) -> bool {
    let path = violation.path.as_str();
    if violation.code == validate::ONEOF_REQUIRED {
        let below = if path.is_empty() { Some(failed) } else { failed.strip_prefix(path) };
        return below.is_some_and(|below| !below.trim_start_matches('.').contains('.'));
    }
    path.strip_prefix(failed).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn syntax_error(error: text::SyntaxError, file: u32, source: &Source) -> Diagnostic {
    let at = u32::try_from(error.at).unwrap_or(u32::MAX);
    Diagnostic {
        location: Some(Location::new(file, &Lines::of(&source.text), at, at)),
        help: error.help.map(str::to_owned),
        ..Diagnostic::error("syntax", "", error.message)
    }
}
