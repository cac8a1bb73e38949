//! What is told of a request's way through a table.

use nuncio_config::model::route::{CookieMatcher, InputMatcher, MatchInput, MatchTree, OnMatch, Predicate, TreeKind};

use super::*;

fn told(explanation: &Explanation) -> Vec<String> {
    let outcome = |route: &RouteOutcome| match &route.outcome {
        Outcome::Matched => "matched".to_owned(),
        Outcome::NotReached => "not reached".to_owned(),
        Outcome::Failed { condition, wanted, found } => format!("{condition}: {wanted}; {found}"),
    };
    explanation.routes.iter().map(outcome).collect()
}

fn with(name: &str, change: impl FnOnce(&mut RouteMatch)) -> Arc<Route> {
    let mut wanted = (*route(name, PathMatch::Prefix("/".into()))).clone();
    change(&mut wanted.matches);
    Arc::new(wanted)
}

#[test]
fn every_route_says_what_became_of_it() {
    let exact = |text: &str| StringMatcher::Exact(text.into(), Case::Insensitive);
    let header = HeaderMatcher {
        name: MatchedHeader::Name(HeaderName::from_static("x-a")),
        value: HeaderValueMatch::String(exact("v")),
        invert: true,
        missing_as_empty: false,
    };
    let routes = vec![
        route("path", PathMatch::Exact("/x".into())),
        route("connect", PathMatch::Connect),
        with("header", |wanted| wanted.headers.push(header)),
        with("query", |wanted| {
            wanted.query_parameters.push(QueryMatcher { name: "q".into(), value: None, present: false });
        }),
        with("cookie", |wanted| {
            wanted.cookies.push(CookieMatcher { name: "c".into(), value: exact("1"), invert: false });
        }),
        with("fraction", |wanted| {
            wanted.runtime_fraction = Some(RuntimeFraction { numerator: 1, denominator: 100, key: "k".into() });
        }),
        with("grpc", |wanted| wanted.grpc = true),
        route("all", PathMatch::Prefix("/".into())),
        route("late", PathMatch::Prefix("/".into())),
    ];
    let index = index(vec![host("any", &["*"], vec![]), host("chosen", &["*.foo.com"], routes)]);
    let mut request = request("A.Foo.com", "/y?q=7");
    request.headers.append(HeaderName::from_static("x-a"), HeaderValue::from_static("V"));
    let explanation = index.explain(&request, MatchContext::new(70));
    let host = explanation.virtual_host.clone().expect("a virtual host");
    assert_eq!(
        (host.name.as_str(), host.index, host.how, host.domain.as_str()),
        ("chosen", 1, DomainKind::Suffix, "*.foo.com")
    );
    assert_eq!(explanation.verdict, Verdict::Route(7));
    assert_eq!(
        told(&explanation),
        [
            "path: path \"/x\"; \"/y\"",
            "path: CONNECT; \"/y\"",
            "header x-a: not exactly \"v\", in any case; \"V\"",
            "query parameter q: absent; \"7\"",
            "cookie c: exactly \"1\", in any case; absent",
            "runtime_fraction: 1 of 100, unless the runtime says else under k; the random number 70",
            "grpc: a gRPC content-type; absent",
            "matched",
            "not reached",
        ]
    );
    let json = serde_json::to_value(&explanation).expect("it serialises");
    assert_eq!(json["verdict"]["route"], 7);
    assert_eq!(json["virtual_host"]["how"], "suffix");
    assert_eq!(json["routes"][0]["outcome"]["failed"]["condition"], "path");
    assert_eq!(json["routes"][8]["outcome"], "not_reached");
}

#[test]
fn what_leads_to_no_route_is_told_too() {
    let mut tls = (*host("tls", &["tls"], vec![])).clone();
    tls.require_tls = RequireTls::All;
    let mut tree = (*host("tree", &["tree"], vec![])).clone();
    let leads = OnMatch::Routes(vec![route("in the tree", PathMatch::Exact("/x".into()))]);
    let predicate = Predicate::Single(
        MatchInput::Header(MatchedHeader::Path),
        InputMatcher::String(StringMatcher::Prefix("/x".into(), Case::Sensitive)),
    );
    tree.matcher = Some(Box::new(MatchTree { kind: TreeKind::List(vec![(predicate, leads)]), on_no_match: None }));
    let index = index(vec![Arc::new(tls), Arc::new(tree)]);
    let verdict = |authority: &str, path: &str| index.explain(&request(authority, path), CONTEXT).verdict;
    assert_eq!(verdict("other", "/"), Verdict::NoVirtualHost);
    assert_eq!(verdict("tls", "/"), Verdict::NeedsTls);
    assert_eq!(verdict("tree", "/"), Verdict::MatcherLeadsNowhere);
    assert_eq!(verdict("tree", "/xy"), Verdict::NoRoute);
    assert_eq!(verdict("tree", "/x"), Verdict::Route(0));
}
