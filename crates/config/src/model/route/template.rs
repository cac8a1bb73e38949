//! `envoy.path.match.uri_template`: paths with wildcards and named parts.
//!
//! A template is a list of segments: literal text, `*` (one segment of characters), `**` (any
//! text, slashes included) or `{name}`, `{name=pattern}` with a pattern of the same kind. A
//! named part may have literal text before and after it within its segment; after a wildcard
//! such text is possible at the end only. It becomes a regular expression over the path without
//! query, with a named group per variable, which rewriting reads. At most 5 variables, with names
//! of 1 to 16 characters; nothing but literal text after `**`.
//!
//! Envoy does not escape `*` within literal text, so that there it says "any number of the
//! character before"; two of them make an expression that no path matches.

use regex::bytes::Regex;

/// Most variables of a template.
const MAX_VARIABLES: usize = 5;
/// Longest name of a variable.
const MAX_NAME: usize = 16;
/// What literal text may hold, as a class of a regular expression.
const LITERAL: &str = r"a-zA-Z0-9\-._~%!$&'()+,;:@=*";

/// A path template, ready.
#[derive(Clone, Debug)]
pub struct UriTemplate {
    /// `path_template` as written.
    pub text: String,
    /// The expression for the whole path; its groups are named as the variables. `None` when no
    /// path can match.
    pub regex: Option<Regex>,
    /// Names of the variables, in order.
    pub variables: Vec<String>,
    /// What every path that matches starts with.
    pub start: String,
}

impl UriTemplate {
    /// True when `path`, which has no query, matches.
    pub fn matches(&self, path: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(path.as_bytes()))
    }
}

/// Reads a template; the error says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<UriTemplate, String> {
    let rest = text.strip_prefix('/').ok_or("it does not start with `/`")?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it holds something besides printable ASCII".to_owned());
    }
    let mut reader = Reader { expression: "/".to_owned(), start: "/".to_owned(), ..Reader::default() };
    reader.segments(rest)?;
    let regex = match reader.never {
        true => None,
        false => Some(Regex::new(&format!(r"\A(?:{})\z", reader.expression)).map_err(|error| error.to_string())?),
    };
    Ok(UriTemplate { text: text.to_owned(), regex, variables: reader.variables, start: reader.start })
}

#[derive(Default)]
struct Reader {
    expression: String,
    start: String,
    /// Something besides literal text came; `start` does not grow any more.
    started: bool,
    variables: Vec<String>,
    text_glob: bool,
    never: bool,
}

impl Reader {
    fn segments(&mut self, mut rest: &str) -> Result<(), String> {
        while !rest.is_empty() {
            rest = self.segment(rest)?;
            if let Some(more) = rest.strip_prefix('/') {
                self.expression.push('/');
                self.literal_start("/");
                rest = more;
            }
        }
        Ok(())
    }

