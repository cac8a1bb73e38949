//! Runtime: values an operator may change while the process runs, asked for by key.
//!
//! Owns the readings of a value (text, number, flag, fraction), the layers and what they add up to;
//! knows no config text and no admin endpoint. The main thread publishes a [`RuntimeSnapshot`]
//! through the [`RuntimeSource`]; each worker asks its own [`Runtime`], which costs one relaxed
//! look at a number that hardly ever changes, and a hash look-up when there are values at all. A
//! later layer replaces an earlier one's value whole. What is not there, or has no such reading,
//! is the caller's default; an empty key is never looked up (`layered_runtime`, `RuntimeUInt32`,
//! `RuntimeFractionalPercent` and their like in Envoy's API).

#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustc_hash::FxHashMap;

/// A share as numerator and denominator.
pub type Fraction = (u32, u32);

/// One value in all its readings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuntimeValue {
    text: String,
    number: Option<f64>,
    flag: Option<bool>,
    fraction: Option<Fraction>,
}

impl RuntimeValue {
    /// A number; a whole one is a flag as well.
    #[must_use]
    pub fn number(value: f64) -> Self {
        Self { text: six_digits(value), ..Self::default() }.with_number(value)
    }

    /// `true` or `false`.
    #[must_use]
    pub fn flag(value: bool) -> Self {
        Self { text: value.to_string(), flag: Some(value), ..Self::default() }
    }

    /// A fractional percent.
    #[must_use]
    pub fn fraction(fraction: Fraction) -> Self {
        let (numerator, denominator) = fraction;
        let name = match denominator {
            10_000 => "TEN_THOUSAND",
            1_000_000 => "MILLION",
            _ => "HUNDRED",
        };
        let text = format!("{{numerator: {numerator}, denominator: {name}}}");
        Self { text, fraction: Some(fraction), ..Self::default() }
    }

    /// Text; a number when it reads as one.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        let number = text.trim_ascii().parse::<f64>().ok().filter(|number| !number.is_nan());
        let value = Self { text, ..Self::default() };
        match number {
            Some(number) => value.with_number(number),
            None => value,
        }
    }

    /// The same value, shown as it was written.
    #[must_use]
    pub fn written(self, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..self }
    }

    /// As `/runtime` shows it.
    #[must_use]
    pub fn as_text(&self) -> &str {
        &self.text
    }

    fn with_number(self, value: f64) -> Self {
        let is_whole = value.trunc() == value && value.abs() < f64::from(i32::MAX);
        Self { number: Some(value), flag: is_whole.then_some(value != 0.0), ..self }
    }

    /// Fractions of a number are cut off; what is negative is no such reading.
    fn as_u64(&self) -> Option<u64> {
        let number = self.number.filter(|number| *number >= 0.0)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, sign checked")]
        Some(number as u64)
    }
}

/// Six digits and no more, as C's `%g` writes them and Envoy shows them.
fn six_digits(value: f64) -> String {
    let scientific = format!("{value:.5e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        let places = usize::try_from(5 - exponent).unwrap_or_default();
        return trimmed(&format!("{value:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.unsigned_abs())
}

/// One layer: a name and its own values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuntimeLayer {
    /// Its name, unique among the layers.
    pub name: String,
    /// Values by dotted key.
    pub values: BTreeMap<String, RuntimeValue>,
}

/// All layers at one moment, and what they add up to.
#[derive(Debug, Default)]
pub struct RuntimeSnapshot {
    layers: Vec<RuntimeLayer>,
    values: FxHashMap<String, RuntimeValue>,
}

impl RuntimeSnapshot {
    /// Adds the layers up; later ones win.
    #[must_use]
    pub fn new(layers: Vec<RuntimeLayer>) -> Self {
        let all = layers.iter().flat_map(|layer| &layer.values);
        let values = all.map(|(key, value)| (key.clone(), value.clone())).collect();
        Self { layers, values }
    }

    /// The layers, first to last.
    #[must_use]
    pub fn layers(&self) -> &[RuntimeLayer] {
        &self.layers
    }

    /// How many keys there are over all layers.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.values.len()
    }

    /// The value under `key`, in whatever reading.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&RuntimeValue> {
        if key.is_empty() || self.values.is_empty() { None } else { self.values.get(key) }
    }

    /// Whether something that holds for a share of the cases holds for `random`. A fraction in
    /// the runtime replaces the default's; a number is percent, and one above 100 is always.
    #[must_use]
    pub fn feature_enabled(&self, key: &str, numerator: u32, denominator: u32, random: u64) -> bool {
        let value = self.value(key);
        let percent = value.and_then(RuntimeValue::as_u64);
        let (numerator, denominator) = match (value.and_then(|value| value.fraction), percent) {
            (Some(fraction), _) => fraction,
            (None, Some(percent)) => match u32::try_from(percent) {
                Ok(percent @ ..=100) => (percent, 100),
                _ => return true,
            },
            (None, None) => (numerator, denominator),
        };
        random % u64::from(denominator.max(1)) < u64::from(numerator)
    }

    /// The number under `key` without its fraction.
    #[must_use]
    pub fn u64(&self, key: &str, default: u64) -> u64 {
        self.value(key).and_then(RuntimeValue::as_u64).unwrap_or(default)
    }

    /// The number under `key`.
    #[must_use]
    pub fn f64(&self, key: &str, default: f64) -> f64 {
        self.value(key).and_then(|value| value.number).unwrap_or(default)
    }

    /// The flag under `key`; a whole number is one, too: 0 is false.
    #[must_use]
    pub fn bool(&self, key: &str, default: bool) -> bool {
        self.value(key).and_then(|value| value.flag).unwrap_or(default)
    }
}

