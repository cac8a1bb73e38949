//! google.protobuf.Any: a mapping with `@type` anywhere in it, whose other keys are the fields
//! of that type (or `value`, for the well-known types).
//!
//! An `xds.type.v3.TypedStruct` (or udpa's) that names a known type becomes that type, checked
//! as if it had been written directly, which is what Envoy makes of it later; with an unknown
//! type it stays a TypedStruct, for extensions that read such a thing themselves.

use super::{Mistake, Walker, suggest};
use crate::{
    path::Step,
    schema::{
        Message, WellKnown,
        wire::{put_bytes, put_nested},
    },
    text::{NodeId, Value},
};

const TYPE: &str = "@type";
const HOST: &str = "type.googleapis.com";

impl Walker<'_> {
    pub(super) fn any(&mut self, out: &mut Vec<u8>, node: NodeId) {
        let Value::Map { count, .. } = self.tree.node(node).value else {
            return self.mismatch("a mapping with an `@type`", node);
        };
        let Some(entry) = self.tree.entry(node, TYPE) else {
            if count > 0 {
                self.missing_type(node);
            }
            return;
        };
        let Value::String(url) = self.tree.node(entry.value).value else {
            return self.bad_type("`@type` must be a text", None, entry.value);
        };
        let url = self.tree.text(url, self.source);
        let name = match url.rsplit_once('/') {
            Some((host, name)) if !host.is_empty() => name,
            _ => return self.no_host(url, entry.value),
        };
        match Message::named(name) {
            Some(message) => {
                self.anys += 1;
                self.typed(out, url, message, node);
                self.anys -= 1;
            }
            None => self.unknown_type(name, entry.value),
        }
    }

    fn typed(&mut self, out: &mut Vec<u8>, url: &str, message: Message, node: NodeId) {
        match message.well_known() {
            Some(WellKnown::TypedStruct) => self.typed_struct(out, url, message, node),
            Some(_) => {
                put_bytes(out, 1, url.as_bytes());
                let Some(value) = self.tree.entry(node, "value") else {
                    return;
                };
                self.path.push(Step::Field("value"));
                put_nested(out, 2, |out| self.message(out, message, value.value));
                self.path.pop();
            }
            None => {
                put_bytes(out, 1, url.as_bytes());
                put_nested(out, 2, |out| self.fields(out, message, node, Some(TYPE)));
            }
        }
    }

    fn typed_struct(&mut self, out: &mut Vec<u8>, url: &str, message: Message, node: NodeId) {
        let inner = self.tree.entry(node, "type_url").or_else(|| self.tree.entry(node, "typeUrl"));
        let inner = inner.and_then(|entry| match self.tree.node(entry.value).value {
            Value::String(text) => {
                let url = self.tree.text(text, self.source);
                Message::named(url.rsplit_once('/').map_or(url, |(_, name)| name))
            }
            _ => None,
        });
        let value = self.tree.entry(node, "value");
        let is_map = |node| matches!(self.tree.node(node).value, Value::Map { .. });
        match (inner, value) {
            (Some(inner), None) => {
                put_bytes(out, 1, format!("{HOST}/{}", inner.name()).as_bytes());
            }
            (Some(inner), Some(value)) if is_map(value.value) => {
                put_bytes(out, 1, format!("{HOST}/{}", inner.name()).as_bytes());
                put_nested(out, 2, |out| self.message(out, inner, value.value));
            }
            _ => {
                put_bytes(out, 1, url.as_bytes());
                put_nested(out, 2, |out| self.fields(out, message, node, Some(TYPE)));
            }
        }
    }

    fn missing_type(&mut self, node: NodeId) {
        let message = format!("`{}` needs an `@type` that says what it is", self.path.field());
        let help = format!("\"@type\": {HOST}/envoy.…");
        self.error(Mistake::new("missing-type", message).with_help(help), node);
    }

    fn bad_type(&mut self, message: impl Into<String>, help: Option<String>, node: NodeId) {
        let mistake = Mistake { help, ..Mistake::new("unknown-type", message) };
        self.error(mistake, node);
    }

    fn no_host(&mut self, url: &str, node: NodeId) {
        let name = url.trim_start_matches('/');
        let help = Message::named(name).map(|_| format!("write {HOST}/{name}"));
        let message = format!("`@type` must be like {HOST}/<message>, not `{url}`");
        self.bad_type(message, help, node);
    }

    fn unknown_type(&mut self, name: &str, node: NodeId) {
        let help = match suggest::message(name) {
            Some(guess) => Some(format!("did you mean {HOST}/{guess}?")),
            None if name.contains(".v2.") || name.starts_with("envoy.api.v2") => {
                Some("the v2 API is gone; use the v3 message".to_owned())
            }
            None => None,
        };
        self.bad_type(format!("there is no message type `{name}`"), help, node);
    }
}
