//! Levels and components, with the names that Envoy gives them.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tracing::level_filters::LevelFilter;

/// Components in the order in which Envoy lists them.
pub(crate) const LOGGERS: [&str; 73] = [
    "a2a",
    "admin",
    "ai_protocol_manager",
    "alternate_protocols_cache",
    "aws",
    "assert",
    "backtrace",
    "basic_auth",
    "cache_filter",
    "client",
    "config",
    "connection",
    "conn_handler",
    "compression",
    "credential_injector",
    "decompression",
    "dns",
    "dubbo",
    "envoy_bug",
    "ext_authz",
    "ext_proc",
    "rocketmq",
    "file",
    "filter",
    "forward_proxy",
    "geolocation",
    "grpc",
    "happy_eyeballs",
    "hc",
    "health_checker",
    "http",
    "http2",
    "hystrix",
    "init",
    "io",
    "jwt",
    "json_rpc",
    "kafka",
    "key_value_store",
    "lua",
    "local_rate_limit",
    "main",
    "matcher",
    "mcp",
    "misc",
    "mongo",
    "multi_connection",
    "notification",
    "oauth2",
    "quic",
    "quic_stream",
    "pool",
    "rate_limit_quota",
    "rbac",
    "rds",
    "redis",
    "router",
    "runtime",
    "stats",
    "secret",
    "sse",
    "tap",
    "testing",
    "thrift",
    "tracing",
    "upstream",
    "udp",
    "wasm",
    "websocket",
    "golang",
    "stats_sinks",
    "dynamic_modules",
    "ip_tagging",
];

/// How many of [`LOGGERS`] Envoy has; what follows is our own.
const ENVOYS: usize = 73;

/// Modules that have a component of another name; the longest match counts.
const MODULES: [(&str, &str); 20] = [
    ("nuncio::admin", "admin"),
    ("nuncio::phase", "http"),
    ("nuncio_config", "config"),
    ("nuncio_http::h2", "http2"),
    ("nuncio_http", "http"),
    ("nuncio_net", "connection"),
    ("nuncio_proxy::hcm", "http"),
    ("nuncio_proxy::listener", "conn_handler"),
    ("nuncio_proxy::router", "router"),
    ("nuncio_proxy::access_log", "file"),
    ("nuncio_proxy", "http"),
    ("nuncio_stats", "stats"),
    ("nuncio_upstream::dns", "dns"),
    ("nuncio_upstream::pool", "pool"),
    ("nuncio_upstream", "upstream"),
    ("nuncio", "main"),
    ("hickory", "dns"),
    ("hyper", "client"),
    ("h2", "http2"),
    ("tokio", "misc"),
];

/// Position of a component's name.
fn position(name: &str) -> Option<usize> {
    LOGGERS.iter().take(ENVOYS).position(|logger| *logger == name)
}

/// Whether there is a component of this name.
pub(crate) fn is_logger(name: &str) -> bool {
    position(name).is_some()
}

/// The component of an event's target: a component's name or a module.
pub(crate) fn component_of(target: &str) -> &'static str {
    if let Some(found) = position(target).and_then(|at| LOGGERS.get(at)) {
        return found;
    }
    let fits =
        |module: &str| target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '_']));
    let best = MODULES.iter().filter(|(module, _)| fits(module)).max_by_key(|(module, _)| module.len());
    best.map_or("misc", |(_, component)| component)
}

/// A log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
    Critical,
    Off,
}

impl Level {
    const ALL: [Level; 7] =
        [Self::Trace, Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical, Self::Off];

    /// From its name; `warn` is `warning`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let name = if name == "warn" { "warning" } else { name };
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// As Envoy writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Off => "off",
        }
    }

    /// From an event's own level.
    pub(crate) fn of(level: tracing::Level) -> Self {
        match level {
            tracing::Level::TRACE => Self::Trace,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::INFO => Self::Info,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::ERROR => Self::Error,
        }
    }

    /// What `tracing` may skip without asking.
    pub(crate) fn filter(self) -> LevelFilter {
        match self {
            Self::Trace => LevelFilter::TRACE,
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warning => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
            Self::Critical | Self::Off => LevelFilter::OFF,
        }
    }
}

/// The level of each component.
#[derive(Debug)]
pub(crate) struct Levels {
    all: [AtomicU8; ENVOYS],
}

impl Levels {
    pub(crate) fn new(level: Level, components: &[(String, Level)]) -> Self {
        let levels = Self { all: [const { AtomicU8::new(0) }; ENVOYS] };
        levels.set_all(level);
        for (name, level) in components {
            levels.set(name, *level);
        }
        levels
    }

    pub(crate) fn level(&self, component: usize) -> Level {
        let stored = self.all.get(component).map_or(2, |level| level.load(Relaxed));
        Level::ALL.get(usize::from(stored)).copied().unwrap_or(Level::Info)
    }

    pub(crate) fn set_all(&self, level: Level) {
        self.all.iter().for_each(|stored| stored.store(level as u8, Relaxed));
    }

    pub(crate) fn set(&self, component: &str, level: Level) -> bool {
        let Some(stored) = position(component).and_then(|at| self.all.get(at)) else {
            return false;
        };
        stored.store(level as u8, Relaxed);
        true
    }

    pub(crate) fn is_enabled(&self, component: &str, level: Level) -> bool {
        position(component).is_some_and(|at| self.level(at) <= level)
    }

    /// The most talkative level of all.
    pub(crate) fn lowest(&self) -> Level {
        (0..ENVOYS).map(|at| self.level(at)).min().unwrap_or(Level::Info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_modules_find_their_component() {
        for (target, component) in [
            ("upstream", "upstream"),
            ("nuncio_upstream::cluster", "upstream"),
            ("nuncio_upstream::pool::h1", "pool"),
            ("nuncio::admin::stats", "admin"),
            ("nuncio::server", "main"),
            ("hickory_resolver::name_server", "dns"),
            ("something::else", "misc"),
        ] {
            assert_eq!(component_of(target), component, "{target}");
        }
    }

    #[test]
    fn every_module_leads_to_a_component_that_exists() {
        assert!(MODULES.iter().all(|(_, component)| is_logger(component)));
    }

    #[test]
    fn one_component_can_say_more_than_the_rest() {
        let levels = Levels::new(Level::Warning, &[("upstream".to_owned(), Level::Debug)]);
        assert!(levels.is_enabled("upstream", Level::Debug));
        assert!(!levels.is_enabled("main", Level::Info));
        assert_eq!(levels.lowest(), Level::Debug);
        levels.set_all(Level::Off);
        assert!(!levels.is_enabled("main", Level::Critical));
    }
}
