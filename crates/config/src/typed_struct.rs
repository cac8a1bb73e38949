//! TypedStructs in xDS resources, made into the messages that they name.
//!
//! A control plane that does not link an extension's protos sends its config as an
//! `xds.type.v3.TypedStruct` (or udpa's): a type URL and a Struct. Envoy turns the Struct into
//! the named message when it looks for the extension; here it is done on the resource's bytes,
//! before `validate_wire` and the model, which then never meet one. In texts the walker does the
//! same. A TypedStruct of a type that the schema does not know is left alone. What does not fit
//! the message is reported as in a text, without a place. Limit: 100 levels.

use rustc_hash::FxHashMap;

use crate::{
    Diagnostic, LoadOptions, SpanIndex,
    path::{Path, Step},
    schema::{
        Field, Kind, Message, WellKnown,
        wire::{Reader, Wire, WireType, put_bytes, put_nested, put_tag, put_varint},
    },
    text::{Format, Source, structure},
    walk,
};

const DEEPEST: usize = 100;
const MARK: &[u8] = b".TypedStruct";
const HOST: &str = "type.googleapis.com";

/// Rewrites a resource that holds TypedStructs; `None` when it holds none, so that the bytes can
/// be used as they are.
#[must_use]
pub fn expand_typed_structs(
    type_name: &str,
    bytes: &[u8],
    options: &LoadOptions,
) -> Option<(Vec<u8>, Vec<Diagnostic>)> {
    let message = Message::named(type_name)?;
    if !is_marked(bytes) {
        return None;
    }
    let mut expansion = Expansion { options, path: Path::default(), depth: 0, found: Vec::new() };
    let mut out = Vec::with_capacity(bytes.len());
    expansion.message(&mut out, message, bytes);
    Some((out, expansion.found))
}

fn is_marked(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|window| window == MARK)
}

struct Expansion<'o> {
    options: &'o LoadOptions,
    path: Path<'static>,
    depth: usize,
    found: Vec<Diagnostic>,
}

impl Expansion<'_> {
    fn message(&mut self, out: &mut Vec<u8>, message: Message, bytes: &[u8]) {
        let mut indexes: FxHashMap<u32, usize> = FxHashMap::default();
        self.depth += 1;
        for (number, wire) in Reader::new(bytes) {
            let index = indexes.entry(number).or_default();
            match (wire, message.field_numbered(number)) {
                (Wire::Bytes(inner), Some(field)) if self.goes_into(inner) => {
                    let steps = self.enter(&field, inner, *index);
                    self.field(out, &field, inner);
                    (0..steps).for_each(|_| self.path.pop());
                }
                _ => put(out, number, wire),
            }
            *index += 1;
        }
        self.depth -= 1;
    }

    fn goes_into(&self, bytes: &[u8]) -> bool {
        self.depth < DEEPEST && is_marked(bytes)
    }

    /// Steps down to one value of a field; returns the number of steps.
    fn enter(&mut self, field: &Field, inner: &[u8], index: usize) -> usize {
        self.path.push(Step::Field(field.name()));
        if field.map().is_some() {
            let key = Reader::new(inner).find_map(|field| match field {
                (1, Wire::Bytes(key)) => Some(String::from_utf8_lossy(key).into()),
                _ => None,
            });
            self.path.push(Step::Key(key.unwrap_or_default()));
            return 2;
        }
        if field.is_repeated() {
            self.path.push(Step::Index(index));
            return 2;
        }
        1
    }

    fn field(&mut self, out: &mut Vec<u8>, field: &Field, inner: &[u8]) {
        let Kind::Message(message) = field.kind else {
            return put_bytes(out, field.number, inner);
        };
        if let Some((_, value)) = field.map().and_then(Message::entry) {
            return put_nested(out, field.number, |out| self.entry(out, &value, inner));
        }
        put_nested(out, field.number, |out| match message.well_known() {
            Some(WellKnown::Any) => self.any(out, inner),
            Some(_) => out.extend_from_slice(inner),
            None => self.message(out, message, inner),
        });
    }

    /// A map's entry: its key's and value's names are no steps of the path.
    fn entry(&mut self, out: &mut Vec<u8>, value: &Field, inner: &[u8]) {
        for (number, wire) in Reader::new(inner) {
            match wire {
                Wire::Bytes(bytes) if number == value.number => self.field(out, value, bytes),
                _ => put(out, number, wire),
            }
        }
    }

    fn any(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        let (url, value) = pair(bytes);
        let message = std::str::from_utf8(url).ok().and_then(named);
        match message.map(|message| (message, message.well_known())) {
            Some((message, None)) => {
                put_bytes(out, 1, url);
                put_nested(out, 2, |out| self.message(out, message, value));
            }
            Some((_, Some(WellKnown::TypedStruct))) => self.typed_struct(out, bytes, value),
            _ => out.extend_from_slice(bytes),
        }
    }

    fn typed_struct(&mut self, out: &mut Vec<u8>, any: &[u8], typed_struct: &[u8]) {
        let (url, fields) = pair(typed_struct);
        let Some(message) = std::str::from_utf8(url).ok().and_then(named) else {
            return out.extend_from_slice(any);
        };
        let tree = structure(fields, DEEPEST);
        let source = Source { name: String::new(), text: String::new(), format: Format::Json };
        let nothing = SpanIndex::default();
        let outcome = walk::walk(&tree, &source, 0, message, (&nothing, self.options));
        put_bytes(out, 1, format!("{HOST}/{}", message.name()).as_bytes());
        put_bytes(out, 2, &outcome.wire);
        for diagnostic in outcome.diagnostics {
            let separator = if diagnostic.path.is_empty() { "" } else { "." };
            let path = format!("{}{separator}{}", self.path, diagnostic.path);
            self.found.push(Diagnostic { path, location: None, ..diagnostic });
        }
    }
}

