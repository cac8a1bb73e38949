//! `/runtime`: the static layer, flattened.

use std::rc::Rc;

use nuncio_config::model::bootstrap::RuntimeValue;
use serde_json::{Map, Value, json};

use super::reply::{AdminRequest, Reply};
use crate::server::Server;

/// `/runtime`
pub(super) fn runtime(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    let values = &server.bootstrap.runtime;
    let layers: &[&str] = if values.is_empty() { &[] } else { &["static"] };
    let entries: Map<String, Value> = values
        .iter()
        .map(|(key, value)| {
            let text = text(value);
            (key.clone(), json!({ "layer_values": [text], "final_value": text }))
        })
        .collect();
    Reply::json(&json!({ "layers": layers, "entries": entries }))
}

fn text(value: &RuntimeValue) -> String {
    match value {
        RuntimeValue::Number(number) => number.to_string(),
        RuntimeValue::Bool(value) => value.to_string(),
        RuntimeValue::Text(text) => text.clone(),
    }
}
