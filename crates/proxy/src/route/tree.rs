//! Walks the matcher of a virtual host to the routes it leads to.
//!
//! What leads nowhere is passed over: the next one of a list is tried, then a shorter prefix of a
//! map, then `on_no_match`. An input that is absent fails its predicate, and a map then has no
//! match.

use std::{borrow::Cow, sync::Arc};

use nuncio_config::model::route::{InputMatcher, MatchInput, MatchTree, OnMatch, Predicate, Route, TreeKind};

use super::{conditions::Asked, headers};
use crate::hcm::cidr;

/// The routes that a request is led to.
pub(super) fn routes<'t>(tree: &'t MatchTree, asked: &Asked<'_>) -> Option<&'t [Arc<Route>]> {
    let found = match &tree.kind {
        TreeKind::Nothing => None,
        TreeKind::List(list) => {
            let held = list.iter().filter(|(predicate, _)| holds(predicate, asked));
            held.map(|(_, leads)| leads).find_map(|leads| follow(leads, asked))
        }
        TreeKind::Exact(input, map) => read(input, asked)
            .and_then(|value| map.get(std::str::from_utf8(&value).ok()?))
            .and_then(|leads| follow(leads, asked)),
        TreeKind::Prefix(input, map) => read(input, asked).and_then(|value| {
            let text = std::str::from_utf8(&value).ok()?;
            let lengths = (0..=text.len()).rev();
            let prefixes = lengths.filter_map(|length| map.get(text.get(..length)?));
            prefixes.into_iter().find_map(|leads| follow(leads, asked))
        }),
    };
    found.or_else(|| follow(tree.on_no_match.as_deref()?, asked))
}

fn follow<'t>(leads: &'t OnMatch, asked: &Asked<'_>) -> Option<&'t [Arc<Route>]> {
    match leads {
        OnMatch::Tree(tree) => routes(tree, asked),
        OnMatch::Routes(routes) => Some(routes),
    }
}

fn holds(predicate: &Predicate, asked: &Asked<'_>) -> bool {
    match predicate {
        Predicate::Single(input, matcher) => read(input, asked).is_some_and(|value| judge(matcher, &value)),
        Predicate::Any(all) => all.iter().any(|one| holds(one, asked)),
        Predicate::All(all) => all.iter().all(|one| holds(one, asked)),
        Predicate::Not(one) => !holds(one, asked),
    }
}

fn judge(matcher: &InputMatcher, value: &[u8]) -> bool {
    match matcher {
        InputMatcher::String(text) => text.matches(value),
        InputMatcher::Address(ranges) => std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok())
            .is_some_and(|address| cidr::contains_any(ranges, address)),
    }
}

/// An input's value; a repeated header is one text.
fn read<'a>(input: &'a MatchInput, asked: &Asked<'a>) -> Option<Cow<'a, [u8]>> {
    match input {
        MatchInput::Header(name) => {
            let values = headers::values(asked.request, name);
            match values.as_slice() {
                [] => None,
                [one] => Some(Cow::Borrowed(*one)),
                many => Some(Cow::Owned(many.join(b",".as_slice()))),
            }
        }
        MatchInput::FilterState(key) => asked.context.filter_state?.get(key).map(|text| Cow::Borrowed(text.as_bytes())),
        MatchInput::Constant(text) => text.as_ref().map(|text| Cow::Borrowed(text.as_bytes())),
    }
}
