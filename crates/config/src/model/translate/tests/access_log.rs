//! Access logs.

use super::*;
use crate::model::{
    AccessLog,
    access_log::{Filter, JsonNode, LogFormat, LogSink, LogType},
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
    assert!(file.filter.is_none());
    assert_eq!((file.sink, file.format), (LogSink::File("/x".into()), LogFormat::Default));
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
        "access_log: [{name: nm, filter: {extension_filter: {name: x}}, typed_config: {\"@type\": \
         type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog}}],",
    );
    assert_eq!(
        only_error(&filtered),
        ("not-supported-yet", format!("{MANAGER}.access_log[0].filter.extension_filter"))
    );
    let grpc = "common_config: {log_name: nm, grpc_service: {envoy_grpc: {cluster_name: c}}}";
    let error = diagnostic(&with_log("grpc.v3.HttpGrpcAccessLogConfig", grpc));
    assert_eq!((error.code, error.path), ("not-supported-yet", format!("{MANAGER}.access_log[0]")));
    assert!(error.help.unwrap().contains("envoy.access_loggers.file"));
}

#[test]
fn filters_say_which_streams_are_meant() {
    let with = |filter: &str| {
        let yaml = with_manager(&format!(
            "access_log: [{{name: f, filter: {filter}, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog}}}}],"
        ));
        manager_of(&accepted(&yaml).0).access_log[0].filter.clone().unwrap()
    };
    let comparison = with("{status_code_filter: {comparison: {op: GE, value: {default_value: 500, runtime_key: k}}}}");
    let Filter::StatusCode(comparison) = comparison else { panic!("{comparison:?}") };
    assert!(comparison.holds(503, 500) && !comparison.holds(404, 500));
    assert_eq!((comparison.value, comparison.runtime_key.as_str()), (500, "k"));
    let all = with("{and_filter: {filters: [{not_health_check_filter: {}}, {response_flag_filter: {flags: [UH]}}]}}");
    let Filter::All(all) = all else { panic!("{all:?}") };
    assert!(matches!(&all[..], [Filter::NotHealthCheck, Filter::ResponseFlag(flags)] if flags == &["UH"]));
    let runtime = with("{runtime_filter: {runtime_key: k, percent_sampled: {numerator: 5}}}");
    let Filter::Runtime { fraction, independent: false } = runtime else { panic!("{runtime:?}") };
    assert_eq!((fraction.numerator, fraction.denominator), (5, 100));
    let log_type = with("{log_type_filter: {types: [DownstreamEnd, TcpPeriodic], exclude: true}}");
    let Filter::LogType { types, exclude: true } = log_type else { panic!("{log_type:?}") };
    assert_eq!(types, [LogType::DownstreamEnd, LogType::Other]);
}
