//! Header mutations (`HeaderValueOption` and `headers_to_remove`).

use http::{HeaderName, HeaderValue};

use super::{StringMatcher, format::Format};

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

/// One step of `HeaderMutation`s that apply one after the other.
#[derive(Clone, Debug)]
pub enum HeaderChange {
    /// `append`
    Add(HeaderAddition),
    /// `remove`
    Remove(HeaderName),
    /// `remove_on_match`: every header whose name matches.
    RemoveMatching(StringMatcher),
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
