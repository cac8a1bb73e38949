//! Putting the server together, in the order in which things may fail.
//!
//! Stats, log files, admin address, listeners' addresses, upstream clusters, worker threads. The
//! first failure ends the start with one sentence; nothing has been served by then.

use std::{
    cell::Cell,
    net::{IpAddr, UdpSocket},
    rc::Rc,
    sync::Arc,
    time::{Instant, SystemTime},
};

use nuncio_api::{Drain, Runtime};
use nuncio_config::model::{Bootstrap, HttpConnectionManager, Listener, listener::TerminalFilter};
use nuncio_net::{BoundSocket, SocketAddress};
use nuncio_proxy::{GlobalLimits, LogSinks};
use nuncio_stats::{
    Store, StoreSettings, Tag,
    templates::{http_scope, router_stats},
};
use tokio::sync::{
    Notify,
    mpsc::{UnboundedReceiver, unbounded_channel},
};

use super::{
    ActiveListener, Server, State,
    bind::{BoundListener, bind_admin, bind_all},
    runtime::RuntimeLoader,
    stats::ServerStats,
    upstreams::Upstreams,
    workers::{Command, Event, Seed, Workers},
};
use crate::{cli::options::Options, logging::Log};

/// A server that is ready to begin.
pub(super) struct Started {
    pub(super) server: Rc<Server>,
    pub(super) admin: Option<BoundSocket>,
    pub(super) listen: Vec<Command>,
    pub(super) events: UnboundedReceiver<Event>,
}

/// Builds everything; the text of an error is for the operator.
pub(super) fn build(options: Options, bootstrap: Bootstrap, log: Arc<Log>) -> Result<Started, String> {
    let bootstrap = Arc::new(bootstrap);
    let workers = options.concurrency;
    let store = store(&bootstrap, workers);
    let drain = Arc::new(Drain::new(options.drain_strategy, options.drain_time));
    let limits = Arc::new(GlobalLimits::new(bootstrap.max_active_downstream_connections));
    let access_logs = open_access_logs(&bootstrap, &options, &store)?;
    let (admin, admin_address) = open_admin(&bootstrap, &options)?;
    let mut bound = bind_all(&bootstrap.listeners, workers).map_err(|error| error.to_string())?;
    // Envoy lists the stats of its client for internal requests; ours has none of them yet.
    let _ = store.group(&router_stats::TEMPLATE, http_scope("async-client"));
    let stats = ServerStats::new(&store, &options.flags, workers, bound.len(), &bootstrap);
    let runtime = RuntimeLoader::new(&bootstrap, &store);
    let upstreams = Upstreams::new(&bootstrap, &store, &Runtime::new(runtime.source()));
    let machine_address = machine_address(options.flags.local_address_ip_version.as_deref() == Some("v6"));
    let seed = Seed {
        store: Arc::clone(&store),
        drain: Arc::clone(&drain),
        logs: Arc::clone(&access_logs),
        limits: Arc::clone(&limits),
        node: Arc::new(bootstrap.node.clone()),
        runtime: Arc::clone(runtime.source()),
        machine_address,
        upstreams: upstreams.seed(&store),
    };
    let (threads, events) = start_workers(workers, &seed)?;
    upstreams.discover(&threads.publisher())?;
    let listen = (0..workers).map(|index| listen_command(&mut bound, index)).collect();
    let server = Rc::new(Server {
        options,
        bootstrap,
        log,
        store,
        drain,
        limits,
        machine_address,
        access_logs,
        runtime,
        upstreams,
        listeners: bound.into_iter().map(active).collect(),
        admin_address,
        workers: threads,
        stats,
        started: Instant::now(),
        started_at: SystemTime::now(),
        quit: Notify::new(),
        tracks_lookups: Cell::new(false),
        state: Cell::new(State::PreInitializing),
    });
    Ok(Started { server, admin, listen, events })
}

