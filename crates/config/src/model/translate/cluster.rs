//! Clusters: discovery, protocol, circuit breakers.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::envoy::{
    config::{cluster::v3 as pb, core::v3 as core},
    extensions::{
        clusters::dns::v3::DnsCluster,
        upstreams::http::v3::{HttpProtocolOptions, http_protocol_options as upstream},
    },
};

use super::{
    Context, endpoint, extension,
    lb::Balancing,
    listener,
    route::TableRules,
    socket::{self, Names},
    value::{flag, number, percent, size},
};
use crate::model::{
    Address, Cluster,
    cluster::{AddressFamily, Breakers, Discovery, Dns, HappyEyeballs, RetryBudget, UpstreamProtocol},
    hcm::{CommonOptions, Http1Options, Http2Options},
    report::Path,
    route::MirrorPolicy,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The key of `typed_extension_protocol_options` that means HTTP.
const OPTIONS_KEY: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const DNS_CLUSTER: &str = "envoy.extensions.clusters.dns.v3.DnsCluster";

/// Translates a cluster; what is unusable in it is stood in for (and reported).
pub(super) fn cluster(cx: &mut Context<'_>, path: &Path<'_>, mut message: pb::Cluster, wire: &[u8]) -> Cluster {
    cx.check_hashing_by_name(path, &message);
    let tracked = tracked(&mut message);
    let (discovery, dns) = discovery(cx, path, &mut message);
    if let Some(transport) = message.transport_socket.take() {
        listener::transport_socket(cx, &path.field("transport_socket"), transport);
    }
    let Balancing { policy, localities, slow_start } = cx.load_balancing(path, &mut message);
    let Protocols { protocol, common, http1, http2, mirrors } = protocols(cx, path, &mut message);
    let hosts = endpoint::assignment(cx, path, message.load_assignment.take(), discovery);
    let breakers = message.circuit_breakers.take().unwrap_or_default();
    let (breakers_default, breakers_high) = circuit_breakers(cx, &path.field("circuit_breakers"), breakers);
    let bind = message.upstream_bind_config.take().unwrap_or_default();
    let bind_address = bind_address(cx, &path.field("upstream_bind_config"), bind.source_address);
    let common_lb = message.common_lb_config.take().unwrap_or_default();
    let connection = message.upstream_connection_options.take().unwrap_or_default();
    let alternative = Some(message.alt_stat_name).filter(|name| !name.is_empty());
    let stat_name = alternative.unwrap_or_else(|| message.name.clone());
    Cluster {
        stat_name,
        tracked,
        name: shared_name(cx, message.name),
        discovery,
        connect_timeout: cx
            .duration(&path.field("connect_timeout"), message.connect_timeout)
            .unwrap_or(CONNECT_TIMEOUT),
        per_connection_buffer_limit: size(message.per_connection_buffer_limit_bytes, 1024 * 1024),
        lb: policy,
        localities,
        slow_start,
        close_connections_on_host_set_change: common_lb.close_connections_on_host_set_change,
        healthy_panic_threshold: percent(common_lb.healthy_panic_threshold, 50.0),
        endpoints: hosts.localities,
        breakers_default,
        breakers_high,
        protocol,
        common,
        http1,
        http2,
        mirrors,
        dns,
        bind_address,
        freebind: flag(bind.freebind, false),
        socket_options: socket::options(bind.socket_options),
        happy_eyeballs: happy_eyeballs(connection.happy_eyeballs_config.unwrap_or_default()),
        tcp_keepalive: connection.tcp_keepalive.map(socket::keepalive),
        drop_overload_percent: hosts.drop_overload_percent,
        overprovisioning_factor: hosts.overprovisioning_factor,
        weighted_priority_health: hosts.weighted_priority_health,
        metadata: super::endpoint::metadata(message.metadata.as_ref()),
        wire: wire.into(),
        added_via_api: false,
    }
}

/// The name as routes share it.
fn shared_name(cx: &Context<'_>, name: String) -> Arc<str> {
    let known = cx.clusters.as_ref().and_then(|clusters| clusters.get(name.as_str()));
    known.cloned().unwrap_or_else(|| name.into())
}

fn discovery(cx: &mut Context<'_>, path: &Path<'_>, message: &mut pb::Cluster) -> (Discovery, Dns) {
    use pb::cluster::{ClusterDiscoveryType as By, DiscoveryType as Type};
    let dns = cx.cluster_dns(path, message);
    let kind = match message.cluster_discovery_type.take() {
        None => Type::Static,
        Some(By::Type(kind)) => Type::try_from(kind).unwrap_or(Type::Static),
        Some(By::ClusterType(custom)) => {
            return custom_discovery(cx, &path.field("cluster_type"), custom, dns);
        }
    };
    let discovery = match kind {
        Type::Static => Discovery::Static,
        Type::StrictDns => Discovery::StrictDns,
        Type::LogicalDns => Discovery::LogicalDns,
        Type::Eds | Type::OriginalDst => {
            let what = format!("cluster type {}", kind.as_str_name());
            cx.report.unsupported(&path.field("type"), what);
            // Names are let pass, so that no follow-up errors come of it.
            Discovery::StrictDns
        }
    };
    (discovery, dns)
}

fn custom_discovery(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    custom: pb::cluster::CustomClusterType,
    dns: Dns,
) -> (Discovery, Dns) {
    let config = custom.typed_config.as_ref();
    if config.is_some_and(|any| extension::type_name(any) == DNS_CLUSTER) {
        let path = path.field("typed_config");
        let value = config.map(|any| any.value.as_slice()).unwrap_or_default();
        let message: DnsCluster = cx.decode(&path, value).unwrap_or_default();
        let discovery = match message.all_addresses_in_single_endpoint {
            true => Discovery::LogicalDns,
            false => Discovery::StrictDns,
        };
        return (discovery, cx.dns_cluster(&path, message));
    }
    // These are found by name, their config says nothing.
    let discovery = match custom.name.as_str() {
        "envoy.cluster.static" => Discovery::Static,
        "envoy.cluster.strict_dns" => Discovery::StrictDns,
        "envoy.cluster.logical_dns" => Discovery::LogicalDns,
        name => {
            let built =
                &["envoy.cluster.static", "envoy.cluster.strict_dns", "envoy.cluster.logical_dns", "envoy.cluster.dns"];
            cx.unknown_extension(path, "cluster type", name, config, built);
            Discovery::StrictDns
        }
    };
    (discovery, dns)
}

fn bind_address(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    source: Option<core::SocketAddress>,
) -> Option<std::net::SocketAddr> {
    let help = Names::Refused("connections are made from an IP address of this machine");
    match cx.socket_address(&path.field("source_address"), source?, help) {
        Some(Address::Ip(address)) => Some(address),
        _ => None,
    }
}

fn happy_eyeballs(message: pb::upstream_connection_options::HappyEyeballsConfig) -> HappyEyeballs {
    use pb::upstream_connection_options::FirstAddressFamilyVersion as Family;
    HappyEyeballs {
        first_family: match message.first_address_family_version() {
            // No address of a host is an internal one.
            Family::Default | Family::Internal => None,
            Family::V4 => Some(AddressFamily::V4),
            Family::V6 => Some(AddressFamily::V6),
            Family::Pipe => Some(AddressFamily::Pipe),
        },
        first_family_count: number(message.first_address_family_count, 1),
    }
}

/// Thresholds per priority; of several for the same priority Envoy takes the first.
fn circuit_breakers(cx: &mut Context<'_>, path: &Path<'_>, message: pb::CircuitBreakers) -> (Breakers, Breakers) {
    let default = pb::circuit_breakers::Thresholds::default();
    for (index, limits) in message.per_host_thresholds.iter().enumerate() {
        let allowed = pb::circuit_breakers::Thresholds {
            priority: limits.priority,
            max_connections: limits.max_connections,
            track_remaining: limits.track_remaining,
            ..default
        };
        if *limits != allowed {
            let text = "per host only `max_connections` can be limited";
            cx.report.error(&path.item("per_host_thresholds", index), "unsupported-threshold", text);
        }
    }
    let of = |priority: core::RoutingPriority| {
        let thresholds = message.thresholds.iter().find(|thresholds| thresholds.priority() == priority);
        let per_host = message.per_host_thresholds.iter().find(|thresholds| thresholds.priority() == priority);
        let per_host = per_host.and_then(|thresholds| thresholds.max_connections);
        let limits_retries =
            thresholds.is_some_and(|limits| limits.max_retries.is_some() || limits.retry_budget.is_some());
        let mut breakers = Breakers {
            max_connections_per_host: per_host.map_or(u64::MAX, |limit| limit.value.into()),
            ..thresholds.map(threshold).unwrap_or_default()
        };
        if cx.retry_budget_by_default && !limits_retries {
            breakers.retry_budget = Some(RetryBudget { percent: 20.0, min_concurrency: 3 });
        }
        breakers
    };
    (of(core::RoutingPriority::Default), of(core::RoutingPriority::High))
}

fn threshold(message: &pb::circuit_breakers::Thresholds) -> Breakers {
    let defaults = Breakers::default();
    let limit = |value: Option<envoy_types::pb::google::protobuf::UInt32Value>, default| {
        value.map_or(default, |limit| u64::from(limit.value))
    };
    Breakers {
        max_connections: limit(message.max_connections, defaults.max_connections),
        max_pending_requests: limit(message.max_pending_requests, defaults.max_pending_requests),
        max_requests: limit(message.max_requests, defaults.max_requests),
        max_retries: limit(message.max_retries, defaults.max_retries),
        max_connection_pools: limit(message.max_connection_pools, defaults.max_connection_pools),
        retry_budget: message.retry_budget.as_ref().map(|budget| RetryBudget {
            percent: percent(budget.budget_percent, 20.0),
            min_concurrency: number(budget.min_retry_concurrency, 3).into(),
        }),
        track_remaining: message.track_remaining,
        ..defaults
    }
}

/// What is spoken with the hosts.
struct Protocols {
    protocol: UpstreamProtocol,
    common: CommonOptions,
    http1: Http1Options,
    http2: Http2Options,
    mirrors: Arc<[MirrorPolicy]>,
}

/// The options message when there is one; else the older fields of the cluster itself.
#[expect(deprecated, reason = "the fields of the cluster itself are still accepted")]
fn protocols(cx: &mut Context<'_>, path: &Path<'_>, message: &mut pb::Cluster) -> Protocols {
    let mut options = None;
    for (key, any) in std::mem::take(&mut message.typed_extension_protocol_options) {
        let path = path.key("typed_extension_protocol_options", &key);
        if extension::type_name(&any) == OPTIONS {
            options = cx.decode(&path, &any.value);
            known_options(cx, &path, &key);
        } else {
            cx.unknown_extension(&path, "protocol options", &key, Some(&any), &[OPTIONS]);
        }
    }
    if let Some(options) = options {
        return typed_protocols(cx, &path.key("typed_extension_protocol_options", OPTIONS), options);
    }
    let http1 = message.http_protocol_options.take().unwrap_or_default();
    let http2 = message.http2_protocol_options.take();
    let use_downstream = message.protocol_selection() == pb::cluster::ClusterProtocolSelection::UseDownstreamProtocol;
    let common = message.common_http_protocol_options.take().unwrap_or_default();
    let mut common = cx.common_options(&path.field("common_http_protocol_options"), common);
    common.max_requests_per_connection =
        number(message.max_requests_per_connection, common.max_requests_per_connection);
    Protocols {
        protocol: match (use_downstream, http2.is_some()) {
            (true, _) => UpstreamProtocol::SameAsDownstream,
            (false, true) => UpstreamProtocol::Http2,
            (false, false) => UpstreamProtocol::Http1,
        },
        common,
        http1: cx.http1_options(&path.field("http_protocol_options"), http1, false),
        http2: cx.http2_options(&path.field("http2_protocol_options"), http2.unwrap_or_default(), false),
        mirrors: Arc::default(),
    }
}

/// Envoy looks up whose options they are by the key alone, whatever their type.
fn known_options(cx: &mut Context<'_>, path: &Path<'_>, key: &str) {
    if key != OPTIONS_KEY {
        let text = format!("there is no extension `{key}` that could have options");
        cx.report.error_with(path, "unknown-extension", text, format!("the key is `{OPTIONS_KEY}`"));
    }
}

fn typed_protocols(cx: &mut Context<'_>, path: &Path<'_>, message: HttpProtocolOptions) -> Protocols {
    use upstream::{UpstreamProtocolOptions as By, explicit_http_config::ProtocolConfig as Explicit};
    let (protocol, at, http1, http2) = match message.upstream_protocol_options {
        Some(By::ExplicitHttpConfig(config)) => {
            let at = "explicit_http_config";
            match config.protocol_config {
                Some(Explicit::Http2ProtocolOptions(http2)) => (UpstreamProtocol::Http2, at, None, Some(http2)),
                Some(Explicit::HttpProtocolOptions(http1)) => (UpstreamProtocol::Http1, at, Some(http1), None),
                // The field check has refused it.
                Some(Explicit::Http3ProtocolOptions(_)) | None => (UpstreamProtocol::Http1, at, None, None),
            }
        }
        Some(By::UseDownstreamProtocolConfig(config)) => (
            UpstreamProtocol::SameAsDownstream,
            "use_downstream_protocol_config",
            config.http_protocol_options,
            config.http2_protocol_options,
        ),
        // The field check has refused it; the wire rules demand one.
        Some(By::AutoConfig(_)) | None => (UpstreamProtocol::Http1, "auto_config", None, None),
    };
    let common = message.common_http_protocol_options.unwrap_or_default();
    Protocols {
        protocol,
        common: cx.common_options(&path.field("common_http_protocol_options"), common),
        http1: cx.http1_options(&path.field(at).field("http_protocol_options"), http1.unwrap_or_default(), false),
        http2: cx.http2_options(&path.field(at).field("http2_protocol_options"), http2.unwrap_or_default(), false),
        // A cluster may come later than those that name it.
        mirrors: cx.mirrors(path, message.request_mirror_policies, TableRules::LENIENT, &Arc::default()),
    }
}

#[expect(deprecated, reason = "`track_timeout_budgets` is still accepted")]
fn tracked(message: &mut pb::Cluster) -> crate::model::cluster::TrackClusterStats {
    let stats = message.track_cluster_stats.take().unwrap_or_default();
    crate::model::cluster::TrackClusterStats {
        timeout_budgets: stats.timeout_budgets || message.track_timeout_budgets,
        request_response_sizes: stats.request_response_sizes,
    }
}
