//! Building the nuncio that outside tests run against.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::Options;
use crate::step::{minutes, run};
use crate::tools::root;

/// The binary asked for, or one built with the profile `quick`.
pub(crate) fn nuncio(options: &Options) -> Result<PathBuf> {
    if let Some(given) = &options.binary {
        let path = PathBuf::from(given);
        if !path.is_file() {
            bail!("there is no {given}");
        }
        // scripts run it from their own folders
        return Ok(std::fs::canonicalize(path)?);
    }
    let mut build = cargo();
    build.args(["build", "--profile", "quick", "--bin", "nuncio"]);
    run("build nuncio (quick)", &mut build, minutes(40))?;
    Ok(root().join("target/quick/nuncio"))
}

/// cargo, in the root of the checkout.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
