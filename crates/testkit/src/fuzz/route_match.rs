//! The route index against a scan from the top, on tables and requests drawn from few words, so
//! that prefixes of prefixes, equal lengths and near misses are common.

use std::{collections::BTreeSet, sync::Arc};

use http::Method;
use nuncio_api::{Headers, Protocol, RequestHead, Scheme, Text};
use nuncio_config::model::{
    RouteTable,
    route::{PathMatch, Route, RouteMatch, VirtualHost},
};
use nuncio_proxy::route::{MatchContext, Matched, RouteIndex};

use super::Choices;

const LABELS: [&str; 6] = ["a", "b", "ab", ".a", ".", "a.b"];
const SEGMENTS: [&str; 8] = ["/", "/a", "/A", "/ab", "a", "b", "/a/", "B"];
const MOST_PIECES: usize = 4;

/// Draws a table and some requests, and compares.
pub fn route_match(data: &[u8]) {
    let mut choices = Choices { bytes: data };
    let table = Arc::new(table(&mut choices));
    let index = RouteIndex::new(Arc::clone(&table));
    for _ in 0..4 {
        let authority = choices.several(&LABELS, MOST_PIECES);
        let query = choices.one_of(&["", "?", "?/a", "?a=b"]);
        let path = format!("/{}{query}", choices.several(&SEGMENTS, MOST_PIECES));
        let context = MatchContext::default();
        let request = request(&authority, &path);
        let found = match index.find(&request, context) {
            Matched::NoVirtualHost => "no host".to_owned(),
            Matched::NeedsTls(host) => format!("{} needs TLS", host.name),
            Matched::NoRoute(host) => format!("{} without route", host.name),
            Matched::Route(host, route) => format!("{} {}", host.name, route.name),
        };
        assert_eq!(found, scan(&table, &authority, &path), "{authority} {path} in {table:?}");
    }
}

fn table(choices: &mut Choices<'_>) -> RouteTable {
    let mut taken = BTreeSet::new();
    let hosts = (0..=choices.below(4)).map(|index| {
        let mut domains = Vec::new();
        for _ in 0..=choices.below(3) {
            let domain = domain(choices);
            // A domain may stand in one virtual host only; loading a table makes sure of that.
            if !domain.is_empty() && taken.insert(domain.clone()) {
                domains.push(domain);
            }
        }
        let routes = (0..choices.below(8)).map(|index| Arc::new(route(choices, index))).collect();
        Arc::new(VirtualHost { name: format!("host {index}"), domains, routes, ..VirtualHost::default() })
    });
    RouteTable { virtual_hosts: hosts.collect(), ..RouteTable::default() }
}

fn domain(choices: &mut Choices<'_>) -> String {
    let name = choices.several(&LABELS, MOST_PIECES);
    match choices.below(4) {
        0 => format!("*{name}"),
        1 if !name.is_empty() => format!("{name}*"),
        2 => "*".to_owned(),
        _ => name,
    }
}

fn route(choices: &mut Choices<'_>, index: usize) -> Route {
    let path = format!("/{}", choices.several(&SEGMENTS, MOST_PIECES));
    let path = match choices.below(3) {
        0 => PathMatch::Prefix(path),
        1 => PathMatch::Exact(path),
        // Loading refuses one that ends with a slash.
        _ => PathMatch::SeparatedPrefix(format!("{}x", path.trim_end_matches('/'))),
    };
    Route {
        name: format!("route {index}"),
        matches: RouteMatch { path, case_sensitive: choices.flip(), ..RouteMatch::default() },
        ..Route::default()
    }
}

fn request(authority: &str, path: &str) -> RequestHead {
    RequestHead {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: Text::from(authority),
        path: Text::from(path),
        protocol: Protocol::Http11,
        upgrade: None,
        headers: Headers::new(),
    }
}

/// The order of the API reference, looked up the slow way.
fn scan(table: &RouteTable, authority: &str, path: &str) -> String {
    let Some(host) = scan_hosts(table, &authority.to_ascii_lowercase()) else { return "no host".to_owned() };
    let path = path.split('?').next().unwrap_or_default();
    match host.routes.iter().find(|route| takes(&route.matches, path)) {
        Some(route) => format!("{} {}", host.name, route.name),
        None => format!("{} without route", host.name),
    }
}

fn scan_hosts<'a>(table: &'a RouteTable, authority: &str) -> Option<&'a VirtualHost> {
    let all = || table.virtual_hosts.iter().flat_map(|host| host.domains.iter().map(move |domain| (domain, host)));
    let exact = all().find(|(domain, _)| !domain.contains('*') && *domain == authority);
    let longer = |rest: &str| authority.len() > rest.len();
    let suffix = all()
        .filter(|(domain, _)| domain.len() > 1)
        .filter(|(domain, _)| domain.strip_prefix('*').is_some_and(|rest| longer(rest) && authority.ends_with(rest)))
        .max_by_key(|(domain, _)| domain.len());
    let prefix = all()
        .filter(|(domain, _)| domain.len() > 1)
        .filter(|(domain, _)| domain.strip_suffix('*').is_some_and(|rest| longer(rest) && authority.starts_with(rest)))
        .max_by_key(|(domain, _)| domain.len());
    let any = all().find(|(domain, _)| *domain == "*");
    exact.or(suffix).or(prefix).or(any).map(|(_, host)| &**host)
}

fn takes(matches: &RouteMatch, path: &str) -> bool {
    let fold = |text: &str| if matches.case_sensitive { text.to_owned() } else { text.to_ascii_lowercase() };
    let path = fold(path);
    match &matches.path {
        PathMatch::Prefix(prefix) => path.starts_with(&fold(prefix)),
        PathMatch::Exact(exact) => path == fold(exact),
        PathMatch::SeparatedPrefix(prefix) => {
            path.strip_prefix(&fold(prefix)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        PathMatch::Regex(_) | PathMatch::Connect | PathMatch::Template(_) => false,
    }
}
