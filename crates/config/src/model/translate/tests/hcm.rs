//! The HTTP connection manager.

use std::time::Duration;

use super::*;
use crate::model::{
    HttpConnectionManager,
    hcm::{
        Codec, EscapedSlashes, HeaderKeyFormat, OriginalIpDetection, ProxyName, ServerHeader, StripHostPort,
        Underscores,
    },
};

fn manager(fields: &str) -> HttpConnectionManager {
    manager_of(&quiet(&with_manager(fields))).clone()
}

#[test]
fn a_manager_without_settings_has_envoys_defaults() {
    let manager = manager("");
    assert_eq!((manager.codec, manager.stat_prefix.as_str()), (Codec::Auto, "s"));
    assert_eq!(manager.max_request_headers, 60 * 1024);
    assert_eq!(manager.stream_idle_timeout, Some(Duration::from_secs(300)));
    assert_eq!((manager.request_timeout, manager.request_headers_timeout), (None, None));
    assert_eq!(manager.drain_timeout, Duration::from_secs(5));
    assert_eq!(manager.delayed_close_timeout, Some(Duration::from_secs(1)));
    assert_eq!((manager.server_name.as_str(), manager.server_header), ("envoy", ServerHeader::Overwrite));
    assert!(manager.generate_request_id && !manager.use_remote_address && !manager.normalize_path);
    assert!(manager.internal_cidrs.is_empty() && !manager.internal_unix_sockets);
    assert_eq!((manager.escaped_slashes, manager.strip_host_port), (EscapedSlashes::Keep, StripHostPort::Keep));
    assert_eq!(manager.common.idle_timeout, Some(Duration::from_secs(3600)));
    assert_eq!((manager.common.max_headers_count, manager.common.underscores), (100, Underscores::Allow));
    assert!(manager.http1.allow_absolute_url && !manager.http1.accept_http_10 && !manager.http1.enable_trailers);
    assert_eq!((manager.http2.max_concurrent_streams, manager.http2.initial_stream_window), (1024, 16 << 20));
    assert_eq!((manager.http2.initial_connection_window, manager.http2.hpack_table_size), (24 << 20, 4096));
    assert_eq!((manager.http2.max_outbound_frames, manager.http2.max_outbound_control_frames), (10_000, 1000));
    assert_eq!((manager.http2.max_consecutive_empty_frames, manager.http2.max_priority_frames_per_stream), (1, 100));
    assert_eq!(manager.http2.max_window_updates_per_data_frame, 10);
    assert!(manager.router.dynamic_stats && !manager.router.suppress_envoy_headers);
    assert_eq!(manager.http_filters.len(), 1);
}

#[test]
fn a_manager_keeps_all_its_settings() {
    let manager = manager(
        "codec_type: HTTP2, server_name: nm, server_header_transformation: PASS_THROUGH, max_request_headers_kb: 96, \
         stream_idle_timeout: 0s, request_timeout: 1s, request_headers_timeout: 2s, \
         delayed_close_timeout: 0s, use_remote_address: true, xff_num_trusted_hops: 2, skip_xff_append: true, via: v, \
         generate_request_id: false, normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: \
         UNESCAPE_AND_REDIRECT, strip_any_host_port: true, scheme_header_transformation: {scheme_to_overwrite: https}, \
         internal_address_config: {unix_sockets: true, cidr_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}, \
         {address_prefix: 11.0.0.0, prefix_len: 99}]}, stream_error_on_invalid_http_message: true, \
         http_protocol_options: {accept_http_10: true, header_key_format: {proper_case_words: {}}}, \
         http2_protocol_options: {override_stream_error_on_invalid_http_message: false}, common_http_protocol_options: \
         {idle_timeout: 0s, max_headers_count: 5, headers_with_underscores_action: DROP_HEADER, max_stream_duration: 4s},",
    );
    assert_eq!((manager.codec, manager.server_header), (Codec::Http2, ServerHeader::PassThrough));
    assert_eq!((manager.stream_idle_timeout, manager.delayed_close_timeout), (None, None));
    assert_eq!(
        (manager.request_timeout, manager.request_headers_timeout),
        (Some(Duration::from_secs(1)), Some(Duration::from_secs(2)))
    );
    assert_eq!(manager.max_request_headers, 96 * 1024);
    assert!(manager.use_remote_address && manager.skip_xff_append && !manager.generate_request_id);
    assert_eq!(
        (manager.escaped_slashes, manager.strip_host_port),
        (EscapedSlashes::UnescapeAndRedirect, StripHostPort::Any)
    );
    assert_eq!(manager.scheme_to_overwrite.as_deref(), Some("https"));
    assert_eq!(manager.internal_cidrs.iter().map(|(_, length)| *length).collect::<Vec<_>>(), [8, 32]);
    assert!(manager.http1.accept_http_10 && manager.http1.header_key_format == HeaderKeyFormat::ProperCase);
    assert!(manager.http1.stream_error_on_invalid_http_message && !manager.http2.stream_error_on_invalid_http_message);
    assert_eq!((manager.common.idle_timeout, manager.common.max_headers_count), (None, 5));
    assert_eq!(
        (manager.common.underscores, manager.common.max_stream_duration),
        (Underscores::Drop, Some(Duration::from_secs(4)))
    );
}

