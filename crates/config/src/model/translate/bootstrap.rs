//! The bootstrap: static resources, admin, runtime, limits.
//!
//! Listeners and clusters are decoded one by one from their own slices of the bytes, so that the
//! decoded form of ten thousand of them never exists at once.

use std::{path::PathBuf, sync::Arc, time::Duration};

use envoy_types::pb::{
    envoy::{
        config::{
            bootstrap::v3 as pb,
            metrics::v3::{StatsConfig, tag_specifier::TagValue},
            overload::v3 as overload,
        },
        extensions::resource_monitors::downstream_connections::v3::DownstreamConnectionsConfig,
    },
    google::protobuf::Any,
};
use rustc_hash::FxHashMap;

use super::{Context, RETRY_BUDGET_BY_DEFAULT, cluster, endpoint, extension, listener, runtime, socket::Names};
use crate::{
    model::{
        AccessLog, Address, Bootstrap, Cluster, Listener,
        access_log::{LogFormat, LogSink},
        bootstrap::{Admin, Node, RuntimeValue},
        report::Path,
    },
    schema::wire::{Reader, Wire, WireType, put_bytes, put_tag, put_varint},
};

const STATIC_RESOURCES: u32 = 2;
const STATS_FLUSH_INTERVAL: Duration = Duration::from_secs(5);
const DOWNSTREAM_CONNECTIONS: &str =
    "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig";

/// Translates a bootstrap; `None` when the bytes are not one.
#[expect(deprecated, reason = "`dns_resolution_config` is still accepted")]
pub(super) fn bootstrap(cx: &mut Context<'_>, path: &Path<'_>, wire: &[u8]) -> Option<Bootstrap> {
    let resources = Resources::find(wire);
    let message: pb::Bootstrap = cx.decode(path, &resources.rest)?;
    let runtime_layers =
        runtime::layers(cx, &path.field("layered_runtime"), message.layered_runtime.unwrap_or_default());
    let resolver = cx.resolver(path, message.typed_dns_resolver_config, message.dns_resolution_config);
    cx.resolver = resolver.unwrap_or_default();
    cx.resolver.use_tcp |= message.use_tcp_for_dns_lookups;
    let static_path = path.field("static_resources");
    let flag = runtime_layers.iter().rev().find_map(|layer| layer.values.get(RETRY_BUDGET_BY_DEFAULT));
    cx.retry_budget_by_default = flag == Some(&RuntimeValue::Bool(true));
    let clusters = clusters(cx, &static_path, &resources.clusters);
    let listeners = listeners(cx, &static_path, &resources.listeners);
    let local_cluster_name =
        local_cluster(cx, &path.field("cluster_manager"), message.cluster_manager.unwrap_or_default());
    if !matches!(message.header_prefix.as_str(), "" | "x-envoy") {
        cx.report.unsupported(&path.field("header_prefix"), "a header prefix other than `x-envoy`");
    }
    Some(Bootstrap {
        node: node(cx, message.node.unwrap_or_default()),
        listeners,
        clusters,
        admin: message.admin.and_then(|message| admin(cx, &path.field("admin"), message)),
        stats_flush_interval: cx
            .duration(&path.field("stats_flush_interval"), message.stats_flush_interval)
            .unwrap_or(STATS_FLUSH_INTERVAL),
        fixed_stats_tags: fixed_tags(message.stats_config.unwrap_or_default()),
        runtime_layers,
        max_active_downstream_connections: max_connections(
            cx,
            &path.field("overload_manager"),
            message.overload_manager.unwrap_or_default(),
        ),
        header_prefix: "x-envoy".to_owned(),
        local_cluster_name,
        wire: wire.into(),
    })
}

/// Slices of the static resources, and everything else.
struct Resources<'w> {
    listeners: Vec<&'w [u8]>,
    clusters: Vec<&'w [u8]>,
    /// The message without its static resources.
    rest: Vec<u8>,
}

impl<'w> Resources<'w> {
    fn find(wire: &'w [u8]) -> Self {
        let mut found = Self { listeners: Vec::new(), clusters: Vec::new(), rest: Vec::new() };
        for field in Reader::new(wire) {
            match field {
                (STATIC_RESOURCES, Wire::Bytes(inner)) => found.take(inner),
                (number, Wire::Bytes(bytes)) => put_bytes(&mut found.rest, number, bytes),
                (number, Wire::Varint(value)) => {
                    put_tag(&mut found.rest, number, WireType::Varint);
                    put_varint(&mut found.rest, value);
                }
                (number, Wire::Fixed64(value)) => {
                    put_tag(&mut found.rest, number, WireType::Fixed64);
                    found.rest.extend(value.to_le_bytes());
                }
                (number, Wire::Fixed32(value)) => {
                    put_tag(&mut found.rest, number, WireType::Fixed32);
                    found.rest.extend(value.to_le_bytes());
                }
            }
        }
        found
    }

    fn take(&mut self, resources: &'w [u8]) {
        for field in Reader::new(resources) {
            match field {
                (1, Wire::Bytes(listener)) => self.listeners.push(listener),
                (2, Wire::Bytes(cluster)) => self.clusters.push(cluster),
                // Secrets: refused by the field check.
                _ => {}
            }
        }
    }
}

