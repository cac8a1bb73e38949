//! Layers of `layered_runtime`, flattened: `{a: {b: 1}}` is the key `a.b`.

use std::collections::BTreeMap;

use envoy_types::pb::{
    envoy::config::bootstrap::v3 as pb,
    google::protobuf::{Struct, value::Kind},
};
use prost::Message as _;
use rustc_hash::FxHashSet;

use super::{Context, json};
use crate::{
    LoadOptions,
    model::{
        bootstrap::{RuntimeLayer, RuntimeLayerSource, RuntimeValue},
        report::Path,
    },
    text::{Format, Source},
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
        let mut source = RuntimeLayerSource::Static;
        match layer.layer_specifier {
            Some(LayerSpecifier::StaticLayer(fields)) => {
                flatten(cx, &path.field("static_layer"), "", &fields, &mut values);
            }
            Some(LayerSpecifier::AdminLayer(_)) => {
                source = RuntimeLayerSource::Admin;
                admin_layers += 1;
            }
            // The field check has refused the others.
            _ => {}
        }
        if admin_layers > 1 {
            let text = "at most one admin layer may be specified";
            cx.report.error(&path.field("admin_layer"), "duplicate-layer", text);
        }
        layers.push(RuntimeLayer { name: layer.name, source, values });
    }
    layers
}

/// A value that stands alone, as `/runtime_modify` gets it: YAML. The error says what is wrong
/// with the text. Lists and null are values without any reading but their text.
pub fn runtime_value(text: &str) -> Result<RuntimeValue, String> {
    const KEY: &str = "value";
    // A document is an object, so the text becomes the value of its one key.
    let document = format!("{KEY}:\n  {}", text.replace('\n', "\n  "));
    let source = Source { name: String::new(), text: document, format: Format::Yaml };
    let loaded = crate::load("google.protobuf.Struct", vec![source], LoadOptions::default());
    if let Some(error) = loaded.diagnostics.iter().find(|diagnostic| diagnostic.is_error()) {
        return Err(error.message.clone());
    }
    let document = Struct::decode(loaded.wire.as_slice()).map_err(|error| error.to_string())?;
    let kind = document.fields.get(KEY).and_then(|value| value.kind.as_ref());
    Ok(kind.and_then(|kind| scalar(kind).or_else(|| fraction(kind))).unwrap_or_else(|| RuntimeValue::Text(text.into())))
}

fn flatten(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    prefix: &str,
    fields: &Struct,
    values: &mut BTreeMap<String, RuntimeValue>,
) {
    for (name, value) in &fields.fields {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let Some(kind) = value.kind.as_ref() else { continue };
        let found = match kind {
            Kind::NullValue(_) | Kind::ListValue(_) => {
                let text = format!("a runtime value is a number, a flag, text or a fraction; `{key}` is none of these");
                cx.report.error(path, "invalid-runtime-value", text);
                continue;
            }
            Kind::StructValue(inner) if !is_one_value(inner) => {
                flatten(cx, path, &key, inner, values);
                continue;
            }
            Kind::StructValue(inner) => {
                Some(fraction(kind).unwrap_or_else(|| RuntimeValue::Text(json::object(inner).to_string())))
            }
            _ => scalar(kind),
        };
        values.extend(found.map(|found| (key, found)));
    }
}

fn scalar(kind: &Kind) -> Option<RuntimeValue> {
    match kind {
        Kind::NumberValue(number) => Some(RuntimeValue::Number(*number)),
        Kind::BoolValue(flag) => Some(RuntimeValue::Bool(*flag)),
        Kind::StringValue(text) => Some(RuntimeValue::Text(text.clone())),
        _ => None,
    }
}

/// Whether an object is a fractional percent, or was meant to be one, rather than more keys.
fn is_one_value(fields: &Struct) -> bool {
    let fields = &fields.fields;
    fields.is_empty() || fields.contains_key("numerator") || fields.contains_key("denominator")
}

/// A fractional percent as Envoy reads it: a numerator that is no number is 0, any other field or
/// denominator makes it something else.
fn fraction(kind: &Kind) -> Option<RuntimeValue> {
    let Kind::StructValue(fields) = kind else { return None };
    let (mut numerator, mut denominator) = (0, 100);
    for (name, value) in &fields.fields {
        match (name.as_str(), value.kind.as_ref()?) {
            ("numerator", Kind::NumberValue(number)) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
                let number = *number as u32;
                numerator = number;
            }
            ("numerator", _) => {}
            ("denominator", Kind::StringValue(name)) => denominator = parts(name)?,
            _ => return None,
        }
    }
    Some(RuntimeValue::Fraction { numerator, denominator })
}

fn parts(denominator: &str) -> Option<u32> {
    match denominator {
        "HUNDRED" => Some(100),
        "TEN_THOUSAND" => Some(10_000),
        "MILLION" => Some(1_000_000),
        _ => None,
    }
}
