//! Header mutations (`HeaderValueOption` and `headers_to_remove`).

use http::{HeaderName, HeaderValue};

use super::format::Format;

/// Changes to a header list, applied removes last, as Envoy does per level.
#[derive(Clone, Debug, Default)]
pub struct HeaderMutation {
    /// `..._headers_to_add`, in order.
    pub add: Vec<HeaderAddition>,
    /// `..._headers_to_remove`.
    pub remove: Vec<HeaderName>,
}

impl HeaderMutation {
    /// True when it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}

/// One header to add.
#[derive(Clone, Debug)]
pub struct HeaderAddition {
    /// Name, lower case.
    pub name: HeaderName,
    /// Value, checked at load.
    pub value: AddedValue,
    /// The value as configured, in the substitution format language.
    pub raw: String,
    /// What to do when the header is there.
    pub action: AppendAction,
    /// Keep it when the value comes out empty.
    pub keep_empty_value: bool,
}

/// The value of an added header.
#[derive(Clone, Debug)]
pub enum AddedValue {
    /// The same for every message.
    Literal(HeaderValue),
    /// To be filled in for each.
    Format(Format),
}

/// `HeaderValueOption.HeaderAppendAction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendAction {
    /// APPEND_IF_EXISTS_OR_ADD
    AppendIfExistsOrAdd,
    /// ADD_IF_ABSENT
    AddIfAbsent,
    /// OVERWRITE_IF_EXISTS_OR_ADD
    OverwriteIfExistsOrAdd,
    /// OVERWRITE_IF_EXISTS
    OverwriteIfExists,
}
