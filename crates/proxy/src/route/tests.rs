mod explained;
mod property;

use http::{HeaderName, HeaderValue, Method};
use nuncio_api::{Headers, Protocol, Scheme, Text};
use nuncio_config::model::{
    StringMatcher,
    matcher::{Case, HeaderMatcher, HeaderValueMatch, MatchedHeader, QueryMatcher},
    route::{PathMatch, RouteMatch, RuntimeFraction},
};

use super::*;

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

fn route(name: &str, path: PathMatch) -> Arc<Route> {
    Arc::new(Route { name: name.into(), matches: RouteMatch { path, ..RouteMatch::default() }, ..Route::default() })
}

fn host(name: &str, domains: &[&str], routes: Vec<Arc<Route>>) -> Arc<VirtualHost> {
    Arc::new(VirtualHost {
        name: name.into(),
        domains: domains.iter().map(ToString::to_string).collect(),
        routes,
        ..VirtualHost::default()
    })
}

fn index(hosts: Vec<Arc<VirtualHost>>) -> RouteIndex {
    RouteIndex::new(Arc::new(RouteTable { virtual_hosts: hosts, ..RouteTable::default() }))
}

const CONTEXT: MatchContext<'static> = MatchContext::new(0);

fn host_of<'a>(index: &'a RouteIndex, authority: &str) -> &'a str {
    match index.find(&request(authority, "/"), CONTEXT) {
        Matched::NoVirtualHost => "-",
        Matched::NoRoute(host) | Matched::NeedsTls(host) | Matched::Route(host, _) => &host.name,
    }
}

fn route_of<'a>(index: &'a RouteIndex, request: &RequestHead) -> &'a str {
    match index.find(request, CONTEXT) {
        Matched::Route(_, route) => &route.name,
        _ => "-",
    }
}

#[test]
fn domains_go_exact_then_longest_suffix_then_longest_prefix_then_any() {
    let index = index(vec![
        host("any", &["*"], vec![]),
        host("prefix", &["foo.*"], vec![]),
        host("suffix", &["*.com"], vec![]),
        host("longer", &["*.foo.com"], vec![]),
        host("exact", &["www.foo.com", "www.foo.com:8080"], vec![]),
    ]);
    for (authority, want) in [
        ("www.foo.com", "exact"),
        ("WWW.Foo.Com", "exact"),
        ("www.foo.com:8080", "exact"),
        ("a.foo.com", "longer"),
        (".foo.com", "suffix"),
        ("foo.com", "suffix"),
        ("foo.org", "prefix"),
        ("foo.", "any"),
        ("bar", "any"),
        ("www.foo.com:81", "any"),
    ] {
        assert_eq!(host_of(&index, authority), want, "{authority}");
    }
}

#[test]
fn a_separated_prefix_ends_at_a_slash() {
    let index = index(vec![host("h", &["*"], vec![route("api", PathMatch::SeparatedPrefix("/api".into()))])]);
    for (path, want) in [("/api", "api"), ("/api/v1", "api"), ("/api?x", "api"), ("/apis", "-"), ("/ap", "-")] {
        assert_eq!(route_of(&index, &request("h", path)), want, "{path}");
    }
}

#[test]
fn the_index_keeps_the_order_of_the_config() {
    let mut routes: Vec<_> =
        (0..1000).map(|n| route(&format!("r{n}"), PathMatch::Prefix(format!("/svc-{n:05}/")))).collect();
    routes.insert(500, route("early", PathMatch::Prefix("/svc-007".into())));
    routes.push(route("exact", PathMatch::Exact("/x".into())));
    routes.push(route("late", PathMatch::Prefix("/".into())));
    let index = index(vec![host("h", &["*"], routes)]);
    for (path, want) in [
        ("/svc-00999/items/42?v=1", "r999"),
        ("/svc-00700/", "early"),
        ("/svc-00001/", "r1"),
        ("/x", "exact"),
        ("/xy", "late"),
    ] {
        assert_eq!(route_of(&index, &request("h", path)), want, "{path}");
    }
}

