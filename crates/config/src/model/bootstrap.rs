//! `envoy.config.bootstrap.v3.Bootstrap`.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use super::{AccessLog, Address, Cluster, Listener};

/// Everything a process starts from.
#[derive(Clone, Debug, Default)]
pub struct Bootstrap {
    /// Who we are (command line overrides).
    pub node: Node,
    /// Static listeners in file order.
    pub listeners: Vec<Arc<Listener>>,
    /// Static clusters in file order.
    pub clusters: Vec<Arc<Cluster>>,
    /// Admin server; `None` when there is no `admin.address`.
    pub admin: Option<Admin>,
    /// `stats_flush_interval`, 5 s by default.
    pub stats_flush_interval: Duration,
    /// `stats_config.stats_tags` with a fixed value.
    pub fixed_stats_tags: Vec<(String, String)>,
    /// `layered_runtime`: the layers in file order.
    pub runtime_layers: Vec<RuntimeLayer>,
    /// `overload_manager`: resource monitor `envoy.resource_monitors.global_downstream_max_connections`.
    pub max_active_downstream_connections: Option<u64>,
    /// `default_socket_interface`-independent `header_prefix`, `x-envoy` by default; only that one is accepted.
    pub header_prefix: String,
    /// `cluster_manager.local_cluster_name`.
    pub local_cluster_name: Option<String>,
    /// The wire bytes of the whole message, for config_dump.
    pub wire: Arc<[u8]>,
}

/// One layer of `layered_runtime`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuntimeLayer {
    /// Its name.
    pub name: String,
    /// Where its values come from.
    pub source: RuntimeLayerSource,
    /// What it has from the start, flattened to dotted keys.
    pub values: BTreeMap<String, RuntimeValue>,
}

/// The kinds of runtime layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuntimeLayerSource {
    /// `static_layer`: what the file says.
    #[default]
    Static,
    /// `admin_layer`: what `/runtime_modify` is told; empty at first.
    Admin,
}

/// A value of a runtime layer.
#[derive(Clone, Debug, PartialEq)]
pub enum RuntimeValue {
    /// Number.
    Number(f64),
    /// Boolean.
    Bool(bool),
    /// `{numerator, denominator}`.
    Fraction {
        /// Numerator.
        numerator: u32,
        /// 100, 10,000 or 1,000,000.
        denominator: u32,
    },
    /// Text, and what has no other reading.
    Text(String),
}

/// `envoy.config.core.v3.Node`, what is used of it.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// `id` / `--service-node`.
    pub id: String,
    /// `cluster` / `--service-cluster`.
    pub cluster: String,
    /// `locality`.
    pub locality: Locality,
}

/// `envoy.config.core.v3.Locality`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Locality {
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
    /// Sub-zone.
    pub sub_zone: String,
}

/// `envoy.config.bootstrap.v3.Admin`.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens.
    pub address: Address,
    /// Access logs of the admin server.
    pub access_log: Vec<AccessLog>,
    /// `profile_path`, accepted and unused.
    pub profile_path: Option<PathBuf>,
    /// `ignore_global_conn_limit`.
    pub ignore_global_conn_limit: bool,
}
