//! Text and JSON lines.

use nuncio_api::{Protocol, ResponseFlag};
use nuncio_config::model::{
    access_log::{JsonNode, LogFormat},
    format::Format,
};
use nuncio_http::exchange::WireBytes;

use super::{super::Line, *};

fn line(format: &LogFormat, info: &StreamInfo) -> String {
    let mut out = Vec::new();
    Line::new(format).render(info, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn text(format: &str, info: &StreamInfo) -> String {
    let format = Format::parse(format).unwrap();
    line(&LogFormat::Text { format, raw: String::new(), omit_empty_values: false }, info)
}

fn json(object: JsonNode, omit_empty_values: bool, info: &StreamInfo) -> String {
    line(&LogFormat::Json { object, raw: serde_json::Value::Null, omit_empty_values }, info)
}

fn node(format: &str) -> JsonNode {
    JsonNode::Format(Format::parse(format).unwrap())
}

fn object(fields: &[(&str, &str)]) -> JsonNode {
    JsonNode::Object(fields.iter().map(|(key, format)| ((*key).to_owned(), node(format))).collect())
}

#[test]
fn a_proxied_request_has_the_default_line_of_envoy() {
    let mut info = stream(Some(request(
        "/up/echo?q=1",
        &[("user-agent", "t"), ("x-request-id", "a222728d-3083-47bf-934d-c1a31daed382")],
    )));
    respond(&mut info, 200, &[("x-envoy-upstream-service-time", "0")]);
    info.bytes_sent = 209;
    info.upstream.host = Some(address("127.0.0.1:21100"));
    assert_eq!(
        line(&LogFormat::Default, &info),
        "[2026-11-22T15:10:46.613Z] \"GET /up/echo?q=1 HTTP/1.1\" 200 - 0 209 1 0 \"-\" \"t\" \
         \"a222728d-3083-47bf-934d-c1a31daed382\" \"h.example\" \"127.0.0.1:21100\"\n"
    );
}

#[test]
fn a_rewritten_path_is_logged_as_it_was() {
    let mut info = stream(Some(request("/new", &[("x-envoy-original-path", "/old?a=1")])));
    respond(&mut info, 200, &[]);
    let default = line(&LogFormat::Default, &info);
    assert!(default.contains("\"GET /old?a=1 HTTP/1.1\""), "{default}");
    assert_eq!(text("%PATH% %PATH(NQ)% %PATH(WQ:ORIG)% %PATH(NQ:PATH)%", &info), "/old?a=1 /old /old?a=1 /new");
    assert_eq!(text("%PATH(WQ:ORIG_OR_PATH):2%", &info), "/o");
}

#[test]
fn a_request_that_could_not_be_read_has_dashes() {
    let mut info = stream(None);
    respond(&mut info, 426, &[]);
    info.protocol = Some(Protocol::Http11);
    info.flags.insert(ResponseFlag::DownstreamProtocolError);
    info.bytes_sent = 16;
    info.end = Some(info.start);
    assert_eq!(
        line(&LogFormat::Default, &info),
        "[2026-11-22T15:10:46.613Z] \"- - HTTP/1.1\" 426 DPE 0 16 0 - \"-\" \"-\" \"-\" \"-\" \"-\"\n"
    );
}

#[test]
fn flags_and_details_stand_in_the_order_they_came() {
    let mut info = stream(Some(request("/", &[])));
    info.flags.insert(ResponseFlag::UpstreamRetryLimitExceeded);
    info.flags.insert(ResponseFlag::UpstreamConnectionFailure);
    info.details = Some("a{b|delayed connect error: Connection refused}".into());
    info.upstream.transport_failure = Some("delayed connect error: Connection refused".to_owned());
    info.upstream.attempts = 2;
    assert_eq!(
        text(
            "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %RESPONSE_CODE_DETAILS% \
             %UPSTREAM_TRANSPORT_FAILURE_REASON% %UPSTREAM_REQUEST_ATTEMPT_COUNT%",
            &info
        ),
        "0 URX,UF UpstreamRetryLimitExceeded,UpstreamConnectionFailure \
         a{b|delayed_connect_error:_Connection_refused} delayed_connect_error:_Connection_refused 2"
    );
    assert_eq!(
        text("%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%", &info),
        "a{b|delayed connect error: Connection refused}"
    );
}

#[test]
fn a_header_is_its_first_value_cut_to_its_length() {
    let list = [("x-dup", "1"), ("x-dup", "2"), ("x-empty", ""), ("x-long", "abcdefgh"), ("x-utf", "h\u{e9}llo")];
    let mut info = stream(Some(request("/p", &list)));
    respond(&mut info, 200, &[]);
    let cases = [
        ("%REQ(x-dup)%", "1"),
        ("[%REQ(x-empty)%]", "[]"),
        // An empty value is a value.
        ("[%REQ(x-empty?:path)%]", "[]"),
        ("%REQ(x-none?:path)%", "/p"),
        ("%REQ(x-long):3%", "abc"),
        ("%REQ(x-utf)%", "h\u{e9}llo"),
        ("%REQ(host)% %REQ(:scheme)% %REQ(:status)% %RESP(:status)% %RESP(:path)%", "h.example http - 200 -"),
        ("%TRAILER(a)%", "-"),
    ];
    for (format, expected) in cases {
        assert_eq!(text(format, &info), expected, "{format}");
    }
}

#[test]
fn coalesce_takes_the_first_that_exists() {
    let info = stream(Some(request("/p", &[("x-long", "abcdefgh"), ("x-empty", "")])));
    let cases = [
        (r#"%COALESCE({"operators":["ROUTE_NAME",{"command":"REQ","param":"x-long","max_length":5}]})%"#, "abcde"),
        (r#"%COALESCE({"operators":["ROUTE_NAME"]})%"#, "-"),
        (r#"%COALESCE({"operators":[{"command":"REQ","param":"x-long"}]}):2%"#, "ab"),
        (r#"[%COALESCE({"operators":[{"command":"REQ","param":"x-empty"},"PROTOCOL"]})%]"#, "[]"),
    ];
    for (format, expected) in cases {
        assert_eq!(text(format, &info), expected, "{format}");
    }
}

#[test]
fn queries_are_read_as_envoy_reads_them() {
    let cases = [
        ("/d", "[-] [-] [-] [-]"),
        ("/d?", "[] [] [-] [-]"),
        ("/d?a=%41+b&a%20b=z%2f", "[a=%41+b&a%20b=z%2f] [a=A+b&a%20b=z/] [A+b] [z/]"),
        ("/d?x&a", "[x&a] [x&a] [] [-]"),
        ("/d?a=1&a=2", "[a=1&a=2] [a=1&a=2] [1] [-]"),
    ];
    for (path, expected) in cases {
        let info = stream(Some(request(path, &[])));
        let format = "[%QUERY_PARAMS%] [%QUERY_PARAMS(DECODED)%] [%QUERY_PARAM(a)%] [%QUERY_PARAM(a b)%]";
        assert_eq!(text(format, &info), expected, "{path}");
    }
    let info = stream(Some(request("/d?a=z%2f%zz", &[])));
    assert_eq!(text("%QUERY_PARAM(a)%", &info), "z/%zz");
}

#[test]
fn addresses_are_the_clients_and_the_peers() {
    let mut info = stream(Some(request("/", &[])));
    info.client = Some("10.1.2.3:0".parse().unwrap());
    info.upstream.host = Some(address("[2001:db8::1]:80"));
    let cases = [
        ("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_PORT%", "10.1.2.3:0 0"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(8)%", "10.0.0.0/8"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%", "10.1.0.0/16"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(0)%", "0.0.0.0/0"),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "127.0.0.1:58778"),
        ("%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "127.0.0.1"),
        ("%UPSTREAM_HOST% %UPSTREAM_REMOTE_PORT%", "[2001:db8::1]:80 80"),
        ("%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "2001:db8::1"),
        ("%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(32)%", "2001:db8::/32"),
        ("%UPSTREAM_HOST_NAME%", "[2001:db8::1]:80"),
        ("%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_PORT%", "- -"),
    ];
    for (format, expected) in cases {
        assert_eq!(text(format, &info), expected, "{format}");
    }
}

#[test]
fn a_grpc_request_has_a_status() {
    let forms = "%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%";
    let mut info = stream(Some(request("/", &[("content-type", "application/grpc+proto")])));
    assert_eq!(text(forms, &info), "- - -");
    respond(&mut info, 503, &[]);
    assert_eq!(text(forms, &info), "Unavailable UNAVAILABLE 14");
    info.response.as_mut().unwrap().headers = headers(&[("grpc-status", "5")]);
    assert_eq!(text(forms, &info), "NotFound NOT_FOUND 5");
    info.response_trailers = Some(headers(&[("grpc-status", "77")]));
    assert_eq!(text(forms, &info), "77 77 77");
    info.request = Some(request("/", &[]));
    assert_eq!(text(forms, &info), "- - -");
}

#[test]
fn durations_are_between_the_moments_that_came() {
    let mut info = stream(Some(request("/", &[])));
    let at = |micros| Some(info.start + Duration::from_micros(micros));
    (info.request_complete, info.upstream_last_tx) = (at(100), at(2_500));
    (info.upstream_first_rx, info.downstream_last_tx, info.end) = (at(4_000), at(9_999), at(10_000));
    assert_eq!(
        text("%DURATION% %REQUEST_DURATION% %REQUEST_TX_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", &info),
        "10 0 2 4 5"
    );
    assert_eq!(
        text(
            "%COMMON_DURATION(DS_RX_BEG:US_TX_END:us)% %COMMON_DURATION(DS_TX_END:DS_RX_BEG)% %COMMON_DURATION(foo:DS_TX_END)%",
            &info
        ),
        "2500 - -"
    );
}

#[test]
fn header_bytes_count_pseudo_headers() {
    let mut info = stream(Some(request("/p", &[("accept", "*/*")])));
    respond(&mut info, 200, &[("server", "envoy")]);
    info.downstream_wire = WireBytes { header_received: 60, header_sent: 146, received: 88, sent: 581 };
    assert_eq!(
        text("%REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%", &info),
        // :method GET, :scheme http, :authority h.example, :path /p, accept */*; :status 200, server envoy.
        format!("{} {} 0", 10 + 11 + 19 + 7 + 9, 10 + 11)
    );
    assert_eq!(text("%DOWNSTREAM_WIRE_BYTES_SENT% %DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT%", &info), "581 146");
}

#[test]
fn a_client_certificate_header_is_taken_apart() {
    let list = r#"By=spiffe://x;Hash=abc;Subject="/C=US,O=a;b\"q";URI=u1;DNS=d1;DNS=d2,By=two;hash=h2"#;
    let info = stream(Some(request("/", &[("x-forwarded-client-cert", list)])));
    assert_eq!(
        text("%XFCC_VALUE(by)% %XFCC_VALUE(hash)% %XFCC_VALUE(subject)% %XFCC_VALUE(dns)% %XFCC_VALUE(chain)%", &info),
        r#"spiffe://x abc /C=US,O=a;b"q d1 -"#
    );
}

#[test]
fn json_values_keep_their_types() {
    let mut info = stream(Some(request("/p", &[("x-quote", "a\"b\\c\td/"), ("x-utf", "h\u{e9}llo")])));
    respond(&mut info, 200, &[]);
    let format = object(&[
        ("a", "%RESPONSE_CODE%"),
        ("b", "%REQ(x-none)%"),
        ("c", "%RESPONSE_FLAGS%"),
        ("d\"", "%%"),
        ("e", "a %REQ(x-none)% b %PROTOCOL% %REQ(x-quote)% %RESPONSE_CODE%"),
        ("f", "%RESP(:status)%"),
        ("g", "%REQ(x-utf)%"),
        ("h", "%REQ(x-utf):2%"),
        ("i", "%UPSTREAM_CONNECTION_ID%"),
        ("j", "%CUSTOM_FLAGS%"),
    ]);
    assert_eq!(
        json(format, false, &info),
        concat!(
            r#"{"a":200,"b":null,"c":"-","d\"":"%","e":"a - b HTTP/1.1 a\"b\\c\td/ 200","f":"200","#,
            "\"g\":\"h\u{e9}llo\",",
            r#""h":"h\u00c3","i":0,"j":""}"#,
            "\n"
        )
    );
}

#[test]
fn json_without_empty_values_has_neither_nulls_nor_empty_objects() {
    let info = stream(Some(request("/p", &[("x-empty", "")])));
    let format = JsonNode::Object(vec![
        ("a".to_owned(), JsonNode::Object(vec![])),
        ("b".to_owned(), JsonNode::List(vec![])),
        ("c".to_owned(), JsonNode::Constant(serde_json::json!(1.5))),
        ("d".to_owned(), JsonNode::Constant(serde_json::json!(3.0))),
        ("e".to_owned(), JsonNode::Constant(serde_json::Value::Null)),
        ("f".to_owned(), JsonNode::List(vec![node("%PROTOCOL%"), node("%REQ(x-none)%"), node("%CONNECTION_ID%")])),
        ("g".to_owned(), object(&[("p", "%TRACE_ID%")])),
        ("h".to_owned(), object(&[("a", "%REQ(x-empty)%"), ("z", "%REQ(x-none)%")])),
        ("i".to_owned(), node("a %REQ(x-none)% b")),
        ("j".to_owned(), node("%ENVIRONMENT(NUNCIO_NO_SUCH_VARIABLE)%")),
    ]);
    assert_eq!(
        json(format.clone(), true, &info),
        "{\"b\":[],\"c\":1.5,\"d\":3,\"f\":[\"HTTP/1.1\",7],\"h\":{\"a\":\"\"},\"i\":\"a  b\",\"j\":\"-\"}\n"
    );
    assert_eq!(
        json(format, false, &info),
        "{\"a\":{},\"b\":[],\"c\":1.5,\"d\":3,\"e\":null,\"f\":[\"HTTP/1.1\",null,7],\"g\":{\"p\":null},\
         \"h\":{\"a\":\"\",\"z\":null},\"i\":\"a - b\",\"j\":\"-\"}\n"
    );
    assert_eq!(json(object(&[("p", "%TRACE_ID%")]), true, &info), "{}\n");
}

#[test]
fn omitted_values_leave_nothing_in_text() {
    let info = stream(Some(request("/p", &[])));
    let format = Format::parse("[%ROUTE_NAME%] [%RESPONSE_FLAGS%] [%REQ(x-none)%]").unwrap();
    let omitting = LogFormat::Text { format, raw: String::new(), omit_empty_values: true };
    assert_eq!(line(&omitting, &info), "[] [-] []");
}

#[test]
fn every_command_without_parameters_prints_something_or_nothing() {
    use nuncio_config::model::format::Plain;
    let info = stream(None);
    for plain in Plain::ALL {
        let format = format!("%{}%", plain.name());
        let line = text(&format, &info);
        assert!(!line.contains('%'), "{format} printed {line}");
    }
}

#[test]
fn a_number_out_of_a_coalesce_is_cut_in_texts_only() {
    let mut info = stream(Some(request("/", &[])));
    respond(&mut info, 204, &[]);
    let (cut, inner) = (
        r#"%COALESCE({"operators":["RESPONSE_CODE"]}):2%"#,
        r#"%COALESCE({"operators":[{"command":"COALESCE","param":"{\"operators\":[\"RESPONSE_CODE\"]}","max_length":2}]})%"#,
    );
    assert_eq!(text(&format!("{cut}|{inner}|{}", cut.replace(":2", ":0")), &info), "20|20|");
    assert_eq!(json(object(&[("a", cut), ("b", inner)]), false, &info), "{\"a\":204,\"b\":204}\n");
}
