//! Which listener and chain take the request, and what the connection manager makes of it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use http::{Uri, header};
use nuncio_api::{Headers, Protocol, RequestHead, Scheme, Text};
use nuncio_config::model::{Address, HttpConnectionManager, Listener, hcm::RouteSource, listener::TerminalFilter};
use nuncio_net::SocketAddress;
use tokio::time::Instant;

use super::{ExplainError, ListenerReport, Place, Question, Reply, RequestReport, Sources};
use crate::{
    hcm::{path, request_headers},
    listener::chain,
    reply::Failure,
    route::RouteIndex,
    stream_info::{ConnectionInfo, StreamInfo},
};

/// A request at the door of routing.
pub(super) struct Arrived {
    pub(super) listener: ListenerReport,
    pub(super) manager: Arc<HttpConnectionManager>,
    /// Path of the connection manager's config from the bootstrap's root.
    pub(super) base: String,
    pub(super) routes: RouteIndex,
    pub(super) info: StreamInfo,
    pub(super) request: RequestReport,
    pub(super) refused: Option<Reply>,
}

pub(super) fn arrive(question: &Question, sources: Sources<'_>) -> Result<Arrived, ExplainError> {
    let url = Target::parse(&question.url)?;
    let (at, listener) = choose(question, &url, sources.listeners)?;
    let client = question.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let remote = SocketAddress::Ip(SocketAddr::new(client, 40_000));
    let local = local_address(listener, client);
    let chosen = chain::choose(listener, &local, &remote);
    let chosen = chosen.ok_or_else(|| ExplainError::NoFilterChain(listener.name.clone(), client))?;
    let found = listener.filter_chains.get(chosen).or(listener.default_filter_chain.as_ref());
    let filter_chain = found.ok_or_else(|| ExplainError::NoFilterChain(listener.name.clone(), client))?;
    let TerminalFilter::Http(manager) = &filter_chain.terminal;
    let root = format!("static_resources.listeners[{at}]");
    let below = match chosen < listener.filter_chains.len() {
        true => format!("filter_chains[{chosen}]"),
        false => "default_filter_chain".to_owned(),
    };
    let RouteSource::Static(table) = &manager.routes;
    let report = ListenerReport {
        name: listener.name.clone(),
        address: listener.address.address.to_string(),
        filter_chain: if filter_chain.name.is_empty() { below.clone() } else { filter_chain.name.clone() },
        stat_prefix: manager.stat_prefix.clone(),
        route_table: table.name.clone(),
        at: place(sources, &root),
    };
    let connection = Rc::new(ConnectionInfo {
        id: 0,
        remote,
        local,
        listener: listener.name.as_str().into(),
        tls: url.scheme == Scheme::Https,
        start: Instant::now(),
    });
    let mut info = StreamInfo::new(connection, Some(request_of(question, url)));
    let refused = settle(&mut info, manager, table, sources);
    Ok(Arrived {
        listener: report,
        base: format!("{root}.{below}.filters[0].typed_config"),
        routes: RouteIndex::new(Arc::clone(table)),
        request: seen(&info),
        refused,
        manager: Arc::clone(manager),
        info,
    })
}

/// Where a field is written, when it is.
pub(super) fn place(sources: Sources<'_>, path: &str) -> Option<String> {
    match sources.places.find(path) {
        Place::At(place) => Some(place),
        Place::Absent | Place::Unknown => None,
    }
}

