//! What finding a route costs, by the number of routes: it should hardly grow.

use std::{hint::black_box, sync::Arc};

use http::Method;
use nuncio_api::{Headers, Protocol, RequestHead, Scheme, Text};
use nuncio_config::model::{
    RouteTable,
    route::{PathMatch, Route, RouteMatch, VirtualHost},
};
use nuncio_proxy::route::{MatchContext, RouteIndex};

const COUNTS: [usize; 3] = [10, 1_000, 10_000];
const CONTEXT: MatchContext<'static> = MatchContext::new(0);

fn main() {
    divan::main();
}

fn route(path: PathMatch) -> Arc<Route> {
    Arc::new(Route { name: "".into(), matches: RouteMatch { path, ..RouteMatch::default() }, ..Route::default() })
}

fn host(domain: String, routes: Vec<Arc<Route>>) -> Arc<VirtualHost> {
    Arc::new(VirtualHost { name: "".into(), domains: vec![domain], routes, ..VirtualHost::default() })
}

fn index(virtual_hosts: Vec<Arc<VirtualHost>>) -> RouteIndex {
    RouteIndex::new(Arc::new(RouteTable { virtual_hosts, ..RouteTable::default() }))
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

/// The last of so many prefixes.
#[divan::bench(args = COUNTS)]
fn last_prefix(bencher: divan::Bencher<'_, '_>, count: usize) {
    let routes = (0..count).map(|at| route(PathMatch::Prefix(format!("/svc-{at:05}/")))).collect();
    let index = index(vec![host("*".into(), routes)]);
    let request = request("svc.example.test", &format!("/svc-{:05}/items/42?verbose=1", count - 1));
    bencher.bench_local(|| {
        black_box(index.find(black_box(&request), CONTEXT));
    });
}

/// The last of so many exact paths.
#[divan::bench(args = COUNTS)]
fn last_path(bencher: divan::Bencher<'_, '_>, count: usize) {
    let routes = (0..count).map(|at| route(PathMatch::Exact(format!("/svc/{at:05}")))).collect();
    let index = index(vec![host("*".into(), routes)]);
    let request = request("svc.example.test", &format!("/svc/{:05}", count - 1));
    bencher.bench_local(|| {
        black_box(index.find(black_box(&request), CONTEXT));
    });
}

/// The last of so many virtual hosts.
#[divan::bench(args = COUNTS)]
fn last_domain(bencher: divan::Bencher<'_, '_>, count: usize) {
    let hosts = (0..count).map(|at| host(format!("svc-{at:05}.test"), vec![route(PathMatch::Prefix("/".into()))]));
    let index = index(hosts.collect());
    let request = request(&format!("svc-{:05}.test", count - 1), "/items/42");
    bencher.bench_local(|| {
        black_box(index.find(black_box(&request), CONTEXT));
    });
}

/// No route at all.
#[divan::bench(args = COUNTS)]
fn no_route(bencher: divan::Bencher<'_, '_>, count: usize) {
    let routes = (0..count).map(|at| route(PathMatch::Prefix(format!("/svc-{at:05}/")))).collect();
    let index = index(vec![host("*".into(), routes)]);
    let request = request("svc.example.test", "/elsewhere/items/42");
    bencher.bench_local(|| {
        black_box(index.find(black_box(&request), CONTEXT));
    });
}

/// The last of so many prefixes that are compared in any case.
#[divan::bench(args = COUNTS)]
fn last_prefix_in_any_case(bencher: divan::Bencher<'_, '_>, count: usize) {
    let folded = |at| {
        let path = PathMatch::Prefix(format!("/Svc-{at:05}/"));
        let matches = RouteMatch { path, case_sensitive: false, ..RouteMatch::default() };
        Arc::new(Route { matches, ..Route::default() })
    };
    let index = index(vec![host("*".into(), (0..count).map(folded).collect())]);
    let request = request("svc.example.test", &format!("/sVC-{:05}/items/42", count - 1));
    bencher.bench_local(|| {
        black_box(index.find(black_box(&request), CONTEXT));
    });
}

/// The last of so many expressions, each with literal text at its start.
#[divan::bench(args = [10, 1_000])]
fn last_expression(bencher: divan::Bencher<'_, '_>, count: usize) {
    let expression = |at| {
        let pattern = format!(r"\A(?:/svc-{at:05}/[a-z]+/[0-9]+)\z");
        route(PathMatch::Regex(regex::bytes::Regex::new(&pattern).unwrap_or_else(|error| panic!("{error}"))))
    };
    let index = index(vec![host("*".into(), (0..count).map(expression).collect())]);
    let request = request("svc.example.test", &format!("/svc-{:05}/items/42", count - 1));
    bencher.bench_local(|| {
        black_box(index.find(black_box(&request), CONTEXT));
    });
}

/// The last of so many virtual hosts with a wildcard.
#[divan::bench(args = COUNTS)]
fn last_wildcard_domain(bencher: divan::Bencher<'_, '_>, count: usize) {
    let hosts = (0..count).map(|at| host(format!("*.svc-{at:05}.test"), vec![route(PathMatch::Prefix("/".into()))]));
    let index = index(hosts.collect());
    let request = request(&format!("www.svc-{:05}.test", count - 1), "/items/42");
    bencher.bench_local(|| {
        black_box(index.find(black_box(&request), CONTEXT));
    });
}