#[test]
fn header_conditions_follow_presence_and_inversion() {
    let name = HeaderName::from_static("x-a");
    let matcher = |value, invert, missing_as_empty| HeaderMatcher {
        name: MatchedHeader::Name(name.clone()),
        value,
        invert,
        missing_as_empty,
    };
    let exact = |text: &str| HeaderValueMatch::String(StringMatcher::Exact(text.into(), Case::Sensitive));
    let without = request("h", "/");
    let mut with = request("h", "/");
    with.headers.append(name.clone(), HeaderValue::from_static("1"));
    with.headers.append(name.clone(), HeaderValue::from_static("7"));
    let check = conditions::header_matches;
    assert!(check(&matcher(exact("7"), false, false), &with));
    assert!(!check(&matcher(exact("7"), true, false), &with));
    assert!(!check(&matcher(exact("7"), true, false), &without));
    assert!(check(&matcher(exact("7"), true, true), &without));
    assert!(check(&matcher(HeaderValueMatch::Present(false), false, false), &without));
    assert!(check(&matcher(HeaderValueMatch::Present(true), true, false), &without));
    assert!(check(&matcher(HeaderValueMatch::Range(1, 2), false, false), &with));
}

#[test]
fn query_conditions_look_at_the_first_value() {
    let mut wanted = (*route("q", PathMatch::Prefix("/".into()))).clone();
    wanted.matches.query_parameters = vec![QueryMatcher {
        name: "a".into(),
        value: Some(StringMatcher::Exact("1".into(), Case::Sensitive)),
        present: true,
    }];
    let index = index(vec![host("h", &["*"], vec![Arc::new(wanted)])]);
    assert_eq!(route_of(&index, &request("h", "/?a=1&a=2")), "q");
    assert_eq!(route_of(&index, &request("h", "/?a=2&a=1")), "-");
    assert_eq!(route_of(&index, &request("h", "/")), "-");
}

#[test]
fn workers_share_the_index_of_a_table() {
    let table = Arc::new(RouteTable::default());
    let first = RouteIndex::shared(&table);
    assert!(Arc::ptr_eq(&first, &RouteIndex::shared(&table)));
    assert!(!Arc::ptr_eq(&first, &RouteIndex::shared(&Arc::new(RouteTable::default()))));
}

#[test]
fn connect_and_its_extensions_take_the_routes_of_envoy() {
    let index = index(vec![host(
        "h",
        &["*"],
        vec![route("empty", PathMatch::Prefix(String::new())), route("connect", PathMatch::Connect)],
    )]);
    let mut plain = request("h:443", "");
    plain.method = Method::CONNECT;
    assert_eq!(route_of(&index, &plain), "connect");
    let mut websocket = request("h", "/chat");
    websocket.method = Method::CONNECT;
    websocket.upgrade = Some(Text::from("websocket"));
    assert_eq!(route_of(&index, &websocket), "empty");
    let mut udp = request("h", "");
    udp.method = Method::CONNECT;
    udp.upgrade = Some(Text::from("connect-udp"));
    assert_eq!(route_of(&index, &udp), "connect");
}

#[test]
fn the_runtime_has_the_last_word_on_fractions() {
    use nuncio_api::{Runtime, RuntimeLayer, RuntimeValue};
    let mut wanted = (*route("some", PathMatch::Prefix("/".into()))).clone();
    wanted.matches.runtime_fraction = Some(RuntimeFraction { numerator: 10, denominator: 100, key: "k".into() });
    let index = index(vec![host("h", &["*"], vec![Arc::new(wanted)])]);
    let layer = RuntimeLayer { name: "l".into(), values: [("k".to_owned(), RuntimeValue::number(50.0))].into() };
    let (empty, half) = (Runtime::fixed(vec![]), Runtime::fixed(vec![layer]));
    let taken = |runtime, random| {
        let context = MatchContext { runtime: Some(runtime), ..MatchContext::new(random) };
        matches!(index.find(&request("h", "/"), context), Matched::Route(..))
    };
    assert!(taken(&empty, 109) && !taken(&empty, 110));
    assert!(taken(&half, 149) && !taken(&half, 150));
}

#[test]
fn another_header_may_choose_the_virtual_host() {
    let table = RouteTable {
        virtual_hosts: vec![host("a", &["a"], vec![]), host("any", &["*"], vec![])],
        vhost_header: Some(MatchedHeader::Name(HeaderName::from_static("x-v"))),
        ..RouteTable::default()
    };
    let index = RouteIndex::new(Arc::new(table));
    let mut asked = request("a", "/");
    let name = |asked: &RequestHead| match index.find(asked, CONTEXT) {
        Matched::NoRoute(host) => host.name.clone(),
        _ => "-".to_owned(),
    };
    assert_eq!(name(&asked), "-");
    asked.headers.append(HeaderName::from_static("x-v"), HeaderValue::from_static("A"));
    assert_eq!(name(&asked), "a");
    asked.headers.set(HeaderName::from_static("x-v"), HeaderValue::from_static("b"));
    assert_eq!(name(&asked), "any");
}