fn with_filters(filters: &str) -> String {
    bootstrap("", &format!("http_filters: [{filters}],"), ALL_TO_C, LOCAL_HOST, "")
}

const BUILT: &str =
    "{name: r, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}";
const CORS: &str =
    "{name: cors, OPTIONAL typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}";

#[test]
fn the_router_ends_the_filters() {
    assert_eq!(only_error(&with_filters("")), ("no-router", format!("{MANAGER}.http_filters")));
    assert_eq!(
        only_error(&with_filters(&format!("{BUILT}, {BUILT}"))),
        ("terminal-not-last", format!("{MANAGER}.http_filters[0]"))
    );
}

#[test]
fn a_filter_that_is_not_built_is_refused_unless_it_is_optional() {
    let cors = CORS.replace("OPTIONAL ", "");
    let error = diagnostic(&with_filters(&format!("{cors}, {BUILT}")));
    assert_eq!((error.code, error.path), ("not-supported-yet", format!("{MANAGER}.http_filters[0]")));
    assert_eq!(error.help.as_deref(), Some("built in: envoy.filters.http.router"));
    let optional = CORS.replace("OPTIONAL", "is_optional: true,");
    assert_eq!(warnings(&with_filters(&format!("{optional}, {BUILT}"))), ["optional-filter-left-out"]);
    let missing = format!("{{name: x}}, {BUILT}");
    assert_eq!(only_error(&with_filters(&missing)).0, "missing-typed-config");
    // The last one: whether it would have been the router is not known.
    assert_eq!(only_error(&with_filters("{name: x}")).0, "missing-typed-config");
}

#[test]
fn a_filter_of_the_options_is_passed_on_with_its_config() {
    let options = Options { http_filters: &["envoy.extensions.filters.http.cors.v3.Cors"], ..Options::default() };
    let yaml = with_filters(&format!("{}, {BUILT}", CORS.replace("OPTIONAL", "disabled: true,")));
    let (bootstrap, found) = load_bootstrap(source(&yaml), &options).unwrap();
    assert!(found.is_empty(), "{found:#?}");
    let filter = &manager_of(&bootstrap).http_filters[0];
    assert_eq!((filter.name.as_str(), filter.disabled), ("cors", true));
    assert!(filter.type_url.ends_with("cors.v3.Cors"));
}

#[test]
fn upgrades_are_enabled_unless_they_say_otherwise() {
    let yaml = format!(
        "upgrade_configs: [{{upgrade_type: WebSocket}}, {{upgrade_type: CONNECT, enabled: false, filters: [{BUILT}]}}],"
    );
    let upgrades = manager(&yaml).upgrades;
    let [websocket, connect] = &upgrades[..] else { panic!("{upgrades:#?}") };
    assert_eq!((websocket.kind.as_str(), websocket.enabled, websocket.filters.is_none()), ("websocket", true, true));
    assert_eq!((connect.kind.as_str(), connect.enabled), ("connect", false));
    assert_eq!(connect.filters.as_ref().map(Vec::len), Some(1));
}

