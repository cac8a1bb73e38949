//! The tests from outside: the comparison with Envoy, and interop.
//!
//! Both are Python under `tests/`; this finds what they need and bounds them.
//! They print their own counts as their last line.

use std::process::Command;

use anyhow::{Result, bail};

use crate::step::{minutes, run};
use crate::{Options, build, tools};

/// Compares nuncio with real Envoy: live if asked for, else with what it
/// answered when it was recorded.
pub(crate) fn compat(options: &Options) -> Result<()> {
    let mut script = python("tests/compat/run.py");
    if options.reference || options.record {
        let Some(envoy) = tools::envoy() else {
            bail!("real Envoy is not installed: `cargo xtask tools`, or set NUNCIO_ENVOY");
        };
        script.arg("--reference").arg(envoy);
    } else {
        script.arg("--recorded");
    }
    if options.record {
        script.args(["--record", "--later"]);
    } else {
        script.arg("--subject").arg(build::nuncio(options)?);
    }
    if let Some(filter) = &options.filter {
        script.args(["--filter", filter]);
    }
    run("compat: nuncio and real Envoy side by side", &mut script, minutes(15))
}

/// Other people's clients and servers against nuncio.
pub(crate) fn interop(options: &Options) -> Result<()> {
    let mut script = python("tests/interop/run.py");
    script.arg("--subject").arg(build::nuncio(options)?);
    script.env("NUNCIO_TOOLS", tools::programs());
    if let Some(only) = &options.only {
        script.args(["--only", only]);
    }
    if tools::in_ci() {
        script.arg("--strict");
    }
    run("interop: clients and servers of others", &mut script, minutes(15))
}

fn python(script: &str) -> Command {
    let root = tools::root();
    let mut command = Command::new(tools::python());
    command.arg("-u").arg(root.join(script)).current_dir(root).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
