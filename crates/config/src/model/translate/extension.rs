//! Extension configs: which type an `Any` holds, and what to say when it is not built in.

use envoy_types::pb::google::protobuf::Any;

use super::Context;
use crate::{model::report::Path, schema};

/// The full message name in a type URL.
pub(super) fn type_name(any: &Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

/// The most similar of `names`, if one is similar enough to be meant.
pub(super) fn closest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let score = |candidate: &'n str| (strsim::normalized_damerau_levenshtein(name, candidate), candidate);
    let best = names.map(score).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.7).then_some(best.1)
}

impl Context<'_> {
    /// Refuses an extension that is not built in: one that Envoy has, or a misspelt one.
    pub(super) fn unknown_extension(
        &mut self,
        path: &Path<'_>,
        kind: &str,
        name: &str,
        any: Option<&Any>,
        built: &[&str],
    ) {
        let help = format!("built in: {}", built.join(", "));
        let type_name = any.map(type_name).unwrap_or_default();
        if type_name.is_empty() {
            let message = format!("{kind} `{name}` has no `typed_config` with an `@type`");
            self.report.error_with(path, "missing-typed-config", message, help);
        } else if schema::Message::named(type_name).is_some() {
            let message = format!("{kind} `{name}` ({type_name}) is not supported yet");
            self.report.error_with(path, crate::model::NOT_SUPPORTED_YET, message, help);
        } else {
            let all = schema::Message::all().map(schema::Message::name);
            let closest = (self.guesses > 0).then(|| closest(type_name, all)).flatten();
            self.guesses = self.guesses.saturating_sub(1);
            let help = closest.map_or(help, |closest| format!("did you mean `{closest}`?"));
            let message = format!("{kind} `{name}`: there is no config type `{type_name}`");
            self.report.error_with(&path.field("typed_config"), "unknown-type", message, help);
        }
    }
}
