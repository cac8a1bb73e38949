//! `nuncio`: a data-plane proxy that takes Envoy's v3 configuration unchanged.
//!
//! This binary owns the command line, the life of the process, the workers, the admin server and
//! the server's own log. What happens to a request is in `crates/proxy`.

mod admin;
mod cli;
mod demo;
mod exit;
mod explain;
mod logging;
mod server;
mod validate;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use cli::{Cli, Command, options::Options};
use exit::{Exit, say};
use server::version;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run().into()
}

fn run() -> Exit {
    let arguments = cli::arguments::as_envoy(&Cli::command(), std::env::args_os());
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing to do about a closed standard error.
            let _ = error.print();
            let is_help = matches!(error.kind(), ErrorKind::DisplayHelp);
            return if is_help { Exit::Success } else { Exit::Usage };
        }
    };
    match cli.command {
        Some(Command::Demo(demo)) => return demo::run(&demo),
        Some(Command::Validate(validate)) => return validate::run(&validate),
        Some(Command::Explain(question)) => return explain::run(&question),
        None => {}
    }
    if cli.flags.version {
        say(&format!("\nnuncio  version: {}\n\n", version::full()));
        return Exit::Success;
    }
    if cli.flags.hot_restart_version {
        say(&format!("{}\n", version::HOT_RESTART));
        return Exit::Success;
    }
    match Options::from_flags(cli.flags) {
        Ok(options) => server::run(options),
        Err(error) => {
            eprintln!("error: {}\n\nFor more information, try '--help'.", error.0);
            Exit::Usage
        }
    }
}
