//! `/`: one self-contained page that watches the server and links to every endpoint.

use std::rc::Rc;

use super::{
    endpoints::{ENDPOINTS, Endpoint},
    reply::{AdminRequest, Reply},
};
use crate::server::Server;

const PAGE: &str = include_str!("page.html");

/// Where the list of endpoints goes.
const PLACE: &str = "<!-- endpoints -->";

/// `/`
pub(super) fn home(_: &Rc<Server>, _: &AdminRequest) -> Reply {
    Reply::html(page())
}

/// The page with its list of endpoints.
pub(super) fn page() -> String {
    let rows: String = ENDPOINTS.iter().filter(|endpoint| endpoint.path != "/").map(row).collect();
    PAGE.replacen(PLACE, &rows, 1)
}

fn row(endpoint: &Endpoint) -> String {
    let name = endpoint.path.trim_start_matches('/');
    let help = escaped(endpoint.help);
    let action = if endpoint.mutates {
        format!("<form method=\"post\" action=\"{name}\">{}<button>{name}</button></form>", fields(endpoint))
    } else if endpoint.params.is_empty() {
        format!("<a href=\"{name}\">{name}</a>")
    } else {
        format!("<form method=\"get\" action=\"{name}\"><a href=\"{name}\">{name}</a>{}</form>", fields(endpoint))
    };
    format!("<tr><td>{action}</td><td>{help}</td></tr>\n")
}

/// One input per parameter; the page's script leaves out those that are empty.
pub(super) fn fields(endpoint: &Endpoint) -> String {
    let field = |(name, help): &(&str, &str)| {
        format!("<input name=\"{name}\" placeholder=\"{name}\" title=\"{}\">", escaped(help))
    };
    endpoint.params.iter().map(field).collect()
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
