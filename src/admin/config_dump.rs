//! `/config_dump`: what was loaded, as protobuf's JSON.
//!
//! The shape is that of `envoy.admin.v3.ConfigDump`: bootstrap, clusters, listeners and route
//! tables, each with the moment of its last update. `resource`, `mask` and `name_regex` narrow it
//! down. Objects are made from the wire bytes that the settings keep.

use std::rc::Rc;

use http::StatusCode;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{
    reply::{AdminRequest, Reply},
    server_info,
    stats::last_line,
};
use crate::{logging::pattern::rfc3339, server::Server};

const TYPES: &str = "type.googleapis.com/";
const HCM: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// `/config_dump`
pub(super) fn config_dump(server: &Rc<Server>, request: &AdminRequest) -> Reply {
    let pattern = request.param("name_regex").unwrap_or_default();
    let names = match Regex::new(&format!("^(?:{pattern})$")) {
        Ok(names) => names,
        Err(error) => {
            let why = last_line(&error);
            let words = format!("INVALID_ARGUMENT: Error while parsing name_regex from {pattern}: {why}");
            return Reply::bad_request(words);
        }
    };
    let wanted = |name: &str| pattern.is_empty() || names.is_match(name);
    let dump = all(server, &wanted);
    let mask = request.param("mask").filter(|mask| !mask.is_empty());
    let configs = match request.param("resource").filter(|resource| !resource.is_empty()) {
        None => match mask {
            Some(mask) => dump.iter().map(|config| masked(config, mask)).filter(has_content).collect(),
            None => dump,
        },
        Some(resource) => match resources(&dump, resource) {
            Ok(found) => found.into_iter().map(|one| mask.map_or(one.clone(), |mask| masked(&one, mask))).collect(),
            Err(reply) => return reply,
        },
    };
    Reply::json(&json!({ "configs": configs }))
}

/// All dumps in Envoy's order.
fn all(server: &Server, wanted: &dyn Fn(&str) -> bool) -> Vec<Value> {
    let updated = rfc3339(server.started_at);
    let bootstrap_type = "envoy.config.bootstrap.v3.Bootstrap";
    let mut bootstrap =
        nuncio_config::to_json(bootstrap_type, &server.bootstrap.wire).unwrap_or_else(|| json!({}));
    bootstrap["node"] = server_info::node(server);
    let mut clusters: Vec<(String, Value)> = server
        .upstreams
        .clusters()
        .into_iter()
        .filter(|(settings, _)| wanted(&settings.name))
        .map(|(settings, _)| (settings.name.to_string(), typed("envoy.config.cluster.v3.Cluster", &settings.wire)))
        .collect();
    clusters.sort_by(|a, b| a.0.cmp(&b.0));
    let clusters = clusters.into_iter().map(|(_, cluster)| json!({ "cluster": cluster, "last_updated": updated }));
    let listeners = server.listeners.iter().filter(|listener| wanted(&listener.settings.name)).map(|listener| {
        typed("envoy.config.listener.v3.Listener", &listener.settings.wire)
    });
    let listeners: Vec<Value> = listeners.collect();
    let routes: Vec<Value> = listeners
        .iter()
        .flat_map(route_configs)
        .filter(|route| wanted(route.get("name").and_then(Value::as_str).unwrap_or_default()))
        .map(|route| json!({ "route_config": route, "last_updated": updated }))
        .collect();
    let listeners = listeners.into_iter().map(|one| json!({ "listener": one, "last_updated": updated }));
    let dump = |kind: &str, field: &str, items: Vec<Value>| {
        let mut dump = json!({ "@type": format!("{TYPES}envoy.admin.v3.{kind}") });
        if !items.is_empty() {
            dump[field] = items.into();
        }
        dump
    };
    vec![
        json!({
            "@type": format!("{TYPES}envoy.admin.v3.BootstrapConfigDump"),
            "bootstrap": bootstrap,
            "last_updated": updated,
        }),
        dump("ClustersConfigDump", "static_clusters", clusters.collect()),
        dump("ListenersConfigDump", "static_listeners", listeners.collect()),
        dump("ScopedRoutesConfigDump", "", Vec::new()),
        dump("RoutesConfigDump", "static_route_configs", routes),
        dump("SecretsConfigDump", "", Vec::new()),
    ]
}

/// A message with its type, as in an Any.
fn typed(name: &str, wire: &[u8]) -> Value {
    let mut object = Map::new();
    object.insert("@type".to_owned(), format!("{TYPES}{name}").into());
    if let Some(Value::Object(fields)) = nuncio_config::to_json(name, wire) {
        object.extend(fields);
    }
    object.into()
}

/// The route tables that stand in a listener's connection managers.
fn route_configs(listener: &Value) -> Vec<Value> {
    let named = listener.get("filter_chains").and_then(Value::as_array).into_iter().flatten();
    let chains = named.chain(listener.get("default_filter_chain"));
    let filters = chains.filter_map(|chain| chain.get("filters")?.as_array()).flatten();
    filters
        .filter_map(|filter| filter.get("typed_config"))
        .filter(|config| config.get("@type").and_then(Value::as_str).is_some_and(|url| url.ends_with(HCM)))
        .filter_map(|config| config.get("route_config"))
        .map(|route| {
            let mut object = Map::new();
            object.insert("@type".to_owned(), format!("{TYPES}envoy.config.route.v3.RouteConfiguration").into());
            object.extend(route.as_object().cloned().unwrap_or_default());
            object.into()
        })
        .collect()
}

/// The elements of a repeated field of any dump.
fn resources(dump: &[Value], resource: &str) -> Result<Vec<Value>, Reply> {
    const REPEATED: [(&str, &str); 3] = [
        ("static_clusters", "ClustersConfigDump.StaticCluster"),
        ("static_listeners", "ListenersConfigDump.StaticListener"),
        ("static_route_configs", "RoutesConfigDump.StaticRouteConfig"),
    ];
    if let Some((field, kind)) = REPEATED.iter().find(|(field, _)| *field == resource) {
        let found = dump.iter().filter_map(|config| config.get(field)?.as_array()).flatten();
        return Ok(found
            .map(|one| {
                let mut object = Map::new();
                object.insert("@type".to_owned(), format!("{TYPES}envoy.admin.v3.{kind}").into());
                object.extend(one.as_object().cloned().unwrap_or_default());
                object.into()
            })
            .collect());
    }
    if resource == "bootstrap" {
        let words = "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field";
        return Err(Reply::bad_request(words));
    }
    Err(Reply::error(StatusCode::NOT_FOUND, format!("{resource} not found in config dump")))
}

/// Only the paths of a field mask, and what says the type.
fn masked(value: &Value, mask: &str) -> Value {
    let paths: Vec<Vec<&str>> = mask.split(',').map(|path| path.split('.').collect()).collect();
    let borrowed: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
    keep(value, &borrowed)
}

fn keep(value: &Value, paths: &[&[&str]]) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let mut kept = Map::new();
    for (name, field) in fields {
        let below: Vec<&[&str]> = paths
            .iter()
            .filter_map(|path| path.split_first().filter(|(first, _)| **first == name.as_str()).map(|(_, rest)| rest))
            .collect();
        if name == "@type" || below.iter().any(|rest| rest.is_empty()) {
            kept.insert(name.clone(), field.clone());
        } else if !below.is_empty() {
            kept.insert(name.clone(), keep(field, &below));
        }
    }
    kept.into()
}

fn has_content(config: &Value) -> bool {
    config.as_object().is_some_and(|object| object.keys().any(|name| name != "@type"))
}
