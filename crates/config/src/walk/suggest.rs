//! Did you mean? The nearest names by edit distance.

use crate::schema::{Enumeration, Message};

/// Names that people write for another one that is not near it in letters.
const ALSO_KNOWN_AS: [(&str, &str); 3] =
    [("config", "typed_config"), ("tls_context", "transport_socket"), ("hosts", "load_assignment")];

/// The field that was probably meant by `written`.
pub(super) fn field(message: Message, written: &str) -> Option<&'static str> {
    let written = snake(written);
    let renamed = ALSO_KNOWN_AS.iter().find(|(old, _)| *old == written);
    let renamed = renamed.and_then(|(_, new)| message.field_written(new));
    if let Some(field) = renamed {
        return Some(field.name());
    }
    let names = || message.fields().map(|field| field.name());
    nearest(&written, names()).or_else(|| {
        // `port` for `port_value`: only when one field alone goes on from it.
        let mut longer =
            names().filter(|name| name.strip_prefix(written.as_str()).is_some_and(|rest| rest.starts_with('_')));
        let first = longer.next()?;
        longer.next().is_none().then_some(first)
    })
}

/// All fields, when there are few.
pub(super) fn fields(message: Message) -> Option<String> {
    const FEW: usize = 12;
    let names: Vec<&str> = message.fields().take(FEW + 1).map(|field| field.name()).collect();
    match names.len() {
        0 => Some("it has no fields at all".to_owned()),
        1..=FEW => Some(format!("its fields are {}", quoted(&names))),
        _ => None,
    }
}

/// The message type that was probably meant.
pub(super) fn message(written: &str) -> Option<&'static str> {
    nearest(written, Message::all().map(Message::name)).or_else(|| {
        // The right message in the wrong package.
        let last = |name: &str| name.rsplit_once('.').map(|(_, last)| last.to_owned());
        let wanted = last(written)?;
        let mut same = Message::all()
            .map(Message::name)
            .filter(|name| name.contains(".v3.") && last(name).as_ref() == Some(&wanted));
        let first = same.next()?;
        same.next().is_none().then_some(first)
    })
}

/// What an enum accepts, nearest first.
pub(super) fn enum_value(enumeration: Enumeration, written: &str) -> String {
    const FEW: usize = 12;
    let names: Vec<&str> = enumeration.values().map(|value| value.name).collect();
    let upper = snake(written).to_ascii_uppercase();
    match nearest(&upper, names.iter().copied()) {
        Some(guess) => format!("did you mean {guess}?"),
        None if names.len() <= FEW => format!("it is one of {}", names.join(", ")),
        None => format!("it is one of {}, …", names.get(..FEW).unwrap_or_default().join(", ")),
    }
}

fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let furthest = (written.len() / 3).clamp(1, 6);
    names
        .filter(|name| name.len().abs_diff(written.len()) <= furthest)
        .map(|name| (strsim::damerau_levenshtein(written, name), name))
        .filter(|(distance, _)| *distance <= furthest)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// `connectTimeout` and `connect-timeout` as `connect_timeout`.
fn snake(written: &str) -> String {
    let mut snake = String::new();
    let has_lower = written.contains(|character: char| character.is_ascii_lowercase());
    for character in written.trim().chars() {
        match character {
            'A'..='Z' if has_lower => {
                if !snake.is_empty() && !snake.ends_with('_') {
                    snake.push('_');
                }
                snake.push(character.to_ascii_lowercase());
            }
            '-' => snake.push('_'),
            other => snake.push(other.to_ascii_lowercase()),
        }
    }
    snake
}
