//! From the worker's buffer to the file.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use nuncio_api::Runtime;
use nuncio_config::model::{
    AccessLog,
    access_log::{LogFormat, LogSink},
    format::Format,
};
use nuncio_stats::{Counter, ScopeName, Store, templates::filesystem_stats};

use super::{
    super::{LogSinks, Logs, sinks::WorkerBuffer, writer::QUEUE_LIMIT},
    *,
};

const INTERVAL: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(20);

/// A directory of one test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("nuncio-access-log-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn log(path: &Path, format: &str) -> AccessLog {
    let parsed = Format::parse(format).unwrap();
    let format = LogFormat::Text { format: parsed, raw: format.to_owned(), omit_empty_values: false };
    AccessLog { filter: None, sink: LogSink::File(path.to_owned()), format }
}

fn count(store: &Arc<Store>, counter: Counter) -> u64 {
    store.group(&filesystem_stats::TEMPLATE, ScopeName::root().part("filesystem")).counter(counter)
}

fn buffered(store: &Arc<Store>) -> u64 {
    let group = store.group(&filesystem_stats::TEMPLATE, ScopeName::root().part("filesystem"));
    group.gauge(filesystem_stats::WRITE_TOTAL_BUFFERED)
}

fn setup(flush_min_bytes: usize) -> (Arc<Store>, Arc<LogSinks>) {
    let store = Store::new(2);
    let sinks = Arc::new(LogSinks::new(&store, INTERVAL, flush_min_bytes));
    (store, sinks)
}

#[test]
fn a_flush_brings_the_lines_of_an_idle_worker_to_the_file() {
    let directory = Directory::new();
    let path = directory.file("a.log");
    let (store, sinks) = setup(64 * 1024);
    let configured = [log(&path, "%REQ(:path)%\n")];
    sinks.open(&configured).unwrap();
    let logs = Logs::new(&configured, &sinks);
    logs.write_as(1, &stream(Some(request("/one", &[]))), &Runtime::default());
    logs.write_as(1, &stream(Some(request("/two", &[]))), &Runtime::default());
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    assert_eq!(buffered(&store), 10);
    assert!(sinks.flush_and_wait(LIMIT));
    assert_eq!(fs::read_to_string(&path).unwrap(), "/one\n/two\n");
    assert_eq!(buffered(&store), 0);
    assert_eq!(count(&store, filesystem_stats::WRITE_BUFFERED), 2);
    assert_eq!(count(&store, filesystem_stats::WRITE_COMPLETED), 1);
    assert_eq!(count(&store, filesystem_stats::FLUSHED_BY_TIMER), 1);
}

#[test]
fn a_full_buffer_is_handed_over_without_a_flush() {
    let directory = Directory::new();
    let path = directory.file("a.log");
    let (_, sinks) = setup(1);
    let logs = Logs::new(&[log(&path, "%REQ(:path)%\n")], &sinks);
    logs.write_as(1, &stream(Some(request("/one", &[]))), &Runtime::default());
    assert!(sinks.queue().wait_until_idle(std::time::Instant::now() + LIMIT));
    assert_eq!(fs::read_to_string(&path).unwrap(), "/one\n");
}

#[test]
fn two_logs_of_one_file_and_worker_keep_their_order() {
    let directory = Directory::new();
    let path = directory.file("a.log");
    let (_, sinks) = setup(64 * 1024);
    let first = Logs::new(&[log(&path, "a%REQ(:path)%\n")], &sinks);
    let second = Logs::new(&[log(&path, "b%REQ(:path)%\n")], &sinks);
    let info = stream(Some(request("/", &[])));
    for logs in [&first, &second, &first] {
        logs.write_as(1, &info, &Runtime::default());
    }
    assert!(sinks.flush_and_wait(LIMIT));
    assert_eq!(fs::read_to_string(&path).unwrap(), "a/\nb/\na/\n");
}

#[test]
fn lines_of_several_workers_all_arrive_whole() {
    let directory = Directory::new();
    let path = directory.file("a.log");
    let (store, sinks) = setup(100);
    std::thread::scope(|scope| {
        for worker in 1..=2 {
            let (path, sinks) = (&path, &sinks);
            scope.spawn(move || {
                let logs = Logs::new(&[log(path, "%REQ(:path)%\n")], sinks);
                for n in 0..500 {
                    logs.write_as(worker, &stream(Some(request(&format!("/{worker}/{n}"), &[]))), &Runtime::default());
                }
            });
        }
    });
    assert!(sinks.flush_and_wait(LIMIT));
    let text = fs::read_to_string(&path).unwrap();
    for worker in 1..=2 {
        let prefix = format!("/{worker}/");
        let numbers: Vec<usize> = text.lines().filter_map(|l| l.strip_prefix(&prefix)?.parse().ok()).collect();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    }
    assert_eq!(count(&store, filesystem_stats::WRITE_BUFFERED), 1000);
}