    /// Reads one segment; answers what follows, from its slash on.
    fn segment<'t>(&mut self, rest: &'t str) -> Result<&'t str, String> {
        let (segment, after) = split_at_slash(rest);
        if rest.starts_with('*') {
            let rest = self.operator(rest)?;
            if !rest.is_empty() && !rest.starts_with('/') {
                let (suffix, after) = split_at_slash(rest);
                self.literal(suffix)?;
                if !after.is_empty() {
                    return Err("text right after a wildcard is possible in the last segment only".to_owned());
                }
                return Ok("");
            }
            return Ok(rest);
        }
        if segment.starts_with('{') || (segment.contains('{') && segment.contains('}')) {
            return self.with_variable(rest);
        }
        self.literal(segment)?;
        Ok(after)
    }

    /// `prefix{variable}suffix`
    fn with_variable<'t>(&mut self, rest: &'t str) -> Result<&'t str, String> {
        let (prefix, from) = rest.split_once('{').unwrap_or((rest, ""));
        if !prefix.is_empty() {
            self.literal(prefix)?;
        }
        let (variable, after) = from.split_once('}').ok_or_else(|| format!("`{{{from}` lacks its closing bracket"))?;
        let (suffix, after) = split_at_slash(after);
        self.variable(variable)?;
        if !suffix.is_empty() {
            self.literal(suffix)?;
        }
        Ok(after)
    }

    fn variable(&mut self, text: &str) -> Result<(), String> {
        let (name, pattern) = match text.split_once('=') {
            Some((name, pattern)) => (name, Some(pattern)),
            None => (text, None),
        };
        self.name(name)?;
        self.started = true;
        self.expression.push_str(&format!("(?P<{name}>"));
        match pattern {
            None => self.glob(false)?,
            Some("") => return Err(format!("variable `{name}` has an empty pattern")),
            Some(pattern) => self.pattern(name, pattern)?,
        }
        self.expression.push(')');
        self.variables.push(name.to_owned());
        Ok(())
    }

    fn name(&self, name: &str) -> Result<(), String> {
        let starts = name.starts_with(|first: char| first.is_ascii_alphabetic());
        if !starts || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("`{name}` is no name of a variable: a letter, then letters, digits and `_`"));
        }
        if name.len() > MAX_NAME {
            return Err(format!("the name `{name}` is longer than {MAX_NAME} characters"));
        }
        if self.variables.iter().any(|other| other == name) {
            return Err(format!("variable `{name}` comes twice"));
        }
        if self.variables.len() == MAX_VARIABLES {
            return Err(format!("there are more than {MAX_VARIABLES} variables"));
        }
        Ok(())
    }

    /// What a variable stands for: wildcards and literals between slashes.
    fn pattern(&mut self, name: &str, pattern: &str) -> Result<(), String> {
        let mut rest = pattern;
        loop {
            let (part, after) = split_at_slash(rest);
            if rest.starts_with('*') {
                rest = self.operator(rest)?;
            } else {
                self.literal(part)?;
                rest = after;
            }
            if rest.is_empty() {
                return Ok(());
            }
            match rest.strip_prefix('/') {
                Some(more) if !more.is_empty() => {
                    self.expression.push('/');
                    rest = more;
                }
                _ => return Err(format!("`{rest}` cannot stand in the pattern of variable `{name}`")),
            }
        }
    }

    fn operator<'t>(&mut self, rest: &'t str) -> Result<&'t str, String> {
        self.started = true;
        match rest.strip_prefix("**") {
            Some(rest) => {
                self.glob(true)?;
                self.never |= rest.starts_with('*');
                Ok(rest)
            }
            None => {
                self.glob(false)?;
                Ok(rest.strip_prefix('*').unwrap_or(rest))
            }
        }
    }

    fn glob(&mut self, text: bool) -> Result<(), String> {
        if self.text_glob {
            return Err("nothing but literal text can come after `**`".to_owned());
        }
        self.text_glob = text;
        self.expression.push_str(&match text {
            true => format!("[{LITERAL}/]*"),
            false => format!("[{LITERAL}]+"),
        });
        Ok(())
    }

    fn literal(&mut self, text: &str) -> Result<(), String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=*".contains(&byte);
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(format!("`{text}` is no literal text of a path"));
        }
        self.never |= text.contains("**");
        for character in text.chars() {
            if matches!(character, '$' | '(' | ')' | '+' | '.') {
                self.expression.push('\\');
            }
            self.expression.push(character);
        }
        match text.find('*') {
            None => self.literal_start(text),
            // The star makes the character before it optional.
            Some(at) => {
                self.literal_start(text.get(..at.saturating_sub(1)).unwrap_or_default());
                self.started = true;
            }
        }
        Ok(())
    }

    fn literal_start(&mut self, text: &str) {
        if !self.started {
            self.start.push_str(text);
        }
    }
}

