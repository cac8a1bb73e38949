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
            return Reply::error(StatusCode::BAD_REQUEST, words).plain();
        }
    };
    let wanted = |name: &str| pattern.is_empty() || names.is_match(name);
    let dump = all(server, &wanted);
    let mask = request.param("mask").filter(|mask| !mask.is_empty());
    let configs = match request.param("resource").filter(|resource| !resource.is_empty()) {
        None => whole(dump, mask),
        Some(resource) => resources(&dump, resource)
            .map(|found| found.into_iter().map(|one| mask.map_or(one.clone(), |mask| masked(&one, mask))).collect()),
    };
    match configs {
        Ok(configs) if configs.is_empty() => Reply::json(&json!({})),
        Ok(configs) => Reply::json(&json!({ "configs": configs })),
        Err(reply) => reply,
    }
}

/// All dumps, or those that have every field of the mask, cut down to it.
fn whole(dump: Vec<Value>, mask: Option<&str>) -> Result<Vec<Value>, Reply> {
    let Some(mask) = mask else { return Ok(dump) };
    let roots: Vec<&str> = mask.split(',').map(|path| path.split('.').next().unwrap_or_default()).collect();
    let fits = |config: &&Value| roots.iter().all(|root| fields_of(config).contains(root));
    let kept: Vec<Value> = dump.iter().filter(fits).map(|config| masked(config, mask)).collect();
    if kept.is_empty() {
        let words = format!("FieldMask {mask} could not be successfully applied to any configs.");
        return Err(Reply::dump_error(StatusCode::BAD_REQUEST, words));
    }
    Ok(kept)
}

/// The fields that a dump may have.
fn fields_of(config: &Value) -> &'static [&'static str] {
    let kind = config.get("@type").and_then(Value::as_str).unwrap_or_default();
    let found = FIELDS.iter().find(|(name, _, _)| kind.ends_with(name));
    found.map_or(&[], |(_, fields, _)| fields)
}

/// Dumps by type, their fields, and those among them that are lists, with their element's type.
type Fields = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);
const FIELDS: [Fields; 6] = [
    ("BootstrapConfigDump", &["bootstrap", "last_updated"], &[]),
    (
        "ClustersConfigDump",
        &["version_info", "static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters"],
        &[
            ("static_clusters", "StaticCluster"),
            ("dynamic_active_clusters", "DynamicCluster"),
            ("dynamic_warming_clusters", "DynamicCluster"),
        ],
    ),
    (
        "ListenersConfigDump",
        &["version_info", "static_listeners", "dynamic_listeners"],
        &[("static_listeners", "StaticListener"), ("dynamic_listeners", "DynamicListener")],
    ),
    (
        "ScopedRoutesConfigDump",
        &["inline_scoped_route_configs", "dynamic_scoped_route_configs"],
        &[("inline_scoped_route_configs", ""), ("dynamic_scoped_route_configs", "")],
    ),
    (
        "RoutesConfigDump",
        &["static_route_configs", "dynamic_route_configs"],
        &[("static_route_configs", "StaticRouteConfig"), ("dynamic_route_configs", "DynamicRouteConfig")],
    ),
    (
        "SecretsConfigDump",
        &["static_secrets", "dynamic_active_secrets", "dynamic_warming_secrets"],
        &[("static_secrets", ""), ("dynamic_active_secrets", ""), ("dynamic_warming_secrets", "")],
    ),
];

/// All dumps in Envoy's order.
fn all(server: &Server, wanted: &dyn Fn(&str) -> bool) -> Vec<Value> {
    let updated = rfc3339(server.started_at);
    let bootstrap_type = "envoy.config.bootstrap.v3.Bootstrap";
    let mut bootstrap = nuncio_config::to_json(bootstrap_type, &server.bootstrap.wire).unwrap_or_else(|| json!({}));
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
    let listeners = server
        .listeners
        .iter()
        .filter(|listener| wanted(&listener.settings.name))
        .map(|listener| typed("envoy.config.listener.v3.Listener", &listener.settings.wire));
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

/// A message with its type.
fn typed(name: &str, wire: &[u8]) -> Value {
    let message = nuncio_config::to_json(name, wire).unwrap_or_else(|| json!({}));
    with_type(&format!("{TYPES}{name}"), &message)
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
        .map(|route| with_type(&format!("{TYPES}envoy.config.route.v3.RouteConfiguration"), route))
        .collect()
}

/// The elements of a repeated field of any dump.
fn resources(dump: &[Value], resource: &str) -> Result<Vec<Value>, Reply> {
    for (kind, fields, lists) in &FIELDS {
        if let Some((_, element)) = lists.iter().find(|(name, _)| *name == resource) {
            let found = dump.iter().filter_map(|config| config.get(resource)?.as_array()).flatten();
            let url = format!("{TYPES}envoy.admin.v3.{kind}.{element}");
            return Ok(found.map(|one| with_type(&url, one)).collect());
        }
        if fields.contains(&resource) {
            let words = format!("{resource} is not a repeated field. Use ?mask={resource} to get only this field");
            return Err(Reply::dump_error(StatusCode::BAD_REQUEST, words));
        }
    }
    Err(Reply::dump_error(StatusCode::NOT_FOUND, format!("{resource} not found in config dump")))
}

/// The object with its type in front, as in an Any.
fn with_type(url: &str, value: &Value) -> Value {
    let mut object = Map::new();
    object.insert("@type".to_owned(), url.into());
    object.extend(value.as_object().cloned().unwrap_or_default());
    object.into()
}

/// Only the paths of a field mask, and what says the type.
fn masked(value: &Value, mask: &str) -> Value {
    let paths: Vec<Vec<&str>> = mask.split(',').map(|path| path.split('.').collect()).collect();
    let borrowed: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
    keep(value, &borrowed)
}

fn keep(value: &Value, paths: &[&[&str]]) -> Value {
    let Value::Object(fields) = value else {
        return value.clone();
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn dump() -> Vec<Value> {
        let kind = |name: &str| format!("{TYPES}envoy.admin.v3.{name}");
        vec![
            json!({ "@type": kind("BootstrapConfigDump"), "bootstrap": { "node": { "id": "n" }, "admin": {} } }),
            json!({ "@type": kind("ClustersConfigDump"), "static_clusters": [{ "cluster": { "name": "c", "x": 1 } }] }),
        ]
    }

    #[test]
    fn a_mask_keeps_its_paths_in_the_dumps_that_have_them() {
        let kept = whole(dump(), Some("bootstrap.node")).unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0]["bootstrap"], json!({ "node": { "id": "n" } }));
        let refused = whole(dump(), Some("bootstrap,static_clusters")).unwrap_err();
        let words = "FieldMask bootstrap,static_clusters could not be successfully applied to any configs.";
        assert_eq!(refused.body(), words);
    }

    #[test]
    fn a_resource_is_a_list_of_typed_elements() {
        let found = resources(&dump(), "static_clusters").unwrap();
        assert_eq!(found[0]["@type"], "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster");
        assert_eq!(masked(&found[0], "cluster.name")["cluster"], json!({ "name": "c" }));
        assert!(resources(&dump(), "dynamic_listeners").unwrap().is_empty());
        assert_eq!(resources(&dump(), "bootstrap").unwrap_err().status(), StatusCode::BAD_REQUEST);
        assert_eq!(resources(&dump(), "foo").unwrap_err().body(), "foo not found in config dump");
    }
}
