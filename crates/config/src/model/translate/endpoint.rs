//! Load assignments: localities, endpoints and what is dropped.

use std::sync::Arc;

use envoy_types::pb::{
    envoy::config::{core::v3 as core, endpoint::v3 as pb},
    google::protobuf::value::Kind,
};

use super::{
    Context, json,
    socket::Names,
    value::{fraction, number},
};
use crate::model::{
    bootstrap::Locality,
    cluster::{Discovery, Endpoint, EndpointHealth, LocalityEndpoints, Metadata},
    report::Path,
};

const STATIC_HELP: &str = "clusters of type STATIC take IP addresses; for a name use type STRICT_DNS or LOGICAL_DNS";

/// What a load assignment says.
pub(super) struct Assignment {
    pub(super) localities: Vec<LocalityEndpoints>,
    pub(super) drop_overload_percent: f64,
    pub(super) overprovisioning_factor: u32,
    pub(super) weighted_priority_health: bool,
}

/// Translates `load_assignment`.
pub(super) fn assignment(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    message: Option<pb::ClusterLoadAssignment>,
    discovery: Discovery,
) -> Assignment {
    let path = path.field("load_assignment");
    let message = message.unwrap_or_default();
    let policy = message.policy.unwrap_or_default();
    let configured = (message.endpoints.len(), message.endpoints.iter().map(|each| each.lb_endpoints.len()).sum());
    if discovery == Discovery::LogicalDns && configured != (1, 1usize) {
        let text = "LOGICAL_DNS clusters must have a single locality with a single endpoint";
        let help = "use type STRICT_DNS for several names";
        cx.report.error_with(&path, "logical-dns-endpoints", text, help);
    }
    let mut localities = Vec::with_capacity(message.endpoints.len());
    for (index, locality) in message.endpoints.into_iter().enumerate() {
        localities.push(locality_endpoints(cx, &path.item("endpoints", index), locality, discovery));
    }
    Assignment {
        localities,
        drop_overload_percent: drop_overload(&policy),
        overprovisioning_factor: number(policy.overprovisioning_factor, 140),
        weighted_priority_health: policy.weighted_priority_health,
    }
}

/// Each category drops its share of what the ones before it left.
fn drop_overload(policy: &pb::cluster_load_assignment::Policy) -> f64 {
    let kept = policy.drop_overloads.iter().fold(1.0, |kept, overload| {
        let (numerator, denominator) = fraction(&overload.drop_percentage.unwrap_or_default());
        kept * (1.0 - (f64::from(numerator) / f64::from(denominator)).min(1.0))
    });
    (1.0 - kept) * 100.0
}

fn locality_endpoints(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    message: pb::LocalityLbEndpoints,
    discovery: Discovery,
) -> LocalityEndpoints {
    let mut endpoints = Vec::with_capacity(message.lb_endpoints.len());
    for (index, wire) in message.lb_endpoints.into_iter().enumerate() {
        endpoints.extend(endpoint(cx, &path.item("lb_endpoints", index), wire, discovery));
    }
    LocalityEndpoints {
        locality: locality(message.locality),
        priority: message.priority,
        weight: number(message.load_balancing_weight, 0),
        endpoints,
    }
}

/// A locality; empty when unset.
pub(super) fn locality(message: Option<core::Locality>) -> Locality {
    let message = message.unwrap_or_default();
    Locality { region: message.region, zone: message.zone, sub_zone: message.sub_zone }
}

fn endpoint(cx: &mut Context<'_>, path: &Path<'_>, message: pb::LbEndpoint, discovery: Discovery) -> Option<Endpoint> {
    let health = match message.health_status() {
        core::HealthStatus::Unknown | core::HealthStatus::Healthy => EndpointHealth::Healthy,
        core::HealthStatus::Degraded => EndpointHealth::Degraded,
        core::HealthStatus::Unhealthy | core::HealthStatus::Draining | core::HealthStatus::Timeout => {
            EndpointHealth::Unhealthy
        }
    };
    let wire = match message.host_identifier {
        Some(pb::lb_endpoint::HostIdentifier::Endpoint(endpoint)) => endpoint,
        // The field check has refused it.
        Some(pb::lb_endpoint::HostIdentifier::EndpointName(_)) => return None,
        None => {
            cx.report.error(path, "missing-endpoint", "an `endpoint` with an address is needed");
            return None;
        }
    };
    let names = match discovery {
        Discovery::Static => Names::Refused(STATIC_HELP),
        Discovery::StrictDns | Discovery::LogicalDns => Names::Allowed,
    };
    let path = path.field("endpoint");
    let mut additional_addresses = Vec::with_capacity(wire.additional_addresses.len());
    for (index, each) in wire.additional_addresses.into_iter().enumerate() {
        let path = path.item("additional_addresses", index);
        let names = Names::Refused("addresses beside the first one are IP addresses");
        additional_addresses.extend(cx.address(&path.field("address"), each.address, names));
    }
    Some(Endpoint {
        additional_addresses,
        address: cx.address(&path.field("address"), wire.address, names)?,
        hostname: wire.hostname,
        weight: number(message.load_balancing_weight, 1),
        health,
        canary: message.metadata.as_ref().is_some_and(is_canary),
        metadata: metadata(message.metadata.as_ref()),
    })
}

/// Metadata as JSON; empty for most endpoints.
pub(super) fn metadata(message: Option<&core::Metadata>) -> Arc<Metadata> {
    let mut namespaces: Vec<_> = message.into_iter().flat_map(|message| &message.filter_metadata).collect();
    namespaces.sort_by_key(|(name, _)| *name);
    Arc::new(namespaces.into_iter().map(|(name, fields)| (name.clone(), json::object(fields))).collect())
}

fn is_canary(metadata: &core::Metadata) -> bool {
    let value = metadata.filter_metadata.get("envoy.lb").and_then(|lb| lb.fields.get("canary"));
    matches!(value.and_then(|value| value.kind.as_ref()), Some(Kind::BoolValue(true)))
}
