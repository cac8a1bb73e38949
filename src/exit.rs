//! How the process speaks on standard output and how it ends.
//!
//! Exit codes are documented in `--help`.

use std::{io::Write as _, process::ExitCode};

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Served and ended in order, or the configuration is valid.
    Success,
    /// The configuration is refused or the server could not start.
    Failure,
    /// The command line is wrong.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
        })
    }
}

/// Prints to standard output. A reader that went away (`| head`) is not worth a word.
pub(crate) fn say(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush());
}
