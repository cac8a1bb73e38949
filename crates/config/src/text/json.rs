//! Reads JSON the way protobuf's parser does in legacy mode, which is what Envoy uses for files
//! that are not YAML: single quotes, bare words as keys, trailing commas and control characters
//! in strings are fine; comments, leading zeros and anything after the value are not.

use super::{SyntaxError, Tree, Value, builder::Builder};

/// protobuf's recursion limit.
const DEEPEST: usize = 100;

/// Reads a text that is one JSON value.
pub(super) fn read(text: &str) -> Result<Tree, SyntaxError> {
    let mut reader = Reader { text, at: 0, builder: Builder::new(text, false) };
    reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.error("there is something after the end of the JSON value"));
    }
    reader.builder.finish_tree()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    builder: Builder<'a>,
}

type Read<T> = Result<T, SyntaxError>;

impl<'a> Reader<'a> {
    fn error(&self, message: impl std::fmt::Display) -> SyntaxError {
        SyntaxError::new(self.at, format!("invalid JSON: {message}"))
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn place(&self, start: usize) -> (u32, u32) {
        let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        (short(start), short(self.at))
    }

    fn value(&mut self, depth: usize) -> Read<()> {
        self.space();
        if depth > DEEPEST {
            return Err(self.error("values are nested too deep"));
        }
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"' | b'\'') => {
                let string = self.string()?;
                let place = self.place(start);
                let text = self.builder.text(&string, place);
                self.builder.value(Value::String(text), place);
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number()?;
                let place = self.place(start);
                let text = self.builder.text(number, place);
                self.builder.value(Value::Number(text), place);
                Ok(())
            }
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Read<()> {
        let start = self.at;
        for (word, value) in [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                let place = self.place(start);
                self.builder.value(value, place);
                return Ok(());
            }
        }
        Err(match self.rest().chars().next() {
            None => self.error("the text ends where a value is expected"),
            Some('#') => self.error("a comment is not JSON (a file is YAML if it ends in .yaml)"),
            Some('\u{feff}') => self.error("a byte order mark is not allowed"),
            Some(other) => self.error(format_args!("unexpected character `{other}`")),
        })
    }

    fn object(&mut self, depth: usize) -> Read<()> {
        let place = self.place(self.at);
        self.builder.open_map(place);
        self.at += 1;
        while !self.eat(b'}') {
            self.space();
            let start = self.at;
            let key = match self.peek() {
                Some(b'"' | b'\'') => self.string()?,
                _ => self.bare_word()?.to_owned(),
            };
            let place = self.place(start);
            self.builder.key(&key, false, place);
            if !self.eat(b':') {
                return Err(self.error("expected `:` after a key"));
            }
            self.value(depth + 1)?;
            if !self.eat(b',') && self.peek() != Some(b'}') {
                return Err(self.error("expected `,` or `}`"));
            }
        }
        let end = self.place(self.at).1;
        self.builder.close(end);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Read<()> {
        let place = self.place(self.at);
        self.builder.open_list(place);
        self.at += 1;
        while !self.eat(b']') {
            self.value(depth + 1)?;
            if !self.eat(b',') && self.peek() != Some(b']') {
                return Err(self.error("expected `,` or `]`"));
            }
        }
        let end = self.place(self.at).1;
        self.builder.close(end);
        Ok(())
    }

    fn bare_word(&mut self) -> Read<&'a str> {
        let rest = self.rest();
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
        let length = rest.bytes().take_while(|byte| is_part(*byte)).count();
        let word = rest.get(..length).unwrap_or_default();
        if word.is_empty() || word.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(self.error("expected a key"));
        }
        self.at += length;
        Ok(word)
    }

    fn number(&mut self) -> Read<&'a str> {
        let rest = self.rest();
        let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().take_while(|byte| is_part(*byte)).count();
        let number = rest.get(..length).unwrap_or_default();
        let digits = number.strip_prefix('-').unwrap_or(number);
        if matches!(digits.as_bytes(), [b'0', b'0'..=b'9', ..]) {
            return Err(self.error("a number cannot have an extra leading zero"));
        }
        let starts_well = digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
        let finite = number.parse::<f64>().is_ok_and(f64::is_finite);
        if !starts_well || !finite || number.ends_with('.') {
            return Err(self.error(format_args!("invalid number `{number}`")));
        }
        self.at += length;
        Ok(number)
    }

    fn string(&mut self) -> Read<String> {
        let quote = self.peek().unwrap_or_default();
        let mut found = String::new();
        self.at += 1;
        loop {
            let rest = self.rest();
            let plain = rest
                .bytes()
                .position(|byte| byte == quote || byte == b'\\')
                .ok_or_else(|| self.error("a string is not closed"))?;
            found.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain + 1;
            if rest.as_bytes().get(plain) == Some(&quote) {
                return Ok(found);
            }
            found.push(self.escape()?);
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Read<char> {
        let byte = self.peek().unwrap_or_default();
        let meant = match byte {
            b'"' | b'\'' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.error("invalid escape")),
        };
        self.at += 1;
        Ok(meant)
    }

    fn unicode(&mut self) -> Read<char> {
        let high = self.four_digits()?;
        let code = if (0xd800..0xdc00).contains(&high) && self.rest().starts_with("\\u") {
            self.at += 1;
            let low = self.four_digits()?;
            let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400);
            low.map_or(high, |low| 0x1_0000 + ((high - 0xd800) << 10) + low)
        } else {
            high
        };
        char::from_u32(code).ok_or_else(|| self.error("half of a surrogate pair"))
    }

    /// The digits of `\u`, with the reader on the `u`.
    fn four_digits(&mut self) -> Read<u32> {
        let digits = self.text.get(self.at + 1..self.at + 5).unwrap_or_default();
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let code = u32::from_str_radix(digits, 16).ok().filter(|_| hex);
        let code = code.ok_or_else(|| self.error("invalid escape: \\u needs four digits"))?;
        self.at += 5;
        Ok(code)
    }
}