/// A segment, and what follows it from its slash on.
fn split_at_slash(text: &str) -> (&str, &str) {
    text.split_at(text.find('/').unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(template: &str, path: &str) -> bool {
        parse(template).unwrap_or_else(|error| panic!("{template}: {error}")).matches(path)
    }

    #[test]
    fn templates_match_what_envoy_matches() {
        for (template, yes, no) in [
            ("/", &["/"][..], &["/a"][..]),
            (
                "/a/*",
                &["/a/b", "/a/*", "/a/b=c", "/a/%20", "/a/b;c"],
                &["/a", "/a/", "/a/b/", "/a/b/c", "/A/b", "/a/[b]"],
            ),
            ("/b/**", &["/b/", "/b/x", "/b/x/y/", "/b//x"], &["/b"]),
            ("/c/{x}", &["/c/a"], &["/c/", "/c/a/"]),
            ("/d/{x=*}/b", &["/d/x/b"], &["/d//b", "/d/x/y/b"]),
            ("/e/{x=a/*}/**", &["/e/a/b/", "/e/a/b/c/d"], &["/e/a/b", "/e/x/b/c"]),
            ("/f/", &["/f/"], &["/f", "/f/x"]),
            ("/g/**/a", &["/g//a", "/g/b/a", "/g/b/c/a"], &["/g/a", "/g/b/c"]),
            ("/h/*.jpg", &["/h/x.jpg"], &["/h/.jpg", "/h/x/y.jpg", "/h/xjpg"]),
            ("/i*", &["/i", "/ii", "/"], &["/ix"]),
            ("/j/{x}.jpg", &["/j/a.jpg", "/j/a.b.jpg"], &["/j/.jpg"]),
            ("/k/{x=**}.jpg", &["/k/.jpg", "/k/a/b.jpg"], &["/k/ajpg"]),
            ("/l***", &[], &["/l", "/l***"]),
            ("/w/a**b", &[], &["/w/ab", "/w/axb"]),
            ("/m{y}", &["/ma"], &["/m", "/ma/b"]),
            ("/r*b*", &["/rb", "/b", "/", "/rrbb"], &["/rxb"]),
            ("/s{x}t/u", &["/sxt/u"], &["/st/u"]),
            ("/u.+$()", &["/u.+$()"], &["/ux+$()"]),
            ("/v/**.m", &["/v/.m", "/v/a/b.m"], &["/v/m"]),
            ("/y/{a=b*}", &["/y/b", "/y/", "/y/bb"], &["/y/bx"]),
            ("/H/{x}*", &["/H/", "/H/x"], &["/H"]),
            ("/M/*/", &["/M/x/"], &["/M/x"]),
            ("/T/{a=**/x}", &["/T//x", "/T/a/b/x"], &["/T/x"]),
            ("/V/a{x}b/c{y}d", &["/V/axb/cyd"], &["/V/axb/c/d"]),
        ] {
            for path in yes {
                assert!(matches(template, path), "{template} and {path}");
                let start = parse(template).expect("a template").start;
                assert!(path.starts_with(&start), "{template} and {path}: {start}");
            }
            for path in no {
                assert!(!matches(template, path), "{template} and {path}");
            }
        }
    }

    #[test]
    fn what_envoy_refuses_is_refused() {
        for template in [
            "",
            "a",
            "//",
            "/a//b",
            "/**/*",
            "/*/**/*",
            "/{x}/{x}",
            "/{a}/{b}/{c}/{d}/{e}/{f}",
            "/{abcdefghijklmnopq}",
            "/{1a}",
            "/{a-b}",
            "/{}",
            "/{a",
            "/a}",
            "/{a=}",
            "/{a=/b}",
            "/{a=b/}",
            "/{a=b//c}",
            "/{a=**}/{b}",
            "/{a=**}/*",
            "/a b",
            "/a?b",
            "/**/x.{y}",
            "/*a/b",
            "/{x=*a}",
            "/{a={b}}",
            "/p/{x}-{y}",
            "/q/{x}{y}/z",
            "/x/{a=*.jpg}",
            "/B/*{a}",
            "/C/{a}b{c}d/{e}",
            "/a{b",
            "/?{b}",
            "/a}{b}",
            "/{b}?",
            "/a{x}/*b/c",
            "/O/a{x=b/c}d",
            "/P/*.jpg/",
            "/{a=**/*}",
            "/{a}}",
            "/Z/[a]",
            "/é",
            "/a{}",
            "/ab/**/**",
            "/***/a",
        ] {
            assert!(parse(template).is_err(), "{template}");
        }
    }

    #[test]
    fn variables_are_named_groups() {
        let template = parse("/{lang=en/*}/v{version}").expect("a template");
        assert_eq!(template.variables, ["lang", "version"]);
        let captures = template.regex.as_ref().and_then(|regex| regex.captures(b"/en/us/v2")).expect("it matches");
        assert_eq!((&captures["lang"], &captures["version"]), (&b"en/us"[..], &b"2"[..]));
    }
}
