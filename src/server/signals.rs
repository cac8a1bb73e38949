//! Signals, as one stream of what they ask for.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// SIGTERM, SIGINT: end.
    End,
    /// SIGUSR1: open the log files again.
    ReopenLogs,
    /// SIGHUP: nothing, as Envoy does.
    Nothing,
}

/// The signals that the server listens to. While it exists their default actions are off.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    user: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            user: signal(SignalKind::user_defined1())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal. Cancel-safe.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.user.recv() => Asked::ReopenLogs,
            _ = self.hangup.recv() => Asked::Nothing,
        }
    }
}
