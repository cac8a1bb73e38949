//! `/runtime`: each key with its value in every layer; `/runtime_modify`: writes the admin layer.

use std::{collections::BTreeSet, rc::Rc};

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::reply::{AdminRequest, Reply};
use crate::server::{Server, runtime::NotTaken};

const USAGE: &str = "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n       or send the parameters as form \
                     values\nuse an empty value to remove a previously added override";

/// `/runtime`
pub(super) fn runtime(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    let snapshot = server.runtime.snapshot();
    let layers = snapshot.layers();
    let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    let keys: BTreeSet<&String> = layers.iter().flat_map(|layer| layer.values.keys()).collect();
    let entry = |key: &String| {
        let in_layers: Vec<&str> =
            layers.iter().map(|layer| layer.values.get(key).map_or("", |value| value.as_text())).collect();
        // As Envoy shows it: an empty text, though it counts, does not show.
        let last = in_layers.iter().rfind(|text| !text.is_empty()).copied().unwrap_or_default();
        json!({ "layer_values": in_layers, "final_value": last })
    };
    let entries: Map<String, Value> = keys.into_iter().map(|key| (key.clone(), entry(key))).collect();
    Reply::json(&json!({ "layers": names, "entries": entries }))
}

/// `/runtime_modify`
pub(super) fn runtime_modify(server: &Rc<Server>, request: &AdminRequest) -> Reply {
    let params = request.params_or_form();
    if params.is_empty() {
        return Reply::bad_request(USAGE);
    }
    match server.runtime.modify(params) {
        Ok(()) => Reply::ok(),
        Err(NotTaken(why)) => Reply::error(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}
