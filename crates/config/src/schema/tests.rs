use super::*;

fn cluster() -> Message {
    Message::named("envoy.config.cluster.v3.Cluster").unwrap()
}

#[test]
fn messages_are_found_by_full_name_only() {
    assert_eq!(cluster().name(), "envoy.config.cluster.v3.Cluster");
    assert_eq!(Message::named("Cluster"), None);
    assert_eq!(Message::named(""), None);
    assert!(Message::all().all(|message| Message::named(message.name()) == Some(message)));
}

#[test]
fn fields_are_found_by_either_spelling_and_by_number() {
    let timeout = cluster().field_written("connect_timeout").unwrap();
    assert_eq!(cluster().field_written("connectTimeout").unwrap().id, timeout.id);
    assert_eq!(cluster().field_numbered(4).unwrap().id, timeout.id);
    assert!(cluster().field_written("connect_Timeout").is_none());
    assert!(cluster().field_written("CONNECT_TIMEOUT").is_none());
    assert!(timeout.rules().is_some());
    let Kind::Message(duration) = timeout.kind else { panic!("{timeout:?}") };
    assert_eq!(duration.well_known(), Some(WellKnown::Duration));
}

#[test]
fn every_field_of_every_message_can_be_read_back() {
    for message in Message::all() {
        for field in message.fields() {
            assert!(!field.name().is_empty(), "{message:?}");
            assert_eq!(message.field_numbered(field.number).unwrap().id, field.id);
            if let Some(oneof) = field.oneof() {
                assert!(message.oneof(oneof).is_some(), "{}", message.name());
            }
            if let Kind::Enum(enumeration) = field.kind {
                assert!(enumeration.values().next().is_some(), "{}", enumeration.name());
            }
        }
    }
}

#[test]
fn what_the_descriptor_set_lacks_is_added() {
    for name in ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"] {
        assert_eq!(Message::named(name).unwrap().well_known(), Some(WellKnown::TypedStruct));
    }
    assert!(Message::named("xds.type.matcher.v3.CelMatcher").is_some());
}

#[test]
fn lengths_of_nested_messages_are_written_after_their_content() {
    for length in [0usize, 1, 127, 128, 20_000] {
        let mut out = Vec::new();
        wire::put_nested(&mut out, 3, |out| out.resize(out.len() + length, 7));
        let mut reader = wire::Reader::new(&out);
        let Some((3, wire::Wire::Bytes(bytes))) = reader.next() else { panic!("{length}") };
        assert_eq!(bytes.len(), length);
        assert!(bytes.iter().all(|byte| *byte == 7));
        assert!(reader.next().is_none() && !reader.broken);
    }
}
