//! Which streams a filter means.

use http::StatusCode;
use nuncio_api::{ResponseFlag, ResponseHead, Runtime, RuntimeLayer, RuntimeValue, names};
use nuncio_config::model::{
    access_log::{Comparison, ComparisonOp, Filter, LogType},
    matcher::{HeaderMatcher, HeaderValueMatch, MatchedHeader},
    route::RuntimeFraction,
};
use tokio::time::Instant;

use super::{
    super::filter::{Asked, holds},
    request, stream,
};
use crate::stream_info::StreamInfo;

fn answered(status: u16) -> StreamInfo {
    let mut info = stream(Some(request("/", &[("x-request-id", "00000064-0000-4000-8000-000000000000")])));
    info.response = Some(ResponseHead::new(StatusCode::from_u16(status).unwrap()));
    info.downstream_first_tx = Some(Instant::now());
    info
}

fn meant(filter: &Filter, info: &StreamInfo, runtime: &Runtime) -> bool {
    holds(filter, Asked { info, runtime, log_type: LogType::DownstreamEnd })
}

fn status(op: ComparisonOp, value: u32) -> Filter {
    Filter::StatusCode(Comparison { op, value, runtime_key: "code".into() })
}

fn runtime(key: &str, number: f64) -> Runtime {
    let values = [(key.to_owned(), RuntimeValue::number(number))].into();
    Runtime::fixed(vec![RuntimeLayer { name: "test".into(), values }])
}

#[test]
fn a_status_is_compared_with_what_the_runtime_says() {
    let fixed = Runtime::default();
    for (op, want) in [
        (ComparisonOp::Equal, [false, true, false]),
        (ComparisonOp::AtLeast, [false, true, true]),
        (ComparisonOp::AtMost, [true, true, false]),
        (ComparisonOp::NotEqual, [true, false, true]),
    ] {
        let found = [404, 500, 503].map(|code| meant(&status(op, 500), &answered(code), &fixed));
        assert_eq!(found, want, "{op:?}");
    }
    assert!(meant(&status(ComparisonOp::Equal, 500), &answered(404), &runtime("code", 404.0)));
    let unanswered = stream(None);
    assert!(meant(&status(ComparisonOp::Equal, 0), &unanswered, &fixed), "no answer has the code 0");
}

#[test]
fn flags_headers_and_grpc_statuses_are_looked_up() {
    let fixed = Runtime::default();
    let mut info = answered(503);
    let flags = |names: &[&str]| Filter::ResponseFlag(names.iter().map(|name| (*name).to_owned()).collect());
    assert!(!meant(&flags(&[]), &info, &fixed));
    info.flags.insert(ResponseFlag::NoHealthyUpstream);
    assert!(meant(&flags(&[]), &info, &fixed) && meant(&flags(&["UF", "UH"]), &info, &fixed));
    assert!(!meant(&flags(&["UF"]), &info, &fixed));
    let header = Filter::Header(HeaderMatcher {
        name: MatchedHeader::Name(names::X_REQUEST_ID),
        value: HeaderValueMatch::Present(true),
        invert: false,
        missing_as_empty: false,
    });
    assert!(meant(&header, &info, &fixed) && !meant(&header, &stream(None), &fixed));
    let grpc = |exclude| Filter::GrpcStatus { statuses: vec![14], exclude };
    assert!(meant(&grpc(false), &info, &fixed), "503 is UNAVAILABLE");
    assert!(!meant(&grpc(true), &info, &fixed));
    assert!(meant(&Filter::All(vec![header.clone(), grpc(false)]), &info, &fixed));
    assert!(meant(&Filter::Any(vec![Filter::Traceable, Filter::NotHealthCheck]), &info, &fixed));
    assert!(!meant(&Filter::LogType { types: vec![LogType::DownstreamEnd], exclude: true }, &info, &fixed));
}

#[test]
fn the_request_id_decides_what_is_sampled() {
    // 0x64 is 100, which is 0 of 100 and 100 of 10,000.
    let sampled = |numerator, denominator, runtime: &Runtime| {
        let fraction = RuntimeFraction { numerator, denominator, key: "share".into() };
        meant(&Filter::Runtime { fraction, independent: false }, &answered(200), runtime)
    };
    let fixed = Runtime::default();
    assert!(sampled(1, 100, &fixed) && !sampled(0, 100, &fixed));
    assert!(sampled(101, 10_000, &fixed) && !sampled(100, 10_000, &fixed));
    assert!(sampled(0, 10_000, &runtime("share", 101.0)), "the runtime replaces the numerator");
}
