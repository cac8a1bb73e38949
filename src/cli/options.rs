//! What the command line asks for, checked.
//!
//! [`Options::from_flags`] fills in Envoy's defaults and refuses what cannot be meant; every
//! refusal is one sentence that names the flag. Later stages read [`Options`] only.

use std::{path::PathBuf, time::Duration};

use nuncio_api::DrainStrategy;

use super::Flags;
use crate::logging::{DEFAULT_FORMAT, Level};

/// `--mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Serve,
    Validate,
    InitOnly,
}

impl Mode {
    /// As `/server_info` writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Serve => "Serve",
            Self::Validate => "Validate",
            Self::InitOnly => "InitOnly",
        }
    }
}

/// Settings of the log.
#[derive(Clone, Debug)]
pub(crate) struct LogOptions {
    pub(crate) level: Level,
    pub(crate) components: Vec<(String, Level)>,
    pub(crate) format: String,
    pub(crate) escaped: bool,
    pub(crate) path: Option<PathBuf>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            level: Level::Info,
            components: Vec::new(),
            format: DEFAULT_FORMAT.to_owned(),
            escaped: false,
            path: None,
        }
    }
}

/// The checked command line of a server.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// As given, for `/server_info`.
    pub(crate) flags: Flags,
    pub(crate) mode: Mode,
    pub(crate) concurrency: usize,
    pub(crate) log: LogOptions,
    pub(crate) stats_tags: Vec<(String, String)>,
    pub(crate) drain_strategy: DrainStrategy,
    pub(crate) drain_time: Duration,
    pub(crate) drain_grace: Duration,
    pub(crate) flush_interval: Duration,
    pub(crate) flush_min_bytes: usize,
    pub(crate) base_id: u32,
}

/// A command line that cannot be meant; the text is for the user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsageError(pub(crate) String);

fn refuse<T>(text: impl Into<String>) -> Result<T, UsageError> {
    Err(UsageError(text.into()))
}

impl Options {
    /// Checks the flags and fills in the defaults.
    pub(crate) fn from_flags(flags: Flags) -> Result<Self, UsageError> {
        refuse_missing_features(&flags)?;
        let log = log_options(&flags)?;
        Ok(Self {
            mode: mode(&flags)?,
            concurrency: concurrency(&flags),
            log,
            stats_tags: stats_tags(&flags.stats_tag)?,
            drain_strategy: drain_strategy(&flags)?,
            drain_time: Duration::from_secs(u64::from(flags.drain_time_s.unwrap_or(600))),
            drain_grace: Duration::from_secs(u64::from(flags.drain_grace_s)),
            flush_interval: Duration::from_millis(u64::from(flags.file_flush_interval_msec.unwrap_or(10_000))),
            flush_min_bytes: flags.file_flush_min_size_kb.unwrap_or(64) as usize * 1024,
            base_id: base_id(&flags)?,
            flags,
        })
    }
}

fn refuse_missing_features(flags: &Flags) -> Result<(), UsageError> {
    if flags.enable_fine_grain_logging {
        return refuse("--enable-fine-grain-logging is not supported yet; start without it");
    }
    let disabled = flags.disable_extensions.as_deref().unwrap_or_default();
    if let Some(extension) = disabled.split(',').find(|extension| may_be_built_in(extension)) {
        return refuse(format!("--disable-extensions {extension} is not supported yet; start without it"));
    }
    let epoch = flags.restart_epoch.unwrap_or(0);
    let serves = mode(flags)? != Mode::Validate;
    if epoch > 0 && serves && !flags.disable_hot_restart && !flags.skip_hot_restart_on_no_parent {
        return refuse(format!(
            "--restart-epoch {epoch}: hot restart is not supported yet, there is no parent to take over from"
        ));
    }
    if epoch > 0 && flags.use_dynamic_base_id {
        return refuse(format!("--use-dynamic-base-id cannot be combined with --restart-epoch {epoch}"));
    }
    match flags.local_address_ip_version.as_deref() {
        None | Some("v4" | "v6") => Ok(()),
        Some(other) => refuse(format!("--local-address-ip-version is v4 or v6, not '{other}'")),
    }
}

