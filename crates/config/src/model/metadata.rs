//! `envoy.config.core.v3.Metadata` and matchers over it.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::StringMatcher;

/// `filter_metadata`: a JSON object per namespace (`envoy.lb`). Numbers are doubles, as in protobuf.
pub type Metadata = Arc<BTreeMap<String, Map<String, Value>>>;

/// `envoy.type.matcher.v3.MetadataMatcher`.
#[derive(Clone, Debug)]
pub struct MetadataMatcher {
    /// `filter`: the namespace.
    pub filter: String,
    /// `path`: the key of each level.
    pub path: Vec<String>,
    /// `value`
    pub value: ValueMatcher,
    /// `invert`
    pub invert: bool,
}

/// `envoy.type.matcher.v3.ValueMatcher`.
#[derive(Clone, Debug)]
pub enum ValueMatcher {
    /// `null_match`
    Null,
    /// `double_match.exact`
    Number(f64),
    /// `double_match.range`: `[start, end)`
    Range(f64, f64),
    /// `string_match`
    String(StringMatcher),
    /// `bool_match`
    Bool(bool),
    /// `present_match`
    Present(bool),
    /// `list_match.one_of`: an element that matches
    AnyElement(Box<ValueMatcher>),
    /// `or_match`
    Any(Vec<ValueMatcher>),
}
