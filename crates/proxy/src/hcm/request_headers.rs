//! What the connection manager does to request headers before routing: who the client is, what is
//! trusted, which headers are stripped or added (Envoy's `ConnectionManagerUtility`).
//!
//! Order matters to the byte: headers that are changed keep their place, new ones are appended in
//! Envoy's order (x-forwarded-for, x-forwarded-proto, via, x-envoy-internal or
//! x-envoy-external-address, x-request-id).

use std::net::{IpAddr, SocketAddr};

use http::{HeaderValue, StatusCode, header};
use nuncio_api::{HeaderName, Headers, RequestHead, Scheme, names};
use nuncio_config::model::{
    HttpConnectionManager,
    bootstrap::Node,
    hcm::{ForwardClientCert, StripHostPort},
};
use nuncio_net::SocketAddress;

use super::{cidr, joined, original_ip, request_id};
use crate::route::domains::without_port;

/// What the connection knows about its ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<'a> {
    /// The peer.
    pub remote: &'a SocketAddress,
    /// Our side.
    pub local: &'a SocketAddress,
    /// The connection is TLS.
    pub tls: bool,
    /// This machine's own address, in place of a loopback peer in x-forwarded-for.
    pub machine: Option<IpAddr>,
}

/// By which rules a client is judged.
#[derive(Clone, Copy)]
pub(crate) struct Trust<'a> {
    /// The connection manager's settings.
    pub settings: &'a HttpConnectionManager,
    /// `internal_only_headers` of the route table.
    pub internal_only: &'a [HeaderName],
    /// Who we are, for `add_user_agent`.
    pub node: &'a Node,
}

/// What was found out about the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// The address that counts as the client's (`%DOWNSTREAM_REMOTE_ADDRESS%`); `None` on a pipe.
    pub address: Option<SocketAddr>,
    /// The request is internal.
    pub internal: bool,
}

/// Headers that an external client may not set when the proxy is the edge.
static EDGE_HEADERS: [HeaderName; 5] = [
    names::X_ENVOY_DECORATOR_OPERATION,
    names::X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER,
    names::X_ENVOY_DOWNSTREAM_SERVICE_NODE,
    names::X_ENVOY_ORIGINAL_HOST,
    names::X_ENVOY_ORIGINAL_PATH,
];

/// Headers that no external client may set, wherever the proxy stands.
static INTERNAL_HEADERS: [HeaderName; 13] = [
    names::X_ENVOY_RETRY_ON,
    names::X_ENVOY_RETRY_GRPC_ON,
    names::X_ENVOY_MAX_RETRIES,
    names::X_ENVOY_UPSTREAM_ALT_STAT_NAME,
    names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS,
    names::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS,
    names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE,
    names::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS,
    names::X_ENVOY_FORCE_TRACE,
    names::X_ENVOY_IP_TAGS,
    names::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT,
    names::X_ENVOY_RETRIABLE_STATUS_CODES,
    names::X_ENVOY_RETRIABLE_HEADER_NAMES,
];

/// Applies everything to `request`; answers who the client is, or with which status a request is
/// refused whose client cannot be found out.
pub(crate) fn mutate(
    Trust { settings, internal_only, node }: Trust<'_>,
    ends: Ends<'_>,
    request: &mut RequestHead,
    random: impl FnOnce() -> u128,
) -> Result<Client, StatusCode> {
    request.headers.join_repeated(joined::in_requests);
    drop_hop_by_hop(request);
    let headers = &mut request.headers;
    headers.remove(&names::X_ENVOY_INTERNAL);
    if settings.forward_client_cert != ForwardClientCert::AlwaysForwardOnly {
        headers.remove(&names::X_FORWARDED_CLIENT_CERT);
    }
    let client = if settings.use_remote_address {
        edge_client(settings, ends, headers)
    } else if settings.original_ip_detection.is_empty() {
        forwarded_client(settings, ends, headers)
    } else {
        original_ip::client(settings, ends, headers)?
    };
    let forwarded_proto = headers.get(&names::X_FORWARDED_PROTO).map(HeaderValue::as_bytes);
    match forwarded_proto {
        Some(proto) if proto.eq_ignore_ascii_case(b"https") => request.scheme = Scheme::Https,
        Some(_) => request.scheme = Scheme::Http,
        None => headers.append(names::X_FORWARDED_PROTO, proto_value(ends.tls)),
    }
    match settings.scheme_to_overwrite.as_deref() {
        Some("http") => request.scheme = Scheme::Http,
        Some("https") => request.scheme = Scheme::Https,
        _ => {}
    }
    if settings.append_x_forwarded_port
        && !headers.contains(&names::X_FORWARDED_PORT)
        && let Some(local) = ends.local.ip()
    {
        headers.append(names::X_FORWARDED_PORT, HeaderValue::from(local.port()));
    }
    append_via(&settings.via, headers);
    let edge = settings.use_remote_address && !client.internal;
    if client.internal {
        headers.set(names::X_ENVOY_INTERNAL, HeaderValue::from_static("true"));
    } else {
        headers.retain(|name, _| {
            let reserved = name.as_str().starts_with("x-envoy-")
                && (INTERNAL_HEADERS.contains(name) || (edge && EDGE_HEADERS.contains(name)));
            !reserved && !internal_only.contains(name)
        });
        if let Some(value) = client.address.filter(|_| edge).and_then(|a| text_value(&a.ip().to_string())) {
            headers.set(names::X_ENVOY_EXTERNAL_ADDRESS, value);
        }
    }
    if settings.add_user_agent {
        add_user_agent(node, headers);
    }
    set_request_id(settings, edge, headers, random);
    Ok(client)
}