/// All clusters; their names are known to routes afterwards.
fn clusters(cx: &mut Context<'_>, path: &Path<'_>, slices: &[&[u8]]) -> Vec<Arc<Cluster>> {
    let mut clusters = Vec::with_capacity(slices.len());
    let mut names: FxHashMap<Arc<str>, usize> = FxHashMap::default();
    for (index, wire) in slices.iter().enumerate() {
        let path = path.item("clusters", index);
        let Some(message) = cx.decode(&path, wire) else {
            continue;
        };
        let cluster = cluster::cluster(cx, &path, message, wire);
        if let Some(first) = names.insert(cluster.name.clone(), index) {
            let text = format!("duplicate cluster `{}`: clusters[{first}] has this name already", cluster.name);
            cx.report.error(&path.field("name"), "duplicate-cluster", text);
        }
        clusters.push(cluster.into());
    }
    cx.clusters = Some(names.into_keys().collect());
    clusters
}

/// All listeners. Of two with the same name the later one counts, as in Envoy.
fn listeners(cx: &mut Context<'_>, path: &Path<'_>, slices: &[&[u8]]) -> Vec<Arc<Listener>> {
    let mut listeners: Vec<(usize, Listener)> = Vec::with_capacity(slices.len());
    for (index, wire) in slices.iter().enumerate() {
        let path = path.item("listeners", index);
        let Some(message) = cx.decode(&path, wire) else {
            continue;
        };
        let listener = listener::listener(cx, &path, message, wire);
        if let Some(at) = listeners.iter().position(|(_, other)| other.name == listener.name) {
            let text = format!("listener `{}` replaces an earlier one of the same name", listener.name);
            let help = "give every listener a name of its own".to_owned();
            cx.report.warning(&path.field("name"), "duplicate-listener", text, Some(help));
            listeners.remove(at);
        }
        address_clash(cx, &path, &listeners, &listener);
        listeners.push((index, listener));
    }
    listeners.into_iter().map(|(_, listener)| listener.into()).collect()
}

fn address_clash(cx: &mut Context<'_>, path: &Path<'_>, earlier: &[(usize, Listener)], listener: &Listener) {
    let addresses = |listener: &'_ Listener| {
        let additional = listener.additional_addresses.iter();
        std::iter::once(&listener.address).chain(additional).map(|at| at.address.clone()).collect::<Vec<_>>()
    };
    for (place, address) in addresses(listener).into_iter().enumerate() {
        if matches!(&address, Address::Ip(ip) if ip.port() == 0) {
            continue;
        }
        let Some((first, other)) = earlier.iter().find(|(_, other)| addresses(other).contains(&address)) else {
            continue;
        };
        let text = format!("duplicate address {address}: listeners[{first}] `{}` has it already", other.name);
        let additional = path.item("additional_addresses", place.saturating_sub(1));
        let owner = if place == 0 { path } else { &additional };
        cx.report.error(&owner.field("address"), "duplicate-address", text);
    }
}

fn local_cluster(cx: &mut Context<'_>, path: &Path<'_>, manager: pb::ClusterManager) -> Option<String> {
    let name = Some(manager.local_cluster_name).filter(|name| !name.is_empty())?;
    if cx.clusters.as_ref().is_some_and(|clusters| !clusters.contains(name.as_str())) {
        let text = format!("local cluster '{name}' must be defined");
        cx.report.error(&path.field("local_cluster_name"), "unknown-cluster", text);
    }
    Some(name)
}

fn node(cx: &Context<'_>, message: envoy_types::pb::envoy::config::core::v3::Node) -> Node {
    let mut locality = endpoint::locality(message.locality);
    if let Some(zone) = &cx.options.service_zone {
        locality.zone.clone_from(zone);
    }
    Node {
        id: cx.options.service_node.clone().unwrap_or(message.id),
        cluster: cx.options.service_cluster.clone().unwrap_or(message.cluster),
        locality,
    }
}

#[expect(deprecated, reason = "`access_log_path` is still accepted")]
fn admin(cx: &mut Context<'_>, path: &Path<'_>, message: pb::Admin) -> Option<Admin> {
    let mut access_log = cx.access_logs(path, "access_log", message.access_log);
    if !message.access_log_path.is_empty() {
        let sink = LogSink::File(message.access_log_path.into());
        access_log.push(AccessLog { filter: None, sink, format: LogFormat::Default });
    }
    let address = message.address?;
    let help = Names::Refused("the admin server binds an IP address: 127.0.0.1 for this machine only");
    Some(Admin {
        address: cx.address(&path.field("address"), Some(address), help)?,
        access_log,
        profile_path: Some(message.profile_path).filter(|path| !path.is_empty()).map(PathBuf::from),
        ignore_global_conn_limit: message.ignore_global_conn_limit,
    })
}

fn fixed_tags(config: StatsConfig) -> Vec<(String, String)> {
    let fixed = |value| match value {
        Some(TagValue::FixedValue(value)) => Some(value),
        _ => None,
    };
    config.stats_tags.into_iter().filter_map(|tag| Some((tag.tag_name, fixed(tag.tag_value)?))).collect()
}

fn max_connections(cx: &mut Context<'_>, path: &Path<'_>, message: overload::OverloadManager) -> Option<u64> {
    let mut most = None;
    for (index, monitor) in message.resource_monitors.into_iter().enumerate() {
        let path = path.item("resource_monitors", index);
        let config: Option<Any> =
            monitor.config_type.map(|overload::resource_monitor::ConfigType::TypedConfig(any)| any);
        let Some(any) = config.as_ref().filter(|any| extension::type_name(any) == DOWNSTREAM_CONNECTIONS) else {
            let built = &["envoy.resource_monitors.global_downstream_max_connections"];
            cx.unknown_extension(&path, "resource monitor", &monitor.name, config.as_ref(), built);
            continue;
        };
        let message: DownstreamConnectionsConfig =
            cx.decode(&path.field("typed_config"), &any.value).unwrap_or_default();
        most = u64::try_from(message.max_active_downstream_connections).ok();
    }
    most
}
