//! Listeners, filter chains and their matches.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::{core::v3 as core, listener::v3 as pb};

use super::{
    Context, extension, hcm,
    socket::{self, Names},
    value::{flag, size},
};
use crate::model::{
    Address, Listener,
    listener::{
        DrainType, FilterChain, FilterChainMatch, ListenAddress, SocketOption, TcpKeepalive, TerminalFilter,
        TrafficDirection,
    },
    report::Path,
};

const ADDRESS_HELP: &str = "listeners bind IP addresses: 0.0.0.0 for all interfaces, 127.0.0.1 for this machine only";
const HCM: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const RAW_BUFFER: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

/// Translates a listener. An unusable address is stood in for by the unspecified one.
pub(super) fn listener(cx: &mut Context<'_>, path: &Path<'_>, message: pb::Listener, wire: &[u8]) -> Listener {
    let (drain_type, traffic_direction) = (drain_type(&message), traffic_direction(&message));
    let options = socket::options(message.socket_options);
    let keepalive = message.tcp_keepalive.map(socket::keepalive);
    let address = listen_address(cx, path, message.address, options.clone(), keepalive);
    let additional_addresses = additional_addresses(cx, path, message.additional_addresses, &options, keepalive);
    let address = address.unwrap_or_else(|| unspecified(options));
    let filter_chains = filter_chains(cx, path, message.filter_chains, message.default_filter_chain.is_none());
    let default_filter_chain =
        message.default_filter_chain.and_then(|chain| filter_chain(cx, &path.field("default_filter_chain"), chain));
    Listener {
        name: match message.name.is_empty() {
            true => address.address.to_string(),
            false => message.name,
        },
        stat_prefix: match message.stat_prefix.is_empty() {
            true => address.address.to_string().replace(':', "_"),
            false => message.stat_prefix,
        },
        address,
        additional_addresses,
        bind_to_port: flag(message.bind_to_port, true),
        reuse_port: flag(message.enable_reuse_port, true),
        backlog: message.tcp_backlog_size.map(|backlog| backlog.value),
        transparent: flag(message.transparent, false),
        freebind: flag(message.freebind, false),
        per_connection_buffer_limit: size(message.per_connection_buffer_limit_bytes, 1024 * 1024),
        ignore_global_conn_limit: message.ignore_global_conn_limit,
        drain_type,
        traffic_direction,
        filter_chains,
        default_filter_chain,
        access_log: cx.access_logs(path, "access_log", message.access_log),
        wire: wire.into(),
    }
}

fn drain_type(message: &pb::Listener) -> DrainType {
    match message.drain_type() {
        pb::listener::DrainType::Default => DrainType::Default,
        pb::listener::DrainType::ModifyOnly => DrainType::ModifyOnly,
    }
}

fn traffic_direction(message: &pb::Listener) -> TrafficDirection {
    match message.traffic_direction() {
        core::TrafficDirection::Unspecified => TrafficDirection::Unspecified,
        core::TrafficDirection::Inbound => TrafficDirection::Inbound,
        core::TrafficDirection::Outbound => TrafficDirection::Outbound,
    }
}

fn unspecified(socket_options: Vec<SocketOption>) -> ListenAddress {
    let address = Address::Ip(SocketAddr::from(([0, 0, 0, 0], 0)));
    ListenAddress { address, ipv4_compat: false, socket_options, tcp_keepalive: None }
}

fn listen_address(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    message: Option<core::Address>,
    socket_options: Vec<SocketOption>,
    tcp_keepalive: Option<TcpKeepalive>,
) -> Option<ListenAddress> {
    let ipv4_compat = message.as_ref().is_some_and(|address| match &address.address {
        Some(core::address::Address::SocketAddress(socket)) => socket.ipv4_compat,
        _ => false,
    });
    let path = path.field("address");
    let address = cx.address(&path, message, Names::Refused(ADDRESS_HELP))?;
    let dual = matches!(&address, Address::Ip(SocketAddr::V6(v6))
        if v6.ip().is_unspecified() || v6.ip().to_ipv4_mapped().is_some());
    if ipv4_compat && !dual {
        let text = "`ipv4_compat` is for the address `::` and for IPv4 addresses mapped to IPv6";
        cx.report.error(&path.field("socket_address").field("ipv4_compat"), "bad-address", text);
    }
    Some(ListenAddress { address, ipv4_compat, socket_options, tcp_keepalive })
}

fn additional_addresses(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    list: Vec<pb::AdditionalAddress>,
    options: &[SocketOption],
    keepalive: Option<TcpKeepalive>,
) -> Vec<ListenAddress> {
    let mut addresses = Vec::with_capacity(list.len());
    for (index, entry) in list.into_iter().enumerate() {
        let path = path.item("additional_addresses", index);
        let options = match entry.socket_options {
            Some(own) => socket::options(own.socket_options),
            None => options.to_vec(),
        };
        let keepalive = entry.tcp_keepalive.map(socket::keepalive).or(keepalive);
        addresses.extend(listen_address(cx, &path, entry.address, options, keepalive));
    }
    addresses
}