/// Binds the admin server's address and writes down where it is.
fn open_admin(
    bootstrap: &Bootstrap,
    options: &Options,
) -> Result<(Option<BoundSocket>, Option<SocketAddress>), String> {
    let admin = bootstrap.admin.as_ref().map(|admin| bind_admin(&admin.address)).transpose();
    let admin = admin.map_err(|error| error.to_string())?;
    let address = admin.as_ref().map(|socket| socket.local_address().clone());
    write_files(options, address.as_ref())?;
    Ok((admin, address))
}

fn start_workers(count: usize, seed: &Seed) -> Result<(Workers, UnboundedReceiver<Event>), String> {
    let (sender, events) = unbounded_channel();
    let threads = Workers::start(count, seed, &sender).map_err(|error| format!("worker thread: {error}"))?;
    Ok((threads, events))
}

fn store(bootstrap: &Bootstrap, workers: usize) -> Arc<Store> {
    let store = Store::new(workers);
    let tag = |(name, value): &(String, String)| Tag { name: name.clone().into(), value: value.clone() };
    let fixed_tags = bootstrap.fixed_stats_tags.iter().map(tag).collect();
    store.configure(StoreSettings { fixed_tags, ..StoreSettings::default() });
    store
}

/// Opens every access log now: a folder that is missing should end the start, not lose lines.
fn open_access_logs(bootstrap: &Bootstrap, options: &Options, store: &Arc<Store>) -> Result<Arc<LogSinks>, String> {
    let sinks = LogSinks::new(store, options.flush_interval, options.flush_min_bytes);
    let listeners = bootstrap.listeners.iter().map(|listener| listener.access_log.as_slice());
    let managers = bootstrap.listeners.iter().flat_map(|listener| connection_managers(listener));
    let admin = bootstrap.admin.iter().map(|admin| admin.access_log.as_slice());
    for logs in listeners.chain(managers.map(|manager| manager.access_log.as_slice())).chain(admin) {
        sinks.open(logs).map_err(|error| format!("access log: {error}"))?;
    }
    Ok(Arc::new(sinks))
}

fn connection_managers(listener: &Listener) -> impl Iterator<Item = &Arc<HttpConnectionManager>> {
    let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
    chains.map(|chain| {
        let TerminalFilter::Http(manager) = &chain.terminal;
        manager
    })
}

fn listen_command(bound: &mut [BoundListener], worker: usize) -> Command {
    let mine = bound.iter_mut().map(|listener| {
        let sockets = listener.sockets.get_mut(worker).map(std::mem::take).unwrap_or_default();
        (Arc::clone(&listener.settings), sockets)
    });
    Command::Listen(mine.collect())
}

fn active(bound: BoundListener) -> ActiveListener {
    ActiveListener {
        settings: bound.settings,
        addresses: bound.addresses,
        files: bound.files,
        accepting: Cell::new(true),
    }
}

/// Files through which tests and supervisors learn what was chosen.
fn write_files(options: &Options, admin: Option<&SocketAddress>) -> Result<(), String> {
    let write = |flag: &str, path: &std::path::Path, text: &str| {
        std::fs::write(path, text).map_err(|error| format!("{flag} {}: {error}", path.display()))
    };
    if let (Some(path), Some(address)) = (&options.flags.admin_address_path, admin) {
        write("--admin-address-path", path, &address.to_string())?;
    }
    if let Some(path) = &options.flags.base_id_path {
        write("--base-id-path", path, &options.base_id.to_string())?;
    }
    Ok(())
}

/// This machine's address on the way to the rest of the world. Connecting a datagram socket sends
/// nothing; it makes the kernel choose. The targets are addresses kept free for documentation.
fn machine_address(v6: bool) -> Option<IpAddr> {
    let (any, target) = if v6 { ("[::]:0", "[2001:db8::1]:9") } else { ("0.0.0.0:0", "192.0.2.1:9") };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
