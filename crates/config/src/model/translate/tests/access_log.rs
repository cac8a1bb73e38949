//! Access logs.

use super::*;
use crate::model::{
    AccessLog,
    access_log::{JsonNode, LogFormat, LogSink},
};

fn with_log(kind: &str, fields: &str) -> String {
    with_manager(&format!(
        "access_log: [{{name: nm, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.access_loggers.{kind}, {fields}}}}}],"
    ))
}

fn log(kind: &str, fields: &str) -> AccessLog {
    manager_of(&accepted(&with_log(kind, fields)).0).access_log[0].clone()
}

#[test]
fn sinks_translate() {
    assert_eq!(log("stream.v3.StdoutAccessLog", "").sink, LogSink::Stdout);
    assert_eq!(log("stream.v3.StderrAccessLog", "").sink, LogSink::Stderr);
    let file = log("file.v3.FileAccessLog", "path: /x");
    assert_eq!(file, AccessLog { sink: LogSink::File("/x".into()), format: LogFormat::Default });
}

#[test]
fn text_formats_translate() {
    for fields in [
        "path: /x, log_format: {text_format_source: {inline_string: '%PROTOCOL%'}, omit_empty_values: true}",
        "path: /x, log_format: {text_format: '%PROTOCOL%', omit_empty_values: true}",
    ] {
        let LogFormat::Text { format, raw, omit_empty_values } = log("file.v3.FileAccessLog", fields).format else {
            panic!("text")
        };
        assert_eq!((format.operators().count(), raw.as_str(), omit_empty_values), (1, "%PROTOCOL%", true));
    }
}

#[test]
fn json_formats_keep_types_and_sort_keys() {
    let log = log(
        "stream.v3.StdoutAccessLog",
        "log_format: {json_format: {z: '%PROTOCOL%', a: plain, m: 1, l: [true, '%DURATION%'], o: {k: '100%%'}}}",
    );
    let LogFormat::Json { object: JsonNode::Object(fields), .. } = log.format else { panic!("json") };
    let keys: Vec<_> = fields.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["a", "l", "m", "o", "z"]);
    assert_eq!(fields[0].1, JsonNode::Constant("plain".into()));
    assert!(matches!(&fields[1].1, JsonNode::List(list) if matches!(list[1], JsonNode::Format(_))));
    assert_eq!(fields[2].1, JsonNode::Constant(1.into()));
    assert_eq!(fields[3].1, JsonNode::Object(vec![("k".into(), JsonNode::Constant("100%".into()))]));
    assert!(matches!(fields[4].1, JsonNode::Format(_)));
}

#[test]
fn an_unknown_operator_is_found_in_its_place() {
    let at = format!("{MANAGER}.access_log[0].typed_config");
    let text =
        with_log("file.v3.FileAccessLog", "path: /x, log_format: {text_format_source: {inline_string: '%NOSUCH%'}}");
    assert_eq!(only_error(&text), ("bad-format", format!("{at}.log_format.text_format_source.inline_string")));
    let json = with_log("stream.v3.StdoutAccessLog", "log_format: {json_format: {a: {b: '%NOSUCH%'}}}");
    assert_eq!(only_error(&json), ("bad-format", format!("{at}.log_format.json_format[\"a\"][\"b\"]")));
}

#[test]
fn what_is_not_built_is_refused_with_its_place() {
    let filtered = with_manager(
        "access_log: [{name: nm, filter: {not_health_check_filter: {}}, typed_config: {\"@type\": \
         type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog}}],",
    );
    assert_eq!(only_error(&filtered), ("not-supported-yet", format!("{MANAGER}.access_log[0].filter")));
    let grpc = "common_config: {log_name: nm, grpc_service: {envoy_grpc: {cluster_name: c}}}";
    let error = diagnostic(&with_log("grpc.v3.HttpGrpcAccessLogConfig", grpc));
    assert_eq!((error.code, error.path), ("not-supported-yet", format!("{MANAGER}.access_log[0]")));
    assert!(error.help.unwrap().contains("envoy.access_loggers.file"));
}
