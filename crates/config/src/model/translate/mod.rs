//! Protobuf to model: defaults filled in, references checked, every problem reported.
//!
//! One module per part of the model, each with a function per message. They get the message, the
//! path that leads to it and the [`Context`], and answer with the settings; what is wrong goes
//! into the report, and a stand-in is answered so that the rest is looked at too. Owns Envoy's
//! defaults and semantic rules. It does not know text (the walker made the wire bytes) nor field
//! rules (`validate` did those). What a message holds that no function reads is refused or warned
//! about by `fields`, which looks at the wire bytes themselves.

mod access_log;
mod bootstrap;
mod cluster;
mod dns;
mod endpoint;
mod extension;
mod fields;
mod hcm;
mod header;
mod json;
mod lb;
mod listener;
mod local_reply;
mod locality;
mod log_filter;
mod matcher;
mod per_filter;
mod protocol;
mod re2;
mod route;
mod route_action;
mod route_match;
mod route_tree;
mod runtime;
mod shadow;
mod socket;
mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use prost::Message;
use rustc_hash::FxHashSet;

use self::fields::FieldCheck;
use super::{
    Bootstrap, Cluster, Listener, RouteTable,
    cluster::DnsServers,
    report::{Path, Report},
};
use crate::{Diagnostic, LoadOptions};

pub use self::{fields::compatibility_markdown, runtime::runtime_value};

/// What a translation depends on besides the message.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--service-node`, in place of `node.id`.
    pub service_node: Option<String>,
    /// `--service-cluster`, in place of `node.cluster`.
    pub service_cluster: Option<String>,
    /// `--service-zone`, in place of `node.locality.zone`.
    pub service_zone: Option<String>,
    /// What the loading of text may pass over.
    pub text: LoadOptions,
    /// Full names of the config messages of the HTTP filters that are built in, besides the router.
    pub http_filters: &'static [&'static str],
}

/// The settings, unless there was an error, and everything that was found.
pub type Translated<T> = (Option<T>, Vec<Diagnostic>);

/// Translates a `envoy.config.bootstrap.v3.Bootstrap`.
pub fn translate_bootstrap(wire: &[u8], options: &Options) -> Translated<Bootstrap> {
    translate(wire, options, "envoy.config.bootstrap.v3.Bootstrap", bootstrap::bootstrap)
}

/// Translates a `envoy.config.listener.v3.Listener` that came by xDS.
pub fn translate_listener(wire: &[u8], options: &Options) -> Translated<Listener> {
    translate(wire, options, "envoy.config.listener.v3.Listener", |cx, path, wire| {
        let message = cx.decode(path, wire)?;
        Some(listener::listener(cx, path, message, wire))
    })
}

/// Translates a `envoy.config.cluster.v3.Cluster` that came by xDS.
pub fn translate_cluster(wire: &[u8], options: &Options) -> Translated<Cluster> {
    translate(wire, options, "envoy.config.cluster.v3.Cluster", |cx, path, wire| {
        let message = cx.decode(path, wire)?;
        let mut cluster = cluster::cluster(cx, path, message, wire);
        cluster.added_via_api = true;
        Some(cluster)
    })
}

/// Translates a `envoy.config.route.v3.RouteConfiguration` that came by xDS. Its clusters are
/// not looked for: whoever holds the clusters does that when it says `validate_clusters: true`.
pub fn translate_route_config(wire: &[u8], options: &Options) -> Translated<RouteTable> {
    translate(wire, options, "envoy.config.route.v3.RouteConfiguration", |cx, path, wire| {
        let message = cx.decode(path, wire)?;
        Some(route::table(cx, path, message, route::Origin::Api))
    })
}

fn translate<T>(
    wire: &[u8],
    options: &Options,
    message: &str,
    run: impl FnOnce(&mut Context<'_>, &Path<'_>, &[u8]) -> Option<T>,
) -> Translated<T> {
    let mut cx = Context::new(options);
    let path = Path::root("");
    FieldCheck::new(&mut cx.report).check(message, wire, &path);
    let settings = run(&mut cx, &path, wire);
    (settings.filter(|_| !cx.report.has_errors()), cx.report.into_diagnostics())
}

/// What the translating functions share.
pub(super) struct Context<'o> {
    options: &'o Options,
    report: Report,
    /// Names of the static clusters, to check routes against; `None` when they are not known.
    clusters: Option<FxHashSet<Arc<str>>>,
    /// The resolver of the bootstrap, for clusters that name none.
    resolver: DnsServers,
    /// [`RETRY_BUDGET_BY_DEFAULT`] is on.
    retry_budget_by_default: bool,
    /// How many more misspelt names are compared with all others.
    guesses: usize,
    /// Names in `cluster_specifier_plugins` of the table being translated.
    plugins: Vec<String>,
}

/// The runtime key that gives clusters which limit retries in no way a retry budget with Envoy's
/// defaults (20 % of the active requests, at least 3), in place of 3 retries at a time.
pub(super) const RETRY_BUDGET_BY_DEFAULT: &str = "nuncio.retry_budget_by_default";

/// A guess compares with every name there is: ten thousand unknown clusters must not each cost
/// ten thousand comparisons.
const GUESSES: usize = 20;

impl<'o> Context<'o> {
    fn new(options: &'o Options) -> Self {
        Self {
            options,
            report: Report::default(),
            clusters: None,
            resolver: DnsServers::default(),
            retry_budget_by_default: false,
            guesses: GUESSES,
            plugins: Vec::new(),
        }
    }

    /// Decodes a message; the wire walk before has checked that the bytes are well formed, so that
    /// a failure here means a type error of whoever made them.
    fn decode<M: Message + Default>(&mut self, path: &Path<'_>, wire: &[u8]) -> Option<M> {
        match M::decode(wire) {
            Ok(message) => Some(message),
            Err(error) => {
                self.report.error(path, "malformed-message", format!("these bytes are no such message: {error}"));
                None
            }
        }
    }
}
