//! Access log lines in the format of [`crate::Config`].

use std::collections::BTreeMap;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// As it stands in the file.
    pub text: String,
    fields: BTreeMap<String, String>,
}

impl LogLine {
    pub(crate) fn parse(text: &str) -> Self {
        let fields = text.split(' ').filter_map(|pair| pair.split_once('='));
        Self { text: text.to_owned(), fields: fields.map(|(k, v)| (k.to_owned(), v.to_owned())).collect() }
    }

    /// One of its fields, `-` when the proxy had nothing to say.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("no field {name} in {:?}", self.text))
    }

    /// Fails unless every given field has the given value.
    pub fn expect(&self, fields: &[(&str, &str)]) {
        for (name, want) in fields {
            assert_eq!(self.field(name), *want, "{name} in {:?}", self.text);
        }
    }
}
