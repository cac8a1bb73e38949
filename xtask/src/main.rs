//! `cargo xtask`: everything that is done to the project rather than by it.
//!
//! Owns the order of the checks and where their tools live; the checks
//! themselves are cargo's, those under `tests/compat` and `tests/interop`, and
//! `nuncio validate`. Fails with the first line that says what failed; with
//! `CI=true` a missing tool is a failure, otherwise a printed reason to skip.

mod build;
mod ci;
mod configs;
mod outside;
mod step;
mod tools;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask COMMAND
  ci                          everything the continuous integration checks
  tools                       install the peers that tests talk to into target/tools
  compat [--filter X] [--reference] [--record]
                              compare nuncio with what real Envoy answers
  interop [--only NAME]       other people's clients and servers against nuncio
  configs                     every example configuration and every YAML in docs
options of compat, interop and configs: --binary PATH (default: build one)";

fn main() -> ExitCode {
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match command.as_str() {
        "ci" => ci::run_all(),
        "tools" => tools::install(),
        "compat" => outside::compat(&Options::parse(&rest)?),
        "interop" => outside::interop(&Options::parse(&rest)?),
        "configs" => configs::run(&Options::parse(&rest)?),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("no command {other:?}\n{USAGE}"),
    }
}

/// What may follow a command on its line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// A regex over the names of compat cases.
    pub(crate) filter: Option<String>,
    /// The one interop script to run.
    pub(crate) only: Option<String>,
    /// The nuncio to test instead of one built for it.
    pub(crate) binary: Option<String>,
    /// Compare with Envoy running beside it, not with its recorded answers.
    pub(crate) reference: bool,
    /// Write Envoy's answers down anew.
    pub(crate) record: bool,
}

impl Options {
    /// The same, with Envoy running beside nuncio.
    pub(crate) fn beside_envoy(&self) -> Self {
        Self { reference: true, ..self.clone() }
    }

    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let slot = match word.as_str() {
                "--reference" => {
                    options.reference = true;
                    continue;
                }
                "--record" => {
                    options.record = true;
                    continue;
                }
                "--filter" => &mut options.filter,
                "--only" => &mut options.only,
                "--binary" => &mut options.binary,
                other => bail!("no option {other:?}\n{USAGE}"),
            };
            match words.next() {
                Some(value) => *slot = Some(value.clone()),
                None => bail!("{word} needs a value"),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_take_their_values() {
        let options = Options::parse(&words("--filter a/b --binary x --reference")).unwrap();
        assert_eq!(options.filter.as_deref(), Some("a/b"));
        assert_eq!(options.binary.as_deref(), Some("x"));
        assert!(options.reference && !options.record);
    }

    #[test]
    fn an_option_without_its_value_is_refused() {
        assert!(Options::parse(&words("--only")).is_err());
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert!(Options::parse(&words("--fitler x")).is_err());
    }
}
