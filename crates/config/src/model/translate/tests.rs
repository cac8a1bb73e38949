use super::*;
use crate::{Format, Source, model::load_bootstrap};

mod bench;

/// Loads YAML; panics with the rendered problems when it is refused.
fn accepted(yaml: &str) -> (Bootstrap, Vec<Diagnostic>) {
    load_bootstrap(source(yaml), &Options::default()).unwrap_or_else(|found| panic!("{found:#?}"))
}

/// Loads YAML that has to be refused; the errors as (path, code, message, help).
fn refused(yaml: &str) -> Vec<Diagnostic> {
    load_bootstrap(source(yaml), &Options::default()).expect_err("it was accepted")
}

fn source(yaml: &str) -> Vec<Source> {
    vec![Source { name: "test.yaml".into(), text: yaml.into(), format: Format::Yaml }]
}
