//! The life of the server: initialise, serve, end.
//!
//! ```text
//! PRE_INITIALIZING ─ clusters resolved ─ INITIALIZING ─ workers accept ─ LIVE ─ signal ─ DRAINING
//! ```
//!
//! The end is orderly: sockets are closed, idle connections too, running requests get
//! `--drain-grace-s` to finish and their connections are closed behind them, then the rest is cut.
//! A second signal cuts at once. The last log line says how many requests finished and how many
//! did not. Waiting for DNS is bounded by [`INITIALIZATION_LIMIT`]; what is not resolved by then
//! keeps trying while its cluster has no hosts.

use std::{rc::Rc, sync::Arc, time::Duration};

use nuncio_config::model::Bootstrap;
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep},
};
use tracing::{error, info, warn};

use super::{
    Server, State, WhenLive, failed, remove_files,
    signals::{Asked, Signals},
    start::{self, Started},
    version,
    workers::{Command, Event, Tally},
};
use crate::{
    admin,
    cli::options::{Mode, Options},
    exit::Exit,
    logging::Log,
};

/// How long the first resolution of names may keep the listeners closed.
const INITIALIZATION_LIMIT: Duration = Duration::from_secs(10);

/// How long a cut may take: closing sockets, nothing more.
const CUT_LIMIT: Duration = Duration::from_secs(2);

/// How long the end waits for the disk under the access logs.
const LOG_LIMIT: Duration = Duration::from_secs(5);

/// Why serving ended.
enum Ending {
    Asked,
    Lost(String),
}

/// Runs the server from its parts to its end.
pub(super) async fn live(options: Options, bootstrap: Bootstrap, log: Arc<Log>, when_live: Option<WhenLive>) -> Exit {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("signals: {error}")),
    };
    info!("initializing epoch 0 (base id={}, hot restart version={})", options.base_id, version::HOT_RESTART);
    super::process::raise_descriptor_limit();
    if options.flags.enable_core_dump {
        super::process::enable_core_dumps();
    }
    let Started { server, admin, listen, mut events } = match start::build(options, bootstrap, log) {
        Ok(started) => started,
        Err(message) => return failed(&message),
    };
    if let Some(socket) = admin
        && let Err(error) = admin::serve(&server, socket)
    {
        return failed(&format!("admin server: {error}"));
    }
    announce(&server);
    if !initialized(&server, &mut signals).await {
        return end(&server, &mut signals, &mut events).await;
    }
    if server.options.mode == Mode::InitOnly {
        info!("initialized, exiting as --mode init_only asks");
        return end(&server, &mut signals, &mut events).await;
    }
    if let Err(message) = listening(&server, listen, &mut events).await {
        return failed(&message);
    }
    server.set_state(State::Live);
    server.stats.live(server.started.elapsed());
    info!("starting main dispatch loop");
    tokio::task::spawn_local(flush_stats(Rc::clone(&server)));
    tokio::task::spawn_local(flush_access_logs(Rc::clone(&server)));
    if let Some(when_live) = when_live {
        when_live(&server);
    }
    match until_told(&server, &mut signals, &mut events).await {
        Ending::Asked => end(&server, &mut signals, &mut events).await,
        Ending::Lost(message) => failed(&message),
    }
}

fn announce(server: &Server) {
    let count = (server.bootstrap.clusters.len(), server.listeners.len());
    info!(target: "config", "loaded {} cluster(s), {} listener(s)", count.0, count.1);
    for listener in &server.listeners {
        let addresses: Vec<String> = listener.addresses.iter().map(ToString::to_string).collect();
        info!(target: "config", "listener '{}' on {}", listener.settings.name, addresses.join(", "));
    }
    if server.bootstrap.max_active_downstream_connections.is_none() {
        warn!(
            "There is no configured limit to the number of allowed active downstream connections. Configure a limit \
             in `envoy.resource_monitors.global_downstream_max_connections` resource monitor."
        );
    }
}

/// Waits for the clusters; false when a signal came first.
async fn initialized(server: &Server, signals: &mut Signals) -> bool {
    let limit = sleep(INITIALIZATION_LIMIT);
    tokio::pin!(limit);
    let ready = server.upstreams.initialized();
    tokio::pin!(ready);
    loop {
        tokio::select! {
            () = &mut ready => {
                info!(target: "upstream", "cm init: all clusters initialized");
                break;
            }
            () = &mut limit => {
                warn!(target: "upstream", "some names are not resolved yet; their clusters have no hosts for now");
                break;
            }
            () = server.quit.notified() => return false,
            asked = signals.next() => if obey(server, asked) { return false },
        }
    }
    server.set_state(State::Initializing);
    true
}

