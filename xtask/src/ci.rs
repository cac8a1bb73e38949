//! What the continuous integration checks, cheapest first.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::build::{cargo, nuncio};
use crate::step::{heading, minutes, run};
use crate::{Options, configs, outside};

/// Runs every check; stops at the first that fails.
pub(crate) fn run_all() -> Result<()> {
    let started = Instant::now();
    run("formatting", cargo().args(["fmt", "--all", "--check"]), minutes(2))?;
    run("lints", cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]), minutes(40))?;
    run("tests", cargo().args(["test", "--workspace"]), minutes(40))?;
    run(
        "documentation",
        cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
        minutes(15),
    )?;
    let binary = nuncio(&Options::default())?;
    let options = Options { binary: Some(binary.display().to_string()), ..Options::default() };
    configs::run(&options)?;
    outside::compat(&options.beside_envoy())?;
    outside::interop(&options)?;
    clean_tree()?;
    heading(&format!("everything passed in {} min", started.elapsed().as_secs() / 60));
    Ok(())
}

/// Nothing of the above may have changed a tracked file (the lock file, records).
fn clean_tree() -> Result<()> {
    let mut diff = Command::new("git");
    diff.args(["diff", "--exit-code", "--stat"]).current_dir(crate::tools::root());
    run("tracked files are unchanged", &mut diff, minutes(1))
}
