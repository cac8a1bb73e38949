//! Any text as a substitution format, printed for two streams that never change: one that has
//! everything and one whose request could not be read.
//!
//! What is promised: a refusal names its reason and a place within the text; printing leaves alone
//! what the buffer held, prints the same twice, keeps to a `:length`, and a JSON line is JSON.

use std::{
    rc::Rc,
    time::{Duration, UNIX_EPOCH},
};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use nuncio_api::{Headers, Protocol, RequestHead, ResponseHead, Scheme, Text};
use nuncio_config::model::{
    HeaderMutation,
    access_log::{JsonNode, LogFormat},
    format::{Command, Format, FormatError, Operator, Part, Plain, TimeSource},
    header::{AddedValue, AppendAction, HeaderAddition},
};
use nuncio_net::SocketAddress;
use tokio::time::Instant;

use crate::{
    access_log::append_line,
    headers::{self, Target},
    stream_info::{ConnectionInfo, StreamInfo},
};

/// Stands in the buffer before anything is printed.
const BEFORE: &[u8] = b"\"before";

/// Parses `data` as a format and prints it.
pub fn format(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let format = match Format::parse(&text) {
        Ok(format) => format,
        Err(error) => return refused(&error, &text),
    };
    let start = Instant::now();
    for stream in [whole_stream, unread_stream] {
        prints_the_same_twice(&format, || stream(start));
        keeps_to_lengths(&format, &stream(start));
        is_added_as_header(&format, stream(start));
    }
}

fn refused(error: &FormatError, text: &str) {
    assert!(!error.to_string().is_empty(), "refused without a word");
    if let FormatError::Malformed(at) = error {
        assert_eq!(text.as_bytes().get(*at), Some(&b'%'), "{at} is not where an operator begins: {text:?}");
    }
}

fn prints_the_same_twice(format: &Format, stream: impl Fn() -> StreamInfo) {
    let changes = format.operators().any(|operator| changes(&operator.command));
    for omit in [false, true] {
        let line = printed(&as_text(format, omit), &stream());
        if let Some(literal) = format.as_literal() {
            assert_eq!(line, literal.as_bytes(), "a text without operators");
        }
        assert!(changes || line == printed(&as_text(format, omit), &stream()), "{format:?} prints two things");

        let json = printed(&as_json(format, omit), &stream());
        assert!(json.ends_with(b"}\n"), "a line without its end: {json:?}");
        let read = serde_json::from_slice::<serde_json::Value>(&json);
        assert!(read.is_ok(), "{read:?}: {} of {format:?}", String::from_utf8_lossy(&json));
        assert!(changes || json == printed(&as_json(format, omit), &stream()), "{format:?} prints two objects");
    }
}

/// Whether two lines of the same stream may differ: the time of day, a random number.
fn changes(command: &Command) -> bool {
    match command {
        Command::Plain(Plain::UniqueId) | Command::Time { source: TimeSource::Emit, .. } => true,
        Command::Coalesce(operators) => operators.iter().any(|operator| changes(&operator.command)),
        _ => false,
    }
}

fn as_text(format: &Format, omit_empty_values: bool) -> LogFormat {
    LogFormat::Text { format: format.clone(), raw: String::new(), omit_empty_values }
}

fn as_json(format: &Format, omit_empty_values: bool) -> LogFormat {
    let node = || JsonNode::Format(format.clone());
    let object = JsonNode::Object(vec![
        ("a".to_owned(), node()),
        ("b".to_owned(), JsonNode::List(vec![node(), node()])),
        ("c".to_owned(), JsonNode::Object(vec![("d".to_owned(), node())])),
    ]);
    LogFormat::Json { object, raw: serde_json::Value::Null, omit_empty_values }
}

fn printed(format: &LogFormat, info: &StreamInfo) -> Vec<u8> {
    let mut out = BEFORE.to_vec();
    append_line(format, info, &mut out);
    assert!(out.starts_with(BEFORE), "what stood there before was changed by {format:?}");
    out.split_off(BEFORE.len())
}

fn keeps_to_lengths(format: &Format, info: &StreamInfo) {
    for operator in format.operators() {
        let Operator { max_length: Some(most), .. } = operator else { continue };
        let alone = Format { parts: vec![Part::Operator(operator.clone())] };
        let value = printed(&as_text(&alone, true), info);
        assert!(value.len() <= *most, "{operator:?} printed {} bytes", value.len());
    }
}

