//! Messages that Envoy takes in an Any but that the descriptor set of `envoy-types` lacks.
//!
//! They are declared here field by field (xds/type/v3/typed_struct.proto,
//! udpa/type/v1/typed_struct.proto, xds/type/matcher/v3/{cel,http_inputs,ip,domain}.proto). A
//! message that a later `envoy-types` brings along is left as it is there.

use crate::descriptor::{Field, Message, Schema};

const STRING: u8 = 9;
const MESSAGE: u8 = 11;
const BOOL: u8 = 8;

/// validate.FieldRules{message: {required: true}}
const REQUIRED: &[u8] = &[0x8a, 0x01, 0x02, 0x10, 0x01];
/// validate.FieldRules{repeated: {min_items: 1}}
const NOT_EMPTY: &[u8] = &[0x92, 0x01, 0x02, 0x08, 0x01];

pub(crate) fn add_missing(schema: &mut Schema) {
    let on_match = || one("on_match", 2, MESSAGE, "xds.type.matcher.v3.Matcher.OnMatch", &[]);
    let typed_struct =
        || vec![one("type_url", 1, STRING, "", &[]), one("value", 2, MESSAGE, "google.protobuf.Struct", &[])];
    let matcher = "xds.type.matcher.v3";
    add(schema, "xds.type.v3.TypedStruct", typed_struct());
    add(schema, "udpa.type.v1.TypedStruct", typed_struct());
    add(schema, &format!("{matcher}.HttpAttributesCelMatchInput"), vec![]);
    let expression = "xds.type.v3.CelExpression";
    let cel = vec![one("expr_match", 1, MESSAGE, expression, REQUIRED), one("description", 2, STRING, "", &[])];
    add(schema, &format!("{matcher}.CelMatcher"), cel);
    let range = format!("{matcher}.IPMatcher.IPRangeMatcher");
    let ranges = vec![
        many("ranges", 1, MESSAGE, "xds.core.v3.CidrRange", NOT_EMPTY),
        on_match(),
        one("exclusive", 3, BOOL, "", &[]),
    ];
    add(schema, &range, ranges);
    let all = vec![many("range_matchers", 1, MESSAGE, &range, &[])];
    add(schema, &format!("{matcher}.IPMatcher"), all);
    let domain = format!("{matcher}.ServerNameMatcher.DomainMatcher");
    let domains = vec![many("domains", 1, STRING, "", NOT_EMPTY), on_match()];
    add(schema, &domain, domains);
    let all = vec![many("domain_matchers", 1, MESSAGE, &domain, &[])];
    add(schema, &format!("{matcher}.ServerNameMatcher"), all);
}

fn add(schema: &mut Schema, name: &str, fields: Vec<Field>) {
    if !schema.messages.iter().any(|message| message.name == name) {
        schema.messages.push(Message { name: name.to_owned(), fields, ..Message::default() });
    }
}

fn one(name: &str, number: u32, kind: u8, of: &str, rules: &[u8]) -> Field {
    let (name, of) = (name.to_owned(), of.to_owned());
    Field { name, number, kind, of, rules: rules.to_vec(), ..Field::default() }
}

fn many(name: &str, number: u32, kind: u8, of: &str, rules: &[u8]) -> Field {
    Field { repeated: true, ..one(name, number, kind, of, rules) }
}
