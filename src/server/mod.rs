//! The server: everything that lives as long as the process, owned by the main thread.
//!
//! [`run`] loads the configuration and serves it; `start` puts the parts together in the order in
//! which they may fail, `life` runs until a signal and ends in order. The data path is not here:
//! workers have it, and the main thread only tells them when to begin and when to stop.

mod bind;
mod life;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod runtime;
mod signals;
mod start;
pub(crate) mod stats;
pub(crate) mod upstreams;
pub(crate) mod version;
pub(crate) mod workers;

use std::{
    cell::Cell,
    net::IpAddr,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::{Instant, SystemTime},
};

use nuncio_api::Drain;
use nuncio_config::model::{Bootstrap, Listener, listener::TrafficDirection};
use nuncio_net::SocketAddress;
use nuncio_proxy::{GlobalLimits, LogSinks};
use nuncio_stats::Store;
use tokio::sync::Notify;

use crate::{
    cli::options::{Mode, Options},
    exit::{Exit, say},
    logging::{self, Log},
};
use runtime::RuntimeLoader;
use stats::ServerStats;
use upstreams::Upstreams;
use workers::{Command, Workers};

/// What happens once the server is live; the demo uses it.
pub(crate) type WhenLive = Box<dyn FnOnce(&Rc<Server>)>;

/// Loads what the command line names, then validates or serves it.
pub(crate) fn run(options: Options) -> Exit {
    let mut log = options.log.clone();
    if options.mode == Mode::Validate {
        // As in Envoy, which writes to the file only once it serves.
        log.path = None;
    }
    let log = match logging::init(&log) {
        Ok(log) => log,
        Err(error) => {
            let path = options.log.path.unwrap_or_default();
            eprintln!("--log-path {}: {error}", path.display());
            return Exit::Failure;
        }
    };
    let sources = match load::sources(&options) {
        Ok(sources) => sources,
        Err(message) => return failed(&message),
    };
    let checked = load::with_options(sources, &options);
    eprint!("{}", checked.report());
    let Some(bootstrap) = checked.bootstrap else {
        return failed("the configuration is refused");
    };
    if options.mode == Mode::Validate {
        let name = options.flags.config_path.as_ref().map_or_else(String::new, |path| path.display().to_string());
        say(&format!("configuration '{name}' OK\n"));
        return Exit::Success;
    }
    serve(options, bootstrap, log, None)
}

/// Serves a bootstrap until the process is told to end.
pub(crate) fn serve(options: Options, bootstrap: Bootstrap, log: Arc<Log>, when_live: Option<WhenLive>) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the runtime cannot start: {error}")),
    };
    let local = tokio::task::LocalSet::new();
    let exit = local.block_on(&runtime, life::live(options, bootstrap, log, when_live));
    // Name look-ups may hang in a thread of the runtime; the process does not wait for them.
    runtime.shutdown_background();
    exit
}

#[track_caller]
fn failed(message: &str) -> Exit {
    logging::critical("main", message);
    Exit::Failure
}

/// Envoy's server states, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Live,
    Draining,
    PreInitializing,
    Initializing,
}

impl State {
    /// As `/ready` and `/server_info` write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
            Self::PreInitializing => "PRE_INITIALIZING",
            Self::Initializing => "INITIALIZING",
        }
    }

    /// As `server.state` shows it.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Live => 0,
            Self::Draining => 1,
            Self::PreInitializing => 2,
            Self::Initializing => 3,
        }
    }
}

/// A listener as the main thread knows it.
#[derive(Debug)]
pub(crate) struct ActiveListener {
    pub(crate) settings: Arc<Listener>,
    pub(crate) addresses: Vec<SocketAddress>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) accepting: Cell<bool>,
}

/// Everything the main thread owns.
pub(crate) struct Server {
    pub(crate) options: Options,
    pub(crate) bootstrap: Arc<Bootstrap>,
    pub(crate) log: Arc<Log>,
    pub(crate) store: Arc<Store>,
    pub(crate) drain: Arc<Drain>,
    pub(crate) limits: Arc<GlobalLimits>,
    pub(crate) machine_address: Option<IpAddr>,
    pub(crate) access_logs: Arc<LogSinks>,
    pub(crate) runtime: RuntimeLoader,
    pub(crate) upstreams: Upstreams,
    pub(crate) listeners: Vec<ActiveListener>,
    pub(crate) admin_address: Option<SocketAddress>,
    pub(crate) workers: Workers,
    pub(crate) stats: ServerStats,
    pub(crate) started: Instant,
    pub(crate) started_at: SystemTime,
    pub(crate) quit: Notify,
    /// The switch of `/stats/recentlookups`.
    pub(crate) tracks_lookups: Cell<bool>,
    state: Cell<State>,
}

impl Server {
    /// The state that probes are told: a failed health check shows as draining.
    pub(crate) fn state(&self) -> State {
        match self.state.get() {
            State::Live if self.drain.is_health_failed() => State::Draining,
            state => state,
        }
    }

    fn set_state(&self, state: State) {
        self.state.set(state);
    }

    /// Stops accepting, on all listeners or on the inbound ones.
    pub(crate) fn stop_listeners(&self, inbound_only: bool) {
        for listener in &self.listeners {
            if listener.accepting.get() && (!inbound_only || is_inbound(&listener.settings)) {
                listener.accepting.set(false);
                self.stats.listener_stopped();
                remove_files(&listener.files);
            }
        }
        self.workers.tell_all(|| Command::StopListeners { inbound_only });
    }

    /// Opens access logs and the server's own log again.
    pub(crate) fn reopen_logs(&self) {
        // What was logged before belongs into the old files.
        self.access_logs.flush();
        self.access_logs.reopen();
        if let Err(error) = self.log.reopen() {
            tracing::error!("the log file cannot be reopened: {error}");
        }
    }
}

/// Whether `traffic_direction` is INBOUND.
pub(crate) fn is_inbound(listener: &Listener) -> bool {
    listener.traffic_direction == TrafficDirection::Inbound
}

/// A socket file that nobody listens on only confuses the next one.
fn remove_files(files: &[PathBuf]) {
    for file in files {
        let _ = std::fs::remove_file(file);
    }
}