#[test]
fn mistakes_in_managers_are_found() {
    for (fields, code, path) in [
        (
            "upgrade_configs: [{upgrade_type: websocket}, {upgrade_type: WEBSOCKET}],",
            "duplicate-upgrade",
            "upgrade_configs[1].upgrade_type",
        ),
        ("strip_any_host_port: true, strip_matching_host_port: true,", "conflicting-fields", "strip_any_host_port"),
        (
            "internal_address_config: {cidr_ranges: [{address_prefix: 10.0, prefix_len: 8}]},",
            "malformed-ip",
            "internal_address_config.cidr_ranges[0].address_prefix",
        ),
        ("codec_type: HTTP3,", "not-supported-yet", "codec_type"),
    ] {
        assert_eq!(only_error(&with_manager(fields)), (code, format!("{MANAGER}.{path}")));
    }
}

#[test]
fn what_is_not_built_is_refused_with_its_place() {
    for (fields, path) in [
        ("tracing: {},", "tracing"),
        ("access_log_options: {flush_access_log_on_new_request: true},", "access_log_options"),
        (
            "http_protocol_options: {header_key_format: {stateful_formatter: {name: x, typed_config: {\"@type\": type.googleapis.com/google.protobuf.Struct}}}},",
            "http_protocol_options.header_key_format.stateful_formatter",
        ),
    ] {
        let errors = refused(&with_manager(fields));
        assert!(errors.contains(&("not-supported-yet", format!("{MANAGER}.{path}"))), "{errors:#?}");
    }
}

#[test]
fn case_is_preserved_by_its_formatter() {
    let formatter = |config: &str| {
        let config = format!(
            "http_protocol_options: {{header_key_format: {{stateful_formatter: {{name: preserve_case, typed_config: \
             {{\"@type\": type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig{config}}}}}}}}},"
        );
        manager(&config).http1.header_key_format
    };
    let preserve =
        |reason_phrase, proper_case_for_others| HeaderKeyFormat::Preserve { reason_phrase, proper_case_for_others };
    assert_eq!(formatter(""), preserve(false, false));
    let both = ", forward_reason_phrase: true, formatter_type_on_envoy_headers: PROPER_CASE";
    assert_eq!(formatter(both), preserve(true, true));
}

#[test]
fn metadata_frames_are_refused() {
    let errors = refused(&with_manager("http2_protocol_options: {allow_metadata: true},"));
    assert_eq!(errors, [("not-supported", format!("{MANAGER}.http2_protocol_options.allow_metadata"))]);
}

#[test]
fn clients_are_found_by_extensions() {
    let extension = |kind: &str, fields: &str| {
        format!(
            "{{name: nm, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.http.original_ip_detection.{kind}{fields}}}}}"
        )
    };
    let xff = extension("xff.v3.XffConfig", ", xff_num_trusted_hops: 2");
    let odd =
        extension("custom_header.v3.CustomHeaderConfig", ", header_name: X-Real, reject_with_status: {code: 200}");
    let list = format!("original_ip_detection_extensions: [{xff}, {odd}],");
    let forwarded = OriginalIpDetection::ForwardedFor { trusted_hops: 2, trusted: None, skip_append: true };
    let name = http::HeaderName::from_static("x-real");
    let header = OriginalIpDetection::Header { name, trusted: false, reject_with: Some(http::StatusCode::FORBIDDEN) };
    assert_eq!(manager(&list).original_ip_detection, [forwarded, header]);
    let (code, path) = only_error(&with_manager(&format!("{list} use_remote_address: true,")));
    assert_eq!((code, path), ("conflicting-fields", format!("{MANAGER}.original_ip_detection_extensions")));
}

#[test]
fn the_flush_timeout_is_the_idle_timeout_unless_it_is_set() {
    let flush = |fields: &str| manager(fields).stream_flush_timeout;
    assert_eq!(flush(""), Some(Duration::from_secs(300)));
    assert_eq!(flush("stream_idle_timeout: 0s,"), None);
    assert_eq!(flush("stream_idle_timeout: 0s, stream_flush_timeout: 7s,"), Some(Duration::from_secs(7)));
    assert_eq!(flush("stream_flush_timeout: 0s,"), None);
}

#[test]
fn a_proxy_is_named_in_its_status() {
    let status = |fields: &str| manager(&format!("proxy_status_config: {{{fields}}},")).proxy_status.unwrap();
    assert_eq!(status("").name, ProxyName::Server);
    assert_eq!(status("use_node_id: true").name, ProxyName::NodeId);
    let named = status("literal_proxy_name: me, remove_details: true");
    assert_eq!((named.name, named.remove_details), (ProxyName::Literal("me".into()), true));
}
