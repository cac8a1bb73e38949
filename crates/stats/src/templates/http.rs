//! Stats of the HTTP connection manager, `http.<stat_prefix>.`, and of what reports
//! under its prefix: the router and tracing.
//!
//! The admin listener has the first template only; the client for internal requests
//! (`http.async-client.`) has the router's only.

use crate::scope::{ScopeName, sanitized, tags};
use crate::stat_template;
use crate::template::Counter;

stat_template! {
    /// The connection manager.
    pub mod http_stats {
        counters {
            downstream_cx_delayed_close_timeout, downstream_cx_destroy, downstream_cx_destroy_active_rq,
            downstream_cx_destroy_local, downstream_cx_destroy_local_active_rq, downstream_cx_destroy_remote,
            downstream_cx_destroy_remote_active_rq, downstream_cx_drain_close, downstream_cx_http1_total,
            downstream_cx_http2_total, downstream_cx_http3_total, downstream_cx_idle_timeout,
            downstream_cx_max_duration_reached, downstream_cx_max_requests_reached,
            downstream_cx_overload_disable_keepalive, downstream_cx_protocol_error,
            downstream_cx_rx_bytes_total, downstream_cx_ssl_total, downstream_cx_total,
            downstream_cx_tx_bytes_total, downstream_cx_upgrades_total,
            downstream_flow_control_paused_reading_total, downstream_flow_control_resumed_reading_total,
            downstream_rq_1xx, downstream_rq_2xx, downstream_rq_3xx, downstream_rq_4xx, downstream_rq_5xx,
            downstream_rq_completed, downstream_rq_failed_path_normalization, downstream_rq_header_timeout,
            downstream_rq_http1_total, downstream_rq_http2_total, downstream_rq_http3_total,
            downstream_rq_idle_timeout, downstream_rq_max_duration_reached, downstream_rq_non_relative_path,
            downstream_rq_overload_close, downstream_rq_redirected_with_normalized_path,
            downstream_rq_rejected_via_ip_detection, downstream_rq_response_before_rq_complete,
            downstream_rq_rx_reset, downstream_rq_timeout, downstream_rq_too_large,
            downstream_rq_too_many_premature_resets, downstream_rq_total, downstream_rq_tx_reset,
            downstream_rq_ws_on_non_ws_route, rs_too_large,
        }
        gauges {
            downstream_cx_active, downstream_cx_http1_active, downstream_cx_http1_soft_drain,
            downstream_cx_http2_active, downstream_cx_http3_active, downstream_cx_rx_bytes_buffered,
            downstream_cx_ssl_active, downstream_cx_tx_bytes_buffered, downstream_cx_upgrades_active,
            downstream_rq_active,
        }
        histograms {
            downstream_cx_length_ms: Milliseconds, downstream_rq_time: Milliseconds,
        }
    }
}

stat_template! {
    /// The router filter.
    pub mod router_stats {
        counters {
            no_cluster, no_route, passthrough_internal_redirect_bad_location,
            passthrough_internal_redirect_no_route, passthrough_internal_redirect_predicate,
            passthrough_internal_redirect_too_many_redirects, passthrough_internal_redirect_unsafe_scheme,
            rq_direct_response, rq_overload_local_reply, rq_redirect,
            rq_reset_after_downstream_response_started, rq_total,
        }
    }
}

stat_template! {
    /// Tracing: scope `http.<stat_prefix>.tracing.`
    pub mod http_tracing_stats {
        counters {
            client_enabled, health_check, not_traceable, random_sampling, service_forced,
        }
    }
}

stat_template! {
    /// Responses by listener: `listener.<address>.http.<stat_prefix>.`
    pub mod listener_http_stats {
        counters {
            downstream_rq_1xx, downstream_rq_2xx, downstream_rq_3xx, downstream_rq_4xx, downstream_rq_5xx,
            downstream_rq_completed,
        }
    }
}

/// `http.<stat_prefix>.`; of a prefix with dots in it the tag is what stands before the first.
#[must_use]
pub fn http_scope(stat_prefix: &str) -> ScopeName {
    ScopeName::root().part("http").first_token(Some(tags::HTTP_CONN_MANAGER_PREFIX), &sanitized(stat_prefix))
}

/// The counter of a connection manager for the class of this response code.
#[must_use]
pub fn http_class(code: u16) -> Option<Counter> {
    match code / 100 {
        1 => Some(http_stats::DOWNSTREAM_RQ_1XX),
        2 => Some(http_stats::DOWNSTREAM_RQ_2XX),
        3 => Some(http_stats::DOWNSTREAM_RQ_3XX),
        4 => Some(http_stats::DOWNSTREAM_RQ_4XX),
        5 => Some(http_stats::DOWNSTREAM_RQ_5XX),
        _ => None,
    }
}

/// The counter of a listener for the class of this response code.
#[must_use]
pub fn listener_http_class(code: u16) -> Option<Counter> {
    match code / 100 {
        1 => Some(listener_http_stats::DOWNSTREAM_RQ_1XX),
        2 => Some(listener_http_stats::DOWNSTREAM_RQ_2XX),
        3 => Some(listener_http_stats::DOWNSTREAM_RQ_3XX),
        4 => Some(listener_http_stats::DOWNSTREAM_RQ_4XX),
        5 => Some(listener_http_stats::DOWNSTREAM_RQ_5XX),
        _ => None,
    }
}
