//! String, header and query-parameter matchers.

use std::fmt;

use http::HeaderName;
use regex::bytes::Regex;

/// `envoy.type.matcher.v3.StringMatcher`.
#[derive(Clone, Debug)]
pub enum StringMatcher {
    /// Whole text.
    Exact(String, Case),
    /// Start of the text.
    Prefix(String, Case),
    /// End of the text.
    Suffix(String, Case),
    /// Somewhere in the text.
    Contains(String, Case),
    /// The whole text matches (the pattern is anchored at load).
    Regex(Regex),
}

/// Whether case counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// It counts.
    Sensitive,
    /// ASCII letters are equal in either case.
    Insensitive,
}

impl StringMatcher {
    /// True when `text` matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(want, case) => equal(text, want.as_bytes(), *case),
            Self::Prefix(want, case) => text.get(..want.len()).is_some_and(|head| equal(head, want.as_bytes(), *case)),
            Self::Suffix(want, case) => text
                .len()
                .checked_sub(want.len())
                .and_then(|at| text.get(at..))
                .is_some_and(|tail| equal(tail, want.as_bytes(), *case)),
            Self::Contains(want, case) => {
                want.is_empty() || text.windows(want.len()).any(|part| equal(part, want.as_bytes(), *case))
            }
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

fn equal(a: &[u8], b: &[u8], case: Case) -> bool {
    match case {
        Case::Sensitive => a == b,
        Case::Insensitive => a.eq_ignore_ascii_case(b),
    }
}

/// `envoy.config.route.v3.HeaderMatcher`.
#[derive(Clone, Debug)]
pub struct HeaderMatcher {
    /// Which header; pseudo headers `:path`, `:method`, `:authority`, `:scheme` included.
    pub name: MatchedHeader,
    /// How its value is judged.
    pub value: HeaderValueMatch,
    /// `invert_match`
    pub invert: bool,
    /// `treat_missing_header_as_empty`
    pub missing_as_empty: bool,
}

/// The header a matcher looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchedHeader {
    /// An ordinary header.
    Name(HeaderName),
    /// `:method`
    Method,
    /// `:path`
    Path,
    /// `:authority` or `host`
    Authority,
    /// `:scheme`
    Scheme,
    /// `:protocol` of an extended CONNECT
    Protocol,
    /// A name that no request can have.
    Nothing,
}

impl fmt::Display for MatchedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name(name) => name.as_str(),
            Self::Method => ":method",
            Self::Path => ":path",
            Self::Authority => ":authority",
            Self::Scheme => ":scheme",
            Self::Protocol => ":protocol",
            Self::Nothing => "a name that no header has",
        })
    }
}

/// How a header's value is judged.
#[derive(Clone, Debug)]
pub enum HeaderValueMatch {
    /// By text.
    String(StringMatcher),
    /// An integer in `[start, end)`.
    Range(i64, i64),
    /// Present (true) or absent (false).
    Present(bool),
}

/// `envoy.config.route.v3.QueryParameterMatcher`.
#[derive(Clone, Debug)]
pub struct QueryMatcher {
    /// Parameter name.
    pub name: String,
    /// Its value; `None`: presence is as the flag says.
    pub value: Option<StringMatcher>,
    /// Without `value`: present (true) or absent (false).
    pub present: bool,
}
