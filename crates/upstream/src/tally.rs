//! Counters of one host, written by workers and read by the admin endpoint (`/clusters`).
//!
//! Two cache lines for each worker that sends the host anything, allocated with the first number.
//! A worker writes its own lines only; readers add them up.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use nuncio_stats::WorkerId;

/// One number of a host, under the name that `/clusters` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostStat {
    /// `cx_active`
    CxActive,
    /// `cx_connect_fail`
    CxConnectFail,
    /// `cx_total`
    CxTotal,
    /// `rq_active`
    RqActive,
    /// `rq_error`
    RqError,
    /// `rq_pending_active`
    RqPendingActive,
    /// `rq_success`
    RqSuccess,
    /// `rq_timeout`
    RqTimeout,
    /// `rq_total`
    RqTotal,
}

impl HostStat {
    /// All of them in the order of `/clusters`.
    pub const ALL: [Self; 9] = [
        Self::CxActive,
        Self::CxConnectFail,
        Self::CxTotal,
        Self::RqActive,
        Self::RqError,
        Self::RqPendingActive,
        Self::RqSuccess,
        Self::RqTimeout,
        Self::RqTotal,
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CxActive => "cx_active",
            Self::CxConnectFail => "cx_connect_fail",
            Self::CxTotal => "cx_total",
            Self::RqActive => "rq_active",
            Self::RqError => "rq_error",
            Self::RqPendingActive => "rq_pending_active",
            Self::RqSuccess => "rq_success",
            Self::RqTimeout => "rq_timeout",
            Self::RqTotal => "rq_total",
        }
    }

    /// True for the counters, false for what goes up and down.
    pub fn is_counter(self) -> bool {
        !matches!(self, Self::CxActive | Self::RqActive | Self::RqPendingActive)
    }

    fn index(self) -> usize {
        match self {
            Self::RqTotal => 0,
            Self::RqActive => 1,
            Self::RqSuccess => 2,
            Self::RqError => 3,
            Self::RqTimeout => 4,
            Self::CxTotal => 8,
            Self::CxActive => 9,
            Self::CxConnectFail => 10,
            Self::RqPendingActive => 11,
        }
    }
}

/// What one worker wrote: requests in the first cache line, connections in the second.
#[derive(Debug, Default)]
#[repr(align(64))]
struct TallyLines([AtomicU64; 16]);

/// The numbers of one host.
#[derive(Debug)]
pub(crate) struct Tally {
    threads: usize,
    lines: OnceLock<Box<[TallyLines]>>,
}

impl Tally {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads, lines: OnceLock::new() }
    }

    pub(crate) fn inc(&self, worker: WorkerId, stat: HostStat) {
        self.change(worker, stat, 1);
    }

    pub(crate) fn dec(&self, worker: WorkerId, stat: HostStat) {
        self.change(worker, stat, u64::MAX);
    }

    fn change(&self, worker: WorkerId, stat: HostStat, by: u64) {
        let lines = self.lines.get_or_init(|| (0..self.threads).map(|_| TallyLines::default()).collect());
        if let Some(cell) = lines.get(worker).and_then(|line| line.0.get(stat.index())) {
            cell.store(cell.load(Relaxed).wrapping_add(by), Relaxed);
        }
    }

    /// Sum over all workers.
    pub(crate) fn total(&self, stat: HostStat) -> u64 {
        let lines = self.lines.get().map_or(&[][..], |lines| lines);
        let cells = lines.iter().filter_map(|line| line.0.get(stat.index()));
        cells.fold(0, |sum, cell| sum.wrapping_add(cell.load(Relaxed)))
    }
}
