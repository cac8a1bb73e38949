//! The phases of a request as trace events: `RUST_LOG`-style target `nuncio::phase`.

/// Reports that a stream entered a phase. Costs one load when tracing is off.
macro_rules! phase {
    ($name:literal) => {
        tracing::trace!(target: "nuncio::phase", phase = $name)
    };
}

pub(crate) use phase;
