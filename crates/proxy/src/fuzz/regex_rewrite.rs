//! Any expression and any substitution, loaded as a route's, on any path. The three are the lines
//! of the input.
//!
//! What is promised: loading refuses or accepts, never panics; an expression that matches a whole
//! path is found in it; what is replaced is what the engine's own replacing makes of it; nothing
//! found is nothing changed; the result is bounded by the path, the substitution and the places
//! where it is put; and a redirect stays with the host of the request.

use std::{rc::Rc, sync::Arc};

use http::Method;
use nuncio_api::{Headers, Protocol, RequestHead, Scheme, Text};
use nuncio_config::{
    Format, Source,
    model::{
        Options,
        route::{PathMatch, RedirectPath, Route, RouteAction},
        translate_route_config,
    },
};
use nuncio_net::SocketAddress;
use regex::bytes::Regex;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    headers,
    router::{redirect, rewrite},
    stream_info::{ConnectionInfo, StreamInfo},
};

/// Loads, matches and rewrites.
pub fn regex_rewrite(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (expression, substitution, path) = (line(), line(), line());
    let Some(route) = load(expression, substitution) else { return };
    let (RouteAction::Redirect(redirect), PathMatch::Regex(whole)) = (&route.action, &route.matches.path) else {
        unreachable!("not what was configured: {route:?}");
    };
    let RedirectPath::Regex(regex, substitution) = &redirect.path else {
        unreachable!("the redirect has lost its expression: {redirect:?}");
    };
    matches_all_or_nothing(whole, regex, path);
    replaces(regex, substitution, path);
    assert_eq!(rewrite::replace_regex(regex, r"\0", path), path, "each match in its own place");
    let mut info = StreamInfo::new(Rc::new(connection()), Some(request(path)));
    if let Some(path) = redirect::rewritten(&redirect.path, &route.matches, &info) {
        headers::replace_path(&mut info, path, false);
    }
    let location = redirect::location(Some(redirect), &info).unwrap_or_default();
    assert!(location.starts_with("http://h/"), "{regex} and {substitution:?} lead {path:?} to {location:?}");
}

fn connection() -> ConnectionInfo {
    let nowhere = || SocketAddress::Pipe("/".into());
    ConnectionInfo {
        id: 0,
        remote: nowhere(),
        local: nowhere(),
        listener: "".into(),
        tls: false,
        start: Instant::now(),
    }
}

fn request(path: &str) -> RequestHead {
    RequestHead {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: Text::from("h"),
        path: Text::from(path),
        protocol: Protocol::Http11,
        upgrade: None,
        headers: Headers::new(),
    }
}

fn matches_all_or_nothing(whole: &Regex, regex: &Regex, path: &str) {
    if let Some(found) = whole.find(path.as_bytes()) {
        assert_eq!(found.range(), 0..path.len(), "{whole} is not anchored");
        assert!(regex.is_match(path.as_bytes()), "{whole} matches what {regex} is not found in: {path:?}");
    }
}

fn replaces(regex: &Regex, substitution: &str, path: &str) {
    let rewritten = rewrite::replace_regex(regex, substitution, path);
    let places = regex.find_iter(path.as_bytes()).count();
    if places == 0 {
        assert_eq!(rewritten, path, "{regex} is not in it");
    }
    let references = substitution.matches('\\').count();
    // A byte that is cut out of its character becomes three.
    let most = 3 * (path.len() * (references + 1) + places * substitution.len());
    assert!(rewritten.len() <= most, "{} bytes of {regex}, {substitution:?}, {path:?}", rewritten.len());
    let expected = match template(substitution, regex.captures_len()) {
        Some(template) => regex.replace_all(path.as_bytes(), template.as_bytes()).into_owned(),
        None => path.as_bytes().to_vec(),
    };
    assert_eq!(rewritten, String::from_utf8_lossy(&expected), "{regex}, {substitution:?}, {path:?}");
}

/// The substitution in the engine's own language; `None` when it names a group that is not there.
fn template(substitution: &str, groups: usize) -> Option<String> {
    let mut template = String::new();
    let mut cut = false;
    let mut characters = substitution.chars();
    while let Some(character) = characters.next() {
        let piece = match (character, if character == '\\' { characters.next() } else { None }) {
            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                if usize::try_from(digit.to_digit(10)?).ok()? >= groups {
                    return None;
                }
                format!("${{{digit}}}")
            }
            ('\\', Some('\\')) => '\\'.to_string(),
            ('\\', _) => {
                cut = true;
                continue;
            }
            ('$', _) => "$$".to_owned(),
            (other, _) => other.to_string(),
        };
        if !cut {
            template.push_str(&piece);
        }
    }
    Some(template)
}

/// The route as a route table says it; `None` when it is refused.
fn load(expression: &str, substitution: &str) -> Option<Arc<Route>> {
    let pattern = json!({ "regex": expression });
    let redirect = json!({ "regex_rewrite": { "pattern": pattern, "substitution": substitution } });
    let route = json!({ "match": { "safe_regex": pattern }, "redirect": redirect });
    let host = json!({ "name": "all", "domains": ["*"], "routes": [route] });
    let text = json!({ "name": "table", "virtual_hosts": [host] }).to_string();
    let source = Source { name: "fuzz.json".to_owned(), text, format: Format::Json };
    let options = Options::default();
    let loaded = nuncio_config::load("envoy.config.route.v3.RouteConfiguration", vec![source], options.text);
    if loaded.has_errors() {
        return None;
    }
    let (table, _) = translate_route_config(&loaded.wire, &options);
    table?.virtual_hosts.first()?.routes.first().cloned()
}
