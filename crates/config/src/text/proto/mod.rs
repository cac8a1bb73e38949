//! Reads protobuf's text format (`.pb_text`): the language, without the schema.
//!
//! Owns names, values, lists, nesting, comments and escapes, each with its place; `shape` brings
//! what was read into the form of protobuf's JSON, which the rest of the pipeline reads. Refused
//! are names by number and extensions other than an Any's type, as Envoy's parser refuses them. The
//! first error ends the reading. Limit: 100 levels, as in protobuf.

mod escape;
mod shape;
#[cfg(test)]
mod tests;

use super::{SyntaxError, Tree};
use crate::schema::Message;

const DEEPEST: usize = 100;

type Read<T> = Result<T, SyntaxError>;

/// Where something is written.
type Place = (u32, u32);

/// One occurrence of a field.
struct Entry<'a> {
    /// Its name, or the type of an Any without the brackets.
    name: &'a str,
    is_type: bool,
    values: Vec<Written<'a>>,
    /// Whether the values stand in brackets.
    is_list: bool,
    place: Place,
}

/// One value.
struct Written<'a> {
    content: Content<'a>,
    place: Place,
}

enum Content<'a> {
    Message(Vec<Entry<'a>>),
    /// In quotes.
    Text(Vec<u8>),
    /// A number or a word, and whether a minus stands before it.
    Word {
        is_negative: bool,
        word: &'a str,
    },
}

/// Reads a text as a message.
pub(super) fn read(text: &str, message: Message) -> Read<Tree> {
    let mut reader = Reader { text, at: 0 };
    let entries = reader.entries(None, 0)?;
    shape::tree(text, message, &entries)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, message: impl std::fmt::Display) -> SyntaxError {
        SyntaxError::new(self.at, format!("invalid text format: {message}"))
    }

    fn unexpected(&self, expected: &str) -> SyntaxError {
        match self.rest().chars().next() {
            Some(found) => self.error(format_args!("expected {expected}, not `{found}`")),
            None => self.error(format_args!("the text ends where {expected} is expected")),
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over blanks and comments.
    fn space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'#' => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                _ => return,
            }
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn place(&self, start: usize) -> Place {
        let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        (short(start), short(self.at))
    }

    /// The characters from here on that are part of a word.
    fn word(&mut self, is_part: impl Fn(u8) -> bool) -> &'a str {
        let length = self.rest().bytes().take_while(|byte| is_part(*byte)).count();
        let word = self.rest().get(..length).unwrap_or_default();
        self.at += length;
        word
    }

    /// Fields up to the bracket that ends the message, or to the end of the text.
    fn entries(&mut self, end: Option<u8>, depth: usize) -> Read<Vec<Entry<'a>>> {
        if depth > DEEPEST {
            return Err(self.error("messages are nested too deep"));
        }
        let mut entries = Vec::new();
        loop {
            self.space();
            match (self.peek(), end) {
                (None, None) => return Ok(entries),
                (Some(byte), Some(end)) if byte == end => {
                    self.at += 1;
                    return Ok(entries);
                }
                _ => entries.push(self.entry(depth)?),
            }
            if !self.eat(b',') {
                self.eat(b';');
            }
        }
    }

    fn entry(&mut self, depth: usize) -> Read<Entry<'a>> {
        let start = self.at;
        let is_type = self.peek() == Some(b'[');
        let name = if is_type { self.type_url()? } else { self.name()? };
        let place = self.place(start);
        let has_colon = self.eat(b':');
        self.space();
        let is_list = self.peek() == Some(b'[');
        let values = match self.peek() {
            Some(b'{' | b'<') => vec![self.message(depth)?],
            Some(b'[') => self.list(has_colon, depth)?,
            _ if has_colon => vec![self.scalar()?],
            _ => return Err(self.unexpected("`:` or `{`")),
        };
        Ok(Entry { name, is_type, values, is_list, place })
    }

    fn name(&mut self) -> Read<&'a str> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
            return Err(self.unexpected("a field"));
        }
        Ok(self.word(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
    }

    /// `[type.googleapis.com/envoy.…]`
    fn type_url(&mut self) -> Read<&'a str> {
        self.at += 1;
        self.space();
        let url = self.word(|byte| byte.is_ascii_alphanumeric() || b"._-/%".contains(&byte));
        if url.is_empty() || !self.eat(b']') {
            return Err(self.unexpected("the type of an Any and `]`"));
        }
        Ok(url)
    }

    fn message(&mut self, depth: usize) -> Read<Written<'a>> {
        let start = self.at;
        let end = if self.peek() == Some(b'<') { b'>' } else { b'}' };
        self.at += 1;
        let content = Content::Message(self.entries(Some(end), depth + 1)?);
        Ok(Written { content, place: self.place(start) })
    }

    /// `[1, 2]`, with the reader on the bracket. Only messages may do without a colon before it.
    fn list(&mut self, has_colon: bool, depth: usize) -> Read<Vec<Written<'a>>> {
        self.at += 1;
        let mut values = Vec::new();
        if self.eat(b']') {
            return Ok(values);
        }
        loop {
            self.space();
            values.push(match self.peek() {
                Some(b'{' | b'<') => self.message(depth)?,
                _ if has_colon => self.scalar()?,
                _ => return Err(self.unexpected("`{`")),
            });
            if self.eat(b']') {
                return Ok(values);
            }
            if !self.eat(b',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn scalar(&mut self) -> Read<Written<'a>> {
        let start = self.at;
        if matches!(self.peek(), Some(b'"' | b'\'')) {
            let content = Content::Text(self.strings()?);
            return Ok(Written { content, place: self.place(start) });
        }
        let is_negative = self.eat(b'-');
        self.space();
        let first = self.at;
        loop {
            self.word(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
            // The sign of an exponent belongs to a number, but not to 0xe-1 or a word.
            let word = self.text.get(first..self.at).unwrap_or_default();
            let is_decimal = word.starts_with(|first: char| first.is_ascii_digit() || first == '.')
                && !word.starts_with("0x")
                && !word.starts_with("0X");
            let is_exponent = is_decimal && word.ends_with(['e', 'E']) && matches!(self.peek(), Some(b'+' | b'-'));
            if !is_exponent {
                break;
            }
            self.at += 1;
        }
        let word = self.text.get(first..self.at).unwrap_or_default();
        if word.is_empty() {
            return Err(self.unexpected("a value"));
        }
        Ok(Written { content: Content::Word { is_negative, word }, place: self.place(start) })
    }

    /// Texts that follow each other are one.
    fn strings(&mut self) -> Read<Vec<u8>> {
        let mut found = Vec::new();
        loop {
            self.string(&mut found)?;
            let end = self.at;
            self.space();
            if !matches!(self.peek(), Some(b'"' | b'\'')) {
                self.at = end;
                return Ok(found);
            }
        }
    }
}
