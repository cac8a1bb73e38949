//! String, header and query matchers, regular expressions.
//!
//! Envoy's expressions are RE2's. The classes `\d`, `\w`, `\s` and `\b` mean ASCII there, so that
//! expressions are compiled without Unicode first and with it only when they need it.

use envoy_types::pb::envoy::{
    config::route::v3 as route,
    r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher, StringMatcher as Wire, string_matcher::MatchPattern},
};
use http::HeaderName;
use regex::bytes::{Regex, RegexBuilder};

use super::{Context, re2};
use crate::model::{
    matcher::{Case, HeaderMatcher, HeaderValueMatch, MatchedHeader, QueryMatcher, StringMatcher},
    report::Path,
};

impl Context<'_> {
    /// An expression that has to match the whole text.
    pub(super) fn full_match(&mut self, path: &Path<'_>, matcher: &RegexMatcher) -> Option<Regex> {
        self.regex(path, &matcher.regex, |pattern| format!(r"\A(?:{pattern})\z"))
    }

    fn regex(&mut self, path: &Path<'_>, written: &str, anchor: impl FnOnce(String) -> String) -> Option<Regex> {
        let compiled = re2::to_regex(written).map_err(str::to_owned).and_then(|pattern| {
            let pattern = anchor(pattern);
            let compile = |unicode| RegexBuilder::new(&pattern).unicode(unicode).build();
            compile(false).or_else(|_| compile(true)).map_err(|error| last_line(&error.to_string()).to_owned())
        });
        compiled
            .map_err(|reason| {
                let help = "expressions are RE2's: no look-around, no back-references; write `\\\\` for a \
                            backslash in double-quoted YAML";
                let message = format!("this regular expression does not compile: {reason}");
                self.report.error_with(&path.field("regex"), "bad-regex", message, help);
            })
            .ok()
    }

    /// A pattern to be replaced wherever it is found, and what comes in its place.
    pub(super) fn substitution(
        &mut self,
        path: &Path<'_>,
        rewrite: RegexMatchAndSubstitute,
    ) -> Option<(Regex, String)> {
        let pattern = rewrite.pattern.unwrap_or_default();
        let regex = self.regex(&path.field("pattern"), &pattern.regex, |pattern| pattern)?;
        if let Err(message) = check_substitution(&rewrite.substitution, regex.captures_len()) {
            // Envoy accepts it and leaves such paths as they are.
            let path = path.field("substitution");
            self.report.warning(&path, "bad-substitution", message, None);
        }
        Some((regex, rewrite.substitution))
    }

    /// A string matcher; `None` when it is unusable (reported).
    pub(super) fn string_matcher(&mut self, path: &Path<'_>, matcher: Wire) -> Option<StringMatcher> {
        let case = if matcher.ignore_case { Case::Insensitive } else { Case::Sensitive };
        if matcher.ignore_case && matches!(matcher.match_pattern, Some(MatchPattern::SafeRegex(_))) {
            let help = "begin the expression with `(?i)`";
            let text = "`ignore_case` has no effect on `safe_regex`";
            self.report.error_with(&path.field("ignore_case"), "bad-ignore-case", text, help);
        }
        Some(match matcher.match_pattern {
            Some(MatchPattern::Exact(text)) => StringMatcher::Exact(text, case),
            Some(MatchPattern::Prefix(text)) => StringMatcher::Prefix(text, case),
            Some(MatchPattern::Suffix(text)) => StringMatcher::Suffix(text, case),
            Some(MatchPattern::Contains(text)) => StringMatcher::Contains(text, case),
            Some(MatchPattern::SafeRegex(regex)) => {
                StringMatcher::Regex(self.full_match(&path.field("safe_regex"), &regex)?)
            }
            // The field check has refused it.
            Some(MatchPattern::Custom(_)) => return None,
            None => {
                let message = "a string matcher needs one of `exact`, `prefix`, `suffix`, `contains`, `safe_regex`";
                self.report.error(path, "missing-matcher", message);
                return None;
            }
        })
    }

    /// Header matchers of a route.
    pub(super) fn header_matchers(&mut self, path: &Path<'_>, list: Vec<route::HeaderMatcher>) -> Vec<HeaderMatcher> {
        self.header_matchers_in(path, "headers", list)
    }

    /// The same in a field of another name.
    pub(super) fn header_matchers_in(
        &mut self,
        path: &Path<'_>,
        field: &str,
        list: Vec<route::HeaderMatcher>,
    ) -> Vec<HeaderMatcher> {
        let each = list.into_iter().enumerate();
        each.filter_map(|(index, matcher)| self.header_matcher(&path.item(field, index), matcher)).collect()
    }

    /// One header matcher.
    pub(super) fn header_matcher(&mut self, path: &Path<'_>, matcher: route::HeaderMatcher) -> Option<HeaderMatcher> {
        let name = self.matched_header(&path.field("name"), &matcher.name);
        let value = self.header_value(path, matcher.header_match_specifier);
        Some(HeaderMatcher {
            name: name?,
            value: value?,
            invert: matcher.invert_match,
            missing_as_empty: matcher.treat_missing_header_as_empty,
        })
    }

    #[expect(deprecated, reason = "the old spellings are still accepted")]
    fn header_value(
        &mut self,
        path: &Path<'_>,
        specifier: Option<route::header_matcher::HeaderMatchSpecifier>,
    ) -> Option<HeaderValueMatch> {
        use route::header_matcher::HeaderMatchSpecifier as By;
        let case = Case::Sensitive;
        Some(HeaderValueMatch::String(match specifier {
            None => return Some(HeaderValueMatch::Present(true)),
            Some(By::PresentMatch(present)) => return Some(HeaderValueMatch::Present(present)),
            Some(By::RangeMatch(range)) => {
                return Some(HeaderValueMatch::Range(range.start, range.end));
            }
            Some(By::StringMatch(matcher)) => self.string_matcher(&path.field("string_match"), matcher)?,
            Some(By::SafeRegexMatch(regex)) => {
                StringMatcher::Regex(self.full_match(&path.field("safe_regex_match"), &regex)?)
            }
            // Envoy takes an empty one for "present".
            Some(By::ExactMatch(text)) if text.is_empty() => StringMatcher::Prefix(text, case),
            Some(By::ExactMatch(text)) => StringMatcher::Exact(text, case),
            Some(By::PrefixMatch(text)) => StringMatcher::Prefix(text, case),
            Some(By::SuffixMatch(text)) => StringMatcher::Suffix(text, case),
            Some(By::ContainsMatch(text)) => StringMatcher::Contains(text, case),
        }))
    }

    /// A header that is only read: pseudo headers too.
    pub(super) fn matched_header(&mut self, path: &Path<'_>, name: &str) -> Option<MatchedHeader> {
        Some(match name.to_ascii_lowercase().as_str() {
            ":method" => MatchedHeader::Method,
            ":path" => MatchedHeader::Path,
            ":authority" | "host" => MatchedHeader::Authority,
            ":scheme" => MatchedHeader::Scheme,
            ":protocol" => MatchedHeader::Protocol,
            lower => match HeaderName::try_from(lower) {
                Ok(name) => MatchedHeader::Name(name),
                Err(_) => {
                    let text = format!("`{name}` is not a header name: no request has such a header");
                    self.report.warning(path, "bad-header-name", text, None);
                    MatchedHeader::Nothing
                }
            },
        })
    }

    /// Query parameter matchers of a route.
    pub(super) fn query_matchers(
        &mut self,
        path: &Path<'_>,
        list: Vec<route::QueryParameterMatcher>,
    ) -> Vec<QueryMatcher> {
        use route::query_parameter_matcher::QueryParameterMatchSpecifier as By;
        let mut matchers = Vec::with_capacity(list.len());
        for (index, matcher) in list.into_iter().enumerate() {
            let path = path.item("query_parameters", index);
            let (value, present) = match matcher.query_parameter_match_specifier {
                None => (None, true),
                Some(By::PresentMatch(present)) => (None, present),
                Some(By::StringMatch(text)) => match self.string_matcher(&path.field("string_match"), text) {
                    Some(matcher) => (Some(matcher), true),
                    None => continue,
                },
            };
            matchers.push(QueryMatcher { name: matcher.name, value, present });
        }
        matchers
    }
}

/// RE2's rewrite language: `\0` to `\9` and `\\`.
fn check_substitution(text: &str, groups: usize) -> Result<(), String> {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            continue;
        }
        match characters.next() {
            Some('\\') => {}
            Some(digit) if digit.is_ascii_digit() => {
                let group = digit.to_digit(10).unwrap_or_default();
                if usize::try_from(group).is_ok_and(|group| group >= groups) {
                    return Err(format!("`\\{group}` refers to a group that the pattern does not have"));
                }
            }
            _ => {
                return Err("after a backslash stands a digit (a group) or another backslash".to_owned());
            }
        }
    }
    Ok(())
}

/// The sentence at the end of the engine's drawing.
fn last_line(text: &str) -> &str {
    let line = text.lines().last().unwrap_or(text);
    line.strip_prefix("error: ").unwrap_or(line)
}
