//! `local_reply_config`: what becomes of the proxy's own answers; and the filters of access logs,
//! which ask the same.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use http::Method;
use nuncio_testkit::{Client, Cluster, Config, Proxy, Upstream, Version, Wire, body};

const MAPPERS: &str = "local_reply_config: {mappers: [\
    {filter: {status_code_filter: {comparison: {op: EQ, value: {default_value: 404, runtime_key: k}}}}, status_code: 410, \
     body: {inline_string: gone}, headers_to_add: [{header: {key: x-was, value: '%RESPONSE_CODE%'}}]}, \
    {filter: {response_flag_filter: {flags: [UH]}}, \
     body_format_override: {json_format: {code: '%RESPONSE_CODE%', said: '%LOCAL_REPLY_BODY%'}}}]}";

fn config() -> Config {
    Config::new()
        .cluster(Cluster::new("empty"))
        .any_route("match: {path: /direct}, direct_response: {status: 200, body: {inline_string: direct}}")
        .any_route("match: {path: /none}, route: {cluster: empty}")
        .manager(MAPPERS)
}

#[tokio::test]
async fn the_first_mapper_that_matches_changes_the_answer() {
    for down in [Version::Http1, Version::Http2] {
        let proxy = Proxy::start(&config()).await;
        let mut client = Client::connect(down, proxy.address()).await;
        let answer = client.get("/nowhere").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (410, "gone"));
        assert_eq!((answer.header("x-was"), answer.header("content-type")), (Some("404"), Some("text/plain")));
        proxy.log_line(1).await.expect(&[("code", "410"), ("flags", "NR"), ("details", "route_not_found")]);
        let answer = client.get("/none").await;
        assert_eq!(answer.text(), "{\"code\":503,\"said\":\"no healthy upstream\"}\n");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let answer = client.get("/direct").await;
        assert_eq!(answer.text(), "direct");
        proxy.log_line(3).await;
        proxy.stats().expect(&[
            ("http.main.downstream_rq_4xx", 1),
            ("http.main.downstream_rq_5xx", 1),
            ("http.main.downstream_rq_2xx", 1),
            ("http.main.no_route", 1),
        ]);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_grpc_client_reads_the_new_body_in_its_message() {
    let proxy = Proxy::start(&config()).await;
    let mut client = Client::connect(Version::Http2, proxy.address()).await;
    for (path, status, message) in
        [("/nowhere", "2", "gone"), ("/none", "14", "{\"code\":503,\"said\":\"no healthy upstream\"}")]
    {
        let request = client.request(Method::POST, path).header("content-type", "application/grpc");
        let answer = client.exchange(request.body(body::empty()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, Some(status)), "{path}");
        assert_eq!(answer.header("grpc-message"), Some(message), "{path}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn an_answer_to_a_broken_request_is_dressed_too() {
    let dressed = "local_reply_config: {body_format: {text_format_source: {inline_string: '[%LOCAL_REPLY_BODY%]'}, content_type: text/own}}";
    let proxy = Proxy::start(&Config::new().manager(dressed)).await;
    let mut wire = Wire::connect(proxy.address()).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n").await;
    let answer = wire.response().await;
    assert_eq!((answer.status(), answer.text()), (400, "[Bad Request]".to_owned()));
    assert_eq!(answer.header("content-type"), Some("text/own"));
    proxy.log_line(1).await.expect(&[("code", "400"), ("flags", "DPE")]);
    proxy.stop().await;
}

#[tokio::test]
async fn an_answer_of_the_upstream_stays_as_it_is() {
    let upstream = Upstream::replying("HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nmine");
    let config = Config::forwarding_to(Version::Http1, upstream.address()).manager(MAPPERS);
    let proxy = Proxy::start(&config).await;
    let mut client = Client::connect(Version::Http1, proxy.address()).await;
    let answer = client.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, "mine"));
    proxy.stop().await;
}
