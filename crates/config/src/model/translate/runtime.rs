//! Static runtime layers, flattened: `{a: {b: 1}}` is the key `a.b`.

use std::collections::BTreeMap;

use envoy_types::pb::{
    envoy::config::bootstrap::v3 as pb,
    google::protobuf::{Struct, Value, value::Kind},
};
use rustc_hash::FxHashSet;

use super::Context;
use crate::model::{
    bootstrap::{RuntimeLayer, RuntimeValue},
    report::Path,
};

/// The layers in order, each with its own keys.
pub(super) fn layers(cx: &mut Context<'_>, path: &Path<'_>, message: pb::LayeredRuntime) -> Vec<RuntimeLayer> {
    use pb::runtime_layer::LayerSpecifier;
    let mut layers = Vec::new();
    let mut names = FxHashSet::default();
    let mut admin_layers = 0;
    for (index, layer) in message.layers.into_iter().enumerate() {
        let path = path.item("layers", index);
        if !names.insert(layer.name.clone()) {
            let text = format!("duplicate layer name `{}`", layer.name);
            cx.report.error(&path.field("name"), "duplicate-layer", text);
        }
        let mut values = BTreeMap::new();
        match layer.layer_specifier {
            Some(LayerSpecifier::StaticLayer(fields)) => flatten("", &fields, &mut values),
            Some(LayerSpecifier::AdminLayer(_)) => admin_layers += 1,
            // The field check has refused the others.
            _ => {}
        }
        if admin_layers > 1 {
            let text = "at most one admin layer may be specified";
            cx.report.error(&path.field("admin_layer"), "duplicate-layer", text);
        }
        layers.push(RuntimeLayer { name: layer.name, values });
    }
    layers
}

/// All keys; a later layer wins.
pub(super) fn merged(layers: &[RuntimeLayer]) -> BTreeMap<String, RuntimeValue> {
    layers.iter().flat_map(|layer| layer.values.clone()).collect()
}

/// The number under a key.
pub(super) fn number(values: &BTreeMap<String, RuntimeValue>, key: &str) -> Option<u64> {
    match values.get(key)? {
        RuntimeValue::Number(number) if *number >= 0.0 =>
        {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, sign checked")]
            Some(*number as u64)
        }
        _ => None,
    }
}

fn flatten(prefix: &str, fields: &Struct, values: &mut BTreeMap<String, RuntimeValue>) {
    for (name, value) in &fields.fields {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match &value.kind {
            Some(Kind::NumberValue(number)) => {
                values.insert(key, RuntimeValue::Number(*number));
            }
            Some(Kind::BoolValue(flag)) => {
                values.insert(key, RuntimeValue::Bool(*flag));
            }
            Some(Kind::StringValue(text)) => {
                values.insert(key, typed(text));
            }
            Some(Kind::StructValue(inner)) => match percent(inner) {
                Some(percent) => {
                    values.insert(key, RuntimeValue::Number(percent));
                }
                None => flatten(&key, inner, values),
            },
            None | Some(Kind::NullValue(_) | Kind::ListValue(_)) => {}
        }
    }
}

/// Fractions and large numbers of a YAML file arrive as text.
fn typed(text: &str) -> RuntimeValue {
    match (text, text.parse::<f64>()) {
        ("true", _) => RuntimeValue::Bool(true),
        ("false", _) => RuntimeValue::Bool(false),
        (_, Ok(number)) if number.is_finite() => RuntimeValue::Number(number),
        _ => RuntimeValue::Text(text.to_owned()),
    }
}

/// A fractional percent, in percent.
fn percent(fields: &Struct) -> Option<f64> {
    let kind = |name| fields.fields.get(name).and_then(|value: &Value| value.kind.as_ref());
    let numerator = match kind("numerator") {
        Some(Kind::NumberValue(number)) => *number,
        None if kind("denominator").is_some() => 0.0,
        _ => return None,
    };
    let denominator = match kind("denominator") {
        Some(Kind::StringValue(name)) if name == "TEN_THOUSAND" => 10_000.0,
        Some(Kind::StringValue(name)) if name == "MILLION" => 1_000_000.0,
        Some(Kind::NumberValue(1.0)) => 10_000.0,
        Some(Kind::NumberValue(2.0)) => 1_000_000.0,
        _ => 100.0,
    };
    Some(numerator * 100.0 / denominator)
}