/// Removes what concerns this hop alone. `te` keeps only `trailers`, in lower case as Envoy reads it.
fn drop_hop_by_hop(request: &mut RequestHead) {
    let headers = &mut request.headers;
    let has_connection = headers.contains(&header::CONNECTION);
    if has_connection {
        drop_nominated(headers);
    }
    let te_trailers = headers
        .get_all(&header::TE)
        .any(|value| value.as_bytes().split(|b| *b == b',').any(|t| t.trim_ascii() == b"trailers"));
    let upgrades = request.upgrade.is_some();
    headers.retain(|name, _| {
        !((!upgrades && (*name == header::CONNECTION || *name == header::UPGRADE))
            || *name == header::TRANSFER_ENCODING
            || *name == names::KEEP_ALIVE
            || *name == names::PROXY_CONNECTION)
    });
    if headers.contains(&header::TE) {
        if te_trailers {
            headers.set(header::TE, HeaderValue::from_static("trailers"));
        } else {
            headers.remove(&header::TE);
        }
    }
}

/// Removes the headers that `connection` names.
fn drop_nominated(headers: &mut Headers) {
    let nominated: Vec<HeaderName> = headers
        .get_all(&header::CONNECTION)
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .filter(|name| *name != header::TE && *name != header::UPGRADE)
        .collect();
    headers.retain(|name, _| !nominated.contains(name));
}

/// `use_remote_address`: the peer is the client (or stands for it behind trusted hops).
fn edge_client(settings: &HttpConnectionManager, ends: Ends<'_>, headers: &mut Headers) -> Client {
    let peer = ends.remote.ip();
    let single = headers.get(&names::X_FORWARDED_FOR).is_none();
    let address = match settings.xff_num_trusted_hops {
        0 => peer,
        hops => address_from_xff(headers, hops - 1).map(|ip| SocketAddr::new(ip, 0)).or(peer),
    };
    if !settings.skip_xff_append {
        append_peer(ends, headers);
    }
    if settings.xff_num_trusted_hops == 0 || !headers.contains(&names::X_FORWARDED_PROTO) {
        headers.set(names::X_FORWARDED_PROTO, proto_value(ends.tls));
    }
    Client { address, internal: single && is_internal(settings, ends.remote, address) }
}

/// Adds the peer to x-forwarded-for.
pub(super) fn append_peer(ends: Ends<'_>, headers: &mut Headers) {
    let own = match ends.remote.ip().map(|p| p.ip()) {
        Some(ip) if ip.is_loopback() => Some(ends.machine.unwrap_or(ip)),
        other => other,
    };
    if let Some(ip) = own {
        append_xff(headers, ip);
    }
}

/// Without `use_remote_address` x-forwarded-for is believed; a request without it is of the outside,
/// whoever the peer is.
fn forwarded_client(settings: &HttpConnectionManager, ends: Ends<'_>, headers: &Headers) -> Client {
    let forwarded = address_from_xff(headers, settings.xff_num_trusted_hops);
    let address = forwarded.map(|ip| SocketAddr::new(ip, 0)).or(ends.remote.ip());
    let trusted = forwarded.is_some() && is_single(headers);
    Client { address, internal: trusted && is_internal(settings, ends.remote, address) }
}

