//! `/explain`: what would become of a request now, with the hosts and breakers of now.

use std::rc::Rc;

use http::Method;
use nuncio_api::Runtime;
use nuncio_proxy::explain::{Question, Sources, explain};

use super::reply::{AdminRequest, Reply};
use crate::{
    explain::{
        header,
        live::{NoPlaces, Running},
    },
    server::Server,
};

/// `/explain?url=...&method=...&header=...&listener=...&client=...&format=json`
pub(super) fn answer(server: &Rc<Server>, request: &AdminRequest) -> Reply {
    let question = match question(request) {
        Ok(question) => question,
        Err(message) => return Reply::bad_request(message),
    };
    let snapshot = server.runtime.snapshot();
    let runtime = Runtime::fixed(snapshot.layers().to_vec());
    let clusters = Running { clusters: server.upstreams.clusters(), runtime: &snapshot };
    let sources = Sources {
        listeners: &server.bootstrap.listeners,
        node: &server.bootstrap.node,
        runtime: &runtime,
        places: &NoPlaces,
        clusters: &clusters,
    };
    let report = match explain(&question, sources) {
        Ok(report) => report,
        Err(error) => return Reply::bad_request(error.to_string()),
    };
    match (request.param("format"), serde_json::to_value(&report)) {
        (Some("json"), Ok(value)) => Reply::json(&value),
        _ => Reply::text(report.to_string()),
    }
}

fn question(request: &AdminRequest) -> Result<Question, String> {
    let url = request.param("url").filter(|url| !url.is_empty());
    let url = url.ok_or("which request? Give ?url=..., and method=, header=, listener=, client= as needed")?;
    let method = request.param("method").filter(|method| !method.is_empty()).unwrap_or("GET");
    let lines = request.params().iter().filter(|(name, _)| name == "header");
    let client = request.param("client").filter(|client| !client.is_empty());
    Ok(Question {
        method: Method::from_bytes(method.as_bytes()).map_err(|_| format!("`{method}` is not a method"))?,
        url: url.to_owned(),
        headers: lines.map(|(_, line)| header(line)).collect::<Result<_, _>>()?,
        listener: request.param("listener").filter(|name| !name.is_empty()).map(str::to_owned),
        client: client.map(|text| text.parse().map_err(|_| format!("`{text}` is not an address"))).transpose()?,
        random: request.param("random").and_then(|number| number.parse().ok()).unwrap_or(0),
    })
}
