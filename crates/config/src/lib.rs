//! Envoy v3 configuration: text to spans, to checked protobuf, to a validated immutable model.

pub mod model;
