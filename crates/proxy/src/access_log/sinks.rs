//! The destinations of access logs, shared by all workers.
//!
//! A destination is opened once, however many logs name it, and has one buffer for each worker
//! thread. The buffer's mutex is taken by its worker for each line and by the main thread at a
//! flush; nobody waits behind it for a disk. Owns destinations and buffers; writing is the
//! [`writer`](super::writer)'s. Destinations live as long as the process.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle, ThreadId},
    time::{Duration, Instant},
};

use nuncio_config::model::{AccessLog, access_log::LogSink};
use nuncio_stats::{Group, ScopeName, Shard, Store, templates::filesystem_stats};

use super::writer::{Output, Queue};

/// How far a worker's buffer may grow beyond the flush size while the writer is behind.
const OVERFLOW_FACTOR: usize = 4;
/// The least that a worker's buffer may hold, so that a flush size of zero can still wait.
const MIN_BUFFER_LIMIT: usize = 64 * 1024;
/// How long a dropped [`LogSinks`] waits for the disk.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// All access log destinations of the process.
pub struct LogSinks {
    queue: Arc<Queue>,
    group: Arc<Group>,
    flush_interval: Duration,
    flush_min_bytes: usize,
    sinks: Mutex<Vec<Arc<Sink>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// One destination.
struct Sink {
    output: Arc<Output>,
    buffers: Mutex<Vec<(ThreadId, Arc<WorkerBuffer>)>>,
}

/// What one worker has to write to one destination.
pub(super) struct WorkerBuffer {
    output: Arc<Output>,
    queue: Arc<Queue>,
    flush_at: usize,
    limit: usize,
    lines: Mutex<Vec<u8>>,
}

/// A lock that outlives a panic of its holder: what it guards is plain bytes and lists.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogSinks {
    /// No destination yet. A worker's lines are handed over from `flush_min_bytes` on;
    /// `flush_interval` is what [`flush_interval`](Self::flush_interval) answers.
    pub fn new(store: &Arc<Store>, flush_interval: Duration, flush_min_bytes: usize) -> Self {
        let scope = ScopeName::root().part("filesystem");
        Self {
            queue: Arc::new(Queue::new()),
            group: store.group(&filesystem_stats::TEMPLATE, scope),
            flush_interval,
            flush_min_bytes,
            sinks: Mutex::default(),
            writer: Mutex::default(),
        }
    }

    /// Opens the destinations of `logs`; the error names the one that could not be opened.
    pub fn open(&self, logs: &[AccessLog]) -> io::Result<()> {
        for log in logs {
            self.sink(&log.sink).output.open()?;
        }
        Ok(())
    }

    /// How often [`flush`](Self::flush) is to be called.
    pub fn flush_interval(&self) -> Duration {
        self.flush_interval
    }

    /// Hands everything that workers have buffered to the writer thread; does not wait for it.
    pub fn flush(&self) {
        let sinks = lock(&self.sinks);
        for sink in sinks.iter() {
            for (_, buffer) in lock(&sink.buffers).iter() {
                buffer.flush();
            }
        }
        self.queue.count_flush(sinks.len());
    }

