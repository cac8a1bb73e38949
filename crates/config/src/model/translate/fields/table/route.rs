//! Route tables.

use super::{METADATA, Support};

const BUFFER: &str = "bodies are streamed: nothing that is built holds a whole one";
const VALIDATION: &str = "it only concerns validation";

pub(super) const TABLE: &[Support] = &[
    Support::of(
        "envoy.config.route.v3.RouteConfiguration",
        &[
            "name",
            "virtual_hosts",
            "internal_only_headers",
            "response_headers_to_add",
            "response_headers_to_remove",
            "request_headers_to_add",
            "request_headers_to_remove",
            "most_specific_header_mutations_wins",
            "validate_clusters",
            "max_direct_response_body_size_bytes",
            "ignore_port_in_host_matching",
            "ignore_path_parameters_in_path_matching",
        ],
    )
    .ignoring(&[("metadata", METADATA)]),
    Support::of(
        "envoy.config.route.v3.VirtualHost",
        &[
            "name",
            "domains",
            "routes",
            "require_tls",
            "request_headers_to_add",
            "request_headers_to_remove",
            "response_headers_to_add",
            "response_headers_to_remove",
            "include_request_attempt_count",
            "include_attempt_count_in_response",
        ],
    )
    .ignoring(&[
        ("per_request_buffer_limit_bytes", BUFFER),
        ("request_body_buffer_limit", BUFFER),
        ("metadata", METADATA),
        ("virtual_clusters", "the statistics per virtual cluster are not built"),
        ("include_is_timeout_retry_header", "it matters only with retries, which are refused"),
    ]),
    Support::of(
        "envoy.config.route.v3.Route",
        &[
            "name",
            "match",
            "route",
            "redirect",
            "direct_response",
            "non_forwarding_action",
            "request_headers_to_add",
            "request_headers_to_remove",
            "response_headers_to_add",
            "response_headers_to_remove",
        ],
    )
    .ignoring(&[
        ("per_request_buffer_limit_bytes", BUFFER),
        ("request_body_buffer_limit", BUFFER),
        ("stat_prefix", "the statistics per route are not built"),
        ("metadata", METADATA),
        ("decorator", "it matters only with tracing, which is refused"),
        ("tracing", "it matters only with tracing, which is refused"),
    ])
    .never(&[("filter_action", "Envoy uses it inside itself")]),
    Support::of("envoy.config.route.v3.NonForwardingAction", &["*"]),
    Support::of(
        "envoy.config.route.v3.RouteMatch",
        &[
            "prefix",
            "path",
            "safe_regex",
            "path_separated_prefix",
            "case_sensitive",
            "runtime_fraction",
            "headers",
            "query_parameters",
            "grpc",
        ],
    ),
    Support::of("envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions", &["*"]),
    Support::of(
        "envoy.config.route.v3.RouteAction",
        &[
            "cluster",
            "cluster_header",
            "weighted_clusters",
            "cluster_not_found_response_code",
            "prefix_rewrite",
            "regex_rewrite",
            "host_rewrite_literal",
            "auto_host_rewrite",
            "host_rewrite_header",
            "append_x_forwarded_host",
            "timeout",
            "idle_timeout",
            "priority",
            "max_stream_duration",
        ],
    )
    .ignoring(&[
        ("metadata_match", "it matters only with subset load balancing, which is refused"),
        ("include_vh_rate_limits", "it matters only with rate limits, which are refused"),
    ]),
    Support::of("envoy.config.route.v3.RouteAction.MaxStreamDuration", &["max_stream_duration"]),
    Support::of("envoy.config.route.v3.WeightedCluster", &["clusters", "runtime_key_prefix"])
        .ignoring(&[("total_weight", VALIDATION)]),
    Support::of(
        "envoy.config.route.v3.WeightedCluster.ClusterWeight",
        &[
            "name",
            "cluster_header",
            "weight",
            "request_headers_to_add",
            "request_headers_to_remove",
            "response_headers_to_add",
            "response_headers_to_remove",
            "host_rewrite_literal",
        ],
    )
    .ignoring(&[("metadata_match", "it matters only with subset load balancing, which is refused")]),
    Support::of(
        "envoy.config.route.v3.RedirectAction",
        &[
            "https_redirect",
            "scheme_redirect",
            "host_redirect",
            "port_redirect",
            "path_redirect",
            "prefix_rewrite",
            "regex_rewrite",
            "response_code",
            "strip_query",
        ],
    ),
    Support::of("envoy.config.route.v3.DirectResponseAction", &["status", "body"]),
    Support::of("envoy.config.route.v3.HeaderMatcher", &["*"]),
    Support::of("envoy.config.route.v3.QueryParameterMatcher", &["*"]),
    Support::of("envoy.type.v3.Int64Range", &["*"]),
];
