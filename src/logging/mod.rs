//! The server's own log: `tracing` events in Envoy's format, with Envoy's levels and components.
//!
//! [`init`] installs it once. Each event belongs to a component (`main`, `upstream`, ...), which is
//! its target when that is a component's name, else what [`levels`] makes of the module it is in.
//! Levels are per component and may change at run time (admin `/logging`). Lines go to standard
//! error or to `--log-path`, one `write` each, so that lines of several threads never mix.
//! A log that cannot be written loses lines; it never stops the proxy.

pub(crate) mod levels;
pub(crate) mod pattern;
mod sink;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    subscriber::Interest,
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt as _},
    registry::LookupSpan,
};

pub(crate) use levels::{LOGGERS, Level, is_logger};
use levels::{Levels, component_of};
use pattern::{Pattern, Record};
use sink::Sink;

use crate::cli::options::LogOptions;

/// Envoy's default for `--log-format`.
pub(crate) const DEFAULT_FORMAT: &str = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v";

/// The installed log.
#[derive(Debug)]
pub(crate) struct Log {
    levels: Levels,
    pattern: Pattern,
    sink: Sink,
}

static LOG: OnceLock<Arc<Log>> = OnceLock::new();

/// Installs the log for the whole process. Fails when `--log-path` cannot be opened.
pub(crate) fn init(options: &LogOptions) -> std::io::Result<Arc<Log>> {
    let sink = Sink::open(options.path.as_deref())?;
    let log = Arc::new(Log {
        levels: Levels::new(options.level, &options.components),
        pattern: Pattern::new(&options.format, options.escaped),
        sink,
    });
    let subscriber = tracing_subscriber::registry().with(EnvoyFormat(Arc::clone(&log)));
    // Both fail only on a second call, and then the first log stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
    std::panic::set_hook(Box::new(|panic| critical("main", &format!("internal error: {panic}"))));
    Ok(Arc::clone(LOG.get_or_init(|| log)))
}

/// Logs why the process cannot go on. Before [`init`] it goes to standard error.
#[track_caller]
pub(crate) fn critical(component: &'static str, message: &str) {
    match LOG.get() {
        Some(log) => {
            if log.levels.is_enabled(component, Level::Critical) {
                let caller = std::panic::Location::caller();
                log.write(Level::Critical, component, caller.file(), caller.line(), message);
            }
        }
        None => eprintln!("{message}"),
    }
}

impl Log {
    /// Level of one component.
    pub(crate) fn level(&self, component: usize) -> Level {
        self.levels.level(component)
    }

    /// Sets all components; takes effect at once.
    pub(crate) fn set_all(&self, level: Level) {
        self.levels.set_all(level);
        tracing::callsite::rebuild_interest_cache();
    }

    /// Sets one component; false when there is none of that name.
    pub(crate) fn set(&self, component: &str, level: Level) -> bool {
        let known = self.levels.set(component, level);
        tracing::callsite::rebuild_interest_cache();
        known
    }

    /// Opens `--log-path` again, after a rotation.
    pub(crate) fn reopen(&self) -> std::io::Result<()> {
        self.sink.reopen()
    }

    fn write(&self, level: Level, component: &str, file: &str, line: u32, message: &str) {
        let record = Record { time: SystemTime::now(), level, component, file, line, message };
        self.sink.write(&self.pattern.render(&record));
    }
}

/// The layer that writes events.
struct EnvoyFormat(Arc<Log>);

impl EnvoyFormat {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.0.levels.is_enabled(component_of(metadata.target()), Level::of(*metadata.level()))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for EnvoyFormat {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.levels.lowest().filter())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut message = Message::default();
        event.record(&mut message);
        let level = Level::of(*metadata.level());
        let component = component_of(metadata.target());
        let (file, line) = (metadata.file().unwrap_or_default(), metadata.line().unwrap_or_default());
        self.0.write(level, component, file, line, &message.text);
    }
}

/// The message, then the other fields as ` name=value`.
#[derive(Default)]
struct Message {
    text: String,
}

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write as _;
        // Writing into a String cannot fail.
        let _ = if field.name() == "message" {
            let rest = std::mem::take(&mut self.text);
            write!(self.text, "{value:?}{rest}")
        } else {
            write!(self.text, " {}={value:?}", field.name())
        };
    }
}
