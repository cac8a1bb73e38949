//! `envoy.config.listener.v3.Listener`.

use std::{sync::Arc, time::Duration};

use super::{AccessLog, Address, HttpConnectionManager};

/// One listener.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Name; a generated one when the config gives none.
    pub name: String,
    /// Main address.
    pub address: ListenAddress,
    /// `additional_addresses`.
    pub additional_addresses: Vec<ListenAddress>,
    /// `stat_prefix`, else the address with `:` as `_`.
    pub stat_prefix: String,
    /// `bind_to_port` (default true).
    pub bind_to_port: bool,
    /// `enable_reuse_port` (default true): one socket per worker.
    pub reuse_port: bool,
    /// `tcp_backlog_size`, else the system's maximum.
    pub backlog: Option<u32>,
    /// `transparent`.
    pub transparent: bool,
    /// `freebind`.
    pub freebind: bool,
    /// `per_connection_buffer_limit_bytes` (default 1 MiB).
    pub per_connection_buffer_limit: usize,
    /// `ignore_global_conn_limit`.
    pub ignore_global_conn_limit: bool,
    /// Drain with the server or only on modification.
    pub drain_type: DrainType,
    /// Direction, for `/drain_listeners?inboundonly` and logs.
    pub traffic_direction: TrafficDirection,
    /// Filter chains in order. Without TLS at most one can match a connection; matching by
    /// address is complete, by SNI and ALPN comes with TLS.
    pub filter_chains: Vec<FilterChain>,
    /// `default_filter_chain`.
    pub default_filter_chain: Option<FilterChain>,
    /// Listener access logs (one line per connection).
    pub access_log: Vec<AccessLog>,
    /// The listener's own wire bytes, for config_dump.
    pub wire: Arc<[u8]>,
}

/// One address a listener binds.
#[derive(Clone, Debug)]
pub struct ListenAddress {
    /// Where.
    pub address: Address,
    /// `ipv4_compat` (dual stack on a v6 address).
    pub ipv4_compat: bool,
    /// Raw `socket_options`.
    pub socket_options: Vec<SocketOption>,
    /// `tcp_keepalive`.
    pub tcp_keepalive: Option<TcpKeepalive>,
}

/// `envoy.config.core.v3.SocketOption`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOption {
    /// Level.
    pub level: i64,
    /// Name.
    pub name: i64,
    /// Value.
    pub value: SocketOptionValue,
    /// When it is set.
    pub state: SocketState,
}

/// Value of a raw socket option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketOptionValue {
    /// `int_value`
    Int(i64),
    /// `buf_value`
    Bytes(Vec<u8>),
}

/// When a raw socket option is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketState {
    /// Before bind.
    Prebind,
    /// After bind.
    Bound,
    /// After listen.
    Listening,
}

/// `envoy.config.core.v3.TcpKeepalive`; `None` = the system's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// `keepalive_probes`
    pub probes: Option<u32>,
    /// `keepalive_time`
    pub time: Option<Duration>,
    /// `keepalive_interval`
    pub interval: Option<Duration>,
}

/// `Listener.DrainType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainType {
    /// Also on health-check failure and hot restart.
    Default,
    /// Only when the listener itself is modified or removed.
    ModifyOnly,
}

/// `TrafficDirection`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficDirection {
    /// Not said.
    Unspecified,
    /// Towards the local application.
    Inbound,
    /// From the local application.
    Outbound,
}

/// One filter chain.
#[derive(Clone, Debug)]
pub struct FilterChain {
    /// Name, may be empty.
    pub name: String,
    /// What it matches; empty matches all.
    pub matches: FilterChainMatch,
    /// `transport_socket_connect_timeout` (TLS handshake), 0 = off.
    pub transport_socket_connect_timeout: Option<Duration>,
    /// The terminal filter.
    pub terminal: TerminalFilter,
}

/// The address parts of `FilterChainMatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterChainMatch {
    /// `destination_port`
    pub destination_port: Option<u16>,
    /// `prefix_ranges` as (address, prefix length).
    pub prefix_ranges: Vec<(std::net::IpAddr, u8)>,
    /// `direct_source_prefix_ranges`
    pub direct_source_prefix_ranges: Vec<(std::net::IpAddr, u8)>,
    /// `source_type`: true = local only, false = external only.
    pub source_is_local: Option<bool>,
    /// `source_prefix_ranges`
    pub source_prefix_ranges: Vec<(std::net::IpAddr, u8)>,
    /// `source_ports`
    pub source_ports: Vec<u16>,
}

/// The last network filter of a chain.
#[derive(Clone, Debug)]
pub enum TerminalFilter {
    /// `envoy.filters.network.http_connection_manager`
    Http(Arc<HttpConnectionManager>),
}
