//! The proxy's thread: what `src/server` does for a worker and for the main thread, on one thread.

use std::{rc::Rc, sync::Arc, time::Duration};

use nuncio_api::{Drain, Runtime, Timers};
use nuncio_config::model::{Bootstrap, Listener, cluster::Discovery};
use nuncio_net::BoundSocket;
use nuncio_proxy::{GlobalLimits, ListenerHandle, LogSinks, WorkerContext, runtime_layers, start_listener};
use nuncio_stats::Store;
use nuncio_upstream::{ClusterManager, ClusterSource, Resolve, run_discovery};
use tokio::{
    sync::{mpsc::UnboundedReceiver, oneshot},
    task::LocalSet,
};

use crate::{phases::Phases, wait::DEADLINE};

/// The worker's number in the stats.
const WORKER: usize = 1;

/// Something to do on the proxy's thread.
pub(crate) type Job = Box<dyn FnOnce(&Running) + Send>;

/// What a test tells the proxy.
pub(crate) enum Command {
    Do(Job),
    /// Stop accepting; finish what runs.
    Drain,
    /// Close what is left and end.
    Stop,
}

/// What the thread is made from.
pub(crate) struct Seed {
    pub(crate) bootstrap: Bootstrap,
    pub(crate) store: Arc<Store>,
    pub(crate) drain: Arc<Drain>,
    pub(crate) logs: Arc<LogSinks>,
    pub(crate) sockets: Vec<(Arc<Listener>, BoundSocket)>,
    pub(crate) phases: Phases,
    pub(crate) ready: oneshot::Sender<()>,
}

/// A proxy at work.
pub(crate) struct Running {
    pub(crate) context: Rc<WorkerContext>,
    pub(crate) sources: Vec<Rc<ClusterSource>>,
    listeners: Vec<ListenerHandle>,
}

/// The thread's body.
pub(crate) fn run(seed: Seed, commands: UnboundedReceiver<Command>) {
    let _recording = seed.phases.record();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, serve(seed, commands));
}

async fn serve(seed: Seed, mut commands: UnboundedReceiver<Command>) {
    let timers = Timers::new();
    tokio::task::spawn_local(timers.clone().run());
    let source = |settings: &Arc<_>| ClusterSource::new(Arc::clone(settings), Arc::clone(&seed.store));
    let sources: Vec<_> = seed.bootstrap.clusters.iter().map(source).collect();
    let runtime = Runtime::fixed(runtime_layers(&seed.bootstrap));
    let clusters = ClusterManager::new(WORKER, Arc::clone(&seed.store), timers.clone());
    let clusters = clusters
        .with_local(&seed.bootstrap.node.locality, seed.bootstrap.local_cluster_name.as_deref())
        .with_runtime(runtime.clone());
    let clusters = Rc::new(clusters);
    for source in &sources {
        source.follow_runtime(runtime.clone());
        clusters.add_or_update(Arc::clone(source.settings()), source.hosts());
        discover(source, &clusters);
    }
    for source in &sources {
        source.wait_initialized(DEADLINE).await;
    }
    let limits = GlobalLimits::new(seed.bootstrap.max_active_downstream_connections);
    let context = WorkerContext::new(
        WORKER,
        Arc::clone(&seed.store),
        timers,
        clusters,
        Arc::clone(&seed.drain),
        seed.logs,
        Arc::new(limits),
        Arc::new(seed.bootstrap.node.clone()),
        runtime,
        None,
    );
    let listen = |(settings, socket): (Arc<Listener>, BoundSocket)| {
        start_listener(&context, settings, socket.into_listener().unwrap())
    };
    let listeners = seed.sockets.into_iter().map(listen).collect();
    let mut running = Running { context, sources, listeners };
    let _ = seed.ready.send(());
    loop {
        match commands.recv().await {
            Some(Command::Do(job)) => job(&running),
            Some(Command::Drain) => running.drain().await,
            Some(Command::Stop) | None => break,
        }
    }
    running.stop().await;
}

fn discover(source: &Rc<ClusterSource>, clusters: &Rc<ClusterManager>) {
    if source.settings().discovery == Discovery::Static {
        return;
    }
    let resolver: Rc<dyn Resolve> = Rc::new(source.resolver().unwrap());
    let (name, clusters) = (Arc::clone(&source.settings().name), Rc::clone(clusters));
    let publish = move |hosts| clusters.set_hosts(&name, hosts);
    tokio::task::spawn_local(run_discovery(Rc::clone(source), resolver, publish));
}

impl Running {
    async fn drain(&mut self) {
        for listener in self.listeners.drain(..) {
            listener.stop_accepting().await;
        }
        self.context.drain_connections();
    }

    /// Lets connections that are about to end do so, then cuts the rest.
    async fn stop(&mut self) {
        self.drain().await;
        if tokio::time::timeout(PATIENCE, self.context.drained()).await.is_err() {
            self.context.cut();
            tokio::time::timeout(DEADLINE, self.context.drained()).await.expect("connections that were cut end");
        }
        // Tasks of streams end after their connection: let them run.
        let active = || self.context.active_requests() > 0;
        while active() {
            tokio::task::yield_now().await;
        }
        self.context.move_codec_stats();
    }
}

/// A test is over: what is still open then is held open by the test's own clients.
const PATIENCE: Duration = Duration::from_millis(100);
