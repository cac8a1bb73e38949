use super::*;

fn text(failure: &Failure) -> (u16, String, Option<&'static str>, String) {
    let reply = failure.reply();
    let body = String::from_utf8(reply.body.to_vec()).unwrap();
    (reply.status.as_u16(), body, reply.flag.map(ResponseFlag::short), reply.details.into_owned())
}

#[test]
fn upstream_failures_read_as_envoys() {
    let refused = Failure::ConnectFailed("delayed connect error: Connection refused".into());
    assert_eq!(
        text(&refused),
        (
            503,
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
                .into(),
            Some("UF"),
            "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
                .into()
        )
    );
    assert_eq!(text(&Failure::UpstreamProtocol).0, 502);
    assert_eq!(
        Failure::UpstreamProtocol.details_after_response_started(),
        "upstream_reset_after_response_started{protocol_error}"
    );
}

#[test]
fn a_grpc_request_is_answered_in_the_head_alone() {
    let (head, body) = Failure::NoHealthyUpstream.reply().into_response(true, &Method::POST);
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.headers.get_str(&names::GRPC_STATUS), Some("14"));
    assert_eq!(head.headers.get_str(&names::GRPC_MESSAGE), Some("no healthy upstream"));
    assert!(body.is_empty());
}

#[test]
fn a_head_request_keeps_the_length_and_loses_the_body() {
    let (head, body) = Failure::NoHealthyUpstream.reply().into_response(false, &Method::HEAD);
    assert_eq!(head.headers.get_str(&header::CONTENT_LENGTH), Some("19"));
    assert!(body.is_empty());
}