/// Whether disabling this extension (`category/name`) could change anything. Envoy passes over what
/// has no slash, and over names that it does not know.
fn may_be_built_in(extension: &str) -> bool {
    match extension.split_once('/') {
        None => false,
        Some(("envoy.filters.http", name)) => name.ends_with("router"),
        Some(("envoy.filters.network", name)) => name.ends_with("http_connection_manager"),
        Some(_) => true,
    }
}

fn mode(flags: &Flags) -> Result<Mode, UsageError> {
    match flags.mode.as_deref() {
        None | Some("serve") => Ok(Mode::Serve),
        Some("validate") => Ok(Mode::Validate),
        Some("init_only") => Ok(Mode::InitOnly),
        Some(other) => refuse(format!("--mode is serve, validate or init_only, not '{other}'")),
    }
}

fn concurrency(flags: &Flags) -> usize {
    match flags.concurrency {
        // Envoy takes 0 for 1.
        Some(given) => (given as usize).max(1),
        None if flags.cpuset_threads => nuncio_net::cpu::affinity_count(),
        None => nuncio_net::cpu::default_concurrency(),
    }
}

fn level(flag: &str, text: &str) -> Result<Level, UsageError> {
    Level::parse(text).ok_or_else(|| {
        let names = "trace, debug, info, warning, warn, error, critical or off";
        UsageError(format!("{flag} is {names}, not '{text}'"))
    })
}

fn log_options(flags: &Flags) -> Result<LogOptions, UsageError> {
    let mut log = LogOptions { escaped: flags.log_format_escaped, path: flags.log_path.clone(), ..Default::default() };
    if let Some(text) = &flags.log_level {
        log.level = level("--log-level", text)?;
    }
    if let Some(format) = &flags.log_format {
        log.format.clone_from(format);
    }
    let list = flags.component_log_level.as_deref().unwrap_or_default();
    for entry in list.split(',').filter(|entry| !entry.is_empty()) {
        let Some((name, text)) = entry.split_once(':') else {
            return refuse(format!("--component-log-level takes component:level, not '{entry}'"));
        };
        if !crate::logging::is_logger(name) {
            return refuse(format!("--component-log-level: there is no component '{name}'"));
        }
        log.components.push((name.to_owned(), level("--component-log-level", text)?));
    }
    Ok(log)
}

fn stats_tags(given: &[String]) -> Result<Vec<(String, String)>, UsageError> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for entry in given {
        let Some((tag, value)) = entry.split_once(':') else {
            return refuse(format!("--stats-tag takes tag:value, not '{entry}'"));
        };
        if tag.is_empty() || !tag.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return refuse(format!("--stats-tag: the name '{tag}' is not alphanumeric"));
        }
        if value.is_empty() {
            return refuse(format!("--stats-tag: '{tag}' has no value"));
        }
        if value.contains('.') {
            return refuse(format!("--stats-tag: the value '{value}' has a dot"));
        }
        // As in Envoy, the first one counts.
        if !tags.iter().any(|(known, _)| known == tag) {
            tags.push((tag.to_owned(), value.to_owned()));
        }
    }
    Ok(tags)
}

fn drain_strategy(flags: &Flags) -> Result<DrainStrategy, UsageError> {
    match flags.drain_strategy.as_deref() {
        None | Some("gradual") => Ok(DrainStrategy::Gradual),
        Some("immediate") => Ok(DrainStrategy::Immediate),
        Some(other) => refuse(format!("--drain-strategy is gradual or immediate, not '{other}'")),
    }
}

fn base_id(flags: &Flags) -> Result<u32, UsageError> {
    if flags.use_dynamic_base_id {
        return Ok(std::process::id());
    }
    let base_id = flags.base_id.unwrap_or(0);
    // Envoy multiplies it by ten to leave room for epochs.
    match base_id.checked_mul(10) {
        Some(_) => Ok(base_id),
        None => refuse(format!("--base-id {base_id} is too large")),
    }
}
