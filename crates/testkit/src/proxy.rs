//! A proxy in this process.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nuncio_api::{Drain, DrainStrategy};
use nuncio_config::{
    Format, OutputFormat, Source,
    model::{self, Address, Bootstrap, Listener, listener::TerminalFilter},
    render,
};
use nuncio_net::{BoundSocket, ListenSettings, SocketAddress};
use nuncio_proxy::LogSinks;
use nuncio_stats::Store;
use tokio::sync::{
    mpsc::{UnboundedSender, unbounded_channel},
    oneshot,
};

use crate::{
    Config,
    config::{LISTENER, LOG_PATH},
    log::LogLine,
    panics,
    phases::Phases,
    wait::{DEADLINE, until, within},
    worker::{self, Command, Running, Seed},
};

/// Counters and gauges by dotted name.
#[derive(Clone, Debug)]
pub struct Stats(BTreeMap<String, u64>);

impl Stats {
    /// The value of a stat; one that does not exist fails the test.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        *self.0.get(name).unwrap_or_else(|| panic!("there is no stat {name}"))
    }

    /// The value of a stat, 0 when it does not exist (a response code that never came).
    #[must_use]
    pub fn or_zero(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Fails unless each of these has this value.
    pub fn expect(&self, wanted: &[(&str, u64)]) {
        let found: Vec<_> = wanted.iter().map(|(name, _)| (*name, self.or_zero(name))).collect();
        assert_eq!(found, wanted);
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

/// A proxy with one worker, on its own thread.
pub struct Proxy {
    addresses: BTreeMap<String, SocketAddr>,
    store: Arc<Store>,
    drain: Arc<Drain>,
    logs: Arc<LogSinks>,
    log_path: PathBuf,
    logs_all: bool,
    phases: Phases,
    commands: UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
    name: String,
}

/// Gauges that must be back at zero when everything is over.
const SETTLED: [&str; 6] = [
    "downstream_cx_active",
    "downstream_cx_http1_active",
    "downstream_cx_http2_active",
    "downstream_rq_active",
    "upstream_rq_active",
    "upstream_rq_pending_active",
];

impl Proxy {
    /// Starts what `config` describes.
    pub async fn start(config: &Config) -> Self {
        Self::from_yaml(&config.yaml()).await
    }

    /// Starts a bootstrap whose listeners are on port 0. Its warnings are ignored, its errors fail
    /// the test.
    pub async fn from_yaml(yaml: &str) -> Self {
        panics::watch();
        let name = next_name();
        let log_path = std::env::temp_dir().join(format!("nuncio-{}-{name}.log", std::process::id()));
        let bootstrap = load(&yaml.replace(LOG_PATH, &log_path.display().to_string()));
        let store = Store::new(1);
        let logs = Arc::new(LogSinks::new(&store, Duration::from_secs(3600), 64 * 1024));
        open_logs(&bootstrap, &logs);
        let drain = Arc::new(Drain::new(DrainStrategy::Gradual, Duration::from_secs(600)));
        let sockets: Vec<_> = bootstrap.listeners.iter().map(bind).collect();
        let addresses = sockets.iter().map(|(listener, socket)| {
            let address = socket.local_address().ip().expect("an IP listener");
            (listener.name.to_string(), address)
        });
        let addresses = addresses.collect();
        let (commands, inbox) = unbounded_channel();
        let (ready, is_ready) = oneshot::channel();
        let phases = Phases::default();
        let seed = Seed {
            bootstrap,
            store: Arc::clone(&store),
            drain: Arc::clone(&drain),
            logs: Arc::clone(&logs),
            sockets,
            phases: phases.clone(),
            ready,
        };
        let thread = thread::Builder::new().name(name.clone()).spawn(move || worker::run(seed, inbox)).unwrap();
        let logs_all = yaml.contains(LOG_PATH);
        let proxy =
            Self { addresses, store, drain, logs, log_path, logs_all, phases, commands, thread: Some(thread), name };
        within("the proxy's start", is_ready).await.expect("the proxy starts");
        proxy
    }

    /// Where the listener of [`Config`] listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address_of(LISTENER)
    }

    /// Where a listener listens.
    #[must_use]
    pub fn address_of(&self, listener: &str) -> SocketAddr {
        *self.addresses.get(listener).unwrap_or_else(|| panic!("there is no listener {listener}"))
    }

    /// All counters and gauges now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.on_worker(|running| {
            running.context.move_codec_stats();
            running.sources.iter().for_each(|source| source.publish_breakers());
        });
        self.snapshot()
    }

    /// Waits until a counter or gauge has this value.
    pub async fn wait_for(&self, name: &str, value: u64) {
        until(&format!("{name} to be {value}"), || match self.stats().or_zero(name) {
            found if found == value => Ok(()),
            found => Err(found),
        })
        .await;
    }

    /// Waits until a counter has at least this value.
    pub async fn wait_for_at_least(&self, name: &str, value: u64) {
        until(&format!("{name} to reach {value}"), || match self.stats().or_zero(name) {
            found if found >= value => Ok(()),
            found => Err(found),
        })
        .await;
    }

    /// The access log so far.
    #[must_use]
    pub fn log_lines(&self) -> Vec<LogLine> {
        assert!(self.logs.flush_and_wait(DEADLINE), "the access log is written");
        let text = fs::read_to_string(&self.log_path).unwrap_or_default();
        text.lines().map(LogLine::parse).collect()
    }

    /// Waits until the access log has so many lines; the last of them.
    pub async fn log_line(&self, count: usize) -> LogLine {
        let mut lines = until("lines of the access log", || {
            let lines = self.log_lines();
            if lines.len() >= count { Ok(lines) } else { Err(lines) }
        })
        .await;
        lines.swap_remove(count - 1)
    }

    /// The phases that requests have gone through, in order of time.
    #[must_use]
    pub fn phases(&self) -> Vec<String> {
        self.phases.seen()
    }

    /// Stops accepting; connections end with what runs on them (HTTP/2 peers get GOAWAY).
    pub fn drain(&self) {
        let _ = self.commands.send(Command::Drain);
    }

    /// Begins the drain sequence of `/drain_listeners?graceful`: responses end their connections.
    pub fn drain_gracefully(&self) {
        self.drain.start_now();
    }

    /// Ends the proxy. Fails the test when the worker panicked, a gauge did not come back to zero,
    /// or a request was not logged exactly once.
    pub async fn stop(mut self) {
        let thread = self.thread.take().unwrap();
        let _ = self.commands.send(Command::Stop);
        until("the proxy's end", || if thread.is_finished() { Ok(()) } else { Err("running") }).await;
        let ended = thread.join();
        let panics = panics::of(&self.name);
        assert!(ended.is_ok() && panics.is_empty(), "the proxy panicked: {panics:?}");
        self.check_books();
    }

    fn check_books(&self) {
        let stats = self.snapshot();
        let unsettled: Vec<_> = stats
            .iter()
            .filter(|(name, value)| *value != 0 && SETTLED.iter().any(|gauge| name.ends_with(gauge)))
            .collect();
        assert!(unsettled.is_empty(), "still not at zero: {unsettled:?}");
        if self.logs_all {
            let requests: u64 = stats
                .iter()
                .filter(|(name, _)| name.starts_with("http.") && name.ends_with(".downstream_rq_total"))
                .map(|(_, value)| value)
                .sum();
            assert_eq!(self.log_lines().len() as u64, requests, "each request has its one line");
        }
    }

    fn snapshot(&self) -> Stats {
        let numbers = self.store.snapshot().numbers;
        Stats(numbers.into_iter().map(|number| (number.name.dotted(), number.value)).collect())
    }

    /// Runs something on the proxy's thread and waits for it.
    fn on_worker(&self, job: impl FnOnce(&Running) + Send + 'static) {
        let (done, wait) = mpsc::channel();
        let job = move |running: &Running| {
            job(running);
            let _ = done.send(());
        };
        let sent = self.commands.send(Command::Do(Box::new(job)));
        let answered = sent.is_ok() && wait.recv_timeout(DEADLINE).is_ok();
        assert!(answered, "the proxy does not answer; panics: {:?}", panics::of(&self.name));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            let panics = panics::of(&self.name);
            assert!(thread::panicking() || (ended.is_ok() && panics.is_empty()), "the proxy panicked: {panics:?}");
        }
        let _ = fs::remove_file(&self.log_path);
    }
}

fn next_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{}proxy-{}", panics::WATCHED, NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn load(yaml: &str) -> Bootstrap {
    let source = Source { name: "test.yaml".to_owned(), text: yaml.to_owned(), format: Format::Yaml };
    match model::load_bootstrap(vec![source.clone()], &model::Options::default()) {
        Ok((bootstrap, _)) => bootstrap,
        Err(diagnostics) => {
            let report = render(&diagnostics, &[source], OutputFormat::Human { color: false });
            panic!("the bootstrap is refused:\n{report}\n{yaml}")
        }
    }
}

fn open_logs(bootstrap: &Bootstrap, logs: &LogSinks) {
    for listener in &bootstrap.listeners {
        for chain in &listener.filter_chains {
            let TerminalFilter::Http(manager) = &chain.terminal;
            logs.open(&manager.access_log).unwrap();
        }
    }
}

fn bind(settings: &Arc<Listener>) -> (Arc<Listener>, BoundSocket) {
    let Address::Ip(address) = &settings.address.address else { panic!("listeners of tests have IP addresses") };
    let listen = ListenSettings { reuse_port: false, ..ListenSettings::new(SocketAddress::Ip(*address)) };
    (Arc::clone(settings), BoundSocket::bind(&listen).unwrap())
}