/// Fields 1 and 2 of an Any or a TypedStruct.
fn pair(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (mut url, mut value): (&[u8], &[u8]) = (&[], &[]);
    for (number, wire) in Reader::new(bytes) {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => url = bytes,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    (url, value)
}

fn named(url: &str) -> Option<Message> {
    Message::named(url.rsplit_once('/').map_or(url, |(_, name)| name))
}

fn put(out: &mut Vec<u8>, number: u32, wire: Wire<'_>) {
    match wire {
        Wire::Bytes(bytes) => put_bytes(out, number, bytes),
        Wire::Varint(value) => {
            put_tag(out, number, WireType::Varint);
            put_varint(out, value);
        }
        Wire::Fixed64(bits) => {
            put_tag(out, number, WireType::Fixed64);
            out.extend(bits.to_le_bytes());
        }
        Wire::Fixed32(bits) => {
            put_tag(out, number, WireType::Fixed32);
            out.extend(bits.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";
    const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

    fn wire(yaml: &str) -> Vec<u8> {
        let source = Source { name: "t".into(), text: yaml.into(), format: Format::Yaml };
        load(CLUSTER, vec![source], LoadOptions::default()).wire
    }

    fn matches(socket: &str) -> Vec<u8> {
        wire(&format!(
            "{{name: c, transport_socket_matches: [{{name: a}}, \
             {{name: b, transport_socket: {{name: t, typed_config: {socket}}}}}]}}"
        ))
    }

    /// The same resource with its TypedStruct hidden from the walker by an unknown type, which
    /// is put in afterwards.
    fn typed_struct(value: &str) -> Vec<u8> {
        let name = "UpstreamTlsContext";
        let hidden = "U".repeat(name.len());
        let socket = format!(
            "{{'@type': type.googleapis.com/xds.type.v3.TypedStruct, \
             type_url: {TLS}.{hidden}, value: {value}}}"
        );
        let mut bytes = matches(&socket);
        let at = bytes.windows(hidden.len()).position(|part| part == hidden.as_bytes()).unwrap();
        bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        bytes
    }

    #[test]
    fn a_typed_struct_becomes_the_message_that_it_names() {
        let bytes = typed_struct("{sni: a, max_session_keys: 3, allow_renegotiation: true}");
        let options = LoadOptions::default();
        let (expanded, found) = expand_typed_structs(CLUSTER, &bytes, &options).unwrap();
        assert_eq!(found, []);
        let direct = format!(
            "{{'@type': {TLS}.UpstreamTlsContext, sni: a, max_session_keys: 3, \
             allow_renegotiation: true}}"
        );
        assert_eq!(expanded, matches(&direct));
        assert_eq!(expand_typed_structs(CLUSTER, &expanded, &options), None);
    }

    #[test]
    fn what_does_not_fit_is_reported_by_its_path() {
        let bytes = typed_struct("{snii: a, max_session_keys: [x]}");
        let (_, found) = expand_typed_structs(CLUSTER, &bytes, &LoadOptions::default()).unwrap();
        let paths: Vec<(&str, &str)> = found.iter().map(|found| (found.path.as_str(), found.code)).collect();
        let socket = "transport_socket_matches[1].transport_socket.typed_config";
        let keys = format!("{socket}.max_session_keys");
        assert_eq!(paths, [(socket, "unknown-field"), (keys.as_str(), "wrong-type")]);
    }

    #[test]
    fn a_typed_struct_of_an_unknown_type_is_left_alone() {
        let socket = "{'@type': type.googleapis.com/udpa.type.v1.TypedStruct, \
                      type_url: a/b.C, value: {x: [1, null, {y: z}]}}";
        let bytes = matches(socket);
        let expanded = expand_typed_structs(CLUSTER, &bytes, &LoadOptions::default());
        assert_eq!(expanded.unwrap().0, bytes);
    }
}
