//! `google.protobuf.Struct` to JSON and to JSON log lines.

use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use serde_json::Value as Json;

use super::Context;
use crate::model::{access_log::JsonNode, report::Path};

/// A struct as a JSON object, keys sorted.
pub(super) fn object(fields: &Struct) -> Json {
    let mut keys: Vec<_> = fields.fields.iter().collect();
    keys.sort_by_key(|(key, _)| *key);
    Json::Object(keys.into_iter().map(|(key, field)| (key.clone(), value(field))).collect())
}

fn value(wire: &Value) -> Json {
    match &wire.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(flag)) => Json::Bool(*flag),
        Some(Kind::StringValue(text)) => Json::String(text.clone()),
        Some(Kind::NumberValue(number)) => json_number(*number),
        Some(Kind::ListValue(list)) => Json::Array(list.values.iter().map(value).collect()),
        Some(Kind::StructValue(fields)) => object(fields),
    }
}

/// Whole numbers without a fraction, as protobuf's JSON has them.
fn json_number(number: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        return Json::from(number as i64);
    }
    serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number)
}

impl Context<'_> {
    /// The formats at the leaves of a JSON log line.
    pub(super) fn json_node(&mut self, path: &Path<'_>, json: &Json) -> JsonNode {
        match json {
            Json::Object(fields) => JsonNode::Object(
                fields.iter().map(|(key, field)| (key.clone(), self.json_node(&path.entry(key), field))).collect(),
            ),
            Json::Array(list) => JsonNode::List(list.iter().map(|item| self.json_node(path, item)).collect()),
            Json::String(text) => match self.format(path, text) {
                Some(format) if format.as_literal().is_none() => JsonNode::Format(format),
                Some(format) => JsonNode::Constant(format.as_literal().unwrap_or_default().into()),
                None => JsonNode::Constant(Json::Null),
            },
            Json::Null | Json::Bool(_) | Json::Number(_) => JsonNode::Constant(json.clone()),
        }
    }
}
