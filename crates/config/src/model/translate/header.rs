//! Headers to add and to remove.

use std::{borrow::Cow, sync::LazyLock};

use envoy_types::pb::envoy::config::core::v3::{
    HeaderValueOption, header_value_option::HeaderAppendAction as WireAction,
};
use http::{HeaderName, HeaderValue};
use regex::{Captures, Regex};

use super::Context;
use crate::model::{
    format::Format,
    header::{AddedValue, AppendAction, HeaderAddition, HeaderMutation},
    report::Path,
};

/// Which pair of fields is translated.
#[derive(Clone, Copy)]
pub(super) struct MutationFields {
    add: &'static str,
    remove: &'static str,
}

/// `request_headers_to_add`, `request_headers_to_remove`.
pub(super) const REQUEST: MutationFields =
    MutationFields { add: "request_headers_to_add", remove: "request_headers_to_remove" };
/// `response_headers_to_add`, `response_headers_to_remove`.
pub(super) const RESPONSE: MutationFields =
    MutationFields { add: "response_headers_to_add", remove: "response_headers_to_remove" };

/// `headers_to_add`.
pub(super) const ADDED: MutationFields = MutationFields { add: "headers_to_add", remove: "headers_to_remove" };

/// Spellings that Envoy accepts in added headers alone: `%PER_REQUEST_STATE(key)%`, and the path in
/// metadata as a JSON list (`%DYNAMIC_METADATA(["filter", "key"])%`).
fn in_todays_words(raw: &str) -> Cow<'_, str> {
    static STATE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"%PER_REQUEST_STATE\(([^)]+)\)%").ok());
    static METADATA: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"%((?:UPSTREAM|DYNAMIC)_METADATA)\(\s*(\[.*?\])\s*\)%").ok());
    let (Some(state), Some(metadata)) = (&*STATE, &*METADATA) else { return Cow::Borrowed(raw) };
    if !raw.contains("PER_REQUEST_STATE(") && !raw.contains("_METADATA(") {
        return Cow::Borrowed(raw);
    }
    let raw = state.replace_all(raw, "%FILTER_STATE($1:PLAIN)%");
    let replaced = metadata.replace_all(&raw, |found: &Captures<'_>| {
        let whole = found.get(0).map_or("", |whole| whole.as_str());
        match serde_json::from_str::<Vec<String>>(found.get(2).map_or("", |list| list.as_str())) {
            Ok(path) => format!("%{}({})%", found.get(1).map_or("", |name| name.as_str()), path.join(":")),
            Err(_) => whole.to_owned(),
        }
    });
    Cow::Owned(replaced.into_owned())
}

impl Context<'_> {
    /// One level's changes to a header list.
    pub(super) fn mutation(
        &mut self,
        path: &Path<'_>,
        fields: MutationFields,
        add: Vec<HeaderValueOption>,
        remove: Vec<String>,
    ) -> HeaderMutation {
        let mut mutation = HeaderMutation::default();
        for (index, option) in add.into_iter().enumerate() {
            mutation.add.extend(self.addition(&path.item(fields.add, index), option));
        }
        for (index, name) in remove.into_iter().enumerate() {
            mutation.remove.extend(self.touched_header(&path.item(fields.remove, index), &name, "removed"));
        }
        mutation
    }

    /// One header to add.
    pub(super) fn addition(&mut self, path: &Path<'_>, option: HeaderValueOption) -> Option<HeaderAddition> {
        let action = self.append_action(path, &option);
        let header = option.header.unwrap_or_default();
        let header_path = path.field("header");
        let name = self.changed_header(&header_path.field("key"), &header.key);
        // Envoy does not read `raw_value` here.
        let raw = header.value;
        let value = self.added_value(&header_path.field("value"), &raw);
        Some(HeaderAddition { name: name?, value: value?, raw, action, keep_empty_value: option.keep_empty_value })
    }

    fn added_value(&mut self, path: &Path<'_>, raw: &str) -> Option<AddedValue> {
        let format = self.format(path, &in_todays_words(raw))?;
        let Some(literal) = format.as_literal() else {
            return Some(AddedValue::Format(format));
        };
        match HeaderValue::try_from(literal) {
            Ok(value) => Some(AddedValue::Literal(value)),
            Err(_) => {
                let message = "a header value must not contain control characters";
                self.report.error(path, "bad-header-value", message);
                None
            }
        }
    }

    /// A format string, operators checked.
    pub(super) fn format(&mut self, path: &Path<'_>, text: &str) -> Option<Format> {
        match Format::parse(text) {
            Ok(format) => {
                if format.operators().any(|operator| operator.command.has_expression()) {
                    self.report.unsupported(path, "the operator `%CEL(...)%`");
                }
                Some(format)
            }
            Err(error) => {
                self.report.error(path, "bad-format", error.to_string());
                None
            }
        }
    }

    #[expect(deprecated, reason = "`append` is still accepted")]
    fn append_action(&mut self, path: &Path<'_>, option: &HeaderValueOption) -> AppendAction {
        let action = match option.append_action() {
            WireAction::AppendIfExistsOrAdd => AppendAction::AppendIfExistsOrAdd,
            WireAction::AddIfAbsent => AppendAction::AddIfAbsent,
            WireAction::OverwriteIfExistsOrAdd => AppendAction::OverwriteIfExistsOrAdd,
            WireAction::OverwriteIfExists => AppendAction::OverwriteIfExists,
        };
        let Some(append) = option.append else {
            return action;
        };
        if option.append_action != 0 {
            let message = "both `append` and `append_action` are set; `append` is the old spelling, leave it out";
            self.report.error(&path.field("append"), "conflicting-fields", message);
        }
        match append.value {
            true => AppendAction::AppendIfExistsOrAdd,
            false => AppendAction::OverwriteIfExistsOrAdd,
        }
    }

    /// The name of a header that is to be changed.
    fn changed_header(&mut self, path: &Path<'_>, name: &str) -> Option<HeaderName> {
        self.changeable(path, name, "modified").then(|| self.header_name(path, name)).flatten()
    }

    /// The name of a header that may be there and is not protected from what is done with it (`how`).
    pub(super) fn touched_header(&mut self, path: &Path<'_>, name: &str, how: &str) -> Option<HeaderName> {
        self.changeable(path, name, how).then(|| self.any_header(path, name)).flatten()
    }

    fn changeable(&mut self, path: &Path<'_>, name: &str, how: &str) -> bool {
        let protected = name.starts_with(':') || name.eq_ignore_ascii_case("host");
        if protected {
            let message = format!(":-prefixed or host headers may not be {how}: `{name}`");
            let help = "rewrite the host with `host_rewrite_literal` and the path with `prefix_rewrite` or \
                        `regex_rewrite` of the route";
            self.report.error_with(path, "protected-header", message, help);
        }
        !protected
    }

    /// The name of a header that may be there. What no header can be called is none, as in Envoy.
    pub(super) fn any_header(&mut self, path: &Path<'_>, name: &str) -> Option<HeaderName> {
        let parsed = HeaderName::try_from(name.to_ascii_lowercase()).ok();
        if parsed.is_none() {
            let text = format!("no header can have the name `{name}`");
            self.report.warning(path, "impossible-header-name", text, None);
        }
        parsed
    }

    /// A header name.
    pub(super) fn header_name(&mut self, path: &Path<'_>, name: &str) -> Option<HeaderName> {
        match HeaderName::try_from(name.to_ascii_lowercase()) {
            Ok(name) => Some(name),
            Err(_) => {
                self.report.error(path, "bad-header-name", format!("`{name}` is not a header name"));
                None
            }
        }
    }
}
