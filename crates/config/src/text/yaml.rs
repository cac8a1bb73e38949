//! Reads YAML the way Envoy does, which is yaml-cpp's way: only the first document counts,
//! `!ignore` keys are dropped with their values (anchors live there), merge keys are ordinary
//! keys, a quoted or block scalar is text and a plain one is converted (`scalar`).
//!
//! granit-parser does the scanning; a scan error is reported at its place.

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag, options};
use rustc_hash::FxHashMap;

use super::{
    NodeId, SyntaxError, Tree, Value,
    builder::Builder,
    scalar::{self, Scalar},
};

const KEYS_ARE_SCALARS: &str = "a mapping key must be a scalar";

/// Reads the first document of a text.
pub(super) fn read(text: &str) -> Result<Tree, SyntaxError> {
    let mut reader = Reader { builder: Builder::new(text, true), anchors: FxHashMap::default() };
    let options = options! {
        emit_comments: false,
        block_scalar_eof_without_line_feed: true,
    };
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str_with_options(text, options);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| scan_error(text, &error))?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        reader.event(event, &span)?;
    }
    let tree = reader.builder.finish_tree()?;
    match tree.node(tree.root).value {
        Value::Map { .. } | Value::List { .. } => Ok(tree),
        Value::Null => Err(SyntaxError::new(0, "the document is empty")),
        _ => Err(SyntaxError {
            help: Some("a colon that separates a key from its value needs a space after it"),
            ..SyntaxError::new(tree.node(tree.root).start as usize, "the document is a single value, not a mapping")
        }),
    }
}

fn scan_error(text: &str, error: &ScanError) -> SyntaxError {
    let at = error.marker().byte_offset().unwrap_or_default();
    let line = text.get(..at).and_then(|before| before.rsplit('\n').next()).unwrap_or_default();
    let next = text.get(at..).and_then(|rest| rest.chars().next());
    let help = match next {
        Some('\t') => Some("YAML does not allow tabs for indentation; use spaces"),
        Some('@') => Some("quote a key or value that begins with `@`: \"@type\""),
        _ if line.contains('\t') && line.trim().is_empty() => {
            Some("YAML does not allow tabs for indentation; use spaces")
        }
        _ => None,
    };
    SyntaxError { help, ..SyntaxError::new(at, format!("invalid YAML: {}", error.info())) }
}

struct Reader<'a> {
    builder: Builder<'a>,
    /// Nodes by anchor; for scalars also their text, since an alias may be a key.
    anchors: FxHashMap<usize, (NodeId, Option<Box<str>>)>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), SyntaxError> {
        let place = place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, tag.as_deref(), anchor, place);
            }
            Event::SequenceStart(_, anchor, _) => {
                self.no_key(place)?;
                let node = self.builder.open_list(place);
                self.anchor(anchor, node, None);
            }
            Event::MappingStart(_, anchor, _) => {
                self.no_key(place)?;
                let node = self.builder.open_map(place);
                self.anchor(anchor, node, None);
            }
            Event::SequenceEnd | Event::MappingEnd => self.builder.close(place.1),
            Event::Alias(anchor) => self.alias(anchor, place)?,
            _ => {}
        }
        Ok(())
    }

    fn no_key(&self, place: (u32, u32)) -> Result<(), SyntaxError> {
        if self.builder.wants_key() {
            return Err(SyntaxError::new(place.0 as usize, KEYS_ARE_SCALARS));
        }
        Ok(())
    }

    fn anchor(&mut self, anchor: usize, node: NodeId, text: Option<Box<str>>) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node, text));
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, anchor: usize, place: (u32, u32)) {
        let plain = style == ScalarStyle::Plain;
        let null = plain && tag.is_none() && scalar::is_null(text);
        if self.builder.wants_key() {
            let ignored = tag.is_some_and(|tag| is_tag(tag, "!ignore"));
            self.builder.key(if null { "null" } else { text }, ignored, place);
            if anchor != 0 {
                let node = self.builder.aside(text, place);
                self.anchor(anchor, node, Some(text.into()));
            }
            return;
        }
        let converts = tag.map_or(plain, |tag| !is_tag(tag, "!"));
        let value = if null {
            Value::Null
        } else if converts {
            match scalar::convert(text) {
                Scalar::Bool(value) => Value::Bool(value),
                Scalar::Int(value) => Value::Int(value),
                Scalar::Text(text) => Value::String(self.builder.text(&text, place)),
            }
        } else {
            Value::String(self.builder.text(text, place))
        };
        let node = self.builder.value(value, place);
        if anchor != 0 {
            self.anchor(anchor, node, Some(text.into()));
        }
    }

    fn alias(&mut self, anchor: usize, place: (u32, u32)) -> Result<(), SyntaxError> {
        let at = place.0 as usize;
        let Some((node, text)) = self.anchors.get(&anchor) else {
            return Err(SyntaxError::new(at, "invalid YAML: unknown anchor"));
        };
        if self.builder.wants_key() {
            let text = text.as_ref().ok_or_else(|| SyntaxError::new(at, KEYS_ARE_SCALARS))?;
            self.builder.key(text, false, place);
        } else if self.builder.holds(*node) {
            return Err(SyntaxError::new(at, "an anchored value cannot contain itself"));
        } else {
            self.builder.attach(*node);
        }
        Ok(())
    }
}

fn is_tag(tag: &Tag, written: &str) -> bool {
    let (handle, suffix) = tag.parts();
    written.strip_prefix(handle) == Some(suffix)
}

fn place(span: &Span) -> (u32, u32) {
    let range = span.byte_range().unwrap_or_default();
    let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    (short(range.start), short(range.end))
}
