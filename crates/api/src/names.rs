//! Header names that the proxy itself reads or writes, each once.

use http::HeaderName;

macro_rules! names {
    ($($(#[$doc:meta])* $ident:ident = $text:literal;)*) => {
        $($(#[$doc])* #[doc = concat!("`", $text, "`")] pub const $ident: HeaderName = HeaderName::from_static($text);)*
    };
}

names! {
    GRPC_MESSAGE = "grpc-message";
    GRPC_STATUS = "grpc-status";
    GRPC_TIMEOUT = "grpc-timeout";
    KEEP_ALIVE = "keep-alive";
    PROXY_CONNECTION = "proxy-connection";
    X_CLIENT_TRACE_ID = "x-client-trace-id";
    X_ENVOY_ATTEMPT_COUNT = "x-envoy-attempt-count";
    X_ENVOY_DECORATOR_OPERATION = "x-envoy-decorator-operation";
    X_ENVOY_DEGRADED = "x-envoy-degraded";
    X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER = "x-envoy-downstream-service-cluster";
    X_ENVOY_DOWNSTREAM_SERVICE_NODE = "x-envoy-downstream-service-node";
    X_ENVOY_EXPECTED_RQ_TIMEOUT_MS = "x-envoy-expected-rq-timeout-ms";
    X_ENVOY_EXTERNAL_ADDRESS = "x-envoy-external-address";
    X_ENVOY_FORCE_TRACE = "x-envoy-force-trace";
    X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT = "x-envoy-hedge-on-per-try-timeout";
    X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL = "x-envoy-immediate-health-check-fail";
    X_ENVOY_INTERNAL = "x-envoy-internal";
    X_ENVOY_IP_TAGS = "x-envoy-ip-tags";
    X_ENVOY_IS_TIMEOUT_RETRY = "x-envoy-is-timeout-retry";
    X_ENVOY_MAX_RETRIES = "x-envoy-max-retries";
    X_ENVOY_ORIGINAL_HOST = "x-envoy-original-host";
    X_ENVOY_ORIGINAL_PATH = "x-envoy-original-path";
    X_ENVOY_ORIGINAL_URL = "x-envoy-original-url";
    X_ENVOY_OVERLOADED = "x-envoy-overloaded";
    X_ENVOY_RATELIMITED = "x-envoy-ratelimited";
    X_ENVOY_RETRIABLE_HEADER_NAMES = "x-envoy-retriable-header-names";
    X_ENVOY_RETRIABLE_STATUS_CODES = "x-envoy-retriable-status-codes";
    X_ENVOY_RETRY_GRPC_ON = "x-envoy-retry-grpc-on";
    X_ENVOY_RETRY_ON = "x-envoy-retry-on";
    X_ENVOY_UNCONDITIONAL_DROP_OVERLOAD = "x-envoy-unconditional-drop-overload";
    X_ENVOY_UPSTREAM_ALT_STAT_NAME = "x-envoy-upstream-alt-stat-name";
    X_ENVOY_UPSTREAM_CANARY = "x-envoy-upstream-canary";
    X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS = "x-envoy-upstream-rq-per-try-timeout-ms";
    X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE = "x-envoy-upstream-rq-timeout-alt-response";
    X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS = "x-envoy-upstream-rq-timeout-ms";
    X_ENVOY_UPSTREAM_SERVICE_TIME = "x-envoy-upstream-service-time";
    X_ENVOY_UPSTREAM_STREAM_DURATION_MS = "x-envoy-upstream-stream-duration-ms";
    X_FORWARDED_CLIENT_CERT = "x-forwarded-client-cert";
    X_FORWARDED_FOR = "x-forwarded-for";
    X_FORWARDED_HOST = "x-forwarded-host";
    X_FORWARDED_PORT = "x-forwarded-port";
    X_FORWARDED_PROTO = "x-forwarded-proto";
    X_REQUEST_ID = "x-request-id";
}