fn is_added_as_header(format: &Format, mut info: StreamInfo) {
    let name = HeaderName::from_static("x-added");
    let addition = HeaderAddition {
        name: name.clone(),
        value: AddedValue::Format(format.clone()),
        raw: String::new(),
        action: AppendAction::OverwriteIfExistsOrAdd,
        keep_empty_value: false,
    };
    let level = HeaderMutation { add: vec![addition], remove: Vec::new() };
    for target in [Target::Request, Target::Response] {
        headers::apply_levels(&std::iter::once(&level).collect(), &mut info, target);
    }
    let added = info.request.as_ref().and_then(|request| request.headers.get(&name));
    assert!(added.is_none_or(|value| !value.is_empty()), "an empty value was kept");
}

/// A stream whose request could not be read.
fn unread_stream(start: Instant) -> StreamInfo {
    let connection = ConnectionInfo {
        id: 7,
        remote: SocketAddress::Pipe("/run/\u{e9}.sock".into()),
        local: address([127, 0, 0, 1], 10_000),
        listener: "l".into(),
        tls: false,
        start,
    };
    let mut info = StreamInfo::new(Rc::new(connection), None);
    info.start_time = UNIX_EPOCH + Duration::from_micros(1_795_360_246_613_902);
    info.start = start;
    info.end = start.checked_add(Duration::from_micros(1_234_567));
    info
}

/// A stream that was answered by its upstream.
fn whole_stream(start: Instant) -> StreamInfo {
    let mut info = unread_stream(start);
    let after = |millis| start.checked_add(Duration::from_millis(millis));
    info.request = Some(request());
    info.protocol = Some(Protocol::Http11);
    info.client = Some(([10, 1, 2, 3], 0).into());
    info.original_path = Some(Text::from("/before"));
    let mut response = ResponseHead::new(StatusCode::NOT_FOUND);
    response.headers = headers(&[("grpc-status", b"5"), ("x-bytes", b"\xff\"\\\t\xc3\xa9"), ("content-length", b"3")]);
    info.response = Some(response);
    info.response_trailers = Some(headers(&[("grpc-status", b"77"), ("x-sum", b"1")]));
    info.details = Some("via upstream \u{e9}".into());
    info.bytes_received = 12;
    info.bytes_sent = u64::MAX;
    (info.request_complete, info.upstream_first_tx, info.upstream_last_tx) = (after(1), after(2), after(3));
    // The response began before the request had ended.
    (info.upstream_first_rx, info.upstream_last_rx) = (after(2), after(4));
    (info.downstream_first_tx, info.downstream_last_tx) = (after(5), after(6));
    info.upstream.cluster = Some("up".into());
    info.upstream.host = Some(address([127, 0, 0, 2], 80));
    info.upstream.host_name = Some("up.example:80".into());
    info.upstream.local = Some(address([127, 0, 0, 3], 40_000));
    info.upstream.protocol = Some(Protocol::Http2);
    info.upstream.connection_id = Some(3);
    info.upstream.attempts = 1;
    info.upstream.transport_failure = Some("connection refused".to_owned());
    info
}

fn request() -> RequestHead {
    RequestHead {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: Text::from("h.example:80"),
        path: Text::from("/a/b?q=1&%71=2%20%ff&=&x&y=%4"),
        protocol: Protocol::Http11,
        upgrade: None,
        headers: headers(&[
            ("user-agent", b"t"),
            ("x-bytes", b"\x80\"\\\t"),
            ("x-envoy-original-path", b"/o?q"),
            ("x-request-id", b"a222728d-3083-47bf-934d-c1a31daed382"),
            ("x-forwarded-client-cert", b"By=a;Hash=b;Subject=\"C=\\\"x,y;\\\\\";URI=,By=c;DNS=\"d"),
        ]),
    }
}

fn headers(list: &[(&'static str, &[u8])]) -> Headers {
    list.iter()
        .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?)))
        .collect()
}

fn address(ip: [u8; 4], port: u16) -> SocketAddress {
    SocketAddress::Ip((ip, port).into())
}
