//! Where in a configuration something is: `static_resources.clusters[0].name`.
//!
//! A path uses the proto names, list indexes in brackets and map keys in quoted brackets
//! (`typed_per_filter_config["envoy.filters.http.cors"]`). What an Any holds comes directly
//! under the Any's field. The walker and the wire validation keep one while they go down;
//! `steps` takes a written one apart again.

use std::fmt;

/// One step down.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step<'a> {
    Field(&'a str),
    Index(usize),
    Key(Box<str>),
}

/// The steps from the top message to where one is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path<'a>(Vec<Step<'a>>);

impl<'a> Path<'a> {
    pub(crate) fn push(&mut self, step: Step<'a>) {
        self.0.push(step);
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of the innermost field, for messages.
    pub(crate) fn field(&self) -> &str {
        let named = |step: &Step<'a>| match step {
            Step::Field(name) => Some(*name),
            _ => None,
        };
        self.0.iter().rev().find_map(named).unwrap_or("the configuration")
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    write!(f, "[\"{}\"]", key.replace('\\', "\\\\").replace('"', "\\\""))?;
                }
            }
        }
        Ok(())
    }
}

/// The steps of a written path. Stops at the first thing that is none.
pub(crate) fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        let step;
        (step, rest) = next(rest)?;
        Some(step)
    })
}

fn next(path: &str) -> Option<(Step<'_>, &str)> {
    let path = path.strip_prefix('.').unwrap_or(path);
    if let Some(quoted) = path.strip_prefix("[\"") {
        let mut key = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => key.extend(characters.next().map(|(_, escaped)| escaped)),
                '"' => {
                    let rest = quoted.get(at + 1..)?.strip_prefix(']')?;
                    return Some((Step::Key(key.into()), rest));
                }
                other => key.push(other),
            }
        }
        return None;
    }
    if let Some(bracket) = path.strip_prefix('[') {
        let (index, rest) = bracket.split_once(']')?;
        return Some((Step::Index(index.parse().ok()?), rest));
    }
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at_checked(end)?;
    (!name.is_empty()).then_some((Step::Field(name), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_path_comes_apart_into_the_steps_it_was_written_from() {
        let mut path = Path::default();
        for step in
            [Step::Field("a"), Step::Index(12), Step::Field("b"), Step::Key("x.\"y\"\\[1]".into()), Step::Field("c")]
        {
            path.push(step);
        }
        let written = path.to_string();
        assert_eq!(written, "a[12].b[\"x.\\\"y\\\"\\\\[1]\"].c");
        assert_eq!(steps(&written).collect::<Vec<_>>(), path.0);
    }

    #[test]
    fn an_unreadable_path_gives_what_is_readable() {
        assert_eq!(steps("a[x].b").collect::<Vec<_>>(), [Step::Field("a")]);
        assert_eq!(steps("").count(), 0);
        assert_eq!(steps("..").count(), 0);
    }
}
