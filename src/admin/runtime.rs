//! `/runtime`: the layers, flattened; each key with its value in every layer.

use std::rc::Rc;

use nuncio_config::model::bootstrap::RuntimeValue;
use serde_json::{Map, Value, json};

use super::reply::{AdminRequest, Reply};
use crate::server::Server;

/// `/runtime`
pub(super) fn runtime(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    let layers = &server.bootstrap.runtime_layers;
    let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    let entries: Map<String, Value> = server
        .bootstrap
        .runtime
        .iter()
        .map(|(key, value)| {
            let in_layers: Vec<String> =
                layers.iter().map(|layer| layer.values.get(key).map(text).unwrap_or_default()).collect();
            (key.clone(), json!({ "layer_values": in_layers, "final_value": text(value) }))
        })
        .collect();
    Reply::json(&json!({ "layers": names, "entries": entries }))
}

fn text(value: &RuntimeValue) -> String {
    match value {
        RuntimeValue::Number(number) => number.to_string(),
        RuntimeValue::Bool(value) => value.to_string(),
        RuntimeValue::Text(text) => text.clone(),
    }
}
