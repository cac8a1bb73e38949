//! Small values: wrappers, durations, percentages, data sources.

use std::{num::TryFromIntError, time::Duration};

use envoy_types::pb::{
    envoy::config::core::v3::{DataSource, RuntimeFractionalPercent, data_source::Specifier},
    envoy::r#type::v3::{FractionalPercent, Percent, fractional_percent::DenominatorType},
    google::protobuf::{BoolValue, Duration as WireDuration, UInt32Value},
};

use super::Context;
use crate::model::{report::Path, route::RuntimeFraction};

/// The value of an optional boolean.
pub(super) fn flag(value: Option<BoolValue>, default: bool) -> bool {
    value.map_or(default, |wrapped| wrapped.value)
}

/// The value of an optional number.
pub(super) fn number(value: Option<UInt32Value>, default: u32) -> u32 {
    value.map_or(default, |wrapped| wrapped.value)
}

/// The value of an optional size.
pub(super) fn size(value: Option<UInt32Value>, default: usize) -> usize {
    value.map_or(default, |wrapped| usize_of(wrapped.value))
}

/// A 32-bit size fits everywhere we run; elsewhere it saturates.
pub(super) fn usize_of(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A percentage.
pub(super) fn percent(value: Option<Percent>, default: f64) -> f64 {
    value.map_or(default, |percent| percent.value)
}

/// A fraction that the runtime may change.
pub(super) fn runtime_fraction(value: RuntimeFractionalPercent) -> RuntimeFraction {
    let (numerator, denominator) = fraction(&value.default_value.unwrap_or_default());
    RuntimeFraction { numerator, denominator, key: value.runtime_key }
}

/// Numerator and denominator.
pub(super) fn fraction(value: &FractionalPercent) -> (u32, u32) {
    let denominator = match value.denominator() {
        DenominatorType::Hundred => 100,
        DenominatorType::TenThousand => 10_000,
        DenominatorType::Million => 1_000_000,
    };
    (value.numerator, denominator)
}

impl Context<'_> {
    /// A duration, if set.
    pub(super) fn duration(&mut self, path: &Path<'_>, value: Option<WireDuration>) -> Option<Duration> {
        let value = value?;
        let duration = (|| -> Result<Duration, TryFromIntError> {
            Ok(Duration::new(value.seconds.try_into()?, value.nanos.try_into()?))
        })();
        if duration.is_err() {
            self.report.error(path, "bad-duration", "a duration must not be negative");
        }
        duration.ok()
    }

    /// A duration that means "off" when it is zero.
    pub(super) fn timeout(&mut self, path: &Path<'_>, value: Option<WireDuration>) -> Option<Duration> {
        self.duration(path, value).filter(|duration| !duration.is_zero())
    }

    /// A timeout with a default; zero turns it off.
    pub(super) fn timeout_or(
        &mut self,
        path: &Path<'_>,
        value: Option<WireDuration>,
        default: Duration,
    ) -> Option<Duration> {
        match value {
            None => Some(default),
            set => self.timeout(path, set),
        }
    }

    /// The bytes of a data source, read now.
    pub(super) fn data_source(&mut self, path: &Path<'_>, source: DataSource) -> Option<Vec<u8>> {
        match source.specifier? {
            Specifier::InlineBytes(bytes) => Some(bytes),
            Specifier::InlineString(text) => Some(text.into_bytes()),
            Specifier::Filename(name) => match std::fs::read(&name) {
                Ok(bytes) => Some(bytes),
                Err(error) => {
                    let message = format!("cannot read `{name}`: {error}");
                    self.report.error(&path.field("filename"), "unreadable-file", message);
                    None
                }
            },
            Specifier::EnvironmentVariable(name) => match std::env::var(&name) {
                Ok(value) => Some(value.into_bytes()),
                Err(_) => {
                    let message = format!("environment variable `{name}` is not set");
                    self.report.error(&path.field("environment_variable"), "unset-variable", message);
                    None
                }
            },
        }
    }
}
