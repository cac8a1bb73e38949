//! Protobuf bytes as protobuf's JSON, for `/config_dump`.
//!
//! Walks over the wire bytes with the schema tables, so no descriptor pool is needed at run time.
//! Field names are those of the proto files, as Envoy's dump has them; fields that are not on the
//! wire are left out; order is that of field numbers. The bytes come from our own loader or passed
//! `validate`: what does not fit the schema (impossible) is left out rather than reported. Depth
//! is bounded by [`MAX_DEPTH`], below which an empty object stands.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use crate::schema::{
    Enumeration, Field, Kind, Message, WellKnown,
    wire::{Reader, Wire},
};

/// Deeper than any configuration; protobuf's own parsers stop at 100.
const MAX_DEPTH: u32 = 100;

/// A message of the given full name as JSON; `None` when there is no such type.
#[must_use]
pub fn to_json(type_name: &str, wire: &[u8]) -> Option<Value> {
    Some(message(Message::named(type_name)?, wire, MAX_DEPTH))
}

fn message(kind: Message, wire: &[u8], depth: u32) -> Value {
    let Some(depth) = depth.checked_sub(1) else {
        return Value::Object(Map::new());
    };
    match kind.well_known() {
        None | Some(WellKnown::TypedStruct) => Value::Object(plain(kind, wire, depth)),
        Some(WellKnown::Any) => any(wire, depth),
        Some(WellKnown::Duration) => Value::String(duration(wire)),
        Some(WellKnown::Timestamp) => Value::String(timestamp(wire)),
        Some(WellKnown::Struct) => structure(wire, depth),
        Some(WellKnown::Value) => value(wire, depth),
        Some(WellKnown::ListValue) => {
            let items = Reader::new(wire).filter_map(|(number, item)| bytes(item).filter(|_| number == 1));
            Value::Array(items.map(|item| value(item, depth)).collect())
        }
        Some(WellKnown::Wrapper) => wrapped(kind, wire, depth),
    }
}

fn plain(kind: Message, wire: &[u8], depth: u32) -> Map<String, Value> {
    let mut found: BTreeMap<u32, Vec<Wire<'_>>> = BTreeMap::new();
    for (number, occurrence) in Reader::new(wire) {
        found.entry(number).or_default().push(occurrence);
    }
    let mut object = Map::new();
    for (number, occurrences) in found {
        let Some(field) = kind.field_numbered(number) else {
            continue;
        };
        if let Some(value) = field_value(&field, &occurrences, depth) {
            object.insert(field.name().to_owned(), value);
        }
    }
    object
}

fn field_value(field: &Field, occurrences: &[Wire<'_>], depth: u32) -> Option<Value> {
    if let Some(entry) = field.map() {
        let entries = occurrences.iter().filter_map(|occurrence| map_entry(entry, bytes(*occurrence)?, depth));
        return Some(Value::Object(entries.collect()));
    }
    if field.is_repeated() {
        let items = occurrences.iter().flat_map(|occurrence| items(field.kind, *occurrence, depth));
        return Some(Value::Array(items.collect()));
    }
    if let Kind::Message(inner) = field.kind {
        // Several occurrences are one message in pieces.
        let pieces: Vec<&[u8]> = occurrences.iter().filter_map(|occurrence| bytes(*occurrence)).collect();
        return Some(message(inner, &pieces.concat(), depth));
    }
    let value = scalar(field.kind, *occurrences.last()?, depth)?;
    // Of a field that cannot tell unset from default, the default is as good as unset.
    let has_presence = field.is_optional() || field.oneof().is_some();
    (has_presence || value != default(field.kind)).then_some(value)
}

/// One occurrence of a repeated field: one element, or many when they are packed.
fn items(kind: Kind, occurrence: Wire<'_>, depth: u32) -> Vec<Value> {
    let is_packed = !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_));
    let Some(mut rest) = bytes(occurrence).filter(|_| is_packed) else {
        return scalar(kind, occurrence, depth).into_iter().collect();
    };
    let mut all = Vec::new();
    while !rest.is_empty() {
        let next = match kind {
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => rest
                .split_off(..8)
                .and_then(|part| part.try_into().ok())
                .map(|part| Wire::Fixed64(u64::from_le_bytes(part))),
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => rest
                .split_off(..4)
                .and_then(|part| part.try_into().ok())
                .map(|part| Wire::Fixed32(u32::from_le_bytes(part))),
            _ => crate::schema::wire::varint(&mut rest).map(Wire::Varint),
        };
        let Some(next) = next else { break };
        all.extend(scalar(kind, next, depth));
    }
    all
}

