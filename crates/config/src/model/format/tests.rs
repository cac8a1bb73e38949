use super::*;

/// Spellings between the percent signs, with what Envoy 1.40 says to each.
const VERDICTS: &str = include_str!("operators.tsv");

#[test]
fn every_spelling_gets_the_verdict_that_envoy_gives() {
    let mut wrong = Vec::new();
    let rows: Vec<_> = VERDICTS.lines().filter_map(|line| line.split_once('\t')).collect();
    for (spelling, verdict) in &rows {
        let parsed = Format::parse(&format!("%{spelling}%"));
        if parsed.is_ok() != (*verdict == "ok") {
            wrong.push((spelling, verdict, parsed));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(rows.len() > 500);
}

#[test]
fn whole_formats_get_the_verdict_that_envoy_gives() {
    for accepted in [
        "",
        "plain",
        "%%",
        "a%%b",
        "%REQ(a)%b%%c",
        "%TRACE_ID%:",
        "%PROTOCOL()%",
        "%GRPC_STATUS()%",
        "%START_TIME()%",
        "%REQ(?a)%",
        "%REQ(a?)%",
        "%REQ(:foo)%",
        "%RESP(:status)%",
        "%REQ(:PATH?X):0%",
        "%START_TIME(%s)%",
        "%START_TIME(%)%",
        "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "%CEL(\"a)b\")%",
        "%PATH(:PATH)%",
        "%PATH(WQ:)%",
        "%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG:x)%",
        "%FILTER_STATE(a:FIELD:b):3%",
        "%XFCC_VALUE(Hash)%",
        "%COALESCE({\"operators\":[\"PROTOCOL\"]}):3%",
        "%COALESCE({\"operators\":[{\"command\":\"REQ\",\"param\":\":path\"}]})%",
        "%COMMON_DURATION(a:b)%",
        "%RESPONSE_CODE_DETAILS(X)%",
        "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(24)%",
    ] {
        assert!(Format::parse(accepted).is_ok(), "{accepted}: {:?}", Format::parse(accepted));
    }
    for refused in [
        "%",
        "100%",
        "%%%",
        "%foo%",
        "%PROTOCOL",
        "%REQ(a",
        "%REQ(a)%%",
        "%REQ(a):x%",
        "%REQ(a):99999999999999999999%",
        "%REQ(a)b)%",
        "%REQ((a))%",
        "%REQ(a?b?c)%",
        "%REQ(a?b?)%",
        "%REQ(A B)%",
        "%PROTOCOL():3%",
        "%START_TIME:3%",
        "%FILTER_STATE(:PLAIN)%",
        "%FILTER_STATE(a:FIELD)%",
        "%FILTER_STATE(a:PLAIN:x)%",
        "%FILTER_STATE(a:X)%",
        "%REQUESTED_SERVER_NAME(SNI_FIRST:PATH)%",
        "%COALESCE({})%",
        "%COALESCE({\"operators\":[]})%",
        "%COALESCE({\"operators\":[\"NOPE\"]})%",
        "%COMMON_DURATION(a:b:c:d)%",
        "%COMMON_DURATION(a:b:xx)%",
        "%METADATA(DOWNSTREAM_CONNECTION:a)%",
        "%XFCC_VALUE(foo)%",
        "%GRPC_STATUS(X)%",
    ] {
        assert!(Format::parse(refused).is_err(), "{refused}: {:?}", Format::parse(refused));
    }
}

#[test]
fn a_format_comes_apart_into_literals_and_operators() {
    let format = Format::parse("50%% %REQ(X-A?:PATH):7% [%ROUTE_NAME%]").unwrap();
    let name = http::HeaderName::from_static("x-a");
    let header = Command::Header {
        source: HeaderSource::Request,
        name: HeaderKey::Name(name),
        alternative: Some(HeaderKey::Path),
    };
    assert_eq!(
        format.parts,
        [
            Part::Literal("50% ".into()),
            Part::Operator(Operator { command: header, max_length: Some(7) }),
            Part::Literal(" [".into()),
            Part::Operator(Operator { command: Command::Plain(Plain::RouteName), max_length: None }),
            Part::Literal("]".into()),
        ]
    );
}

#[test]
fn text_without_operators_is_a_literal() {
    assert_eq!(Format::parse("100%%").unwrap().as_literal(), Some("100%"));
    assert_eq!(Format::parse("").unwrap().as_literal(), Some(""));
    assert_eq!(Format::parse("%PROTOCOL%").unwrap().as_literal(), None);
}

#[test]
fn an_error_says_what_would_be_right() {
    let message = |text: &str| Format::parse(text).unwrap_err().to_string();
    assert_eq!(message("a %NOSUCH%"), "unknown operator `NOSUCH`");
    assert_eq!(message("5% off"), "no valid operator at byte 1 (write `%%` for a percent sign)");
    assert_eq!(message("%REQ%"), "`REQ` needs a parameter: `%REQ(...)%`");
    assert_eq!(
        message("%GRPC_STATUS(X)%"),
        "`GRPC_STATUS` does not take the parameter `X`: it is `CAMEL_STRING`, `SNAKE_STRING` or `NUMBER`"
    );
}

#[test]
fn names_and_plain_commands_are_each_others_inverse() {
    for plain in Plain::ALL {
        assert_eq!(Plain::from_name(plain.name()), Some(*plain));
    }
}

#[test]
fn what_belongs_to_tls_and_tracing_is_known_to_be_absent() {
    let absent = |text: &str| Format::parse(text).unwrap().operators().all(|o| o.command.is_always_absent());
    for text in
        ["%DOWNSTREAM_PEER_URI_SAN%", "%TRACE_ID%", "%DOWNSTREAM_TLS_VERSION%", "%CEL(a)%", "%TLS_JA3_FINGERPRINT%"]
    {
        assert!(absent(text), "{text}");
    }
    for text in ["%REQ(a)%", "%DURATION%", "%UPSTREAM_HOST%", "%REQUESTED_SERVER_NAME%", "%PROTOCOL%"] {
        assert!(!absent(text), "{text}");
    }
}

#[test]
fn headers_have_two_names_of_commands() {
    for (long, short) in [("REQUEST_HEADER", "REQ"), ("RESPONSE_HEADER", "RESP"), ("RESPONSE_TRAILER", "TRAILER")] {
        let parsed = |name: &str| format!("{:?}", Format::parse(&format!("%{name}(a?b):3%")).unwrap());
        assert_eq!(parsed(long).replace(long, short), parsed(short));
    }
}