/// Hands the sockets over and waits until every worker accepts.
async fn listening(server: &Server, listen: Vec<Command>, events: &mut UnboundedReceiver<Event>) -> Result<(), String> {
    info!(target: "config", "all dependencies initialized. starting workers");
    for (index, command) in listen.into_iter().enumerate() {
        server.workers.tell(index, command);
    }
    for _ in 0..server.workers.count() {
        match events.recv().await {
            Some(Event::Listening) => {}
            Some(Event::Lost(message)) => return Err(message),
            Some(Event::Finished(_)) | None => {
                return Err("a worker ended before it began".to_owned());
            }
        }
    }
    Ok(())
}

/// Serves until a signal, the admin endpoint or a lost worker ends it.
async fn until_told(server: &Server, signals: &mut Signals, events: &mut UnboundedReceiver<Event>) -> Ending {
    loop {
        tokio::select! {
            asked = signals.next() => if obey(server, asked) { return Ending::Asked },
            () = server.quit.notified() => return Ending::Asked,
            event = events.recv() => match event {
                Some(Event::Lost(message)) => return Ending::Lost(message),
                None => return Ending::Lost("all workers are gone".to_owned()),
                Some(Event::Listening | Event::Finished(_)) => {}
            },
        }
    }
}

/// Does what a signal asks for; true when it asks to end.
fn obey(server: &Server, asked: Asked) -> bool {
    match asked {
        Asked::End => return true,
        Asked::ReopenLogs => {
            info!("SIGUSR1: reopening logs");
            server.reopen_logs();
        }
        Asked::Nothing => info!("SIGHUP: ignored"),
    }
    false
}

/// Ends in order: finish what runs, cut the rest, say what became of it.
async fn end(server: &Server, signals: &mut Signals, events: &mut UnboundedReceiver<Event>) -> Exit {
    server.set_state(State::Draining);
    server.stats.set_live(false);
    server.drain.start_now();
    server.stop_listeners(false);
    server.workers.tell_all(|| Command::Finish);
    let grace = server.options.drain_grace.as_secs();
    info!("shutting down server instance: running requests have {grace} s to finish");
    let tally = workers_end(server, signals, events).await;
    server.store.flush();
    if !server.access_logs.flush_and_wait(LOG_LIMIT) {
        warn!("some access log lines could not be written");
    }
    if let Some(nuncio_net::SocketAddress::Pipe(path)) = &server.admin_address {
        remove_files(std::slice::from_ref(path));
    }
    info!("exiting: {} request(s) finished while draining, {} cut", tally.finished, tally.cut);
    Exit::Success
}

/// Waits for the workers, for the grace period or until a signal, then cuts.
async fn workers_end(server: &Server, signals: &mut Signals, events: &mut UnboundedReceiver<Event>) -> Tally {
    let mut tally = Tally::default();
    let mut left = server.workers.count();
    let limit = sleep(server.options.drain_grace);
    tokio::pin!(limit);
    let mut is_cut = false;
    while left > 0 {
        let is_over = tokio::select! {
            event = events.recv() => {
                left -= usize::from(has_ended(event, &mut tally));
                false
            }
            () = &mut limit => true,
            asked = signals.next() => obey(server, asked),
        };
        if is_over && is_cut {
            return tally;
        }
        if is_over {
            is_cut = true;
            limit.as_mut().reset(Instant::now() + CUT_LIMIT);
            server.workers.tell_all(|| Command::Cut);
        }
    }
    server.workers.join();
    tally
}

/// Adds up what a worker reports; true when it has ended.
fn has_ended(event: Option<Event>, tally: &mut Tally) -> bool {
    match event {
        Some(Event::Finished(of_worker)) => {
            tally.finished += of_worker.finished;
            tally.cut += of_worker.cut;
            true
        }
        Some(Event::Lost(message)) => {
            error!("{message}");
            true
        }
        Some(Event::Listening) => false,
        // The server holds a sender for as long as a worker lives.
        None => true,
    }
}

/// `--file-flush-interval-msec`: lines of quiet workers do not wait for more.
async fn flush_access_logs(server: Rc<Server>) {
    let mut ticks = ticks(server.access_logs.flush_interval());
    loop {
        ticks.tick().await;
        server.access_logs.flush();
    }
}

/// `stats_flush_interval`: merges histograms and refreshes the server's own gauges.
async fn flush_stats(server: Rc<Server>) {
    let mut ticks = ticks(server.bootstrap.stats_flush_interval);
    loop {
        ticks.tick().await;
        server.refresh_stats();
        server.store.flush();
    }
}

fn ticks(period: Duration) -> Interval {
    let period = period.max(Duration::from_millis(1));
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
