//! Formats printed as JSON: one object on one line, keys sorted, values typed.
//!
//! A format that is one operator alone keeps its type: numbers stand without quotes, what is absent
//! is `null`. A format with text around its operators is a text, with `-` for what is absent. With
//! `omit_empty_values` nulls and empty objects are left out, and absent parts of texts are empty;
//! lists and empty texts stay. Bytes that are no UTF-8 are escaped one by one, as Envoy does.
//!
//! Everything that does not change from line to line is made once, in [`JsonLine::new`].

use nuncio_config::model::{
    access_log::JsonNode,
    format::{Format, Part},
};

use super::{render, values::Written};
use crate::stream_info::StreamInfo;

/// A JSON format made ready.
pub(super) struct JsonLine {
    root: Node,
    omit: bool,
}

enum Node {
    /// Each with its key, quotes and colon included.
    Object(Vec<(Vec<u8>, Node)>),
    List(Vec<Node>),
    Format(Format),
    Null,
    /// Ready text.
    Constant(Vec<u8>),
}

impl JsonLine {
    /// Makes `object` ready.
    pub(super) fn new(object: &JsonNode, omit_empty_values: bool) -> Self {
        Self { root: Node::new(object), omit: omit_empty_values }
    }

    /// Appends one line with its newline.
    pub(super) fn render(&self, info: &StreamInfo, out: &mut Vec<u8>) {
        if !self.root.render(self.omit, info, out) {
            out.extend_from_slice(b"{}");
        }
        out.push(b'\n');
    }
}

impl Node {
    fn new(node: &JsonNode) -> Self {
        match node {
            JsonNode::Object(fields) => {
                let key = |key: &String| {
                    let mut text = vec![b'"'];
                    text.extend_from_slice(key.as_bytes());
                    close_quotes(1, &mut text);
                    text.push(b':');
                    text
                };
                Self::Object(fields.iter().map(|(name, value)| (key(name), Self::new(value))).collect())
            }
            JsonNode::List(entries) => Self::List(entries.iter().map(Self::new).collect()),
            JsonNode::Format(format) => Self::Format(format.clone()),
            JsonNode::Constant(serde_json::Value::Null) => Self::Null,
            JsonNode::Constant(value) => Self::Constant(constant(value).into_bytes()),
        }
    }

    /// Appends the value; false, and nothing appended, when it is to be left out.
    fn render(&self, omit: bool, info: &StreamInfo, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Object(fields) => return object(fields, omit, info, out),
            Self::List(entries) => list(entries, omit, info, out),
            Self::Format(format) => return value(format, omit, info, out),
            Self::Null => return null(omit, out),
            Self::Constant(text) => out.extend_from_slice(text),
        }
        true
    }
}

fn null(omit: bool, out: &mut Vec<u8>) -> bool {
    if !omit {
        out.extend_from_slice(b"null");
    }
    !omit
}

fn object(fields: &[(Vec<u8>, Node)], omit: bool, info: &StreamInfo, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.push(b'{');
    for (key, node) in fields {
        let before = out.len();
        if before > start + 1 {
            out.push(b',');
        }
        out.extend_from_slice(key);
        if !node.render(omit, info, out) {
            out.truncate(before);
        }
    }
    if omit && out.len() == start + 1 {
        out.truncate(start);
        return false;
    }
    out.push(b'}');
    true
}

fn list(entries: &[Node], omit: bool, info: &StreamInfo, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(b'[');
    for node in entries {
        let before = out.len();
        if before > start + 1 {
            out.push(b',');
        }
        if !node.render(omit, info, out) {
            out.truncate(before);
        }
    }
    out.push(b']');
}

fn value(format: &Format, omit: bool, info: &StreamInfo, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.push(b'"');
    if let [Part::Operator(operator)] = format.parts.as_slice() {
        match render::typed_operator(operator, info, out) {
            Written::Text => close_quotes(start + 1, out),
            Written::Number => {
                out.remove(start);
            }
            Written::Absent => {
                out.truncate(start);
                return null(omit, out);
            }
        }
        return true;
    }
    render::render_with(format, if omit { b"" } else { b"-" }, info, out);
    close_quotes(start + 1, out);
    true
}

/// Escapes what was written from `start` on and appends the closing quote.
fn close_quotes(start: usize, out: &mut Vec<u8>) {
    let written = out.get(start..).unwrap_or_default();
    if written.iter().any(|byte| must_look_at(*byte)) {
        let raw = out.split_off(start);
        let is_utf8 = std::str::from_utf8(&raw).is_ok();
        for byte in raw {
            escape(byte, is_utf8, out);
        }
    }
    out.push(b'"');
}

fn must_look_at(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte >= 0x80
}

fn escape(byte: u8, is_utf8: bool, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        0x00..0x20 => return escape_by_number(byte, out),
        0x80.. if !is_utf8 => return escape_by_number(byte, out),
        _ => {
            out.push(byte);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn escape_by_number(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
}

/// A constant of the configuration; whole numbers have no fraction, whatever they were read as.
fn constant(value: &serde_json::Value) -> String {
    match value.as_f64() {
        Some(number) if value.is_number() && number.fract() == 0.0 && number.abs() < 1e17 => {
            format!("{number:.0}")
        }
        _ => value.to_string(),
    }
}