pub(super) fn is_single(headers: &Headers) -> bool {
    headers.get(&names::X_FORWARDED_FOR).is_none_or(|v| !v.as_bytes().contains(&b','))
}

pub(super) fn is_internal(
    settings: &HttpConnectionManager,
    remote: &SocketAddress,
    address: Option<SocketAddr>,
) -> bool {
    match address {
        Some(address) => cidr::contains_any(&settings.internal_cidrs, address.ip()),
        None => matches!(remote, SocketAddress::Pipe(_)) && settings.internal_unix_sockets,
    }
}

/// The address `skip` places from the right of x-forwarded-for.
pub(super) fn address_from_xff(headers: &Headers, skip: u32) -> Option<IpAddr> {
    let text = headers.get_str(&names::X_FORWARDED_FOR)?;
    address(text.rsplit(',').nth(usize::try_from(skip).ok()?)?)
}

/// An entry of x-forwarded-for.
pub(super) fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.strip_prefix('[').and_then(|t| t.split(']').next()).unwrap_or(entry);
    bare.parse().ok()
}

pub(crate) fn append_xff(headers: &mut Headers, ip: IpAddr) {
    let text = match headers.get(&names::X_FORWARDED_FOR) {
        Some(before) if !before.is_empty() => {
            let mut joined = before.as_bytes().to_vec();
            joined.push(b',');
            joined.extend_from_slice(ip.to_string().as_bytes());
            HeaderValue::from_bytes(&joined).ok()
        }
        _ => text_value(&ip.to_string()),
    };
    if let Some(value) = text {
        headers.set(names::X_FORWARDED_FOR, value);
    }
}

/// `add_user_agent`
fn add_user_agent(node: &Node, headers: &mut Headers) {
    let Ok(cluster) = HeaderValue::from_str(&node.cluster) else { return };
    headers.set(names::X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER, cluster.clone());
    if headers.get(&header::USER_AGENT).is_none_or(HeaderValue::is_empty) {
        headers.set(header::USER_AGENT, cluster);
    }
    if let Some(id) = text_value(&node.id).filter(|id| !id.is_empty()) {
        headers.set(names::X_ENVOY_DOWNSTREAM_SERVICE_NODE, id);
    }
}

fn set_request_id(settings: &HttpConnectionManager, edge: bool, headers: &mut Headers, random: impl FnOnce() -> u128) {
    let replace = edge && !settings.preserve_external_request_id;
    if settings.generate_request_id && (replace || !headers.contains(&names::X_REQUEST_ID)) {
        headers.set(names::X_REQUEST_ID, request_id::generate(random()));
    }
}

/// Adds `via`, joined to one that is there.
pub(crate) fn append_via(via: &str, headers: &mut Headers) {
    if via.is_empty() {
        return;
    }
    let value = match headers.get(&header::VIA) {
        Some(before) => {
            let mut joined = before.as_bytes().to_vec();
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(via.as_bytes());
            HeaderValue::from_bytes(&joined).ok()
        }
        None => text_value(via),
    };
    if let Some(value) = value {
        headers.set(header::VIA, value);
    }
}

fn proto_value(tls: bool) -> HeaderValue {
    HeaderValue::from_static(if tls { "https" } else { "http" })
}

fn text_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

/// Strips the port and a trailing dot from the authority as configured.
pub(crate) fn normalize_host(settings: &HttpConnectionManager, local: &SocketAddress, request: &mut RequestHead) {
    if settings.strip_host_port == StripHostPort::Keep && !settings.strip_trailing_host_dot {
        return;
    }
    let authority = request.authority.as_str();
    let bare = without_port(authority);
    let strip = match settings.strip_host_port {
        StripHostPort::Keep => false,
        StripHostPort::Any => true,
        StripHostPort::Matching => authority
            .strip_prefix(bare)
            .and_then(|rest| rest.strip_prefix(':'))
            .is_some_and(|port| local.ip().is_some_and(|a| port == a.port().to_string())),
    };
    let mut host = if strip { bare.to_owned() } else { authority.to_owned() };
    if settings.strip_trailing_host_dot {
        let bare = without_port(&host);
        if let Some(trimmed) = bare.strip_suffix('.') {
            let port = host.get(bare.len()..).unwrap_or("");
            host = format!("{trimmed}{port}");
        }
    }
    if host != authority {
        request.authority = host.into();
    }
}
