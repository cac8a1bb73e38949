//! Panics on threads of ours, which the runtime would otherwise keep to itself.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, Once, PoisonError},
    thread,
};

static SEEN: LazyLock<Mutex<HashMap<String, Vec<String>>>> = LazyLock::new(Mutex::default);

/// The names of threads that are watched begin so.
pub(crate) const WATCHED: &str = "testkit-";

/// Starts watching.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if let Some(name) = thread::current().name().filter(|name| name.starts_with(WATCHED)) {
                let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
                seen.entry(name.to_owned()).or_default().push(panic.to_string());
            }
            before(panic);
        }));
    });
}

/// What the thread of this name panicked with.
pub(crate) fn of(thread: &str) -> Vec<String> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).remove(thread).unwrap_or_default()
}
