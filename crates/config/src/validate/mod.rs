//! The rules of the API (protoc-gen-validate), checked on wire bytes.
//!
//! Owns everything that can be said about bytes without their text: broken encoding, fields that
//! the schema does not know (prost would drop them silently), `validate.rules`, required oneofs,
//! and the use of deprecated fields. The same pass serves files (after `walk`) and xDS resources.
//! It goes into every message, also those in an Any of a known type. It refuses to know what the
//! values mean to the proxy (`crate::model`).
//!
//! A message that is given several times is merged before it is checked, as protobuf merges it.
//! `required` on an unset choice of a oneof is not checked. Limit: 100 levels.

mod deprecation;
mod message;
mod number;
mod rules;
#[cfg(test)]
mod tests;
mod text;
mod value;

use crate::{Diagnostic, schema::Message};

/// Codes that loading treats in its own way.
pub(crate) const DISALLOWED: &str = "disallowed-field";
pub(crate) const ONEOF_REQUIRED: &str = "oneof-required";

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

/// Checks the bytes of a message of the named type. The paths are those of a text
/// (`filter_chains[0].filters[1].typed_config.stat_prefix`); there are no locations. Unknown
/// fields are warnings with the code `unknown-field` and the number in the message: whether they
/// are fatal depends on Envoy's `--reject-unknown-dynamic-fields`.
#[must_use]
pub fn validate_wire(type_name: &str, bytes: &[u8]) -> Vec<Diagnostic> {
    match Message::named(type_name) {
        Some(message) => check(message, bytes),
        None => {
            let text = format!("there is no message type `{type_name}`");
            vec![Diagnostic::error("unknown-type", "", text)]
        }
    }
}

/// Checks the bytes of a message.
pub(crate) fn check(message: Message, bytes: &[u8]) -> Vec<Diagnostic> {
    let mut checker = message::Checker::default();
    checker.before_runtime = message.name() == BOOTSTRAP;
    checker.message(message, bytes);
    checker.found
}
