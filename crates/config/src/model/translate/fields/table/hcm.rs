//! The HTTP connection manager, its options and the router.

use super::Support;

const CODEC: &str = "it chooses between Envoy's own codecs";

pub(super) const TABLE: &[Support] = &[
    Support::of(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        &[
            "codec_type",
            "stat_prefix",
            "route_config",
            "http_filters",
            "add_user_agent",
            "common_http_protocol_options",
            "http_protocol_options",
            "http2_protocol_options",
            "server_name",
            "server_header_transformation",
            "scheme_header_transformation",
            "max_request_headers_kb",
            "stream_idle_timeout",
            "request_timeout",
            "request_headers_timeout",
            "delayed_close_timeout",
            "access_log",
            "use_remote_address",
            "xff_num_trusted_hops",
            "internal_address_config",
            "skip_xff_append",
            "via",
            "generate_request_id",
            "preserve_external_request_id",
            "always_set_request_id_in_response",
            "proxy_100_continue",
            "normalize_path",
            "merge_slashes",
            "path_with_escaped_slashes_action",
            "strip_matching_host_port",
            "strip_any_host_port",
            "stream_error_on_invalid_http_message",
            "strip_trailing_host_dot",
            "append_x_forwarded_port",
            "local_reply_config",
            "stream_flush_timeout",
            "http1_safe_max_connection_duration",
            "original_ip_detection_extensions",
            "early_header_mutation_extensions",
            "forward_client_cert_details",
            "proxy_status_config",
            "drain_timeout",
            "upgrade_configs",
        ],
    )
    .ignoring(&[
        ("drain_timeout_jitter", "the last GOAWAY follows one round trip after the first"),
        ("append_local_overload", "no overload action is built that refuses requests"),
        ("forward_proto_config", "there is no PROXY protocol filter whose port it could look at"),
        ("add_proxy_protocol_connection_state", "there is no PROXY protocol filter whose state it could add"),
        ("http3_protocol_options", "it matters only with HTTP/3, which is refused"),
    ])
    .never(&[
        ("path_normalization_options", "Envoy has not built it either"),
        ("typed_header_validation_config", "Envoy is not built with it either"),
        ("represent_ipv4_remote_address_as_ipv4_mapped_ipv6", "it serves tests of upstreams only"),
    ]),
    Support::of(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig",
        &["*"],
    ),
    Support::of(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ProxyStatusConfig",
        &["*"],
    ),
    Support::of("envoy.extensions.http.original_ip_detection.xff.v3.XffConfig", &["*"]),
    Support::of("envoy.extensions.http.original_ip_detection.xff.v3.XffTrustedCidrs", &["*"]),
    Support::of("envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig", &["*"]),
    Support::of("envoy.type.v3.HttpStatus", &["*"]),
    Support::of("envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation", &["*"]),
    Support::of("envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig", &["*"]),
    Support::of("envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper", &["*"]),
    Support::of(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig",
        &["*"],
    ),
    Support::of(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        &["name", "typed_config", "is_optional", "disabled"],
    ),
    Support::of(
        "envoy.extensions.filters.http.router.v3.Router",
        &["dynamic_stats", "suppress_envoy_headers", "respect_expected_rq_timeout", "strict_check_headers"],
    )
    .ignoring(&[("start_child_span", "it matters only with tracing, which is refused")]),
    Support::of(
        "envoy.config.core.v3.HttpProtocolOptions",
        &[
            "idle_timeout",
            "max_connection_duration",
            "max_connection_duration_jitter",
            "max_headers_count",
            "max_response_headers_kb",
            "max_stream_duration",
            "headers_with_underscores_action",
            "max_requests_per_connection",
        ],
    ),
    Support::of(
        "envoy.config.core.v3.Http1ProtocolOptions",
        &[
            "allow_absolute_url",
            "accept_http_10",
            "default_host_for_http_10",
            "header_key_format",
            "enable_trailers",
            "allow_chunked_length",
            "override_stream_error_on_invalid_http_message",
            "send_fully_qualified_url",
            "allow_custom_methods",
            "ignore_http_11_upgrade",
        ],
    )
    .ignoring(&[("use_balsa_parser", CODEC)]),
    Support::of("envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat", &["*"]),
    Support::of(
        "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
        &["forward_reason_phrase", "formatter_type_on_envoy_headers"],
    ),
    Support::of("envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat.ProperCaseWords", &["*"]),
    Support::of(
        "envoy.config.core.v3.Http2ProtocolOptions",
        &[
            "hpack_table_size",
            "max_concurrent_streams",
            "initial_stream_window_size",
            "initial_connection_window_size",
            "allow_connect",
            "max_outbound_frames",
            "max_outbound_control_frames",
            "max_consecutive_inbound_frames_with_empty_payload",
            "max_inbound_priority_frames_per_stream",
            "max_inbound_window_update_frames_per_data_frame_sent",
            "stream_error_on_invalid_http_messaging",
            "override_stream_error_on_invalid_http_message",
            "connection_keepalive",
        ],
    )
    .ignoring(&[
        ("use_oghttp2_codec", CODEC),
        ("enable_huffman_encoding", "the encoder decides by itself"),
        ("disallow_obs_text", "the HTTP/2 library decides what a header value may hold"),
        ("max_metadata_size", "METADATA frames are not read, so that none can be too large"),
        ("max_header_field_size_kb", "header fields are bounded together, by `max_request_headers_kb`"),
        ("stream_reset_burst", "resets are judged by their share of the requests, as Envoy's own limit does"),
        ("stream_reset_rate", "resets are judged by their share of the requests, as Envoy's own limit does"),
    ])
    .never(&[
        ("allow_metadata", "the HTTP/2 library passes no frames of extensions on"),
        ("custom_settings_parameters", "the HTTP/2 library sends the settings of RFC 9113 and no others"),
    ]),
    Support::of("envoy.config.core.v3.KeepaliveSettings", &["*"]),
    Support::of("envoy.config.core.v3.SchemeHeaderTransformation", &["scheme_to_overwrite"]),
];
