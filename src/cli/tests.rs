//! What is accepted, what is refused and with which words.

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser as _};

use super::{
    Cli, Command, arguments,
    options::{Mode, Options},
};
use crate::logging::Level;

fn options(line: &str) -> Result<Options, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    parsed(&words)
}

fn parsed(words: &[&str]) -> Result<Options, String> {
    let line = std::iter::once("nuncio").chain(words.iter().copied()).map(OsString::from);
    let cli = Cli::try_parse_from(arguments::as_envoy(&Cli::command(), line));
    let cli = cli.map_err(|error| error.to_string())?;
    Options::from_flags(cli.flags).map_err(|error| error.0)
}

/// Every flag in the output of Envoy's `--help`.
const ENVOYS_FLAGS: &str = "stats-tag enable-core-dump socket-mode socket-path disable-extensions cpuset-threads \
    enable-mutex-tracing disable-hot-restart mode parent-shutdown-time-s drain-strategy drain-time-s \
    file-flush-min-size-kb file-flush-interval-msec service-zone service-node service-cluster hot-restart-version \
    restart-epoch log-path enable-fine-grain-logging log-format-escaped log-format component-log-level log-level \
    local-address-ip-version admin-address-path log-stacktrace-single-entry skip-deprecated-logs \
    ignore-unknown-dynamic-fields reject-unknown-dynamic-fields allow-unknown-static-fields allow-unknown-fields \
    config-yaml config-path concurrency base-id-path skip-hot-restart-parent-stats skip-hot-restart-on-no-parent \
    use-dynamic-base-id base-id version";

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn every_flag_of_envoy_is_known() {
    let command = Cli::command();
    let known: Vec<&str> = command.get_arguments().filter_map(|argument| argument.get_long()).collect();
    for flag in ENVOYS_FLAGS.split_whitespace() {
        assert!(known.contains(&flag), "--{flag}");
    }
}

#[test]
fn values_may_follow_a_blank_or_an_equals_sign() {
    for line in ["-c a.yaml --concurrency 3 -l debug", "--config-path=a.yaml --concurrency=3 --log-level=debug"] {
        let options = options(line).unwrap();
        assert_eq!(options.flags.config_path.as_deref(), Some("a.yaml".as_ref()));
        assert_eq!((options.concurrency, options.log.level), (3, Level::Debug));
    }
}

#[test]
fn defaults_are_envoys() {
    let options = options("").unwrap();
    assert_eq!(options.mode, Mode::Serve);
    assert_eq!(options.drain_time.as_secs(), 600);
    assert_eq!(options.flush_interval.as_secs(), 10);
    assert!(options.concurrency >= 1);
}

#[test]
fn what_is_not_there_yet_is_refused_and_not_ignored() {
    for flag in [
        "--enable-fine-grain-logging",
        "--disable-extensions a,envoy.filters.http/envoy.filters.http.router",
        "--disable-extensions envoy.access_loggers/envoy.access_loggers.file",
        "--restart-epoch 1",
    ] {
        let error = options(flag).unwrap_err();
        assert!(error.contains("not supported yet"), "{flag}: {error}");
    }
    options("--restart-epoch 1 --disable-hot-restart").unwrap();
    options("--restart-epoch 1 --mode validate").unwrap();
    options("--disable-extensions a.b,envoy.filters.http/envoy.buffer,envoy.filters.network/envoy.tcp_proxy").unwrap();
    options("--enable-mutex-tracing").unwrap();
    options("--disable-hot-restart --base-id 5 --parent-shutdown-time-s 3 --socket-path x --socket-mode 600").unwrap();
}

#[test]
fn wrong_values_are_named() {
    for (line, words) in [
        ("--mode foo", "--mode is serve, validate or init_only, not 'foo'"),
        ("-l loud", "--log-level is trace, debug, info, warning, warn, error, critical or off, not 'loud'"),
        ("--component-log-level upstream", "takes component:level"),
        ("--component-log-level nosuch:info", "there is no component 'nosuch'"),
        ("--drain-strategy slow", "gradual or immediate, not 'slow'"),
        ("--stats-tag a", "takes tag:value"),
        ("--stats-tag a:", "has no value"),
        ("--stats-tag a:1.2", "has a dot"),
        ("--local-address-ip-version v5", "is v4 or v6"),
        ("--base-id 4294967295", "too large"),
    ] {
        let error = options(line).unwrap_err();
        assert!(error.contains(words), "{line}: {error}");
    }
}

#[test]
fn of_two_tags_with_one_name_the_first_counts() {
    let tags = options("--stats-tag a:1 --stats-tag b:2:3 --stats-tag a:4").unwrap().stats_tags;
    assert_eq!(tags, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2:3".to_owned())]);
}

#[test]
fn everything_after_two_dashes_is_ignored() {
    for line in ["-c a.yaml -- --whatever x", "-c a.yaml --ignore_rest --whatever x", "-c a.yaml -- -c b.yaml"] {
        assert_eq!(options(line).unwrap().flags.config_path.as_deref(), Some("a.yaml".as_ref()), "{line}");
    }
    assert!(options("-- -c a.yaml").unwrap().flags.config_path.is_none());
    assert!(options("--version --whatever").unwrap().flags.version);
    assert!(options("--whatever --version").is_err());
}

#[test]
fn a_flag_takes_what_stands_behind_it() {
    let taken = options("--service-node --service-zone --service-cluster -x -c --").unwrap().flags;
    let node = (taken.service_node.as_deref(), taken.service_cluster.as_deref());
    assert_eq!(node, (Some("--service-zone"), Some("-x")));
    assert_eq!(taken.config_path.as_deref(), Some("--".as_ref()));
    let taken = parsed(&["-", "--service-node", "", "", "--concurrency", "", "--base-id", "3"]).unwrap();
    assert_eq!((taken.flags.service_node.as_deref(), taken.flags.concurrency, taken.base_id), (Some(""), None, 3));
    assert!(options("--service-node").is_err() && options("--concurrency -1").is_err());
}

#[test]
fn subcommands_have_flags_of_their_own() {
    let cli = Cli::try_parse_from(["nuncio", "validate", "a.yaml", "b.yaml", "--format", "sarif"]).unwrap();
    let Some(Command::Validate(validate)) = cli.command else { panic!("validate") };
    assert_eq!(validate.files.len(), 2);
    assert!(Cli::try_parse_from(["nuncio", "demo", "--port", "0", "--traffic"]).is_ok());
    assert!(Cli::try_parse_from(["nuncio", "validate"]).is_err());
}
