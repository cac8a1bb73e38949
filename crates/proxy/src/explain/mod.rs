//! What would become of a request, and why: `nuncio explain` and the admin server's `/explain`.
//!
//! The very functions that serve a request are asked, in the same order: listener and filter chain,
//! path and host as the connection manager makes them, who the client is, every route considered
//! ([`crate::route::Explanation`]), the action with its rewriting, the limits that hold. Nothing is
//! sent and nothing is counted. Where a value is written is found by whoever has the text
//! ([`Places`]). Not for the request path.

mod action;
mod arrive;
mod settings;
mod text;

use std::net::IpAddr;

use http::{HeaderName, HeaderValue, Method};
use nuncio_api::Runtime;
use nuncio_config::model::{Listener, bootstrap::Node};
use serde::Serialize;

use crate::route::Explanation;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Method.
    pub method: Method,
    /// URL, or a path alone.
    pub url: String,
    /// Headers, in order.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Listener by name; else the one whose port the URL names, else the only one.
    pub listener: Option<String>,
    /// Address the connection comes from (127.0.0.1).
    pub client: Option<IpAddr>,
    /// The number that draws fractions and weights (0).
    pub random: u64,
}

/// Where a field is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file, as `file:line`.
    At(String),
    /// Nowhere.
    Absent,
    /// The text is not at hand.
    Unknown,
}

/// Finds where fields are written, by their path from the bootstrap's root.
pub trait Places {
    /// The place of the field itself, not of what it stands in.
    fn find(&self, path: &str) -> Place;
}

/// Tells of a cluster by its name.
pub trait Clusters {
    /// What is known about it; `None` when there is none.
    fn describe(&self, name: &str) -> Option<ClusterReport>;
}

/// What an explanation draws on.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// All listeners, in the order of the bootstrap.
    pub listeners: &'a [std::sync::Arc<Listener>],
    /// Who the proxy is.
    pub node: &'a Node,
    /// Values that the runtime may change.
    pub runtime: &'a Runtime,
    /// Where fields are written.
    pub places: &'a dyn Places,
    /// The clusters.
    pub clusters: &'a dyn Clusters,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which listener takes the connection.
    pub listener: ListenerReport,
    /// The request as it is routed.
    pub request: RequestReport,
    /// Why it is answered before routing, when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reply>,
    /// How it is routed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<Explanation>,
    /// Where the virtual host is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_host_at: Option<String>,
    /// Where each route considered is written, in the order of `routing.routes`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes_at: Vec<String>,
    /// What the route does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
}

/// The listener.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerReport {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// The filter chain's name, or its index.
    pub filter_chain: String,
    /// `stat_prefix` of the connection manager.
    pub stat_prefix: String,
    /// The route table's name.
    pub route_table: String,
    /// Where it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// The request once host, path and client are settled.
#[derive(Clone, Debug, Serialize)]
pub struct RequestReport {
    /// Method.
    pub method: String,
    /// http or https
    pub scheme: String,
    /// Host.
    pub host: String,
    /// Path with query.
    pub path: String,
    /// The client's address.
    pub client: Option<String>,
    /// It counts as internal.
    pub internal: bool,
}

/// A reply that the proxy gives itself.
#[derive(Clone, Debug, Serialize)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// `%RESPONSE_CODE_DETAILS%`
    pub details: String,
}

/// What a route does.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It forwards.
    Forward(Box<ForwardReport>),
    /// It redirects.
    Redirect {
        /// Status.
        status: u16,
        /// `location`
        location: String,
    },
    /// It answers.
    Direct {
        /// Status.
        status: u16,
        /// Bytes of the body.
        body_bytes: usize,
    },
    /// It answers 404.
    Nothing,
}

/// A request that is forwarded.
#[derive(Clone, Debug, Serialize)]
pub struct ForwardReport {
    /// The cluster's name; `None` when the header that names it is missing.
    pub cluster: Option<String>,
    /// Index of the weighted cluster drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighted: Option<usize>,
    /// What is known about the cluster; `None` when there is none.
    pub upstream: Option<ClusterReport>,
    /// Host sent upstream.
    pub host: String,
    /// Path sent upstream.
    pub path: String,
    /// Headers sent upstream.
    pub headers: Vec<(String, String)>,
    /// Clusters that get a copy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Limits and policies.
    pub settings: Vec<Setting>,
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Field name.
    pub name: &'static str,
    /// Its value, readable.
    pub value: String,
    /// `file:line`, the field's path, a header's name, or `default`.
    pub from: String,
}

/// A cluster.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterReport {
    /// How hosts are found.
    pub discovery: String,
    /// How they are picked.
    pub lb_policy: String,
    /// What is spoken with them.
    pub protocol: String,
    /// Its hosts.
    pub hosts: Vec<HostReport>,
    /// Its circuit breakers, of the route's priority first.
    pub breakers: Vec<BreakerReport>,
    /// Where it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// A host.
#[derive(Clone, Debug, Serialize)]
pub struct HostReport {
    /// Address.
    pub address: String,
    /// Priority, 0 first.
    pub priority: u32,
    /// Weight.
    pub weight: u32,
    /// Health flags as `/clusters` writes them.
    pub health: String,
    /// Requests active now; only live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_requests: Option<u64>,
}

/// A circuit breaker.
#[derive(Clone, Debug, Serialize)]
pub struct BreakerReport {
    /// `default` or `high`.
    pub priority: &'static str,
    /// `max_requests` and so on.
    pub name: &'static str,
    /// Its limit.
    pub limit: u64,
    /// What limits retries in place of `max_retries`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<BudgetReport>,
    /// In use now; only live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_use: Option<u64>,
}

/// A `retry_budget`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BudgetReport {
    /// `budget_percent`
    pub percent: f64,
    /// `min_retry_concurrency`
    pub at_least: u64,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// Not a URL.
    #[error("`{0}` is neither a URL nor a path")]
    BadUrl(String),
    /// No listener has this name.
    #[error("there is no listener `{0}`; there are: {1}")]
    UnknownListener(String, String),
    /// Several listeners could be meant.
    #[error("which listener? There are: {0}. Name one, or its port in the URL")]
    WhichListener(String),
    /// Nothing listens.
    #[error("there is no listener")]
    NoListener,
    /// No filter chain takes the connection.
    #[error("listener `{0}`: no filter chain takes a connection from {1}")]
    NoFilterChain(String, IpAddr),
}

/// Tells what would become of a request.
pub fn explain(question: &Question, sources: Sources<'_>) -> Result<Report, ExplainError> {
    let arrival = arrive::arrive(question, sources)?;
    Ok(action::report(arrival, question, sources))
}
