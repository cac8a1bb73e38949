//! The substitution format language (`%REQ(x-id)%`, `%START_TIME%`) as parsed text.
//!
//! Access logs and added headers are written in it. A format is checked here, once, when the
//! configuration is loaded; whoever prints it walks [`Format::parts`] and finds no text left to
//! interpret. Owns the grammar and the list of commands; knows nothing of the values. Which
//! spellings are right is what Envoy 1.40 says (`%NAME%`, `%NAME(parameter):length%`, `%%` for a
//! percent sign). A format that does not parse is refused with the position of the bad operator.

mod command;
mod parse;
mod plain;
#[cfg(test)]
mod tests;

pub use command::{
    CertTime, Coalesced, Command, DurationPoint, FilterStateForm, GrpcStatusForm, HeaderKey, HeaderSource,
    LocalAddress, MetadataSource, PathQuery, PathSource, Precision, ServerNameSource, Side, TimeSource, XfccKey,
};
pub use plain::Plain;

/// A parsed format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// Literal text and operators in order; neighbouring literals are joined.
    pub parts: Vec<Part>,
}

/// A piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text as it stands.
    Literal(String),
    /// A value to be filled in.
    Operator(Operator),
}

/// A command with its cut-off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// What to print.
    pub command: Command,
    /// `:length`: bytes kept of the value.
    pub max_length: Option<usize>,
}

/// Why a format was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A `%` that starts no operator.
    #[error("no valid operator at byte {0} (write `%%` for a percent sign)")]
    Malformed(usize),
    /// No such command.
    #[error("unknown operator `{0}`")]
    UnknownCommand(String),
    /// The command needs a parameter.
    #[error("`{0}` needs a parameter: `%{0}(...)%`")]
    MissingParameter(String),
    /// The command stands alone.
    #[error("`{0}` takes neither a parameter nor a length")]
    NoParameters(String),
    /// The command cannot be cut.
    #[error("`{0}` does not take a length")]
    NoLength(String),
    /// The parameter is wrong.
    #[error("`{command}` does not take the parameter `{parameter}`: {reason}")]
    BadParameter {
        /// The command.
        command: String,
        /// What was given.
        parameter: String,
        /// What would be right.
        reason: String,
    },
}

impl Format {
    /// Parses `text`.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("%%") {
                literal.push('%');
                rest = after;
                continue;
            }
            let position = text.len() - from.len();
            let spelled = Spelled::read(from).ok_or(FormatError::Malformed(position))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Operator(Operator::parse(spelled.name, spelled.parameter, spelled.length)?));
            rest = spelled.rest;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// The text when there is no operator in it.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The operators in order.
    pub fn operators(&self) -> impl Iterator<Item = &Operator> {
        self.parts.iter().filter_map(|part| match part {
            Part::Operator(operator) => Some(operator),
            Part::Literal(_) => None,
        })
    }
}

impl Operator {
    fn parse(name: &str, parameter: Option<&str>, length: Option<usize>) -> Result<Self, FormatError> {
        if let Some(plain) = Plain::from_name(name) {
            if parameter.is_some_and(|parameter| !parameter.is_empty()) || length.is_some() {
                return Err(FormatError::NoParameters(name.to_owned()));
            }
            return Ok(Self { command: Command::Plain(plain), max_length: None });
        }
        let command = Command::parse(name, parameter.unwrap_or_default())?;
        if length.is_some() && !command.takes_length() {
            return Err(FormatError::NoLength(name.to_owned()));
        }
        Ok(Self { command, max_length: length })
    }
}

/// An operator cut into its pieces, not yet understood.
struct Spelled<'t> {
    name: &'t str,
    parameter: Option<&'t str>,
    length: Option<usize>,
    rest: &'t str,
}

impl<'t> Spelled<'t> {
    /// Reads `%NAME%`, `%NAME(parameter)%`, `%NAME:3%` or `%NAME(parameter):3%` off the start.
    fn read(text: &'t str) -> Option<Self> {
        let body = text.strip_prefix('%')?;
        let end = body.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))?;
        if end == 0 {
            return None;
        }
        let (name, tail) = body.split_at(end);
        let Some(inner) = tail.strip_prefix('(') else {
            let (length, rest) = ending(tail)?;
            return Some(Self { name, parameter: None, length, rest });
        };
        // A parameter may hold parentheses: it ends at the first one that an operator's end follows.
        inner.match_indices(')').find_map(|(at, _)| {
            let (length, rest) = ending(inner.get(at + 1..)?)?;
            Some(Self { name, parameter: inner.get(..at), length, rest })
        })
    }
}

/// `%` or `:digits%`; answers the length and what follows.
fn ending(text: &str) -> Option<(Option<usize>, &str)> {
    if let Some(rest) = text.strip_prefix('%') {
        return Some((None, rest));
    }
    let (digits, rest) = text.strip_prefix(':')?.split_once('%')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((Some(digits.parse().ok()?), rest))
}
