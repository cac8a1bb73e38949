//! Running one command under a heading, with a limit on its time.
//!
//! Output goes straight through; the heading and the time it took are what a
//! reader of a log looks for. A command over its limit is killed by its own
//! handle and fails.

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Prints the heading of a part of the work.
pub(crate) fn heading(text: &str) {
    println!("\n==> {text}");
}

/// Runs a command under a heading; an exit status other than 0 is an error.
pub(crate) fn run(title: &str, command: &mut Command, limit: Duration) -> Result<()> {
    heading(title);
    let started = Instant::now();
    let status = bounded(title, command, limit)?;
    if !status.success() {
        bail!("{title}: {status}");
    }
    println!("    {title}: done in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a command without a heading and returns how it ended.
pub(crate) fn bounded(title: &str, command: &mut Command, limit: Duration) -> Result<ExitStatus> {
    let mut child = command.spawn().with_context(|| format!("{title}: cannot start {:?}", command.get_program()))?;
    wait(title, &mut child, limit)
}

fn wait(title: &str, child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() > limit {
            // it may have ended just now; then there is nothing to kill
            let _ = child.kill();
            child.wait()?;
            bail!("{title}: not done after {} s", limit.as_secs());
        }
        std::thread::sleep(LOOK);
    }
}

/// Minutes as a duration.
pub(crate) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

#[cfg(test)]
mod tests {
    use super::{bounded, minutes, run};
    use std::process::Command;
    use std::time::Duration;

    #[test]
    fn a_command_that_fails_is_an_error() {
        assert!(run("false", &mut Command::new("false"), minutes(1)).is_err());
    }

    #[test]
    fn a_command_over_its_time_is_ended() {
        let error = bounded("sleep", Command::new("sleep").arg("600"), Duration::ZERO);
        assert!(error.unwrap_err().to_string().contains("not done"));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run("x", &mut Command::new("/no/such/program"), minutes(1)).unwrap_err();
        assert!(error.to_string().contains("/no/such/program"));
    }
}