/// The parts of the URL that matter.
struct Target {
    scheme: Scheme,
    authority: String,
    port: Option<u16>,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self, ExplainError> {
        let bad = || ExplainError::BadUrl(url.to_owned());
        if url.starts_with('/') {
            let path = url.to_owned();
            return Ok(Self { scheme: Scheme::Http, authority: "localhost".to_owned(), port: None, path });
        }
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = full.parse().map_err(|_| bad())?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(bad()),
        };
        let authority = uri.authority().ok_or_else(bad)?;
        Ok(Self {
            scheme,
            authority: authority.as_str().to_owned(),
            port: authority.port_u16(),
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

fn choose<'a>(
    question: &Question,
    url: &Target,
    listeners: &'a [Arc<Listener>],
) -> Result<(usize, &'a Listener), ExplainError> {
    let names =
        || listeners.iter().map(|l| format!("{} ({})", l.name, l.address.address)).collect::<Vec<_>>().join(", ");
    let mut all = listeners.iter().enumerate().map(|(at, listener)| (at, &**listener));
    if let Some(name) = &question.listener {
        let found = all.find(|(_, listener)| listener.name == *name);
        return found.ok_or_else(|| ExplainError::UnknownListener(name.clone(), names()));
    }
    if let Some(port) = url.port {
        let listens = |listener: &Listener| {
            let more = listener.additional_addresses.iter();
            std::iter::once(&listener.address).chain(more).any(|own| port_of(&own.address) == Some(port))
        };
        if let Some(found) = all.clone().find(|(_, listener)| listens(listener)) {
            return Ok(found);
        }
    }
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(ExplainError::NoListener),
        _ => Err(ExplainError::WhichListener(names())),
    }
}

fn port_of(address: &Address) -> Option<u16> {
    match address {
        Address::Ip(address) => Some(address.port()),
        Address::Pipe { .. } | Address::Name { .. } => None,
    }
}

/// What the connection's own side would be.
fn local_address(listener: &Listener, client: IpAddr) -> SocketAddress {
    match &listener.address.address {
        Address::Ip(own) if own.ip().is_unspecified() => SocketAddress::Ip(SocketAddr::new(client, own.port())),
        Address::Ip(own) => SocketAddress::Ip(*own),
        Address::Pipe { .. } | Address::Name { .. } => SocketAddress::Ip(SocketAddr::new(client, 0)),
    }
}

fn request_of(question: &Question, url: Target) -> RequestHead {
    let mut headers = Headers::new();
    let mut authority = url.authority;
    for (name, value) in &question.headers {
        match (name == header::HOST, value.to_str()) {
            (true, Ok(host)) => host.clone_into(&mut authority),
            _ => headers.append(name.clone(), value.clone()),
        }
    }
    RequestHead {
        method: question.method.clone(),
        scheme: url.scheme,
        authority: Text::from(authority),
        // A CONNECT has no path.
        path: if question.method == http::Method::CONNECT { Text::default() } else { Text::from(url.path) },
        protocol: Protocol::Http11,
        upgrade: None,
        headers,
    }
}

/// Host, path and client, as the connection manager settles them; why it refuses, when it does.
fn settle(
    info: &mut StreamInfo,
    manager: &HttpConnectionManager,
    table: &nuncio_config::model::RouteTable,
    sources: Sources<'_>,
) -> Option<Reply> {
    let request = info.request.as_mut()?;
    request_headers::normalize_host(manager, &info.connection.local, request);
    let normalized = path::normalize(manager, &request.path);
    if let Some(path) = normalized.path {
        request.path = Text::from(path);
    }
    match normalized.verdict {
        path::Verdict::Forward => {}
        path::Verdict::Redirect => {
            return Some(Reply { status: 307, details: "path_normalization_failed".to_owned() });
        }
        path::Verdict::Reject => return Some(reply(&Failure::PathNormalization)),
    }
    let ends = request_headers::Ends {
        remote: &info.connection.remote,
        local: &info.connection.local,
        tls: info.connection.tls,
        machine: None,
    };
    let trust =
        request_headers::Trust { settings: manager, internal_only: &table.internal_only_headers, node: sources.node };
    match request_headers::mutate(trust, ends, request, || 0) {
        Ok(client) => {
            info.client = client.address;
            info.internal = client.internal;
            None
        }
        Err(status) => Some(reply(&Failure::UnknownClient(status))),
    }
}

fn reply(failure: &Failure) -> Reply {
    let reply = failure.reply();
    Reply { status: reply.status.as_u16(), details: reply.details.into_owned() }
}

fn seen(info: &StreamInfo) -> RequestReport {
    let request = info.request.as_ref();
    RequestReport {
        method: request.map_or_else(String::new, |r| r.method.to_string()),
        scheme: request.map_or("http", |r| r.scheme.as_str()).to_owned(),
        host: request.map_or_else(String::new, |r| r.authority.to_string()),
        path: request.map_or_else(String::new, |r| r.path.to_string()),
        client: info.client.map(|address| address.ip().to_string()),
        internal: info.internal,
    }
}
