//! Fields and enum values on their way out (envoy/annotations/deprecation.proto).
//!
//! What is merely deprecated is warned about. What is also disallowed by default is refused,
//! unless the runtime allows it (`envoy.features.enable_all_deprecated_features`). Envoy reads
//! its bootstrap before there is a runtime, so there it only warns, except inside of an Any:
//! those are read later.

use super::{DISALLOWED, message::Checker};
use crate::{
    Diagnostic,
    schema::{EnumValue, Field},
};

const HELP: &str = "the runtime key `envoy.features.enable_all_deprecated_features` allows it";

impl Checker {
    /// A field that is set.
    pub(super) fn deprecated_field(&mut self, field: &Field) {
        if field.is_deprecated() {
            self.deprecated(field.is_disallowed(), &format!("`{}` is deprecated", field.name()));
        }
    }

    /// An enum's value, written or by default.
    pub(super) fn deprecated_value(&mut self, value: EnumValue) {
        if value.deprecated {
            let name = self.path.field();
            let text = format!("`{name}` is {}, a deprecated value", value.name);
            self.deprecated(value.disallowed, &text);
        }
    }

    fn deprecated(&mut self, disallowed: bool, what: &str) {
        let path = self.path.to_string();
        let found = if !disallowed {
            Diagnostic::warning("deprecated-field", path, format!("{what} and will go away"))
        } else if self.before_runtime && self.anys == 0 {
            Diagnostic::warning(DISALLOWED, path, format!("{what} and not allowed elsewhere"))
        } else {
            let text = format!("{what} and refused by default");
            Diagnostic::error(DISALLOWED, path, text).with_help(HELP)
        };
        self.found.push(found);
    }
}
