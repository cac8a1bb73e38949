//! `layered_runtime` as configured, in the form that is asked at run time.

use nuncio_api::{RuntimeLayer, RuntimeValue};
use nuncio_config::model::bootstrap::{self, Bootstrap};

/// The layers a process starts with, in order; the admin layer is empty.
#[must_use]
pub fn runtime_layers(bootstrap: &Bootstrap) -> Vec<RuntimeLayer> {
    let layer = |layer: &bootstrap::RuntimeLayer| RuntimeLayer {
        name: layer.name.clone(),
        values: layer.values.iter().map(|(key, value)| (key.clone(), runtime_value(value))).collect(),
    };
    bootstrap.runtime_layers.iter().map(layer).collect()
}

/// A configured value in all its readings.
#[must_use]
pub fn runtime_value(value: &bootstrap::RuntimeValue) -> RuntimeValue {
    match value {
        bootstrap::RuntimeValue::Number(number) => RuntimeValue::number(*number),
        bootstrap::RuntimeValue::Bool(flag) => RuntimeValue::flag(*flag),
        bootstrap::RuntimeValue::Fraction { numerator, denominator } => {
            RuntimeValue::fraction((*numerator, *denominator))
        }
        bootstrap::RuntimeValue::Text(text) => RuntimeValue::text(text),
    }
}
