use super::*;

#[test]
fn every_name_in_the_table_exists() {
    for support in table::all() {
        let message = Message::named(support.message);
        let message = message.unwrap_or_else(|| panic!("there is no message {}", support.message));
        let names: Vec<_> = message.fields().map(|field| field.name()).collect();
        let reasoned = support.ignored.iter().chain(support.never).map(|(name, _)| name);
        for name in support.handled.iter().chain(reasoned).filter(|name| **name != "*") {
            assert!(names.contains(name), "{} has no field {name}", support.message);
        }
    }
}

#[test]
fn no_message_stands_twice_in_the_table() {
    let mut seen = FxHashSet::default();
    for support in table::all() {
        assert!(seen.insert(support.message), "{} stands twice", support.message);
    }
}

#[test]
fn what_a_handled_field_holds_is_in_the_table_too() {
    for support in table::all() {
        let message = Message::named(support.message).unwrap();
        for field in message.fields().filter(|field| support.status(field.name()) == Status::Handled) {
            let held = match (field.map(), field.kind) {
                (Some(entry), _) => match entry.entry().unwrap().1.kind {
                    Kind::Message(inner) => inner,
                    _ => continue,
                },
                (None, Kind::Message(inner)) => inner,
                _ => continue,
            };
            assert!(
                held.well_known().is_some() || INDEX.messages.contains(&held),
                "{}.{} holds {}, which is not in the table",
                support.message,
                field.name(),
                held.name()
            );
        }
    }
}

#[test]
fn the_page_names_every_message_and_what_becomes_of_its_fields() {
    let page = compatibility_markdown();
    assert!(page.contains("## envoy.config.route.v3.RouteAction\n\n- Supported: `cluster`"), "{page}");
    assert!(page.contains("- Ignored: `watchdogs`: there are no watchdog threads"));
    assert!(page.contains("`retry_policy`"));
}
