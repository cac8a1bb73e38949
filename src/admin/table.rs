//! Finding the endpoint of a request, and `/help`.
//!
//! A path matches as a whole, its query apart.

use std::{fmt::Write as _, rc::Rc};

use http::{Method, StatusCode};

use super::{
    endpoints::ENDPOINTS,
    reply::{AdminRequest, Reply},
};
use crate::server::Server;

/// Finds the endpoint and lets it answer.
pub(super) fn dispatch(server: &Rc<Server>, request: &AdminRequest) -> Reply {
    let Some(endpoint) = ENDPOINTS.iter().find(|endpoint| endpoint.path == request.path) else {
        return Reply::error(StatusCode::NOT_FOUND, format!("invalid path. {}", help()));
    };
    if endpoint.mutates && request.method != Method::POST {
        let (path, method) = (endpoint.path, &request.method);
        tracing::error!(
            target: "admin",
            "admin path \"{path}\" mutates state, method={method} rather than POST"
        );
        let words = format!("Method {method} not allowed, POST required.");
        return Reply::error(StatusCode::METHOD_NOT_ALLOWED, words);
    }
    (endpoint.serve)(server, request)
}

/// The list of commands as `/help` prints it.
pub(super) fn help() -> String {
    let mut text = String::from("admin commands are:\n");
    for endpoint in &ENDPOINTS {
        let method = if endpoint.mutates { " (POST)" } else { "" };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  {}{method}: {}", endpoint.path, endpoint.help);
        for (name, help) in endpoint.params {
            let _ = writeln!(text, "      {name}: {help}");
        }
    }
    text
}