    /// As [`flush`](Self::flush), then waits up to `limit` until all of it is written. For the end
    /// of the process; answers whether everything was written.
    pub fn flush_and_wait(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            self.flush();
            let written = self.queue.wait_until_idle(deadline);
            if !written || self.is_empty() {
                return written;
            }
        }
    }

    /// Opens all files again, after what is already handed over was written to the old ones.
    pub fn reopen(&self) {
        let outputs = lock(&self.sinks).iter().map(|sink| Arc::clone(&sink.output)).collect();
        self.queue.reopen(outputs);
    }

    /// The buffer of the calling thread for `target`.
    pub(super) fn buffer(&self, target: &LogSink) -> Arc<WorkerBuffer> {
        let sink = self.sink(target);
        let mut buffers = lock(&sink.buffers);
        let thread = thread::current().id();
        if let Some((_, buffer)) = buffers.iter().find(|(owner, _)| *owner == thread) {
            return Arc::clone(buffer);
        }
        let buffer = Arc::new(WorkerBuffer {
            output: Arc::clone(&sink.output),
            queue: Arc::clone(&self.queue),
            flush_at: self.flush_min_bytes,
            limit: (self.flush_min_bytes.saturating_mul(OVERFLOW_FACTOR)).max(MIN_BUFFER_LIMIT),
            lines: Mutex::default(),
        });
        buffers.push((thread, Arc::clone(&buffer)));
        buffer
    }

    /// Worker `id`'s share of `filesystem.*`. Share 0 is the writer thread's.
    pub(super) fn shard(&self, id: usize) -> Shard {
        self.group.shard(id)
    }

    #[cfg(test)]
    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    fn is_empty(&self) -> bool {
        let empty = |sink: &Arc<Sink>| lock(&sink.buffers).iter().all(|(_, buffer)| lock(&buffer.lines).is_empty());
        lock(&self.sinks).iter().all(empty)
    }

    fn sink(&self, target: &LogSink) -> Arc<Sink> {
        let mut sinks = lock(&self.sinks);
        if let Some(sink) = sinks.iter().find(|sink| sink.output.target() == target) {
            return Arc::clone(sink);
        }
        self.start_writer();
        let sink = Arc::new(Sink { output: Arc::new(Output::new(target.clone())), buffers: Mutex::default() });
        sinks.push(Arc::clone(&sink));
        sink
    }

    /// Starts the writer thread with the first destination.
    fn start_writer(&self) {
        let mut writer = lock(&self.writer);
        if writer.is_some() {
            return;
        }
        let (queue, stats) = (Arc::clone(&self.queue), self.shard(0));
        match thread::Builder::new().name("access-log".to_owned()).spawn(move || queue.write_all(&stats)) {
            Ok(thread) => *writer = Some(thread),
            Err(error) => tracing::error!(%error, "access logs cannot be written: no thread"),
        }
    }
}

impl Drop for LogSinks {
    fn drop(&mut self) {
        let Some(writer) = lock(&self.writer).take() else {
            return;
        };
        let written = self.flush_and_wait(CLOSE_LIMIT);
        self.queue.close();
        if !written {
            tracing::warn!("access log lines were lost: the disk did not take them in time");
            return;
        }
        // It has nothing left to do and cannot have panicked on the way out with work done.
        let _ = writer.join();
    }
}

impl WorkerBuffer {
    #[cfg(test)]
    pub(super) fn without_writer(flush_at: usize) -> Self {
        Self {
            output: Arc::new(Output::new(LogSink::Stdout)),
            queue: Arc::new(Queue::new()),
            flush_at,
            limit: flush_at * OVERFLOW_FACTOR,
            lines: Mutex::default(),
        }
    }

    /// Appends one line, made by `render`.
    pub(super) fn append(&self, stats: &Shard, render: impl FnOnce(&mut Vec<u8>)) {
        let mut lines = lock(&self.lines);
        if lines.len() >= self.limit && !self.hand_over(&mut lines) {
            stats.inc(filesystem_stats::WRITE_FAILED);
            self.queue.warn_of_dropped_lines();
            return;
        }
        let before = lines.len();
        render(&mut lines);
        stats.inc(filesystem_stats::WRITE_BUFFERED);
        let added = i64::try_from(lines.len() - before).unwrap_or(i64::MAX);
        stats.gauge_add(filesystem_stats::WRITE_TOTAL_BUFFERED, added);
        if lines.len() >= self.flush_at {
            self.hand_over(&mut lines);
        }
    }

    fn flush(&self) {
        let mut lines = lock(&self.lines);
        if !lines.is_empty() {
            self.hand_over(&mut lines);
        }
    }

    /// Gives the lines to the writer; keeps them when its queue is full.
    fn hand_over(&self, lines: &mut Vec<u8>) -> bool {
        self.queue.push(&self.output, lines)
    }
}