fn filter_chains(cx: &mut Context<'_>, path: &Path<'_>, list: Vec<pb::FilterChain>, needed: bool) -> Vec<FilterChain> {
    if list.is_empty() && needed {
        let message = "no filter chains specified";
        let help = "give the listener a `filter_chains` entry with an HTTP connection manager";
        cx.report.error_with(path, "no-filter-chain", message, help);
    }
    let mut chains: Vec<FilterChain> = Vec::with_capacity(list.len());
    for (index, message) in list.into_iter().enumerate() {
        let path = path.item("filter_chains", index);
        let Some(chain) = filter_chain(cx, &path, message) else {
            continue;
        };
        if let Some(first) = chains.iter().position(|other| other.matches == chain.matches) {
            let message = format!("this filter chain has the same matching rules as filter_chains[{first}]");
            let help = "only one of them could ever be used: give them different `filter_chain_match`es";
            cx.report.error_with(&path, "duplicate-filter-chain", message, help);
        }
        chains.push(chain);
    }
    chains
}

fn filter_chain(cx: &mut Context<'_>, path: &Path<'_>, message: pb::FilterChain) -> Option<FilterChain> {
    let matches = chain_match(cx, &path.field("filter_chain_match"), message.filter_chain_match.unwrap_or_default());
    if let Some(transport) = message.transport_socket {
        transport_socket(cx, &path.field("transport_socket"), transport);
    }
    let transport_socket_connect_timeout =
        cx.timeout(&path.field("transport_socket_connect_timeout"), message.transport_socket_connect_timeout);
    let terminal = terminal_filter(cx, path, message.filters);
    Some(FilterChain { name: message.name, matches, transport_socket_connect_timeout, terminal: terminal? })
}

/// Plain text is the only transport that is built.
pub(super) fn transport_socket(cx: &mut Context<'_>, path: &Path<'_>, message: core::TransportSocket) {
    let config = message.config_type.map(|core::transport_socket::ConfigType::TypedConfig(any)| any);
    if config.as_ref().is_some_and(|any| extension::type_name(any) == RAW_BUFFER) {
        return;
    }
    cx.unknown_extension(
        path,
        "transport socket",
        &message.name,
        config.as_ref(),
        &["envoy.transport_sockets.raw_buffer"],
    );
}

fn chain_match(cx: &mut Context<'_>, path: &Path<'_>, message: pb::FilterChainMatch) -> FilterChainMatch {
    use pb::filter_chain_match::ConnectionSourceType as Source;
    let source_is_local = match message.source_type() {
        Source::Any => None,
        Source::SameIpOrLoopback => Some(true),
        Source::External => Some(false),
    };
    let mut port = |path: &Path<'_>, value: u32| {
        let port = u16::try_from(value).ok().filter(|port| *port != 0);
        if port.is_none() {
            cx.report.error(path, "bad-port", format!("{value} is not a port"));
        }
        port
    };
    let destination_port =
        message.destination_port.and_then(|value| port(&path.field("destination_port"), value.value));
    let ports = message.source_ports.into_iter().enumerate();
    let source_ports = ports.filter_map(|(index, value)| port(&path.item("source_ports", index), value)).collect();
    FilterChainMatch {
        destination_port,
        source_is_local,
        source_ports,
        prefix_ranges: cx.cidrs(path, "prefix_ranges", message.prefix_ranges),
        direct_source_prefix_ranges: cx.cidrs(path, "direct_source_prefix_ranges", message.direct_source_prefix_ranges),
        source_prefix_ranges: cx.cidrs(path, "source_prefix_ranges", message.source_prefix_ranges),
    }
}

/// Exactly one filter, which has to be one that ends a chain.
fn terminal_filter(cx: &mut Context<'_>, path: &Path<'_>, filters: Vec<pb::Filter>) -> Option<TerminalFilter> {
    let mut terminal = None;
    let last = filters.len().saturating_sub(1);
    if filters.is_empty() {
        let help = "add `envoy.filters.network.http_connection_manager`";
        cx.report.error_with(path, "no-network-filter", "this filter chain has no filters", help);
    }
    for (index, filter) in filters.into_iter().enumerate() {
        let path = path.item("filters", index);
        let config = match filter.config_type {
            Some(pb::filter::ConfigType::TypedConfig(any)) => Some(any),
            // The field check has refused it.
            Some(pb::filter::ConfigType::ConfigDiscovery(_)) => continue,
            None => None,
        };
        let Some(any) = config.as_ref().filter(|any| extension::type_name(any) == HCM) else {
            let built = &["envoy.filters.network.http_connection_manager"];
            cx.unknown_extension(&path, "network filter", &filter.name, config.as_ref(), built);
            continue;
        };
        if index != last {
            let message = format!("terminal filter `{}` must be the last one of the filter chain", filter.name);
            cx.report.error(&path, "terminal-not-last", message);
        }
        let path = path.field("typed_config");
        if let Some(message) = cx.decode(&path, &any.value) {
            terminal = hcm::manager(cx, &path, message).map(|manager| TerminalFilter::Http(manager.into()));
        }
    }
    terminal
}