fn map_entry(entry: Message, wire: &[u8], depth: u32) -> Option<(String, Value)> {
    let (key, content) = entry.entry()?;
    let fields: Vec<(u32, Wire<'_>)> = Reader::new(wire).collect();
    let of = |number| -> Vec<Wire<'_>> {
        fields.iter().filter(|(found, _)| *found == number).map(|(_, occurrence)| *occurrence).collect()
    };
    let key = match scalar(key.kind, of(1).last().copied().unwrap_or(Wire::Bytes(&[])), depth) {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let occurrences = of(2);
    let value = field_value(&content, &occurrences, depth).unwrap_or_else(|| default(content.kind));
    Some((key, value))
}

/// A value that is not on the wire because it is its type's default.
fn default(kind: Kind) -> Value {
    match kind {
        Kind::Bool => Value::Bool(false),
        Kind::String | Kind::Bytes => Value::String(String::new()),
        Kind::Message(_) => Value::Object(Map::new()),
        Kind::Enum(of) => enumeration(of, 0),
        Kind::Int64 | Kind::Uint64 | Kind::Fixed64 | Kind::Sfixed64 | Kind::Sint64 => Value::from("0"),
        _ => Value::from(0),
    }
}

fn scalar(kind: Kind, wire: Wire<'_>, depth: u32) -> Option<Value> {
    Some(match (kind, wire) {
        (Kind::Double, Wire::Fixed64(bits)) => float(f64::from_bits(bits)),
        (Kind::Float, Wire::Fixed32(bits)) => short_float(f32::from_bits(bits)),
        (Kind::Int64, Wire::Varint(bits)) => Value::from(bits.cast_signed().to_string()),
        (Kind::Uint64, Wire::Varint(bits)) => Value::from(bits.to_string()),
        (Kind::Int32, Wire::Varint(bits)) => Value::from(bits.cast_signed()),
        (Kind::Uint32, Wire::Varint(bits)) => Value::from(bits),
        (Kind::Fixed64, Wire::Fixed64(bits)) => Value::from(bits.to_string()),
        (Kind::Fixed32, Wire::Fixed32(bits)) => Value::from(bits),
        (Kind::Sfixed64, Wire::Fixed64(bits)) => Value::from(bits.cast_signed().to_string()),
        (Kind::Sfixed32, Wire::Fixed32(bits)) => Value::from(bits.cast_signed()),
        (Kind::Sint32, Wire::Varint(bits)) => Value::from(zigzag(bits)),
        (Kind::Sint64, Wire::Varint(bits)) => Value::from(zigzag(bits).to_string()),
        (Kind::Bool, Wire::Varint(bits)) => Value::Bool(bits != 0),
        (Kind::Enum(of), Wire::Varint(bits)) => enumeration(of, bits.cast_signed()),
        (Kind::String, Wire::Bytes(text)) => Value::from(String::from_utf8_lossy(text)),
        (Kind::Bytes, Wire::Bytes(data)) => Value::String(base64(data)),
        (Kind::Message(inner), Wire::Bytes(data)) => message(inner, data, depth),
        _ => return None,
    })
}

fn zigzag(bits: u64) -> i64 {
    (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed()
}

fn enumeration(of: Enumeration, number: i64) -> Value {
    let name = of.values().find(|value| i64::from(value.number) == number);
    name.map_or_else(|| Value::from(number), |value| Value::from(value.name))
}

fn float(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        // Whole, and small enough to be exact.
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or_else(|| Value::from(special(number)), Value::Number)
}

fn special(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Through its text, or 0.1 would become 0.10000000149011612.
fn short_float(number: f32) -> Value {
    float(number.to_string().parse().unwrap_or_else(|_| f64::from(number)))
}

fn any(wire: &[u8], depth: u32) -> Value {
    let mut object = Map::new();
    let (mut url, mut content): (&[u8], &[u8]) = (&[], &[]);
    for (number, occurrence) in Reader::new(wire) {
        match (number, bytes(occurrence)) {
            (1, Some(text)) => url = text,
            (2, Some(data)) => content = data,
            _ => {}
        }
    }
    let url = String::from_utf8_lossy(url);
    let known = url.rsplit_once('/').and_then(|(_, name)| Message::named(name));
    object.insert("@type".to_owned(), Value::from(url));
    match known.map(|kind| (kind.well_known(), message(kind, content, depth))) {
        Some((None | Some(WellKnown::TypedStruct), Value::Object(fields))) => object.extend(fields),
        Some((_, other)) => {
            object.insert("value".to_owned(), other);
        }
        None => {
            object.insert("value".to_owned(), Value::String(base64(content)));
        }
    }
    Value::Object(object)
}

fn structure(wire: &[u8], depth: u32) -> Value {
    let mut object = Map::new();
    for entry in Reader::new(wire).filter_map(|(_, occurrence)| bytes(occurrence)) {
        let (mut key, mut content): (&[u8], &[u8]) = (&[], &[]);
        for (number, occurrence) in Reader::new(entry) {
            match (number, bytes(occurrence)) {
                (1, Some(text)) => key = text,
                (2, Some(data)) => content = data,
                _ => {}
            }
        }
        object.insert(String::from_utf8_lossy(key).into_owned(), value(content, depth));
    }
    Value::Object(object)
}

/// A `google.protobuf.Value`.
fn value(wire: &[u8], depth: u32) -> Value {
    let Some(depth) = depth.checked_sub(1) else {
        return Value::Null;
    };
    match Reader::new(wire).last() {
        Some((2, Wire::Fixed64(bits))) => float(f64::from_bits(bits)),
        Some((3, Wire::Bytes(text))) => Value::from(String::from_utf8_lossy(text)),
        Some((4, Wire::Varint(bits))) => Value::Bool(bits != 0),
        Some((5, Wire::Bytes(data))) => structure(data, depth),
        Some((6, Wire::Bytes(data))) => {
            let items = Reader::new(data).filter_map(|(_, item)| bytes(item));
            Value::Array(items.map(|item| value(item, depth)).collect())
        }
        _ => Value::Null,
    }
}

fn wrapped(kind: Message, wire: &[u8], depth: u32) -> Value {
    let Some(field) = kind.field_numbered(1) else {
        return Value::Null;
    };
    let last = Reader::new(wire).filter(|(number, _)| *number == 1).last();
    last.and_then(|(_, occurrence)| scalar(field.kind, occurrence, depth)).unwrap_or_else(|| default(field.kind))
}

fn seconds_and_nanos(wire: &[u8]) -> (i64, i32) {
    let (mut seconds, mut nanos) = (0, 0);
    for (number, occurrence) in Reader::new(wire) {
        match (number, occurrence) {
            (1, Wire::Varint(bits)) => seconds = bits.cast_signed(),
            (2, Wire::Varint(bits)) => nanos = i32::try_from(bits.cast_signed()).unwrap_or(0),
            _ => {}
        }
    }
    (seconds, nanos)
}

fn duration(wire: &[u8]) -> String {
    let (seconds, nanos) = seconds_and_nanos(wire);
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    format!("{sign}{}{}s", seconds.unsigned_abs(), fraction(nanos.unsigned_abs()))
}

/// Three, six or nine digits, as many as needed.
fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        _ if nanos.is_multiple_of(1_000_000) => format!(".{:03}", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1000) => format!(".{:06}", nanos / 1000),
        _ => format!(".{nanos:09}"),
    }
}

fn timestamp(wire: &[u8]) -> String {
    let (seconds, nanos) = seconds_and_nanos(wire);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = fraction(nanos.unsigned_abs());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Year, month and day of a day since 1970; years counted from March, so that a leap day is last.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn bytes(wire: Wire<'_>) -> Option<&[u8]> {
    match wire {
        Wire::Bytes(bytes) => Some(bytes),
        Wire::Varint(_) | Wire::Fixed64(_) | Wire::Fixed32(_) => None,
    }
}

/// Bytes as base64, padded.
pub(crate) fn base64(data: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = usize::try_from(word >> (18 - 6 * place) & 63).unwrap_or(0);
            let is_padding = place as usize > chunk.len();
            text.push(if is_padding { '=' } else { DIGITS.get(digit).map_or('=', |digit| char::from(*digit)) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, LoadOptions, Source, load};

    fn round_trip(text: &str) -> Value {
        let source = Source { name: "t".into(), text: text.into(), format: Format::Yaml };
        let loaded = load("envoy.config.bootstrap.v3.Bootstrap", vec![source], LoadOptions::default());
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        to_json("envoy.config.bootstrap.v3.Bootstrap", &loaded.wire).unwrap()
    }

    #[test]
    fn a_configuration_comes_back_as_json() {
        let json = round_trip(
            "
node: {id: 'n', metadata: {a: 1, b: [true, null, x, 1.5], c: {}}}
stats_flush_interval: 0.25s
static_resources:
  clusters:
  - name: c
    connect_timeout: 2s
    lb_policy: LEAST_REQUEST
    per_connection_buffer_limit_bytes: 4096
    load_assignment:
      cluster_name: c
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 80}}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
",
        );
        let expected = serde_json::json!({
            "node": {"id": "n", "metadata": {"a": 1, "b": [true, null, "x", "1.5"], "c": {}}},
            "static_resources": {"clusters": [{
                "name": "c",
                "connect_timeout": "2s",
                "per_connection_buffer_limit_bytes": 4096,
                "lb_policy": "LEAST_REQUEST",
                "load_assignment": {"cluster_name": "c", "endpoints": [{"lb_endpoints": [{"endpoint": {
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 80}}}}]}]},
                "typed_extension_protocol_options": {
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                        "explicit_http_config": {"http2_protocol_options": {}}}}}]},
            "stats_flush_interval": "0.250s",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn a_default_is_left_out_where_it_says_nothing() {
        let json = round_trip(
            "{node: {id: ''}, static_resources: {clusters: [{name: c, lb_policy: ROUND_ROBIN, type: STATIC, connect_timeout: 0.1s}]}}",
        );
        // `type` is one of several choices, so even its default says something.
        assert_eq!(json["node"], serde_json::json!({}));
        let cluster = serde_json::json!({"name": "c", "type": "STATIC", "connect_timeout": "0.100s"});
        assert_eq!(json["static_resources"]["clusters"][0], cluster);
    }

    #[test]
    fn unknown_types_are_told_apart_from_empty_messages() {
        assert_eq!(to_json("no.such.Type", &[]), None);
        assert_eq!(to_json("envoy.config.cluster.v3.Cluster", &[]), Some(Value::Object(Map::new())));
    }

    #[test]
    fn bytes_are_padded_base64() {
        assert_eq!(
            ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes())),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }

    #[test]
    fn broken_bytes_are_left_out() {
        assert_eq!(to_json("envoy.config.cluster.v3.Cluster", &[0xff, 0xff]), Some(Value::Object(Map::new())));
    }
}
