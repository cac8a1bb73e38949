//! The index against a scan from the top, over every kind of path matcher and of condition. Words
//! are few, so that prefixes of prefixes, equal texts and near misses are common.

use std::collections::BTreeMap;

use nuncio_config::model::{
    metadata::{MetadataMatcher, ValueMatcher},
    route::{CookieMatcher, FilterStateMatcher, FilterStateValue, TlsMatch, UriTemplate},
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;

use super::*;

const WORDS: [&str; 7] = ["/", "/a", "/A", "/ab", "b", ";x", "/a/b"];
const PATTERNS: [&str; 8] = ["/a", "/a/.*", "/ab?", "/a/[a-b]+", "/(a|b)", "(?i)/A/b", r"/a\b.*", "/a;x|/b"];

fn path_text() -> impl Strategy<Value = String> {
    vec(select(&WORDS[..]), 0..4).prop_map(|words| format!("/{}", words.concat()))
}

fn template() -> impl Strategy<Value = UriTemplate> {
    let segments = [("a", "a"), ("*", "[^/]+"), ("ab", "ab"), ("{x}", "(?P<x>[^/]+)")];
    (vec(select(segments.to_vec()), 1..3), any::<bool>()).prop_map(|(segments, rest)| {
        let (mut text, mut expression, mut start, mut literal) = (String::new(), String::new(), String::new(), true);
        for (segment, pattern) in segments {
            text.push_str(&format!("/{segment}"));
            expression.push_str(&format!("/{pattern}"));
            literal &= segment == pattern;
            start.push_str(if literal { "/" } else { "" });
            start.push_str(if literal { segment } else { "" });
        }
        if rest {
            text.push_str("/**");
            expression.push_str("/.*");
        }
        let expression = format!(r"\A(?:{})\z", expression.replace("(?P<x>[^/]+)", "[^/]+"));
        UriTemplate { text, regex: regex::bytes::Regex::new(&expression).ok(), variables: Vec::new(), start }
    })
}

fn path_match() -> impl Strategy<Value = PathMatch> {
    prop_oneof![
        path_text().prop_map(PathMatch::Prefix),
        path_text().prop_map(PathMatch::Exact),
        path_text().prop_map(|text| PathMatch::SeparatedPrefix(text.trim_end_matches('/').to_owned())),
        select(&PATTERNS[..]).prop_map(|pattern| {
            PathMatch::Regex(regex::bytes::Regex::new(&format!(r"\A(?:{pattern})\z")).expect("a good pattern"))
        }),
        template().prop_map(|template| PathMatch::Template(Box::new(template))),
        Just(PathMatch::Connect),
    ]
}

fn one() -> StringMatcher {
    StringMatcher::Exact("1".into(), Case::Sensitive)
}

fn conditions() -> impl Strategy<Value = RouteMatch> {
    (path_match(), any::<bool>(), 0..12u8, any::<bool>()).prop_map(|(path, case_sensitive, condition, invert)| {
        let mut wanted = RouteMatch { path, case_sensitive, ..RouteMatch::default() };
        match condition {
            0 => wanted.grpc = true,
            1 => wanted.headers.push(HeaderMatcher {
                name: MatchedHeader::Name(HeaderName::from_static("x-a")),
                value: HeaderValueMatch::String(one()),
                invert,
                missing_as_empty: false,
            }),
            2 => wanted.query_parameters.push(QueryMatcher { name: "q".into(), value: None, present: invert }),
            3 => wanted.cookies.push(CookieMatcher { name: "c".into(), value: one(), invert }),
            4 => wanted.tls = Some(TlsMatch { presented: Some(invert), validated: None }),
            5 => {
                wanted.runtime_fraction = Some(RuntimeFraction { numerator: 50, denominator: 100, key: String::new() })
            }
            6 => wanted.dynamic_metadata.push(MetadataMatcher {
                filter: "f".into(),
                path: vec!["k".into()],
                value: ValueMatcher::Bool(true),
                invert,
            }),
            7 => {
                wanted.filter_state.push(FilterStateMatcher { key: "s".into(), value: FilterStateValue::String(one()) })
            }
            _ => {}
        }
        wanted
    })
}

fn asked() -> impl Strategy<Value = RequestHead> {
    (path_text(), any::<[bool; 6]>()).prop_map(|(path, flags)| {
        let query = if flags[0] { "?q=1" } else { "" };
        let mut request = request("h", &format!("{path}{query}"));
        let mut add = |flag: bool, name: &'static str, value: &'static str| {
            if flag {
                request.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
        };
        add(flags[1], "x-a", "1");
        add(flags[2], "cookie", "b=2; c=1");
        add(flags[3], "content-type", "application/grpc");
        if flags[4] && flags[5] {
            request.method = Method::CONNECT;
            request.path = Text::from("");
        }
        request
    })
}

/// The first route that matches, looked at one by one.
fn scan<'t>(table: &'t RouteTable, request: &RequestHead, context: MatchContext<'_>) -> Option<&'t Arc<Route>> {
    let asked = Asked::new(request, table.ignore_path_parameters, context);
    table.virtual_hosts[0].routes.iter().find(|route| conditions::check(&route.matches, &asked).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_index_finds_what_a_scan_finds(
        wanted in vec(conditions(), 1..40),
        requests in vec(asked(), 1..8),
        ignore_path_parameters in any::<bool>(),
        random in 0..100u64,
    ) {
        let routes = wanted.into_iter().enumerate().map(|(index, matches)| {
            Arc::new(Route { name: index.to_string(), matches, ..Route::default() })
        });
        let table = Arc::new(RouteTable {
            virtual_hosts: vec![host("h", &["*"], routes.collect())],
            ignore_path_parameters,
            ..RouteTable::default()
        });
        let index = RouteIndex::new(Arc::clone(&table));
        let metadata = BTreeMap::from([("f".to_owned(), json!({"k": true}).as_object().cloned().unwrap_or_default())]);
        let state = BTreeMap::from([("s".to_owned(), "1".to_owned())]);
        let data = random % 2 == 0;
        let context = MatchContext {
            metadata: data.then_some(&metadata),
            filter_state: data.then_some(&state),
            certificate_presented: random % 3 == 0,
            ..MatchContext::new(random)
        };
        for request in &requests {
            let found = match index.find(request, context) {
                Matched::Route(_, route) => Some(route.name.as_str()),
                _ => None,
            };
            let expected = scan(&table, request, context).map(|route| route.name.as_str());
            prop_assert_eq!(found, expected, "{} {}", request.method, request.path);
            let explained = index.explain(request, context);
            let told = match explained.verdict {
                Verdict::Route(at) => explained.routes.get(at).map(|route| route.name.as_str()),
                _ => None,
            };
            prop_assert_eq!(told, expected);
        }
    }
}
