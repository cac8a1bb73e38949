//! The thread that writes access logs to their files, and the queue before it.
//!
//! The queue holds at most [`QUEUE_LIMIT`] bytes; a worker that finds it full keeps its lines and
//! goes on. Emptied buffers go back to the workers. The thread owns share 0 of the `filesystem.`
//! stats. A write that fails loses its lines, is counted and warned of once a minute; a file that
//! cannot be opened again stays open as it is.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use nuncio_config::model::access_log::LogSink;
use nuncio_stats::{Shard, templates::filesystem_stats};

use super::sinks::lock;

/// Bytes that may wait for the disk, over all workers: about 80,000 lines, or a stall of the disk
/// for half a second at 150,000 requests per second.
pub(super) const QUEUE_LIMIT: usize = 16 * 1024 * 1024;
/// Emptied buffers kept for the workers.
const SPARE_BUFFERS: usize = 16;
const WARNING_PAUSE: Duration = Duration::from_secs(60);
/// Readable for everyone, as Envoy creates it.
const FILE_MODE: u32 = 0o644;

/// Lines for one destination.
struct Job {
    output: Arc<Output>,
    lines: Vec<u8>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Bytes queued or being written.
    bytes: usize,
    spare: Vec<Vec<u8>>,
    reopen: Vec<Arc<Output>>,
    timer_flushes: u64,
    busy: bool,
    closed: bool,
}

/// What waits for the disk.
pub(super) struct Queue {
    state: Mutex<State>,
    work: Condvar,
    idle: Condvar,
    limit: usize,
    warned: Warned,
}

/// When something was last warned of.
#[derive(Default)]
struct Warned(Mutex<Option<Instant>>);

impl Warned {
    fn is_due(&self) -> bool {
        let mut last = lock(&self.0);
        let due = last.is_none_or(|last| last.elapsed() >= WARNING_PAUSE);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            idle: Condvar::new(),
            limit: QUEUE_LIMIT,
            warned: Warned::default(),
        }
    }

    /// Takes `lines`, leaving an empty buffer; false, and nothing taken, when the queue is full.
    pub(super) fn push(&self, output: &Arc<Output>, lines: &mut Vec<u8>) -> bool {
        let mut state = lock(&self.state);
        if state.bytes + lines.len() > self.limit {
            return false;
        }
        let empty = state.spare.pop().unwrap_or_default();
        let lines = std::mem::replace(lines, empty);
        state.bytes += lines.len();
        state.jobs.push_back(Job { output: Arc::clone(output), lines });
        self.work.notify_one();
        true
    }

    /// `outputs` are to be opened again.
    pub(super) fn reopen(&self, outputs: Vec<Arc<Output>>) {
        lock(&self.state).reopen = outputs;
        self.work.notify_one();
    }

    /// A flush by the timer over `sinks` destinations.
    pub(super) fn count_flush(&self, sinks: usize) {
        lock(&self.state).timer_flushes += u64::try_from(sinks).unwrap_or(0);
        self.work.notify_one();
    }

    /// The thread ends when all is written.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.work.notify_one();
    }

    /// Waits until nothing is left to do; false when `deadline` comes first.
    pub(super) fn wait_until_idle(&self, deadline: Instant) -> bool {
        let mut state = lock(&self.state);
        loop {
            if !state.has_work() && !state.busy {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn warn_of_dropped_lines(&self) {
        if self.warned.is_due() {
            tracing::warn!("access log lines are dropped: the disk is slower than the requests");
        }
    }

    /// The thread's body: does what comes until the queue is closed.
    pub(super) fn write_all(&self, stats: &Shard) {
        let mut state = lock(&self.state);
        loop {
            if state.has_work() {
                state.busy = true;
                let jobs = std::mem::take(&mut state.jobs);
                let reopen = std::mem::take(&mut state.reopen);
                let flushes = std::mem::take(&mut state.timer_flushes);
                drop(state);
                if flushes > 0 {
                    stats.add(filesystem_stats::FLUSHED_BY_TIMER, flushes);
                }
                jobs.into_iter().for_each(|job| self.write(job, stats));
                reopen.iter().for_each(|output| output.reopen(stats));
                state = lock(&self.state);
                state.busy = false;
            } else if state.closed {
                return;
            } else {
                self.idle.notify_all();
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn write(&self, job: Job, stats: &Shard) {
        let Job { output, mut lines } = job;
        match output.write(&lines) {
            Ok(()) => stats.inc(filesystem_stats::WRITE_COMPLETED),
            Err(error) => {
                stats.inc(filesystem_stats::WRITE_FAILED);
                output.warn_of(&error, "access log lines are lost");
            }
        }
        let size = lines.len();
        stats.gauge_add(filesystem_stats::WRITE_TOTAL_BUFFERED, i64::try_from(size).map_or(0, |size| -size));
        lines.clear();
        let mut state = lock(&self.state);
        state.bytes = state.bytes.saturating_sub(size);
        if state.spare.len() < SPARE_BUFFERS {
            state.spare.push(lines);
        }
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.jobs.is_empty() || !self.reopen.is_empty() || self.timer_flushes > 0
    }
}

/// An open destination, or one that is opened at the first line.
pub(super) struct Output {
    target: LogSink,
    file: Mutex<Option<File>>,
    warned: Warned,
}

impl Output {
    pub(super) fn new(target: LogSink) -> Self {
        Self { target, file: Mutex::default(), warned: Warned::default() }
    }

    pub(super) fn target(&self) -> &LogSink {
        &self.target
    }

    /// Opens the file, unless it is open. The error names it.
    pub(super) fn open(&self) -> io::Result<()> {
        let LogSink::File(path) = &self.target else {
            return Ok(());
        };
        let mut file = lock(&self.file);
        if file.is_none() {
            *file = Some(open_file(path)?);
        }
        Ok(())
    }

    fn reopen(&self, stats: &Shard) {
        let LogSink::File(path) = &self.target else {
            return;
        };
        match open_file(path) {
            Ok(file) => *lock(&self.file) = Some(file),
            Err(error) => {
                stats.inc(filesystem_stats::REOPEN_FAILED);
                self.warn_of(&error, "the access log stays open as it was");
            }
        }
    }

    fn write(&self, lines: &[u8]) -> io::Result<()> {
        match &self.target {
            LogSink::File(_) => {
                self.open()?;
                match lock(&self.file).as_mut() {
                    Some(file) => file.write_all(lines),
                    None => Err(io::ErrorKind::NotFound.into()),
                }
            }
            LogSink::Stdout => write_and_flush(io::stdout().lock(), lines),
            LogSink::Stderr => write_and_flush(io::stderr().lock(), lines),
        }
    }

    fn warn_of(&self, error: &io::Error, consequence: &str) {
        if self.warned.is_due() {
            tracing::warn!(target = ?self.target, %error, "{consequence}");
        }
    }
}

fn write_and_flush(mut stream: impl Write, lines: &[u8]) -> io::Result<()> {
    stream.write_all(lines)?;
    stream.flush()
}

fn open_file(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("unable to open file '{}': {error}", path.display())))
}
