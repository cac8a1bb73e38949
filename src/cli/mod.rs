//! The command line: Envoy's flags under Envoy's names, and two subcommands of our own.
//!
//! Owns the words and their parsing. What they mean is settled in [`options`], which turns the
//! raw flags into [`Options`](options::Options) or one plain message. A flag of Envoy whose
//! feature is not there yet is refused there, never ignored. `--flag value` and `--flag=value`
//! both work; [`arguments`] makes a line read as Envoy reads it.

pub(crate) mod arguments;
pub(crate) mod options;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const AFTER_HELP: &str = "\
Exit codes:
  0  served and ended in order, or the configuration is valid
  1  the configuration is refused, or the server could not start (file missing, port in use)
  2  the command line is wrong

Signals:
  SIGTERM, SIGINT  stop accepting, finish what runs within --drain-grace-s, exit 0; a second one
                   exits at once
  SIGUSR1          reopen the log files
  SIGHUP           ignored, as Envoy does

Try it without any configuration: nuncio demo";

/// Everything that can be said on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "nuncio",
    about = "A data-plane proxy that takes Envoy's v3 configuration unchanged",
    after_help = AFTER_HELP,
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What nuncio does beside serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an example with nothing to prepare: a listener, two upstreams, the live admin page
    Demo(Demo),
    /// Check configuration files and say everything that is wrong with them
    Validate(Validate),
    /// Say what would become of a request, and why: listener, virtual host, every route considered,
    /// rewriting, time-outs, retries, hosts, each with the line it comes from
    Explain(Explain),
}

/// `nuncio explain`
#[derive(Clone, Debug, Args)]
pub(crate) struct Explain {
    /// Path to configuration file
    #[arg(short = 'c', long, value_name = "FILE")]
    pub(crate) config_path: PathBuf,
    /// Method of the request
    pub(crate) method: String,
    /// URL of the request; a port in it picks the listener, a path alone is enough
    pub(crate) url: String,
    /// A header of the request, `name: value`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    /// Listener by name
    #[arg(long, value_name = "NAME")]
    pub(crate) listener: Option<String>,
    /// Address that the connection comes from [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub(crate) client: Option<std::net::IpAddr>,
    /// The number that draws fractions and weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) random: u64,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = ExplainFormat::Human)]
    pub(crate) format: ExplainFormat,
}

/// Formats of `nuncio explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainFormat {
    /// For people
    Human,
    /// One object
    Json,
}

/// `nuncio demo`
#[derive(Clone, Debug, Args)]
pub(crate) struct Demo {
    /// Port of the example listener [default: 10000, or another one when that is taken]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Port of the admin page [default: 9901, or another one when that is taken]
    #[arg(long, value_name = "PORT")]
    pub(crate) admin_port: Option<u16>,
    /// Send a trickle of example requests (20 a second) so that there is something to watch
    #[arg(long)]
    pub(crate) traffic: bool,
    /// # of worker threads to run
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) concurrency: u32,
}

/// `nuncio validate`
#[derive(Clone, Debug, Args)]
pub(crate) struct Validate {
    /// Files to check, each on its own; `-` is the standard input as YAML
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// How findings are written
    #[arg(long, value_enum, default_value_t = ReportFormat::Human)]
    pub(crate) format: ReportFormat,
    /// Allow unknown fields
    #[arg(long)]
    pub(crate) allow_unknown_static_fields: bool,
}

/// Formats of `nuncio validate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// With the lines of the file, for people
    Human,
    /// One object with a list of findings
    Json,
    /// SARIF 2.1.0, for code review tools
    Sarif,
}

