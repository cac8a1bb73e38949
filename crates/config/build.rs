//! Turns the descriptors that come with `envoy-types` into the tables of `src/schema`.
//!
//! `envoy-types` ships `types.bin`, the FileDescriptorSet that its code was generated from, with
//! the `validate.rules` options kept. This script finds that file, reads it at wire level (a
//! round trip through prost-types would lose the options), drops comments and services, adds the
//! few messages that the set lacks (`build/overlay.rs`) and writes two files:
//!
//! - `schema.names`: every name, once, as text;
//! - `schema.bin`: fixed-size records that point into the names (`build/layout.rs`).
//!
//! Nothing is decoded when the program starts: a record is read when somebody asks for it.
//! The script fails the build, with the reason, when the descriptors cannot be found or do not
//! look like the pinned version's.

#[path = "build/descriptor.rs"]
mod descriptor;
#[path = "build/layout.rs"]
mod layout;
#[path = "build/locate.rs"]
mod locate;
#[path = "build/overlay.rs"]
mod overlay;
#[path = "build/wire.rs"]
mod wire;

use std::{env, fs, path::PathBuf};

/// A set much smaller than this is not the one of the pinned version: refuse to build tables
/// that would silently reject good configuration.
const LEAST_MESSAGES: usize = 1_400;

fn main() {
    if let Err(reason) = run() {
        println!("cargo::error=building the schema tables: {reason}");
    }
}

fn run() -> Result<(), String> {
    for file in ["build.rs", "build", "../../Cargo.lock"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let types = locate::types_bin()?;
    println!("cargo::rerun-if-changed={}", types.display());
    let bytes = fs::read(&types).map_err(|e| format!("{}: {e}", types.display()))?;
    let mut schema = descriptor::read(&bytes).ok_or("types.bin is not a FileDescriptorSet")?;
    overlay::add_missing(&mut schema);
    if schema.messages.len() < LEAST_MESSAGES {
        return Err(format!("only {} messages in {}", schema.messages.len(), types.display()));
    }
    let (names, tables) = layout::write(&schema)?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("schema.names"), names).map_err(|e| e.to_string())?;
    fs::write(out.join("schema.bin"), tables).map_err(|e| e.to_string())
}
