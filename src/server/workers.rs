//! The workers: one OS thread each, with a runtime of its own.
//!
//! The main thread talks to a worker through a channel of [`Command`]s and hears [`Event`]s back.
//! The channels carry a handful of messages in the life of a process, so they need no limit. A
//! worker accepts nothing before its [`Command::Listen`], and ends after its [`Command::Finish`],
//! when no connection is left or when it is told to cut. A worker that panics takes the process
//! down through [`Event::Lost`]: half a proxy serves nobody.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    sync::Arc,
    thread::{self, JoinHandle},
};

use nuncio_api::{Drain, Runtime, RuntimeSource, Timers};
use nuncio_config::model::{Listener, bootstrap::Node};
use nuncio_net::BoundSocket;
use nuncio_proxy::{GlobalLimits, ListenerHandle, LogSinks, WorkerContext, start_listener};
use nuncio_stats::Store;
use nuncio_upstream::HostSet;
use tokio::{
    runtime::LocalOptions,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::upstreams::{Publisher, UpstreamsSeed};

/// What the main thread tells a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Start accepting on these sockets.
    Listen(Vec<(Arc<Listener>, Vec<BoundSocket>)>),
    /// A cluster has other hosts now.
    Hosts(Arc<str>, Arc<HostSet>),
    /// Stop accepting: on all listeners, or on the inbound ones.
    StopListeners { inbound_only: bool },
    /// Stop accepting, finish what runs, then end the thread.
    Finish,
    /// Close everything that is left now.
    Cut,
}

/// What a worker tells the main thread.
#[derive(Debug)]
pub(crate) enum Event {
    /// It accepts.
    Listening,
    /// It has ended in order.
    Finished(Tally),
    /// It could not go on.
    Lost(String),
}

/// What became of the requests that ran when the end began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Got their response.
    pub(crate) finished: u64,
    /// Did not.
    pub(crate) cut: u64,
}

/// What every worker is made from.
#[derive(Clone)]
pub(crate) struct Seed {
    pub(crate) store: Arc<Store>,
    pub(crate) drain: Arc<Drain>,
    pub(crate) logs: Arc<LogSinks>,
    pub(crate) limits: Arc<GlobalLimits>,
    pub(crate) node: Arc<Node>,
    pub(crate) runtime: Arc<RuntimeSource>,
    pub(crate) machine_address: Option<std::net::IpAddr>,
    pub(crate) upstreams: UpstreamsSeed,
}

/// The main thread's end of all workers.
pub(crate) struct Workers {
    commands: Vec<UnboundedSender<Command>>,
    threads: RefCell<Vec<JoinHandle<()>>>,
}

impl Workers {
    /// Starts `count` threads. They wait for their listeners.
    pub(crate) fn start(count: usize, seed: &Seed, events: &UnboundedSender<Event>) -> io::Result<Self> {
        let mut workers = Self { commands: Vec::with_capacity(count), threads: RefCell::default() };
        for index in 0..count {
            let (commands, inbox) = unbounded_channel();
            let (seed, events) = (seed.clone(), events.clone());
            let thread = thread::Builder::new()
                .name(format!("wrk:worker_{index}"))
                .spawn(move || run_thread(index, seed, inbox, &events))?;
            workers.commands.push(commands);
            workers.threads.borrow_mut().push(thread);
        }
        Ok(workers)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.commands.len()
    }

    /// Tells one worker; one that is gone needs no telling.
    pub(crate) fn tell(&self, index: usize, command: Command) {
        if let Some(commands) = self.commands.get(index) {
            let _ = commands.send(command);
        }
    }

    /// Tells all.
    pub(crate) fn tell_all(&self, command: impl Fn() -> Command) {
        for commands in &self.commands {
            let _ = commands.send(command());
        }
    }

    /// What hands a cluster's new hosts to every worker.
    pub(crate) fn publisher(&self) -> Publisher {
        let workers = self.commands.clone();
        Rc::new(move |cluster, hosts| {
            for commands in &workers {
                let _ = commands.send(Command::Hosts(Arc::clone(cluster), Arc::clone(&hosts)));
            }
        })
    }

