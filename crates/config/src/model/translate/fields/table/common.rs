//! Messages that several parts use: addresses, header changes, matchers, access logs.

use super::Support;

pub(super) const TABLE: &[Support] = &[
    Support::of("envoy.config.core.v3.Address", &["socket_address", "pipe"]),
    Support::of("envoy.config.core.v3.SocketAddress", &["protocol", "address", "port_value", "ipv4_compat"]),
    Support::of("envoy.config.core.v3.Pipe", &["*"]),
    Support::of("envoy.config.core.v3.SocketOption", &["level", "name", "int_value", "buf_value", "state"])
        .ignoring(&[("description", "it is a comment")]),
    Support::of("envoy.config.core.v3.TcpKeepalive", &["*"]),
    Support::of("envoy.config.core.v3.CidrRange", &["*"]),
    Support::of("envoy.config.core.v3.TransportSocket", &["*"]),
    Support::of("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", &["*"]),
    Support::of("envoy.config.core.v3.TypedExtensionConfig", &["*"]),
    Support::of("envoy.config.core.v3.Metadata", &["filter_metadata"])
        .ignoring(&[("typed_filter_metadata", super::METADATA)]),
    Support::of(
        "envoy.config.core.v3.DataSource",
        &["filename", "inline_bytes", "inline_string", "environment_variable"],
    )
    .ignoring(&[("watched_directory", "the file is read once, when the configuration is loaded")]),
    Support::of("envoy.config.core.v3.HeaderValueOption", &["*"]),
    Support::of("envoy.config.core.v3.HeaderValue", &["*"]),
    Support::of("envoy.config.core.v3.RuntimeFractionalPercent", &["*"]),
    Support::of("envoy.type.v3.FractionalPercent", &["*"]),
    Support::of("envoy.type.v3.Percent", &["*"]),
    Support::of(
        "envoy.type.matcher.v3.StringMatcher",
        &["exact", "prefix", "suffix", "safe_regex", "contains", "ignore_case"],
    ),
    Support::of("envoy.type.matcher.v3.RegexMatcher", &["google_re2", "regex"]),
    Support::of("envoy.type.matcher.v3.RegexMatcher.GoogleRE2", &[])
        .ignoring(&[("max_program_size", "the size of expressions is limited anyway")]),
    Support::of("envoy.type.matcher.v3.RegexMatchAndSubstitute", &["*"]),
    Support::of("envoy.config.accesslog.v3.AccessLog", &["name", "filter", "typed_config"]),
    Support::of(
        "envoy.config.accesslog.v3.AccessLogFilter",
        &[
            "status_code_filter",
            "duration_filter",
            "not_health_check_filter",
            "traceable_filter",
            "runtime_filter",
            "and_filter",
            "or_filter",
            "header_filter",
            "response_flag_filter",
            "grpc_status_filter",
            "metadata_filter",
            "log_type_filter",
        ],
    ),
    Support::of("envoy.config.accesslog.v3.ComparisonFilter", &["*"]),
    Support::of("envoy.config.accesslog.v3.StatusCodeFilter", &["*"]),
    Support::of("envoy.config.accesslog.v3.DurationFilter", &["*"]),
    Support::of("envoy.config.accesslog.v3.NotHealthCheckFilter", &["*"]),
    Support::of("envoy.config.accesslog.v3.TraceableFilter", &["*"]),
    Support::of("envoy.config.accesslog.v3.RuntimeFilter", &["*"]),
    Support::of("envoy.config.accesslog.v3.AndFilter", &["*"]),
    Support::of("envoy.config.accesslog.v3.OrFilter", &["*"]),
    Support::of("envoy.config.accesslog.v3.HeaderFilter", &["*"]),
    Support::of("envoy.config.accesslog.v3.ResponseFlagFilter", &["*"]),
    Support::of("envoy.config.accesslog.v3.GrpcStatusFilter", &["*"]),
    Support::of("envoy.config.accesslog.v3.MetadataFilter", &["match_if_key_not_found"])
        .ignoring(&[("matcher", "nothing that is built sets dynamic metadata")]),
    Support::of("envoy.config.accesslog.v3.LogTypeFilter", &["*"]),
    Support::of("envoy.config.core.v3.RuntimeUInt32", &["*"]),
    Support::of(
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        &["path", "format", "json_format", "typed_json_format", "log_format"],
    ),
    Support::of("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", &["log_format"]),
    Support::of("envoy.extensions.access_loggers.stream.v3.StderrAccessLog", &["log_format"]),
    Support::of(
        "envoy.config.core.v3.SubstitutionFormatString",
        &["text_format", "json_format", "text_format_source", "omit_empty_values", "content_type"],
    )
    .ignoring(&[("json_format_options", "keys are always sorted")]),
];
