//! Readings of values, layers, and news from the source.

use super::*;

fn layer(name: &str, values: &[(&str, RuntimeValue)]) -> RuntimeLayer {
    let values = values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    RuntimeLayer { name: name.to_owned(), values }
}

fn one(value: RuntimeValue) -> Runtime {
    Runtime::fixed(vec![layer("l", &[("k", value)])])
}

/// The first draw of a million that is out, when all are in by default.
fn first_out(runtime: &Runtime) -> u64 {
    let is_in = |random: u64| runtime.feature_enabled("k", 1, 1, random);
    let edges = [0, 5, 7, 1_000_000];
    let first = edges.into_iter().find(|at| !is_in(*at)).unwrap_or(1_000_000);
    assert!(first == 0 || is_in(first - 1));
    first
}

#[test]
fn a_fraction_replaces_the_default_and_a_number_is_percent() {
    for (value, expected) in [
        (RuntimeValue::fraction((5, 10_000)), 5),
        (RuntimeValue::fraction((5, 1_000_000)), 5),
        (RuntimeValue::fraction((200, 100)), 1_000_000),
        (RuntimeValue::number(7.0), 7),
        (RuntimeValue::number(7.9), 7),
        (RuntimeValue::number(101.0), 1_000_000),
        (RuntimeValue::text("7"), 7),
        (RuntimeValue::text(" 0 "), 0),
        (RuntimeValue::text("0.5"), 0),
        // These have no such reading: the default holds.
        (RuntimeValue::number(-1.0), 1_000_000),
        (RuntimeValue::flag(false), 1_000_000),
        (RuntimeValue::text("{numerator: 0}"), 1_000_000),
    ] {
        assert_eq!(first_out(&one(value.clone())), expected, "{value:?}");
    }
}

#[test]
fn every_reading_falls_back_to_its_default() {
    let number = one(RuntimeValue::number(2.5));
    assert_eq!((number.u64("k", 9), number.f64("k", 9.0), number.bool("k", true)), (2, 2.5, true));
    let flag = one(RuntimeValue::flag(true));
    assert_eq!((flag.u64("k", 9), flag.f64("k", 9.0), flag.bool("k", false)), (9, 9.0, true));
    let text = one(RuntimeValue::text("true"));
    assert_eq!((text.u64("k", 9), text.bool("k", false), text.text("k").as_deref()), (9, false, Some("true")));
    let negative = one(RuntimeValue::number(-3.0));
    assert_eq!((negative.u64("k", 9), negative.f64("k", 9.0), negative.bool("k", false)), (9, -3.0, true));
    assert!(!one(RuntimeValue::text("0")).bool("k", true));
    assert_eq!(Runtime::default().u64("k", 9), 9);
    assert!(!Runtime::default().has_values() && text.has_values());
    assert!(text.has("k") && !text.has("other") && !text.has(""));
}

#[test]
fn an_empty_key_is_never_looked_up() {
    let runtime = Runtime::fixed(vec![layer("l", &[("", RuntimeValue::number(0.0))])]);
    assert_eq!(runtime.u64("", 9), 9);
    assert!(runtime.feature_enabled("", 1, 1, 0) && runtime.text("").is_none());
}

#[test]
fn later_layers_replace_whole_values() {
    let layers = vec![
        layer("a", &[("k", RuntimeValue::fraction((0, 100))), ("other", RuntimeValue::number(1.0))]),
        layer("b", &[("k", RuntimeValue::text(""))]),
    ];
    let snapshot = RuntimeSnapshot::new(layers);
    assert_eq!((snapshot.key_count(), snapshot.u64("other", 0)), (2, 1));
    assert!(snapshot.feature_enabled("k", 1, 1, 0), "the empty text hides the fraction");
}

#[test]
fn a_new_snapshot_is_seen_with_the_next_question() {
    let source = RuntimeSource::new(Vec::new());
    let runtime = Runtime::new(&source);
    let other = runtime.clone();
    assert_eq!(runtime.u64("k", 9), 9);
    source.replace(RuntimeSnapshot::new(vec![layer("l", &[("k", RuntimeValue::number(3.0))])]));
    assert_eq!((runtime.u64("k", 9), other.u64("k", 9), Runtime::new(&source).u64("k", 9)), (3, 3, 3));
    source.replace(RuntimeSnapshot::default());
    assert_eq!(runtime.u64("k", 9), 9);
}

#[test]
fn numbers_show_six_digits() {
    for (number, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (42.0, "42"),
        (-3.0, "-3"),
        (100.0, "100"),
        (1.5, "1.5"),
        (0.1, "0.1"),
        (1.0 / 3.0, "0.333333"),
        (0.0001, "0.0001"),
        (0.000_01, "1e-05"),
        (999_999.0, "999999"),
        (999_999.9, "1e+06"),
        (1_000_000.0, "1e+06"),
        (123_456_789.0, "1.23457e+08"),
        (1e25, "1e+25"),
        (1e-7, "1e-07"),
    ] {
        assert_eq!(RuntimeValue::number(number).as_text(), text);
    }
    assert_eq!(RuntimeValue::fraction((5, 10_000)).as_text(), "{numerator: 5, denominator: TEN_THOUSAND}");
    assert_eq!(RuntimeValue::number(5.0).written("0x5").as_text(), "0x5");
}
