use super::*;

fn names(map: &HeaderMap) -> Vec<&str> {
    map.keys().map(HeaderName::as_str).collect()
}

fn request(authority: &'static str, path: &'static str) -> RequestHead {
    RequestHead {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: Text::from_static(authority),
        path: Text::from_static(path),
        protocol: Protocol::Http11,
        upgrade: None,
        headers: Headers::new(),
    }
}

fn one(name: &'static str, value: &'static str) -> Headers {
    [(HeaderName::from_static(name), HeaderValue::from_static(value))].into_iter().collect()
}

#[test]
fn hop_by_hop_headers_stay_behind() {
    let mut headers = one("connection", "close");
    for (name, value) in [
        ("keep-alive", "1"),
        ("te", "gzip"),
        ("upgrade", "x"),
        ("host", "h"),
        ("transfer-encoding", "chunked"),
        ("a", "1"),
    ] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    assert_eq!(names(&headers_out(&headers, false, &KnownNames::default())), ["a"]);
    assert_eq!(names(&headers_out(&one("te", "trailers"), false, &KnownNames::default())), ["te"]);
}

#[test]
fn only_values_of_one_request_are_never_indexed() {
    let known = KnownNames::default();
    for name in ["x-request-id", "traceparent", "x-envoy-upstream-service-time"] {
        assert!(!headers_out(&one(name, "1"), false, &known)[name].is_sensitive(), "{name}: the table learns it");
        assert!(headers_out(&one(name, "1"), false, &known)[name].is_sensitive(), "{name}");
    }
    for _ in 0..2 {
        assert!(!headers_out(&one("user-agent", "1"), false, &known)["user-agent"].is_sensitive());
    }
}

#[test]
fn targets_of_every_form_find_their_way() {
    let uri =
        |authority, path| request_out(&request(authority, path), &KnownNames::default()).map(|r| r.uri().to_string());
    assert_eq!(uri("h:1", "/a?b"), Some("http://h:1/a?b".into()));
    assert_eq!(uri("h", ""), Some("http://h/".into()));
    assert_eq!(uri("", "/a"), Some("/a".into()));
    assert_eq!(uri("h", "/a b"), None);
    assert_eq!(uri("h h", "/"), None);
    let connect = RequestHead { method: Method::CONNECT, ..request("h:443", "") };
    assert_eq!(request_out(&connect, &KnownNames::default()).map(|r| r.uri().to_string()), Some("h:443".into()));
    let star = RequestHead { method: Method::OPTIONS, ..request("h", "*") };
    assert_eq!(
        request_out(&star, &KnownNames::default()).and_then(|r| r.uri().path_and_query().map(|p| p.to_string())),
        Some("*".into())
    );
}

#[test]
fn the_authority_wins_over_host_and_host_stands_in_for_it() {
    let limits = HeaderLimits::default();
    let counters = H2Counters::default();
    let head = |uri: &str| {
        let request = Request::get(uri).header("host", "from-host").body(()).unwrap();
        request_in(request, &limits, Scheme::Https, &counters).unwrap().0
    };
    let with = head("http://from-authority/x");
    assert_eq!((&*with.authority, with.scheme, with.headers.len()), ("from-authority", Scheme::Http, 0));
    let without = head("/x");
    assert_eq!((&*without.authority, without.scheme, without.headers.len()), ("from-host", Scheme::Https, 0));
}

#[test]
fn underscores_follow_the_policy() {
    let counters = H2Counters::default();
    let read = |underscores| {
        let mut map = HeaderMap::new();
        map.insert("a_b", HeaderValue::from_static("1"));
        map.insert("c", HeaderValue::from_static("2"));
        let limits = HeaderLimits { underscores, ..HeaderLimits::default() };
        headers_in(map, 0, true, &limits, &counters).map(|h| h.len())
    };
    assert_eq!(read(Underscores::Allow), Ok(2));
    assert_eq!(read(Underscores::Drop), Ok(1));
    assert_eq!(read(Underscores::Reject), Err(Refusal::Underscore));
    assert_eq!(counters.dropped_headers_with_underscores.get(), 1);
}

#[test]
fn an_accepted_extended_connect_is_200_without_length() {
    let response =
        response_out(StatusCode::SWITCHING_PROTOCOLS, &one("content-length", "0"), true, &KnownNames::default());
    assert_eq!((response.status().as_u16(), response.headers().len()), (200, 0));
    let refused = response_out(StatusCode::FORBIDDEN, &one("content-length", "0"), true, &KnownNames::default());
    assert_eq!((refused.status().as_u16(), refused.headers().len()), (403, 1));
}

#[test]
fn the_length_of_a_body_is_known_from_its_head() {
    assert_eq!(body_length(&Headers::new(), true), BodyLength::Empty);
    assert_eq!(body_length(&one("content-length", "12"), false), BodyLength::Known(12));
    assert_eq!(body_length(&one("content-length", "x"), false), BodyLength::Unknown);
}
