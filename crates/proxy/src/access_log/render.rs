//! Formats printed as text: `render` with a stream's values in place of the operators.
//!
//! Access logs and added headers use it. An absent value is `-`, or nothing where
//! `omit_empty_values` says so and in headers; a `:length` keeps so many bytes of the value.

use nuncio_config::model::format::{Command, Format, Operator, Part};

use super::{commands, values::Written};
use crate::stream_info::StreamInfo;

/// Appends the text of `format`; what is absent is `-`.
pub(crate) fn render(format: &Format, info: &StreamInfo, out: &mut Vec<u8>) {
    render_with(format, b"-", info, out);
}

/// Appends the text of `format`; what is absent is left out.
pub(crate) fn render_omitting_empty(format: &Format, info: &StreamInfo, out: &mut Vec<u8>) {
    render_with(format, b"", info, out);
}

/// Appends the text of `format` with `absent` for what is absent.
pub(super) fn render_with(format: &Format, absent: &[u8], info: &StreamInfo, out: &mut Vec<u8>) {
    for part in &format.parts {
        match part {
            Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Part::Operator(one) => {
                if operator(one, info, out) == Written::Absent {
                    out.extend_from_slice(absent);
                }
            }
        }
    }
}

/// Appends one value, cut to its length.
pub(super) fn operator(operator: &Operator, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    let start = out.len();
    let written = commands::write(&operator.command, info, out);
    if let Some(length) = operator.max_length {
        out.truncate(start.saturating_add(length));
    }
    written
}

/// Appends one value that keeps its type: texts are cut to their length, numbers stay whole.
pub(super) fn typed_operator(operator: &Operator, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    let start = out.len();
    let written = match &operator.command {
        Command::Coalesce(operators) => {
            let mut written = operators.iter().map(|operator| typed_operator(operator, info, out));
            written.find(|written| *written != Written::Absent).unwrap_or(Written::Absent)
        }
        command => commands::write(command, info, out),
    };
    if let (Some(length), Written::Text) = (operator.max_length, written) {
        out.truncate(start.saturating_add(length));
    }
    written
}