#[test]
fn after_a_rename_and_a_reopen_lines_go_to_a_new_file() {
    let directory = Directory::new();
    let (path, rotated) = (directory.file("a.log"), directory.file("a.log.1"));
    let (store, sinks) = setup(0);
    let logs = Logs::new(&[log(&path, "%REQ(:path)%\n")], &sinks);
    logs.write_as(1, &stream(Some(request("/before", &[]))), &Runtime::default());
    assert!(sinks.flush_and_wait(LIMIT));
    fs::rename(&path, &rotated).unwrap();
    logs.write_as(1, &stream(Some(request("/between", &[]))), &Runtime::default());
    assert!(sinks.flush_and_wait(LIMIT));
    sinks.reopen();
    assert!(sinks.flush_and_wait(LIMIT));
    logs.write_as(1, &stream(Some(request("/after", &[]))), &Runtime::default());
    assert!(sinks.flush_and_wait(LIMIT));
    assert_eq!(fs::read_to_string(&rotated).unwrap(), "/before\n/between\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "/after\n");
    assert_eq!(count(&store, filesystem_stats::REOPEN_FAILED), 0);
}

#[test]
fn a_file_that_cannot_be_reopened_is_written_on() {
    let directory = Directory::new();
    let folder = directory.file("sub");
    let moved = directory.file("moved");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("a.log");
    let (store, sinks) = setup(0);
    let logs = Logs::new(&[log(&path, "%REQ(:path)%\n")], &sinks);
    logs.write_as(1, &stream(Some(request("/before", &[]))), &Runtime::default());
    assert!(sinks.flush_and_wait(LIMIT));
    fs::rename(&folder, &moved).unwrap();
    sinks.reopen();
    logs.write_as(1, &stream(Some(request("/after", &[]))), &Runtime::default());
    assert!(sinks.flush_and_wait(LIMIT));
    assert_eq!(fs::read_to_string(moved.join("a.log")).unwrap(), "/before\n/after\n");
    assert_eq!(count(&store, filesystem_stats::REOPEN_FAILED), 1);
}

#[test]
fn a_path_that_cannot_be_opened_fails_the_start_by_name() {
    let directory = Directory::new();
    let path = directory.file("missing/a.log");
    let (_, sinks) = setup(0);
    let error = sinks.open(&[log(&path, "x")]).unwrap_err().to_string();
    assert!(error.contains("missing/a.log") && error.contains("No such file"), "{error}");
}

#[test]
fn failed_writes_are_counted() {
    let directory = Directory::new();
    let (store, sinks) = setup(0);
    // Opened at the first line, which it never can be.
    let logs = Logs::new(&[log(&directory.file("missing/a.log"), "x\n")], &sinks);
    logs.write_as(1, &stream(None), &Runtime::default());
    assert!(sinks.flush_and_wait(LIMIT));
    assert_eq!(count(&store, filesystem_stats::WRITE_FAILED), 1);
    assert_eq!(buffered(&store), 0);
}

#[test]
fn a_line_that_finds_everything_full_is_counted_and_dropped() {
    const LINE: usize = 64 * 1024;
    let store = Store::new(1);
    let group = store.group(&filesystem_stats::TEMPLATE, ScopeName::root().part("filesystem"));
    let stats = group.shard(1);
    // No thread takes anything from this queue.
    let buffer = WorkerBuffer::without_writer(LINE);
    let append = || buffer.append(&stats, |out| out.resize(out.len() + LINE, b'x'));
    let fit = QUEUE_LIMIT / LINE + 4;
    (0..fit).for_each(|_| append());
    assert_eq!(group.counter(filesystem_stats::WRITE_FAILED), 0);
    (0..3).for_each(|_| append());
    assert_eq!(group.counter(filesystem_stats::WRITE_FAILED), 3);
    assert_eq!(group.counter(filesystem_stats::WRITE_BUFFERED), fit as u64);
    assert_eq!(group.gauge(filesystem_stats::WRITE_TOTAL_BUFFERED), (fit * LINE) as u64);
}

#[test]
fn dropping_the_sinks_writes_what_is_left() {
    let directory = Directory::new();
    let path = directory.file("a.log");
    let (_, sinks) = setup(64 * 1024);
    let logs = Logs::new(&[log(&path, "%REQ(:path)%\n")], &sinks);
    logs.write_as(1, &stream(Some(request("/last", &[]))), &Runtime::default());
    drop(logs);
    drop(sinks);
    assert_eq!(fs::read_to_string(&path).unwrap(), "/last\n");
}
