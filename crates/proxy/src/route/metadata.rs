//! Questions about metadata and filter state. What is absent matches nothing, so that an
//! inverted question about it is answered with yes.

use std::collections::BTreeMap;

use nuncio_config::model::{
    metadata::{MetadataMatcher, ValueMatcher},
    route::{FilterStateMatcher, FilterStateValue},
};
use serde_json::{Map, Value};

use crate::hcm::cidr;

/// The value that a matcher looks at.
pub(super) fn value_at<'m>(
    metadata: Option<&'m BTreeMap<String, Map<String, Value>>>,
    matcher: &MetadataMatcher,
) -> Option<&'m Value> {
    let (first, rest) = matcher.path.split_first()?;
    let mut value = metadata?.get(&matcher.filter)?.get(first)?;
    for key in rest {
        value = value.as_object()?.get(key)?;
    }
    Some(value)
}

/// True when the metadata is as the matcher wants it.
pub(super) fn metadata_matches(
    metadata: Option<&BTreeMap<String, Map<String, Value>>>,
    matcher: &MetadataMatcher,
) -> bool {
    let matched = value_at(metadata, matcher).is_some_and(|value| value_matches(value, &matcher.value));
    matched != matcher.invert
}

fn value_matches(value: &Value, wanted: &ValueMatcher) -> bool {
    match wanted {
        ValueMatcher::Null => value.is_null(),
        #[expect(clippy::float_cmp, reason = "the API says: exactly this number")]
        ValueMatcher::Number(number) => value.as_f64().is_some_and(|found| found == *number),
        ValueMatcher::Range(start, end) => value.as_f64().is_some_and(|found| (*start..*end).contains(&found)),
        ValueMatcher::String(text) => value.as_str().is_some_and(|found| text.matches(found.as_bytes())),
        ValueMatcher::Bool(flag) => value.as_bool() == Some(*flag),
        // Envoy cannot be asked for absence this way: `false` never matches.
        ValueMatcher::Present(present) => *present,
        ValueMatcher::AnyElement(one) => {
            value.as_array().is_some_and(|list| list.iter().any(|item| value_matches(item, one)))
        }
        ValueMatcher::Any(all) => all.iter().any(|one| value_matches(value, one)),
    }
}

/// True when the filter state object is as the matcher wants it.
pub(super) fn filter_state_matches(state: Option<&BTreeMap<String, String>>, matcher: &FilterStateMatcher) -> bool {
    let Some(found) = state.and_then(|state| state.get(&matcher.key)) else { return false };
    match &matcher.value {
        FilterStateValue::String(text) => text.matches(found.as_bytes()),
        FilterStateValue::Address { ranges, invert } => {
            found.parse().is_ok_and(|address| cidr::contains_any(ranges, address) != *invert)
        }
    }
}

#[cfg(test)]
mod tests {
    use nuncio_config::model::{StringMatcher, matcher::Case};
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_is_followed_down_its_path() {
        let all = json!({"f": {"a": {"b": 1.5, "l": [null, "x"], "t": true, "s": "text", "n": null}}});
        let all: BTreeMap<String, Map<String, Value>> = serde_json::from_value(all).unwrap();
        let check = |key: &str, value: ValueMatcher, invert| {
            let path = vec!["a".to_owned(), key.to_owned()];
            metadata_matches(Some(&all), &MetadataMatcher { filter: "f".into(), path, value, invert })
        };
        let text = |text: &str| ValueMatcher::String(StringMatcher::Exact(text.into(), Case::Sensitive));
        assert!(check("b", ValueMatcher::Number(1.5), false));
        assert!(check("b", ValueMatcher::Range(1.0, 2.0), false));
        assert!(!check("b", ValueMatcher::Range(1.0, 1.5), false));
        assert!(!check("b", text("1.5"), false));
        assert!(check("s", text("text"), false));
        assert!(!check("s", text("text"), true));
        assert!(check("t", ValueMatcher::Bool(true), false));
        assert!(check("n", ValueMatcher::Null, false));
        assert!(check("l", ValueMatcher::AnyElement(Box::new(text("x"))), false));
        assert!(check("b", ValueMatcher::Any(vec![ValueMatcher::Null, ValueMatcher::Number(1.5)]), false));
        assert!(check("b", ValueMatcher::Present(true), false));
        assert!(!check("b", ValueMatcher::Present(false), false));
        assert!(!check("gone", ValueMatcher::Present(false), false));
        assert!(!check("gone", ValueMatcher::Null, false));
        assert!(check("gone", ValueMatcher::Present(true), true));
        assert!(!metadata_matches(
            None,
            &MetadataMatcher {
                filter: "f".into(),
                path: vec!["a".into()],
                value: ValueMatcher::Present(true),
                invert: false
            }
        ));
    }

    #[test]
    fn filter_state_is_text_or_an_address() {
        let state = BTreeMap::from([("k".to_owned(), "10.1.2.3".to_owned())]);
        let check =
            |key: &str, value| filter_state_matches(Some(&state), &FilterStateMatcher { key: key.into(), value });
        let network = |invert| FilterStateValue::Address { ranges: vec![("10.0.0.0".parse().unwrap(), 8)], invert };
        let any = || FilterStateValue::String(StringMatcher::Prefix(String::new(), Case::Sensitive));
        assert!(check("k", any()) && check("k", network(false)) && !check("k", network(true)));
        assert!(!check("gone", any()) && !check("gone", network(true)));
        assert!(!filter_state_matches(None, &FilterStateMatcher { key: "k".into(), value: any() }));
    }
}
