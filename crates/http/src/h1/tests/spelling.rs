//! `preserve_case`: names go out as they came in, whatever is written beside them.

use nuncio_api::RequestHead;

use super::super::{
    Asked, HeaderKeyFormat, ParsedRequest, PreserveCase,
    encode::{self, ResponseContext},
    parse_request, parse_response,
};
use super::*;

const PRESERVE: HeaderKeyFormat =
    HeaderKeyFormat::Preserve(PreserveCase { forward_reason_phrase: false, proper_case_for_others: false });
const PROPER_OTHERS: HeaderKeyFormat =
    HeaderKeyFormat::Preserve(PreserveCase { forward_reason_phrase: true, proper_case_for_others: true });

fn parsed(head: &str, format: HeaderKeyFormat) -> ParsedRequest {
    let options = ServerOptions { header_key_format: format, ..ServerOptions::default() };
    parse_request(&mut BytesMut::from(head), &options).unwrap().unwrap()
}

fn written(head: &RequestHead, format: HeaderKeyFormat) -> String {
    let mut out = BytesMut::new();
    encode::request_head(&mut out, head, true, format, false).unwrap();
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn a_request_goes_on_as_it_was_spelt() {
    let mut head = parsed("GET / HTTP/1.1\r\nHOST: h\r\nX-fOO: 1\r\nx-FOO: 2\r\nX_b: 3\r\n\r\n", PRESERVE).head;
    head.headers.append(http::HeaderName::from_static("x-added"), http::HeaderValue::from_static("4"));
    let lines = "HOST: h\r\nX-fOO: 1\r\nX-fOO: 2\r\nX_b: 3\r\nx-added: 4\r\n\r\n";
    assert_eq!(written(&head, HeaderKeyFormat::LowerCase), format!("GET / HTTP/1.1\r\n{lines}"));
    // What the upstream side would do by itself gives way.
    assert_eq!(written(&head, HeaderKeyFormat::ProperCase), format!("GET / HTTP/1.1\r\n{lines}"));
}

#[test]
fn what_has_no_memory_is_written_as_the_connection_says() {
    let head = parsed("GET / HTTP/1.1\r\nHOST: h\r\nX-fOO: 1\r\n\r\n", HeaderKeyFormat::LowerCase).head;
    assert_eq!(written(&head, PRESERVE), "GET / HTTP/1.1\r\nhost: h\r\nx-foo: 1\r\n\r\n");
    assert_eq!(written(&head, HeaderKeyFormat::ProperCase), "GET / HTTP/1.1\r\nHost: h\r\nX-Foo: 1\r\n\r\n");
}

#[test]
fn added_names_may_be_in_proper_case() {
    let mut head = parsed("POST / HTTP/1.1\r\nhost: h\r\nx-foo: 1\r\n\r\n", PROPER_OTHERS).head;
    head.headers.append(http::HeaderName::from_static("x-added2b"), http::HeaderValue::from_static("4"));
    let lines = "host: h\r\nx-foo: 1\r\nX-Added2b: 4\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(written(&head, PRESERVE), format!("POST / HTTP/1.1\r\n{lines}"));
}

#[test]
fn a_response_keeps_its_names_and_its_reason_if_asked() {
    let head = "HTTP/1.1 200 Fine\r\nCONTENT-length: 0\r\nDate: d\r\n X: folded\r\n\r\n";
    for (format, first) in [(PRESERVE, "HTTP/1.1 200 OK"), (PROPER_OTHERS, "HTTP/1.1 200 Fine")] {
        let options = ClientOptions { header_key_format: format, ..ClientOptions::default() };
        let response = parse_response(&mut BytesMut::from(head), Asked::Plain, &options).unwrap().unwrap();
        let mut out = BytesMut::new();
        encode::response_head(&mut out, &response.head, true, &ResponseContext::default());
        let text = String::from_utf8(out.to_vec()).unwrap();
        assert_eq!(text, format!("{first}\r\nCONTENT-length: 0\r\nDate: d X: folded\r\n\r\n"));
    }
}
