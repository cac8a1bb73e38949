//! The phases that requests went through, as the proxy reports them (`nuncio::phase`).

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

const TARGET: &str = "nuncio::phase";

/// The phases seen on one thread, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phases(Arc<Mutex<Vec<String>>>);

impl Phases {
    /// Records what the calling thread reports while the guard lives.
    pub(crate) fn record(&self) -> DefaultGuard {
        tracing::subscriber::set_default(tracing_subscriber::registry().with(Recorder(self.clone())))
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Recorder(Phases);

impl<S: Subscriber> Layer<S> for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == TARGET
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut name = Name(None);
        event.record(&mut name);
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).extend(name.0);
    }
}

struct Name(Option<String>);

impl Visit for Name {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "phase" {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
