//! `RouteMatch`: what a route asks of a request.

use std::net::IpAddr;

use regex::bytes::Regex;

use super::template::UriTemplate;
use crate::model::{
    StringMatcher,
    matcher::{HeaderMatcher, QueryMatcher},
    metadata::MetadataMatcher,
};

/// `RouteMatch`. All conditions must hold.
#[derive(Clone, Debug)]
pub struct RouteMatch {
    /// The path part.
    pub path: PathMatch,
    /// `case_sensitive` (default true); for prefix, path and path_separated_prefix.
    pub case_sensitive: bool,
    /// `runtime_fraction`; `None` = always.
    pub runtime_fraction: Option<RuntimeFraction>,
    /// `headers`
    pub headers: Vec<HeaderMatcher>,
    /// `query_parameters`
    pub query_parameters: Vec<QueryMatcher>,
    /// `cookies`
    pub cookies: Vec<CookieMatcher>,
    /// `grpc {}`: only requests with a gRPC content-type.
    pub grpc: bool,
    /// `tls_context`
    pub tls: Option<TlsMatch>,
    /// `dynamic_metadata`
    pub dynamic_metadata: Vec<MetadataMatcher>,
    /// `filter_state`
    pub filter_state: Vec<FilterStateMatcher>,
}

impl Default for RouteMatch {
    /// Every path.
    fn default() -> Self {
        Self {
            path: PathMatch::Prefix("/".to_owned()),
            case_sensitive: true,
            runtime_fraction: None,
            headers: Vec::new(),
            query_parameters: Vec::new(),
            cookies: Vec::new(),
            grpc: false,
            tls: None,
            dynamic_metadata: Vec::new(),
            filter_state: Vec::new(),
        }
    }
}

/// How the path is matched (query excluded, except as the matcher says).
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// `prefix`
    Prefix(String),
    /// `path`
    Exact(String),
    /// `path_separated_prefix`
    SeparatedPrefix(String),
    /// `safe_regex`, anchored at both ends.
    Regex(Regex),
    /// `connect_matcher`: CONNECT requests, whatever their path.
    Connect,
    /// `path_match_policy` with `envoy.path.match.uri_template.uri_template_matcher`.
    Template(Box<UriTemplate>),
}

/// `RuntimeFractionalPercent`: a part of the requests, which the runtime may change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeFraction {
    /// `default_value.numerator`
    pub numerator: u32,
    /// `default_value.denominator`: 100, 10,000 or 1,000,000.
    pub denominator: u32,
    /// `runtime_key`, empty for none.
    pub key: String,
}

/// `CookieMatcher`. The first cookie of the name counts; what is absent does not match, so that
/// `invert` makes it one that does.
#[derive(Clone, Debug)]
pub struct CookieMatcher {
    /// `name`
    pub name: String,
    /// `string_match`
    pub value: StringMatcher,
    /// `invert_match`
    pub invert: bool,
}

/// `TlsContextMatchOptions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsMatch {
    /// `presented`: the client has shown a certificate.
    pub presented: Option<bool>,
    /// `validated`: and it was found good.
    pub validated: Option<bool>,
}

/// `envoy.type.matcher.v3.FilterStateMatcher`.
#[derive(Clone, Debug)]
pub struct FilterStateMatcher {
    /// `key`
    pub key: String,
    /// How the object under it is judged. What is absent does not match.
    pub value: FilterStateValue,
}

/// How a filter state object is judged.
#[derive(Clone, Debug)]
pub enum FilterStateValue {
    /// `string_match`, by its text.
    String(StringMatcher),
    /// `address_match`: an address in one of these networks (or not, when inverted).
    Address {
        /// `ranges`
        ranges: Vec<(IpAddr, u8)>,
        /// `invert_match`
        invert: bool,
    },
}
