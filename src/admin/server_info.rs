//! `/server_info`, `/memory` and `/hot_restart_version`.

use std::rc::Rc;

use nuncio_api::DrainStrategy;
use serde_json::{Value, json};

use super::reply::{AdminRequest, Reply};
use crate::{
    cli::options::Options,
    server::{Server, process, version},
};

/// `/hot_restart_version`
pub(super) fn hot_restart_version(_: &Rc<Server>, _: &AdminRequest) -> Reply {
    Reply::text(version::HOT_RESTART)
}

/// `/memory`: what the kernel counts. The allocator's own figures are not split further.
pub(super) fn memory(_: &Rc<Server>, _: &AdminRequest) -> Reply {
    let memory = process::memory();
    Reply::json(&json!({
        "allocated": memory.allocated.to_string(),
        "heap_size": memory.heap.to_string(),
        "pageheap_unmapped": "0",
        "pageheap_free": "0",
        "total_thread_cache": "0",
        "total_physical_bytes": memory.resident.to_string(),
    }))
}

/// `/server_info`
pub(super) fn server_info(server: &Rc<Server>, _: &AdminRequest) -> Reply {
    let uptime = format!("{}s", server.started.elapsed().as_secs());
    Reply::json(&json!({
        "version": version::full(),
        "state": server.state().name(),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": version::HOT_RESTART,
        "command_line_options": command_line(&server.options),
        "node": complete(node(server)),
        "hot_restart_initializing": false,
    }))
}

fn command_line(options: &Options) -> Value {
    let flags = &options.flags;
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    json!({
        "base_id": options.base_id.to_string(),
        "concurrency": options.concurrency,
        "config_path": path(&flags.config_path),
        "config_yaml": text(&flags.config_yaml),
        "allow_unknown_static_fields": flags.allow_unknown_static_fields || flags.allow_unknown_fields,
        "admin_address_path": path(&flags.admin_address_path),
        "local_address_ip_version": flags.local_address_ip_version.as_deref().unwrap_or("v4"),
        "log_level": options.log.level.name(),
        "component_log_level": text(&flags.component_log_level),
        "log_format": options.log.format,
        "log_path": path(&flags.log_path),
        "service_cluster": text(&flags.service_cluster),
        "service_node": text(&flags.service_node),
        "service_zone": text(&flags.service_zone),
        "file_flush_interval": duration(options.flush_interval),
        "drain_time": duration(options.drain_time),
        "parent_shutdown_time": format!("{}s", flags.parent_shutdown_time_s.unwrap_or(900)),
        "mode": options.mode.name(),
        "disable_hot_restart": flags.disable_hot_restart,
        "enable_mutex_tracing": flags.enable_mutex_tracing,
        "restart_epoch": flags.restart_epoch.unwrap_or(0),
        "cpuset_threads": flags.cpuset_threads,
        "reject_unknown_dynamic_fields": flags.reject_unknown_dynamic_fields,
        "log_format_escaped": flags.log_format_escaped,
        "disabled_extensions": [],
        "ignore_unknown_dynamic_fields": flags.ignore_unknown_dynamic_fields,
        "use_dynamic_base_id": flags.use_dynamic_base_id,
        "base_id_path": path(&flags.base_id_path),
        "drain_strategy": match options.drain_strategy {
            DrainStrategy::Gradual => "Gradual",
            DrainStrategy::Immediate => "Immediate",
        },
        "enable_fine_grain_logging": flags.enable_fine_grain_logging,
        "socket_path": flags.socket_path.as_deref().unwrap_or("@envoy_domain_socket"),
        "socket_mode": 0,
        "enable_core_dump": flags.enable_core_dump,
        "stats_tag": flags.stats_tag,
        "skip_hot_restart_on_no_parent": flags.skip_hot_restart_on_no_parent,
        "skip_hot_restart_parent_stats": flags.skip_hot_restart_parent_stats,
        "skip_deprecated_logs": flags.skip_deprecated_logs,
        "file_flush_min_size": flags.file_flush_min_size_kb.unwrap_or(0),
        "log_stacktrace_single_entry": flags.log_stacktrace_single_entry,
    })
}

fn duration(duration: std::time::Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        millis => format!("{}.{millis:03}s", duration.as_secs()),
    }
}

/// The node as the configuration gives it, command line applied, and who we are.
pub(super) fn node(server: &Server) -> Value {
    let given = nuncio_config::to_json("envoy.config.bootstrap.v3.Bootstrap", &server.bootstrap.wire);
    let mut node = given.and_then(|bootstrap| bootstrap.get("node").cloned()).unwrap_or_else(|| json!({}));
    let settings = &server.bootstrap.node;
    node["id"] = settings.id.clone().into();
    node["cluster"] = settings.cluster.clone().into();
    if !settings.locality.zone.is_empty() {
        node["locality"]["zone"] = settings.locality.zone.clone().into();
    }
    let (major, minor, patch) = version::ENVOY;
    let mut number = json!({ "major_number": major, "minor_number": minor });
    if patch > 0 {
        number["patch"] = patch.into();
    }
    node["user_agent_name"] = "envoy".into();
    node["user_agent_build_version"] = json!({
        "version": number,
        "metadata": {
            "ssl.version": "none",
            "revision.sha": version::revision(),
            "revision.status": version::STATUS,
            "build.type": version::BUILD,
            "nuncio.version": env!("CARGO_PKG_VERSION"),
        },
    });
    node
}

/// The node with the fields that are not set, too, as `/server_info` shows it.
fn complete(mut node: Value) -> Value {
    node["user_agent_build_version"]["version"]["patch"] = version::ENVOY.2.into();
    if let Some(locality) = node.get_mut("locality").and_then(Value::as_object_mut) {
        for part in ["region", "zone", "sub_zone"] {
            // Taken out and put back: the order is the message's.
            let value = locality.shift_remove(part).unwrap_or_else(|| "".into());
            locality.insert(part.to_owned(), value);
        }
    }
    for (list, empty) in [
        ("extensions", json!([])),
        ("client_features", json!([])),
        ("listening_addresses", json!([])),
        ("dynamic_parameters", json!({})),
    ] {
        if node.get(list).is_none() {
            node[list] = empty;
        }
    }
    node
}