    /// Waits for the threads to end; after [`Event::Finished`] of all of them this is at once.
    pub(crate) fn join(&self) {
        for thread in self.threads.borrow_mut().drain(..) {
            // A panic has been reported as an event already.
            let _ = thread.join();
        }
    }
}

/// Reports a thread that ends without having said how.
struct Obituary<'a> {
    index: usize,
    events: &'a UnboundedSender<Event>,
    last_words: Option<Event>,
}

impl Drop for Obituary<'_> {
    fn drop(&mut self) {
        let unexpected = || Event::Lost(format!("worker_{} ended unexpectedly", self.index));
        let _ = self.events.send(self.last_words.take().unwrap_or_else(unexpected));
    }
}

fn run_thread(index: usize, seed: Seed, inbox: UnboundedReceiver<Command>, events: &UnboundedSender<Event>) {
    let mut obituary = Obituary { index, events, last_words: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let outcome = runtime.and_then(|runtime| runtime.block_on(run_worker(index, seed, inbox, events)));
    obituary.last_words = Some(match outcome {
        Ok(tally) => Event::Finished(tally),
        Err(error) => Event::Lost(format!("worker_{index}: {error}")),
    });
}

async fn run_worker(
    index: usize,
    seed: Seed,
    mut inbox: UnboundedReceiver<Command>,
    events: &UnboundedSender<Event>,
) -> io::Result<Tally> {
    let timers = Timers::new();
    tokio::task::spawn_local(timers.clone().run());
    // Worker numbers of stats start at 1: 0 is the main thread.
    let runtime = Runtime::new(&seed.runtime);
    let clusters = seed.upstreams.for_worker(index + 1, &timers, runtime.clone());
    let context = WorkerContext::new(
        index + 1,
        seed.store,
        timers,
        clusters,
        seed.drain,
        seed.logs,
        seed.limits,
        seed.node,
        runtime,
        seed.machine_address,
    );
    tokio::task::spawn_local(Rc::clone(&context).run_housekeeping());
    let mut listeners: Vec<(Arc<Listener>, ListenerHandle)> = Vec::new();
    loop {
        match inbox.recv().await {
            Some(Command::Listen(all)) => {
                for (settings, sockets) in all {
                    for socket in sockets {
                        let handle = start_listener(&context, Arc::clone(&settings), socket.into_listener()?);
                        listeners.push((Arc::clone(&settings), handle));
                    }
                }
                let _ = events.send(Event::Listening);
            }
            Some(Command::StopListeners { inbound_only }) => {
                let stops = |listener: &Listener| !inbound_only || super::is_inbound(listener);
                let (stopped, kept): (Vec<_>, Vec<_>) =
                    listeners.into_iter().partition(|(settings, _)| stops(settings));
                stop_accepting(stopped).await;
                listeners = kept;
            }
            Some(Command::Hosts(cluster, hosts)) => context.clusters.set_hosts(&cluster, hosts),
            Some(Command::Cut) => {
                context.cut();
            }
            // The main thread is gone: end as if told.
            Some(Command::Finish) | None => break,
        }
    }
    stop_accepting(listeners).await;
    Ok(finish(&context, &mut inbox).await)
}

async fn stop_accepting(listeners: Vec<(Arc<Listener>, ListenerHandle)>) {
    let stopping: Vec<_> = listeners.into_iter().map(|(_, handle)| handle.stop_accepting()).collect();
    for stopped in stopping {
        stopped.await;
    }
}

/// Lets what runs end, or cuts it when told.
async fn finish(context: &Rc<WorkerContext>, inbox: &mut UnboundedReceiver<Command>) -> Tally {
    context.drain_connections();
    let tally = loop {
        tokio::select! {
            () = context.drained() => {
                break Tally { finished: context.requests_finished_while_draining(), cut: 0 };
            }
            command = inbox.recv() => match command {
                Some(Command::Cut) | None => {
                    // Counted before: a request that is cut ends too.
                    let finished = context.requests_finished_while_draining();
                    break Tally { finished, cut: context.cut() };
                }
                Some(Command::Hosts(cluster, hosts)) => context.clusters.set_hosts(&cluster, hosts),
                Some(Command::Listen(_) | Command::StopListeners { .. } | Command::Finish) => {}
            },
        }
    };
    // Connections that were cut close in their own tasks: let those run once more.
    tokio::task::yield_now().await;
    tally
}