/// Envoy's flags, and `--drain-grace-s`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Flags {
    /// Path to configuration file
    #[arg(short = 'c', long, value_name = "FILE")]
    pub(crate) config_path: Option<PathBuf>,
    /// Inline YAML configuration, merged over the contents of --config-path
    #[arg(long, value_name = "YAML", allow_hyphen_values = true)]
    pub(crate) config_yaml: Option<String>,
    /// serve (default), validate (check the configuration and exit) or init_only (initialise
    /// and exit)
    #[arg(long, value_name = "MODE")]
    pub(crate) mode: Option<String>,
    /// # of worker threads to run [default: the cgroup CPU limit, else the cores]
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<u32>,
    /// Get the default # of worker threads from the CPU affinity mask alone
    #[arg(long)]
    pub(crate) cpuset_threads: bool,

    /// trace, debug, info (default), warning, warn, error, critical or off
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Comma-separated list of component log levels, for example upstream:debug,config:trace
    #[arg(long, value_name = "LIST")]
    pub(crate) component_log_level: Option<String>,
    /// Log message format in spdlog syntax
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub(crate) log_format: Option<String>,
    /// Write control characters of a message as C escapes, so that an entry is one line
    #[arg(long)]
    pub(crate) log_format_escaped: bool,
    /// Path to logfile [default: standard error]
    #[arg(long, value_name = "FILE")]
    pub(crate) log_path: Option<PathBuf>,

    /// Cluster name
    #[arg(long, value_name = "NAME")]
    pub(crate) service_cluster: Option<String>,
    /// Node name
    #[arg(long, value_name = "NAME")]
    pub(crate) service_node: Option<String>,
    /// Zone name
    #[arg(long, value_name = "NAME")]
    pub(crate) service_zone: Option<String>,
    /// Tag for all stats, as tag:value; may be repeated
    #[arg(long, value_name = "TAG:VALUE")]
    pub(crate) stats_tag: Vec<String>,
    /// File to which the address of the admin server is written
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_address_path: Option<PathBuf>,
    /// The local IP address version (v4 or v6)
    #[arg(long, value_name = "VERSION")]
    pub(crate) local_address_ip_version: Option<String>,

    /// Seconds that running requests get to finish after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) drain_grace_s: u32,
    /// Drain time in seconds of /drain_listeners?graceful [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) drain_time_s: Option<u32>,
    /// gradual (default) or immediate
    #[arg(long, value_name = "STRATEGY")]
    pub(crate) drain_strategy: Option<String>,
    /// Interval for access log flushing in msec [default: 10000]
    #[arg(long, value_name = "MSEC")]
    pub(crate) file_flush_interval_msec: Option<u32>,
    /// Size in KB from which access logs are written at once [default: 64]
    #[arg(long, value_name = "KB")]
    pub(crate) file_flush_min_size_kb: Option<u32>,

    /// Allow unknown fields in static configuration
    #[arg(long)]
    pub(crate) allow_unknown_static_fields: bool,
    /// The same, under its old name
    #[arg(long)]
    pub(crate) allow_unknown_fields: bool,
    /// Reject unknown fields in dynamic configuration
    #[arg(long)]
    pub(crate) reject_unknown_dynamic_fields: bool,
    /// Ignore unknown fields in dynamic configuration
    #[arg(long)]
    pub(crate) ignore_unknown_dynamic_fields: bool,
    /// Do not warn about deprecated fields
    #[arg(long)]
    pub(crate) skip_deprecated_logs: bool,

    /// Hot restart: base ID
    #[arg(long, value_name = "N")]
    pub(crate) base_id: Option<u32>,
    /// Hot restart: choose a base ID dynamically
    #[arg(long)]
    pub(crate) use_dynamic_base_id: bool,
    /// Hot restart: file to which the base ID is written
    #[arg(long, value_name = "FILE")]
    pub(crate) base_id_path: Option<PathBuf>,
    /// Hot restart: epoch #; only 0 is there yet
    #[arg(long, value_name = "N")]
    pub(crate) restart_epoch: Option<u32>,
    /// Hot restart: parent shutdown time in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) parent_shutdown_time_s: Option<u32>,
    /// Disable hot restart
    #[arg(long)]
    pub(crate) disable_hot_restart: bool,
    /// Hot restart: start afresh when there is no parent
    #[arg(long)]
    pub(crate) skip_hot_restart_on_no_parent: bool,
    /// Hot restart: do not take over the parent's stats
    #[arg(long)]
    pub(crate) skip_hot_restart_parent_stats: bool,
    /// Hot restart: path to the socket file
    #[arg(long, value_name = "PATH")]
    pub(crate) socket_path: Option<String>,
    /// Hot restart: permission bits of the socket file
    #[arg(long, value_name = "MODE")]
    pub(crate) socket_mode: Option<String>,

    /// Enable core dumps
    #[arg(long)]
    pub(crate) enable_core_dump: bool,
    /// Comma-separated list of extensions to disable, those that are built in not yet
    #[arg(long, value_name = "LIST")]
    pub(crate) disable_extensions: Option<String>,
    /// Mutex contention tracing; no mutex is contended
    #[arg(long)]
    pub(crate) enable_mutex_tracing: bool,
    /// Log levels by source file (not there yet)
    #[arg(long)]
    pub(crate) enable_fine_grain_logging: bool,
    /// Stack traces as one log entry; there are none to begin with
    #[arg(long)]
    pub(crate) log_stacktrace_single_entry: bool,

    /// Displays version information and exits
    #[arg(long)]
    pub(crate) version: bool,
    /// Hot restart compatibility version, then exits
    #[arg(long)]
    pub(crate) hot_restart_version: bool,
    /// Ignore what follows, as -- does
    #[arg(long = "ignore_rest")]
    pub(crate) ignore_rest: bool,
}
