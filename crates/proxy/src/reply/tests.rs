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

fn completed(failure: &Failure, grpc: bool, limited: bool) -> (ResponseHead, Bytes) {
    let reply = failure.reply();
    let mut head = ResponseHead { headers: reply.header.into_iter().collect(), ..ResponseHead::new(reply.status) };
    let asker = Asker { grpc, rate_limited: limited, head: false, grpc_status: failure.grpc_status() };
    let body = complete(&mut head, Rewritten::unchanged(reply.body), asker);
    (head, body)
}

#[test]
fn a_grpc_request_is_answered_in_the_head_alone() {
    let (head, body) = completed(&Failure::NoHealthyUpstream, true, false);
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.headers.get_str(&names::GRPC_STATUS), Some("14"));
    assert_eq!(head.headers.get_str(&names::GRPC_MESSAGE), Some("no healthy upstream"));
    assert!(body.is_empty());
    let (head, _) = completed(&Failure::NoRoute, true, true);
    assert_eq!(head.headers.get_str(&names::GRPC_STATUS), Some("14"));
    let (head, _) = completed(&Failure::MaxStreamDuration { request_complete: true }, true, false);
    assert_eq!(head.headers.get_str(&names::GRPC_STATUS), Some("4"));
}

#[test]
fn what_tells_of_the_body_comes_last() {
    let (head, body) = completed(&Failure::Overflow, false, false);
    let names: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-envoy-overloaded", "content-length", "content-type"]);
    assert_eq!(head.headers.get_str(&header::CONTENT_LENGTH), Some(body.len().to_string().as_str()));
}
