//! `/clusters`: limits, hosts and their numbers, as text for people and as JSON for tools.

use std::{fmt::Write as _, rc::Rc};

use nuncio_api::RuntimeSnapshot;
use nuncio_config::model::{Cluster, cluster::EndpointHealth};
use nuncio_upstream::{Breaker, HostEntry, HostSet, HostStat, RoutingPriority, breaker_key};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{
    listeners::address_json,
    reply::{AdminRequest, Reply},
};
use crate::server::Server;

/// `/clusters`
pub(super) fn clusters(server: &Rc<Server>, request: &AdminRequest) -> Reply {
    let pattern = match Regex::new(request.param("filter").unwrap_or_default()) {
        Ok(pattern) => pattern,
        Err(_) => return Reply::bad_request("Invalid re2 regex"),
    };
    let all = server.upstreams.clusters();
    let runtime = server.runtime.snapshot();
    let shown = all.iter().filter(|(settings, _)| pattern.is_match(&settings.name));
    if request.param("format") == Some("json") {
        let statuses: Vec<Value> = shown.map(|(settings, hosts)| status(settings, hosts, &runtime)).collect();
        let mut body = Map::new();
        if !statuses.is_empty() {
            body.insert("cluster_statuses".to_owned(), statuses.into());
        }
        return Reply::json(&body.into());
    }
    let mut text = String::new();
    for (settings, hosts) in shown {
        // Writing into a String cannot fail.
        let _ = write_cluster(&mut text, settings, hosts, &runtime);
    }
    Reply::text(text)
}

fn write_cluster(
    text: &mut String,
    settings: &Cluster,
    hosts: &HostSet,
    runtime: &RuntimeSnapshot,
) -> std::fmt::Result {
    let name = &settings.name;
    writeln!(text, "{name}::observability_name::{}", settings.stat_name)?;
    for priority in [RoutingPriority::Default, RoutingPriority::High] {
        for (limit, value) in limits(settings, priority, runtime) {
            writeln!(text, "{name}::{}_priority::{limit}::{value}", priority.as_str())?;
        }
    }
    writeln!(text, "{name}::added_via_api::{}", settings.added_via_api)?;
    for host in hosts.hosts() {
        let prefix = format!("{name}::{}", host.address);
        for stat in HostStat::ALL {
            writeln!(text, "{prefix}::{}::{}", stat.as_str(), host.description.stat(stat))?;
        }
        let locality = &host.locality;
        for (field, value) in [
            ("hostname", host.description.hostname()),
            ("health_flags", health_flags(host)),
            ("weight", &host.weight.to_string()),
            ("region", &locality.region),
            ("zone", &locality.zone),
            ("sub_zone", &locality.sub_zone),
            ("canary", if host.canary { "true" } else { "false" }),
            ("priority", &host.priority.to_string()),
            ("success_rate", "-1"),
            ("local_origin_success_rate", "-1"),
        ] {
            writeln!(text, "{prefix}::{field}::{value}")?;
        }
    }
    Ok(())
}

/// The limits as they are at the moment: the runtime may override them.
fn limits(settings: &Cluster, priority: RoutingPriority, runtime: &RuntimeSnapshot) -> [(&'static str, u64); 4] {
    [Breaker::Connections, Breaker::Pending, Breaker::Requests, Breaker::Retries].map(|breaker| {
        let configured = breaker.limit(priority.limits(settings));
        (breaker.as_str(), runtime.u64(&breaker_key(&settings.name, priority, breaker), configured))
    })
}

fn health_flags(host: &HostEntry) -> &'static str {
    match host.health {
        EndpointHealth::Healthy => "healthy",
        EndpointHealth::Degraded => "/degraded_eds_health",
        EndpointHealth::Unhealthy => "/failed_eds_health",
    }
}

/// `envoy.admin.v3.ClusterStatus`
fn status(settings: &Cluster, hosts: &HostSet, runtime: &RuntimeSnapshot) -> Value {
    let mut status = Map::new();
    status.insert("name".to_owned(), settings.name.to_string().into());
    if settings.added_via_api {
        status.insert("added_via_api".to_owned(), true.into());
    }
    let hosts: Vec<Value> = hosts.hosts().map(|host| host_status(host)).collect();
    if !hosts.is_empty() {
        status.insert("host_statuses".to_owned(), hosts.into());
    }
    let thresholds = [RoutingPriority::Default, RoutingPriority::High]
        .map(|priority| thresholds(priority, limits(settings, priority, runtime)));
    status.insert("circuit_breakers".to_owned(), json!({ "thresholds": thresholds }));
    status.insert("observability_name".to_owned(), settings.stat_name.clone().into());
    status.into()
}

fn thresholds(priority: RoutingPriority, limits: [(&str, u64); 4]) -> Value {
    let mut object = Map::new();
    // The default is not said.
    if priority == RoutingPriority::High {
        object.insert("priority".to_owned(), "HIGH".into());
    }
    for (name, value) in limits {
        object.insert(name.to_owned(), value.into());
    }
    object.into()
}

/// `envoy.admin.v3.HostStatus`
fn host_status(host: &HostEntry) -> Value {
    let mut status = Map::new();
    status.insert("address".to_owned(), address_json(&host.address));
    let (counters, gauges): (Vec<HostStat>, Vec<HostStat>) =
        HostStat::ALL.into_iter().partition(|stat| stat.is_counter());
    let stats: Vec<Value> = counters.into_iter().chain(gauges).map(|stat| stat_json(host, stat)).collect();
    status.insert("stats".to_owned(), stats.into());
    let health = match host.health {
        EndpointHealth::Healthy => "HEALTHY",
        EndpointHealth::Degraded => "DEGRADED",
        EndpointHealth::Unhealthy => "UNHEALTHY",
    };
    status.insert("health_status".to_owned(), json!({ "eds_health_status": health }));
    status.insert("weight".to_owned(), host.weight.into());
    if !host.description.hostname().is_empty() {
        status.insert("hostname".to_owned(), host.description.hostname().into());
    }
    if host.priority > 0 {
        status.insert("priority".to_owned(), host.priority.into());
    }
    let mut locality = Map::new();
    for (name, value) in
        [("region", &host.locality.region), ("zone", &host.locality.zone), ("sub_zone", &host.locality.sub_zone)]
    {
        if !value.is_empty() {
            locality.insert(name.to_owned(), value.as_str().into());
        }
    }
    status.insert("locality".to_owned(), locality.into());
    status.into()
}

/// `envoy.admin.v3.SimpleMetric`: zero is left out.
fn stat_json(host: &HostEntry, stat: HostStat) -> Value {
    let mut object = Map::new();
    if !stat.is_counter() {
        object.insert("type".to_owned(), "GAUGE".into());
    }
    let value = host.description.stat(stat);
    if value > 0 {
        object.insert("value".to_owned(), value.to_string().into());
    }
    object.insert("name".to_owned(), stat.as_str().into());
    object.into()
}
