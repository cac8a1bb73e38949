//! Texts in quotes and what a backslash means in them: C's escapes, and `\u` and `\U`.

use super::{Read, Reader};

impl Reader<'_> {
    /// One text, with the reader on its quote.
    pub(super) fn string(&mut self, found: &mut Vec<u8>) -> Read<()> {
        let quote = self.peek().unwrap_or_default();
        self.at += 1;
        loop {
            match self.peek() {
                Some(byte) if byte == quote => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(found)?;
                }
                None | Some(b'\n') => return Err(self.error("a text is not closed on its line")),
                Some(byte) => {
                    found.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, found: &mut Vec<u8>) -> Read<()> {
        let byte = self.peek().unwrap_or_default();
        let meant = match byte {
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'?' | b'\\' | b'\'' | b'"' => byte,
            b'0'..=b'7' => return self.number(found, 8, 3),
            b'x' | b'X' => {
                self.at += 1;
                return self.number(found, 16, 2);
            }
            b'u' => return self.unicode(found, 4),
            b'U' => return self.unicode(found, 8),
            _ => return Err(self.error("invalid escape")),
        };
        self.at += 1;
        found.push(meant);
        Ok(())
    }

    /// A byte by its number, in one digit up to `most`.
    fn number(&mut self, found: &mut Vec<u8>, radix: u32, most: usize) -> Read<()> {
        let rest = self.rest();
        let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
        let length = rest.bytes().take(most).take_while(is_digit).count();
        let digits = rest.get(..length).unwrap_or_default();
        let value = u32::from_str_radix(digits, radix).ok().and_then(|value| u8::try_from(value).ok());
        found.push(value.ok_or_else(|| self.error("invalid escape: a byte is expected"))?);
        self.at += length;
        Ok(())
    }

    /// A character by its code, with the reader on the `u`; two halves of a pair are one.
    fn unicode(&mut self, found: &mut Vec<u8>, digits: usize) -> Read<()> {
        let mut code = self.code(digits)?;
        if (0xd800..0xdc00).contains(&code) && self.rest().starts_with("\\u") {
            self.at += 1;
            let low = self.code(4)?.checked_sub(0xdc00).filter(|low| *low < 0x400);
            code = low.map_or(code, |low| 0x1_0000 + ((code - 0xd800) << 10) + low);
        }
        let meant = char::from_u32(code).ok_or_else(|| self.error("invalid escape: there is no such character"))?;
        found.extend(meant.encode_utf8(&mut [0; 4]).bytes());
        Ok(())
    }

    fn code(&mut self, digits: usize) -> Read<u32> {
        let written = self.text.get(self.at + 1..self.at + 1 + digits).unwrap_or_default();
        let is_hex = !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_hexdigit());
        let code = u32::from_str_radix(written, 16).ok().filter(|_| is_hex);
        let code = code.ok_or_else(|| self.error(format_args!("invalid escape: {digits} digits are needed")))?;
        self.at += 1 + digits;
        Ok(code)
    }
}
