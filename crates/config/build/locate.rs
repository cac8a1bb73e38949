//! Finds `types.bin` inside the sources of `envoy-types` that cargo itself compiles.
//!
//! Cargo is asked first (that is right for registries, vendoring, patches and path
//! dependencies), without the network; then the unpacked registry sources are searched; then
//! cargo is asked again with the network allowed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const PACKAGE: &str = "envoy-types";
const INSIDE: &str = "src/generated/types.bin";

pub(crate) fn types_bin() -> Result<PathBuf, String> {
    ask_cargo(true)
        .or_else(unpacked_in_registry)
        .or_else(|| ask_cargo(false))
        .ok_or_else(|| format!("cannot find {INSIDE} of the {PACKAGE} package"))
}

fn ask_cargo(offline: bool) -> Option<PathBuf> {
    let mut command = Command::new(env::var_os("CARGO")?);
    command.args(["metadata", "--format-version=1", "--locked"]);
    command.arg("--manifest-path").arg(manifest());
    if let Ok(target) = env::var("TARGET") {
        command.arg("--filter-platform").arg(target);
    }
    if offline {
        command.arg("--offline");
    }
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    // The only wanted value is one path: no need for a JSON parser among the build dependencies.
    let key = "\"manifest_path\":\"";
    text.match_indices(key)
        .filter_map(|(at, _)| text.get(at + key.len()..)?.split('"').next())
        .map(|path| PathBuf::from(path.replace("\\\\", "\\")))
        .filter_map(|path| path.parent().map(Path::to_path_buf))
        .filter(|folder| is_package(folder))
        .map(|folder| folder.join(INSIDE))
        .find(|file| file.is_file())
}

fn manifest() -> PathBuf {
    PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("Cargo.toml")
}

fn is_package(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == PACKAGE || name.strip_prefix(PACKAGE).is_some_and(|rest| rest.starts_with('-'))
}

fn unpacked_in_registry() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
    let version = locked_version()?;
    fs::read_dir(home.join("registry/src"))
        .ok()?
        .flatten()
        .map(|registry| registry.path().join(format!("{PACKAGE}-{version}")).join(INSIDE))
        .find(|file| file.is_file())
}

/// The version in the workspace's lock file: `name = "envoy-types"` and on the next line
/// `version = "…"`.
fn locked_version() -> Option<String> {
    let lock = fs::read_to_string(manifest().parent()?.join("../../Cargo.lock")).ok()?;
    let after = lock.split(&format!("name = \"{PACKAGE}\"")).nth(1)?;
    Some(after.split('"').nth(1)?.to_owned())
}