/// Where the present snapshot is published: one writer, many readers on other threads.
#[derive(Debug, Default)]
pub struct RuntimeSource {
    generation: AtomicU64,
    current: Mutex<Arc<RuntimeSnapshot>>,
}

impl RuntimeSource {
    /// A source whose first snapshot is made of these layers.
    #[must_use]
    pub fn new(layers: Vec<RuntimeLayer>) -> Arc<Self> {
        let current = Mutex::new(Arc::new(RuntimeSnapshot::new(layers)));
        Arc::new(Self { generation: AtomicU64::new(0), current })
    }

    /// The present snapshot. Takes a lock: for what happens seldom.
    #[must_use]
    pub fn snapshot(&self) -> Arc<RuntimeSnapshot> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the snapshot; every [`Runtime`] sees it with its next question.
    pub fn replace(&self, snapshot: RuntimeSnapshot) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// One thread's view of the runtime; each owner keeps a clone of their own.
#[derive(Clone, Debug, Default)]
pub struct Runtime {
    source: Arc<RuntimeSource>,
    seen: Cell<u64>,
    current: RefCell<Arc<RuntimeSnapshot>>,
}

impl Runtime {
    /// A view of what `source` publishes.
    #[must_use]
    pub fn new(source: &Arc<RuntimeSource>) -> Self {
        // The number first: a snapshot that is newer than it is fetched once more, an older never stays.
        let seen = Cell::new(source.generation.load(Ordering::Acquire));
        Self { seen, current: RefCell::new(source.snapshot()), source: Arc::clone(source) }
    }

    /// A view of layers that do not change.
    #[must_use]
    pub fn fixed(layers: Vec<RuntimeLayer>) -> Self {
        Self::new(&RuntimeSource::new(layers))
    }

    /// Whether there is any value: without one every question answers its default.
    #[must_use]
    pub fn has_values(&self) -> bool {
        self.ask(|now| now.key_count() > 0)
    }

    /// Whether there is a value under `key`, in whatever reading.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.ask(|now| now.value(key).is_some())
    }

    /// See [`RuntimeSnapshot::feature_enabled`].
    #[must_use]
    pub fn feature_enabled(&self, key: &str, numerator: u32, denominator: u32, random: u64) -> bool {
        self.ask(|now| now.feature_enabled(key, numerator, denominator, random))
    }

    /// See [`RuntimeSnapshot::u64`].
    #[must_use]
    pub fn u64(&self, key: &str, default: u64) -> u64 {
        self.ask(|now| now.u64(key, default))
    }

    /// See [`RuntimeSnapshot::f64`].
    #[must_use]
    pub fn f64(&self, key: &str, default: f64) -> f64 {
        self.ask(|now| now.f64(key, default))
    }

    /// See [`RuntimeSnapshot::bool`].
    #[must_use]
    pub fn bool(&self, key: &str, default: bool) -> bool {
        self.ask(|now| now.bool(key, default))
    }

    /// The value as it was written.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        self.ask(|now| now.value(key).map(|value| value.text.clone()))
    }

    fn ask<T>(&self, question: impl FnOnce(&RuntimeSnapshot) -> T) -> T {
        let generation = self.source.generation.load(Ordering::Acquire);
        if generation != self.seen.get() {
            self.seen.set(generation);
            *self.current.borrow_mut() = self.source.snapshot();
        }
        question(&self.current.borrow())
    }
}
