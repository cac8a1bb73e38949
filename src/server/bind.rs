//! Binds every listener of the bootstrap before anything else starts.
//!
//! All sockets of all workers are made here, on the main thread, so that a port in use ends the
//! start with one sentence. The translation from the settings model to `nuncio-net`'s own types is
//! here too: that crate knows no configuration.

use std::{path::PathBuf, sync::Arc};

use nuncio_config::model::{
    Address, Listener,
    listener::{ListenAddress, SocketOption, SocketOptionValue, SocketState, TcpKeepalive},
};
use nuncio_net::{
    BoundSocket, ListenError, ListenSettings, SocketAddress,
    socket_options::{Keepalive, RawOption, RawValue},
};

/// A listener that could not be bound.
#[derive(Debug)]
pub(crate) struct BindError {
    owner: String,
    address: String,
    source: Cause,
}

#[derive(Debug)]
enum Cause {
    Name,
    Listen(ListenError),
}

impl std::fmt::Display for BindError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { owner, address, source } = self;
        match source {
            Cause::Name => write!(formatter, "{owner}: cannot listen on {address}: an IP address is needed"),
            Cause::Listen(source) => {
                write!(formatter, "{owner}: cannot listen on {address}: {source}")
            }
        }
    }
}

/// One listener with its sockets.
#[derive(Debug)]
pub(crate) struct BoundListener {
    pub(crate) settings: Arc<Listener>,
    /// Where it really is, ports chosen by the kernel included.
    pub(crate) addresses: Vec<SocketAddress>,
    /// Files of Unix sockets, to be removed at the end.
    pub(crate) files: Vec<PathBuf>,
    /// For each worker, one socket per address.
    pub(crate) sockets: Vec<Vec<BoundSocket>>,
}

/// Binds all listeners for so many workers.
pub(crate) fn bind_all(listeners: &[Arc<Listener>], workers: usize) -> Result<Vec<BoundListener>, BindError> {
    listeners.iter().map(|settings| bind_listener(settings, workers)).collect()
}

fn bind_listener(settings: &Arc<Listener>, workers: usize) -> Result<BoundListener, BindError> {
    let mut bound = BoundListener {
        settings: Arc::clone(settings),
        addresses: Vec::new(),
        files: Vec::new(),
        sockets: (0..workers).map(|_| Vec::new()).collect(),
    };
    if !settings.bind_to_port {
        return Ok(bound);
    }
    for address in std::iter::once(&settings.address).chain(&settings.additional_addresses) {
        let failed = |source| BindError {
            owner: format!("listener '{}'", settings.name),
            address: address.address.to_string(),
            source,
        };
        let listen = listen_settings(settings, address).ok_or_else(|| failed(Cause::Name))?;
        let first = BoundSocket::bind(&listen).map_err(|error| failed(Cause::Listen(error)))?;
        bound.addresses.push(first.local_address().clone());
        bound.files.extend(first.file().map(PathBuf::from));
        let (mine, others) = bound.sockets.split_at_mut(1.min(workers));
        for sockets in others {
            sockets.push(first.another(&listen).map_err(|error| failed(Cause::Listen(error)))?);
        }
        if let Some(sockets) = mine.first_mut() {
            sockets.push(first);
        }
    }
    Ok(bound)
}

/// Binds the admin server's address.
pub(crate) fn bind_admin(address: &Address) -> Result<BoundSocket, BindError> {
    let failed = |source| BindError { owner: "admin server".to_owned(), address: address.to_string(), source };
    let target = socket_address(address).ok_or_else(|| failed(Cause::Name))?;
    let settings = ListenSettings { reuse_port: false, mode: mode(address), ..ListenSettings::new(target) };
    BoundSocket::bind(&settings).map_err(|error| failed(Cause::Listen(error)))
}

fn socket_address(address: &Address) -> Option<SocketAddress> {
    match address {
        Address::Ip(ip) => Some(SocketAddress::Ip(*ip)),
        Address::Pipe { path, .. } => Some(SocketAddress::Pipe(path.clone())),
        Address::Name { .. } => None,
    }
}

fn mode(address: &Address) -> u32 {
    match address {
        Address::Pipe { mode, .. } => *mode,
        Address::Ip(_) | Address::Name { .. } => 0,
    }
}

fn listen_settings(listener: &Listener, address: &ListenAddress) -> Option<ListenSettings> {
    let options = |state| -> Vec<RawOption> {
        address.socket_options.iter().filter(|option| option.state == state).map(raw_option).collect()
    };
    Some(ListenSettings {
        address: socket_address(&address.address)?,
        mode: mode(&address.address),
        ipv4_compat: address.ipv4_compat,
        reuse_port: listener.reuse_port,
        freebind: listener.freebind,
        transparent: listener.transparent,
        backlog: listener.backlog,
        keepalive: address.tcp_keepalive.as_ref().map(keepalive),
        before_bind: options(SocketState::Prebind),
        after_bind: options(SocketState::Bound),
        after_listen: options(SocketState::Listening),
    })
}

fn raw_option(option: &SocketOption) -> RawOption {
    let value = match &option.value {
        SocketOptionValue::Int(value) => RawValue::Int(*value),
        SocketOptionValue::Bytes(bytes) => RawValue::Bytes(bytes.clone()),
    };
    RawOption { level: option.level, name: option.name, value }
}

fn keepalive(keepalive: &TcpKeepalive) -> Keepalive {
    Keepalive { probes: keepalive.probes, time: keepalive.time, interval: keepalive.interval }
}
