//! Requests, replies, the list of endpoints and the page.

use http::{Method, StatusCode};
use serde_json::json;

use super::{
    endpoints::ENDPOINTS,
    page::page,
    reply::{AdminRequest, Reply},
    table::help,
};

fn request(uri: &str) -> AdminRequest {
    AdminRequest::new(Method::GET, uri)
}

#[test]
fn parameters_are_decoded_and_a_plus_stays() {
    let request = request("/stats?filter=%5Ea.b%2Bc+d$&usedonly&x=%zz&format=json&format=text");
    assert_eq!(request.path, "/stats");
    assert_eq!(request.param("filter"), Some("^a.b+c+d$"));
    assert_eq!(request.param("usedonly"), Some(""));
    assert_eq!(request.param("x"), Some("%zz"));
    assert_eq!(request.param("format"), Some("json"));
    assert_eq!(request.param("absent"), None);
}

#[test]
fn json_is_indented_by_one_and_ends_with_a_newline() {
    let reply = Reply::json(&json!({ "a": { "b": [] }, "c": [1] }));
    assert_eq!(reply.body(), "{\n \"a\": {\n  \"b\": []\n },\n \"c\": [\n  1\n ]\n}\n");
    assert_eq!(reply.status(), StatusCode::OK);
}

#[test]
fn replies_carry_envoys_headers() {
    let answer = Reply::ok().into_answer();
    let headers: Vec<_> = answer.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let expected = [
        ("content-type", "text/plain; charset=UTF-8"),
        ("cache-control", "no-cache, max-age=0"),
        ("x-content-type-options", "nosniff"),
    ];
    assert_eq!(headers, expected);
}

#[test]
fn endpoints_are_listed_in_order_and_once() {
    let paths: Vec<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.path).collect();
    let mut sorted = paths.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(paths, sorted);
}

#[test]
fn help_has_envoys_words() {
    let help = help();
    assert!(help.starts_with("admin commands are:\n  /: Admin home page\n  /allocprofiler (POST): enable/disable"));
    assert!(help.contains("  /quitquitquit (POST): exit the server\n"));
    assert!(
        help.contains("  /listeners: print listener info\n      format: File format to use; One of (text, json)\n")
    );
}

#[test]
fn the_page_leads_to_every_endpoint_and_nowhere_else() {
    let page = page();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.path != "/") {
        let name = endpoint.path.trim_start_matches('/');
        let attribute = if endpoint.mutates { format!("action=\"{name}\"") } else { format!("href=\"{name}\"") };
        assert!(page.contains(&attribute), "{name}");
    }
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "assets from elsewhere");
}
