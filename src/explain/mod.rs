//! `nuncio explain`: what would become of a request, from a configuration file alone.
//!
//! The deciding is [`nuncio_proxy::explain`]'s; here is what it draws on: the places in the text, and
//! clusters as they are configured ([`offline`]) or as they are ([`live`], for `/explain`).

pub(crate) mod live;
mod offline;

use http::{HeaderName, HeaderValue, Method};
use nuncio_api::Runtime;
use nuncio_config::{Diagnostic, LoadOptions, model};
use nuncio_proxy::{
    explain::{Question, Sources, explain},
    runtime_layers,
};

use crate::{
    cli::{Explain, ExplainFormat},
    exit::{Exit, say},
    server::load,
};

/// Answers one question.
pub(crate) fn run(arguments: &Explain) -> Exit {
    match answer(arguments) {
        Ok(text) => {
            say(&text);
            Exit::Success
        }
        Err(message) => {
            eprintln!("{}", message.trim_end());
            Exit::Failure
        }
    }
}

fn answer(arguments: &Explain) -> Result<String, String> {
    let error = |text: String| format!("error: {text}");
    let question = question(arguments).map_err(error)?;
    let source = load::read(&arguments.config_path, false).map_err(error)?;
    let mut loaded = load::with_places(vec![source], LoadOptions::default(), &model::Options::default());
    let Some(bootstrap) = loaded.checked.bootstrap.take() else {
        return Err(loaded.checked.report());
    };
    loaded.checked.diagnostics.retain(Diagnostic::is_error);
    let runtime = Runtime::fixed(runtime_layers(&bootstrap));
    let places = offline::TextPlaces { spans: &loaded.spans, sources: &loaded.checked.sources };
    let clusters = offline::Configured { clusters: &bootstrap.clusters, places: &places };
    let sources = Sources {
        listeners: &bootstrap.listeners,
        node: &bootstrap.node,
        runtime: &runtime,
        places: &places,
        clusters: &clusters,
    };
    let report = explain(&question, sources).map_err(|found| error(found.to_string()))?;
    Ok(match arguments.format {
        ExplainFormat::Human => report.to_string(),
        ExplainFormat::Json => {
            let text = serde_json::to_string_pretty(&report).map_err(|found| error(found.to_string()))?;
            text + "\n"
        }
    })
}

fn question(arguments: &Explain) -> Result<Question, String> {
    let method = Method::from_bytes(arguments.method.as_bytes());
    let headers = arguments.headers.iter().map(|line| header(line)).collect::<Result<_, _>>()?;
    Ok(Question {
        method: method.map_err(|_| format!("`{}` is not a method", arguments.method))?,
        url: arguments.url.clone(),
        headers,
        listener: arguments.listener.clone(),
        client: arguments.client,
        random: arguments.random,
    })
}

/// `name: value`
pub(crate) fn header(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parts = line.split_once(':').and_then(|(name, value)| {
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    });
    parts.ok_or_else(|| format!("`{line}` is not a header; write `name: value`"))
}
