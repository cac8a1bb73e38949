//! Headers to add and remove.

use super::*;
use crate::model::header::{AddedValue, AppendAction};

fn adding(option: &str) -> String {
    with_host(&format!("request_headers_to_add: [{option}], {ALL_TO_C}"))
}

fn added(option: &str) -> crate::model::header::HeaderAddition {
    let bootstrap = quiet(&adding(option));
    let RouteSource::Static(table) = &manager_of(&bootstrap).routes;
    table.virtual_hosts[0].request_headers.add[0].clone()
}

#[test]
fn a_plain_value_is_ready_to_be_sent() {
    let addition = added("{header: {key: X-A, value: 'fifty %%'}, keep_empty_value: true}");
    assert_eq!(addition.name.as_str(), "x-a");
    assert!(matches!(&addition.value, AddedValue::Literal(value) if value == "fifty %"));
    assert_eq!((addition.raw.as_str(), addition.keep_empty_value), ("fifty %%", true));
    assert_eq!(addition.action, AppendAction::AppendIfExistsOrAdd);
}

#[test]
fn a_value_with_operators_is_parsed() {
    let addition = added("{header: {key: a, value: '%REQ(b)%'}, append_action: ADD_IF_ABSENT}");
    assert!(matches!(addition.value, AddedValue::Format(_)));
    assert_eq!(addition.action, AppendAction::AddIfAbsent);
}

#[test]
fn mistakes_in_added_headers_are_found() {
    for (option, code, path) in [
        ("{header: {key: ':path', value: x}}", "protected-header", "request_headers_to_add[0].header.key"),
        ("{header: {key: Host, value: x}}", "protected-header", "request_headers_to_add[0].header.key"),
        ("{header: {key: a, value: '%NOSUCH%'}}", "bad-format", "request_headers_to_add[0].header.value"),
        ("{header: {key: a, value: '5%'}}", "bad-format", "request_headers_to_add[0].header.value"),
    ] {
        assert_eq!(only_error(&adding(option)), (code, format!("{ROUTES}.{path}")));
    }
}

#[test]
fn protected_headers_cannot_be_removed() {
    for name in ["host", "':authority'"] {
        let yaml = with_host(&format!("response_headers_to_remove: [x, {name}], {ALL_TO_C}"));
        assert_eq!(only_error(&yaml), ("protected-header", format!("{ROUTES}.response_headers_to_remove[1]")));
    }
}
