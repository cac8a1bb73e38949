//! RE2's syntax in that of the regex crate, where the two read the same text differently.
//!
//! Both come from the same family, so that most expressions stay as they are. RE2 has `\Q…\E` and
//! `\C`; takes `{` for itself when no count follows (`/users/{id}`); knows no classes within
//! classes and no set operations; and `\<` is an ordinary character there.

use std::{iter::Peekable, str::Chars};

/// The same expression for the regex crate. What is wrong in it stays wrong, except for a group
/// that closes too early: that could close what is put around the expression, and is refused.
pub(super) fn to_regex(pattern: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern.chars().peekable();
    let mut open = 0u32;
    while let Some(character) = rest.next() {
        match character {
            '\\' => escape(&mut rest, &mut out),
            '(' => {
                open += 1;
                out.push('(');
            }
            ')' => {
                open = open.checked_sub(1).ok_or("a `)` closes no group")?;
                out.push(')');
            }
            '[' => class(&mut rest, &mut out),
            '{' if !is_count(rest.clone()) => out.push_str(r"\{"),
            other => out.push(other),
        }
    }
    Ok(out)
}

/// What follows a backslash.
fn escape(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    match rest.next() {
        Some('Q') => quoted(rest, out),
        // One byte, whichever.
        Some('C') => out.push_str("(?s-u:.)"),
        Some(plain @ ('<' | '>')) => out.push(plain),
        Some(digit @ '0'..='7') => octal(digit, rest, out),
        // The braces of `\p{Greek}` and `\x{ff}` are no count.
        Some(named @ ('p' | 'P' | 'x')) => {
            out.extend(['\\', named]);
            if rest.peek() == Some(&'{') {
                copy_to('}', rest, out);
            }
        }
        Some(other) => out.extend(['\\', other]),
        None => out.push('\\'),
    }
}

/// `\012`; a single digit besides zero is a back-reference, which neither has.
fn octal(first: char, rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut digits = String::from(first);
    while digits.len() < 3 {
        match rest.next_if(|next| matches!(next, '0'..='7')) {
            Some(digit) => digits.push(digit),
            None => break,
        }
    }
    match u32::from_str_radix(&digits, 8) {
        Ok(code) if first == '0' || digits.len() > 1 => {
            out.push_str(&format!(r"\x{{{code:x}}}"));
        }
        _ => out.extend(['\\', first]),
    }
}

/// Text up to `\E`, or to the end.
fn quoted(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut text = String::new();
    while let Some(character) = rest.next() {
        if character == '\\' && rest.next_if_eq(&'E').is_some() {
            break;
        }
        text.push(character);
    }
    out.push_str(&regex::escape(&text));
}

/// A class after its `[`, to its `]`.
fn class(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    out.extend(rest.next_if_eq(&'^'));
    // A bracket that comes first is an ordinary member.
    if rest.next_if_eq(&']').is_some() {
        out.push_str(r"\]");
    }
    let mut previous = None;
    // A dash after `\d` and its like is an ordinary member.
    let mut after_set = false;
    while let Some(character) = rest.next() {
        match character {
            ']' => {
                out.push(']');
                return;
            }
            '\\' => {
                after_set = matches!(rest.peek(), Some('d' | 'D' | 'w' | 'W' | 's' | 'S'));
                escape(rest, out);
                previous = Some('\\');
                continue;
            }
            // `[:alpha:]`
            '[' if rest.peek() == Some(&':') => {
                out.push('[');
                copy_to(']', rest, out);
            }
            '[' | '&' | '~' => out.extend(['\\', character]),
            '-' if after_set || previous == Some('-') => out.push_str(r"\-"),
            other => out.push(other),
        }
        after_set = false;
        previous = Some(character);
    }
}

fn copy_to(end: char, rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    for character in rest.by_ref() {
        out.push(character);
        if character == end {
            return;
        }
    }
}

/// Whether `2}`, `2,}` or `2,3}` follows.
fn is_count(mut rest: Peekable<Chars<'_>>) -> bool {
    let digits = |rest: &mut Peekable<Chars<'_>>| {
        let mut count = 0;
        while rest.next_if(char::is_ascii_digit).is_some() {
            count += 1;
        }
        count
    };
    if digits(&mut rest) == 0 {
        return false;
    }
    if rest.next_if_eq(&',').is_some() {
        digits(&mut rest);
    }
    rest.next() == Some('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let pattern = format!(r"\A(?:{})\z", to_regex(pattern).unwrap());
        regex::bytes::Regex::new(&pattern).unwrap().is_match(text.as_bytes())
    }

    #[test]
    fn what_both_read_alike_stays_as_it_is() {
        for pattern in
            [r"/a/[0-9a-f]{8}(?:-x)?\.(js|css)", r"a{2,3}b{4,}", r"[^/]+\d\[\]", "[[:alpha:]_]", r"\pL\p{Greek}\x{ff}"]
        {
            assert_eq!(to_regex(pattern).as_deref(), Ok(pattern));
        }
    }

    #[test]
    fn what_they_read_differently_means_what_re2_says() {
        for (pattern, yes, no) in [
            (r"/users/{id}\d{2}", "/users/{id}12", "/users/1"),
            ("a{,2}", "a{,2}", "aa"),
            ("a{", "a{", "a"),
            ("[^[]+", "ab", "a["),
            ("[[a]+", "[a", "b"),
            ("[a&&b]+", "a&b", "c"),
            ("[+--]+", "+,-", "."),
            ("[a~~b]", "~", "c"),
            ("[]a]+", "]a", "["),
            ("[^]a]+", "bc", "]"),
            (r"\<a\>", "<a>", "a"),
            (r"[\<]", "<", "a"),
            (r"\Qa.b\E.", "a.bc", "aXbc"),
            (r"\Qa+", "a+", "aa"),
            (r"\C", "x", ""),
            ("[[:digit:][]+", "1[", "a"),
            (r"\101[\102]", "AB", "12"),
            (r"[\d-z]+", "1-z", "e"),
            (r"\bx\b{y}", "x{y}", "x"),
        ] {
            assert!(matches(pattern, yes), "{pattern} and {yes}");
            assert!(!matches(pattern, no), "{pattern} and {no}");
        }
    }

    #[test]
    fn a_group_cannot_close_what_is_around_the_expression() {
        assert!(to_regex("a)(b").is_err());
        assert!(to_regex(r"\)[)](a)").is_ok());
    }

    #[test]
    fn what_is_broken_does_not_panic() {
        for pattern in ["[", "[^", "[]", "\\", "[\\", "[[:", "{", r"\Q", "a{1", "(?"] {
            let _ = to_regex(pattern);
        }
    }
}
