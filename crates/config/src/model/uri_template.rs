//! `envoy.path.rewrite.uri_template`: paths put together from the variables of the template that
//! the route matches with (`/{rest}/x-{lang}`).
//!
//! Owns the grammar of the rewriting side; what a variable takes is the matching template's. A
//! template that does not parse is refused with the reason.

use regex::bytes::Regex;

/// Bytes of a path segment besides letters and digits.
const MARKS: &[u8] = b"-._~%!$&'()+,;:@";
/// A template that paths are rewritten to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriTemplateRewrite {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Variable(String),
}

impl UriTemplateRewrite {
    /// Parses `path_template_rewrite`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err("it begins with `/`".to_owned());
        }
        if text.contains("//") {
            return Err("it holds no `//`".to_owned());
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, variable) = match rest.split_once('{') {
                Some((literal, variable)) => (literal, Some(variable)),
                None => (rest, None),
            };
            if !literal.bytes().all(|byte| byte == b'/' || is_segment_byte(byte)) {
                return Err(format!("`{literal}` is no literal of a path"));
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            let Some(variable) = variable else { break };
            let (name, after) = variable.split_once('}').ok_or("a `{` is not closed")?;
            check_name(name)?;
            pieces.push(Piece::Variable(name.to_owned()));
            rest = after;
        }
        Ok(Self { text: text.to_owned(), pieces })
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first variable that is not among `known`.
    #[must_use]
    pub fn unknown_variable(&self, known: &[String]) -> Option<&str> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Variable(name) if !known.contains(name) => Some(name.as_str()),
            Piece::Variable(_) | Piece::Literal(_) => None,
        })
    }

    /// `path`, which has no query, rewritten; `None` when it does not match `matched`, the
    /// expression that has a group for each variable.
    #[must_use]
    pub fn rewrite(&self, matched: &Regex, path: &str) -> Option<String> {
        let captures = matched.captures(path.as_bytes())?;
        let mut out = String::with_capacity(path.len() + self.text.len());
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Variable(name) => {
                    out.push_str(std::str::from_utf8(captures.name(name)?.as_bytes()).ok()?);
                }
            }
        }
        Some(out)
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic());
    if starts_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(());
    }
    Err(format!("`{name}` is no name of a variable: a letter, then letters, digits and `_`"))
}

fn is_segment_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || MARKS.contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_template_is_refused() {
        for text in ["", "a", "//", "/a//{b}", "/{", "/{a b}", "/a?b", "/{1}", "/*"] {
            assert!(UriTemplateRewrite::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn variables_are_put_where_the_rewrite_names_them() {
        let matched = Regex::new("^/foo/(?P<lang>[a-z]+)/(?P<rest>.*)$").unwrap();
        let rewrite = UriTemplateRewrite::parse("/{rest}/x-{lang}/bar").unwrap();
        assert_eq!(rewrite.rewrite(&matched, "/foo/en/a/b").as_deref(), Some("/a/b/x-en/bar"));
        assert_eq!(rewrite.rewrite(&matched, "/other"), None);
        assert_eq!(rewrite.unknown_variable(&["lang".to_owned(), "rest".to_owned()]), None);
        assert_eq!(rewrite.unknown_variable(&["lang".to_owned()]), Some("rest"));
    }
}
