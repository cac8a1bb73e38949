//! Where log lines go: standard error or a file that can be reopened.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The destination of log lines.
#[derive(Debug)]
pub(super) enum Sink {
    Stderr,
    File { path: PathBuf, file: Mutex<File> },
}

impl Sink {
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stderr);
        };
        Ok(Self::File { path: path.to_owned(), file: Mutex::new(append(path)?) })
    }

    /// One line with its newline; losing it is better than stopping.
    pub(super) fn write(&self, line: &str) {
        let _ = match self {
            Self::Stderr => io::stderr().lock().write_all(line.as_bytes()),
            Self::File { file, .. } => file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes()),
        };
    }

    /// Opens the file again; keeps the old one when that fails.
    pub(super) fn reopen(&self) -> io::Result<()> {
        if let Self::File { path, file } = self {
            let fresh = append(path)?;
            *file.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}
