//! Stats of a cluster, `cluster.<name>.`, and of its optional parts.
//!
//! What Envoy lists for every cluster is one template. What it lists only when a
//! feature is configured (request sizes, timeout budgets, remaining budgets of the
//! breakers, endpoints, zones) is a template of its own, so that a cluster without
//! the feature neither lists nor stores it.

use crate::scope::{ScopeName, sanitized, tags};
use crate::stat_template;

stat_template! {
    /// Every cluster: `cluster.<name>.`
    pub mod cluster_stats {
        counters {
            assignment_stale, assignment_timeout_received, assignment_use_cached, bind_errors,
            default_total_match_count => "default.total_match_count", lb_healthy_panic,
            lb_local_cluster_not_ok, lb_recalculate_zone_structures, lb_subsets_created, lb_subsets_fallback,
            lb_subsets_fallback_panic, lb_subsets_removed, lb_subsets_selected, lb_zone_cluster_too_small,
            lb_zone_no_capacity_left, lb_zone_routing_all_directly, lb_zone_routing_cross_zone,
            lb_zone_routing_sampled, membership_change, retry_or_shadow_abandoned, update_attempt,
            update_empty, update_failure, update_no_rebuild, update_success, upstream_cx_close_notify,
            upstream_cx_connect_attempts_exceeded, upstream_cx_connect_fail, upstream_cx_connect_timeout,
            upstream_cx_connect_with_0_rtt, upstream_cx_destroy, upstream_cx_destroy_local,
            upstream_cx_destroy_local_with_active_rq, upstream_cx_destroy_remote,
            upstream_cx_destroy_remote_with_active_rq, upstream_cx_destroy_with_active_rq,
            upstream_cx_http1_total, upstream_cx_http2_total, upstream_cx_http3_total,
            upstream_cx_idle_timeout, upstream_cx_max_duration_reached, upstream_cx_max_requests,
            upstream_cx_none_healthy, upstream_cx_overflow, upstream_cx_pool_overflow,
            upstream_cx_preconnect_skipped, upstream_cx_protocol_error, upstream_cx_rx_bytes_total,
            upstream_cx_total, upstream_cx_tx_bytes_total, upstream_flow_control_backed_up_total,
            upstream_flow_control_drained_total, upstream_flow_control_paused_reading_total,
            upstream_flow_control_resumed_reading_total, upstream_http3_broken,
            upstream_internal_redirect_failed_total, upstream_internal_redirect_succeeded_total,
            upstream_rq_0rtt, upstream_rq_active_overflow, upstream_rq_cancelled, upstream_rq_maintenance_mode,
            upstream_rq_max_duration_reached, upstream_rq_pending_failure_eject, upstream_rq_pending_overflow,
            upstream_rq_pending_total, upstream_rq_per_try_idle_timeout, upstream_rq_per_try_timeout,
            upstream_rq_retry, upstream_rq_retry_backoff_exponential, upstream_rq_retry_backoff_ratelimited,
            upstream_rq_retry_limit_exceeded, upstream_rq_retry_overflow, upstream_rq_retry_success,
            upstream_rq_rx_reset, upstream_rq_rx_reset_no_error, upstream_rq_timeout, upstream_rq_total,
            upstream_rq_tx_reset, original_dst_host_invalid,
        }
        gauges {
            circuit_default_cx_open => "circuit_breakers.default.cx_open",
            circuit_default_cx_pool_open => "circuit_breakers.default.cx_pool_open",
            circuit_default_rq_open => "circuit_breakers.default.rq_open",
            circuit_default_rq_pending_open => "circuit_breakers.default.rq_pending_open",
            circuit_default_rq_retry_open => "circuit_breakers.default.rq_retry_open",
            circuit_high_cx_open => "circuit_breakers.high.cx_open",
            circuit_high_cx_pool_open => "circuit_breakers.high.cx_pool_open",
            circuit_high_rq_open => "circuit_breakers.high.rq_open",
            circuit_high_rq_pending_open => "circuit_breakers.high.rq_pending_open",
            circuit_high_rq_retry_open => "circuit_breakers.high.rq_retry_open", lb_subsets_active,
            max_host_weight, membership_degraded, membership_excluded, membership_healthy, membership_total,
            upstream_cx_active, upstream_cx_rx_bytes_buffered, upstream_cx_tx_bytes_buffered,
            upstream_queue_overloaded, upstream_rq_active, upstream_rq_pending_active, version, warming_state,
        }
        histograms {
            upstream_cx_connect_ms: Milliseconds, upstream_cx_length_ms: Milliseconds,
            upstream_rq_per_cx: Unspecified,
        }
        histograms_when_used {
            upstream_rq_time: Milliseconds,
            external_upstream_rq_time => "external.upstream_rq_time": Milliseconds,
            internal_upstream_rq_time => "internal.upstream_rq_time": Milliseconds,
            canary_upstream_rq_time => "canary.upstream_rq_time": Milliseconds,
        }
        codes {
            external_upstream_rq => "external.upstream_rq", internal_upstream_rq => "internal.upstream_rq",
            canary_upstream_rq => "canary.upstream_rq", retry_upstream_rq => "retry.upstream_rq",
        }
        codes_with_completed { upstream_rq }
    }
}

stat_template! {
    /// Budgets left in a breaker with `track_remaining`: scope `circuit_breakers.<priority>`.
    pub mod circuit_breaker_remaining_stats {
        gauges {
            remaining_cx, remaining_cx_pools, remaining_pending, remaining_retries, remaining_rq,
        }
    }
}

stat_template! {
    /// `track_cluster_stats.request_response_sizes`.
    pub mod request_response_size_stats {
        histograms {
            upstream_rq_headers_size: Bytes, upstream_rq_headers_count: Unspecified,
            upstream_rq_body_size: Bytes, upstream_rs_headers_size: Bytes,
            upstream_rs_headers_count: Unspecified, upstream_rs_body_size: Bytes,
        }
    }
}

stat_template! {
    /// `track_cluster_stats.timeout_budgets`, in whole percents.
    pub mod timeout_budget_stats {
        histograms {
            upstream_rq_timeout_budget_percent_used: Unspecified,
            upstream_rq_timeout_budget_per_try_percent_used: Unspecified,
        }
    }
}

stat_template! {
    /// Requests between two zones: scope `zone.<from>.<to>`.
    pub mod response_code_stats {
        histograms_when_used {
            upstream_rq_time: Milliseconds,
        }
        codes {
            upstream_rq,
        }
    }
}

stat_template! {
    /// Requests that named these stats in `x-envoy-upstream-alt-stat-name`: scope `<that name>`.
    pub mod alternative_stats {
        histograms_when_used {
            upstream_rq_time: Milliseconds,
            external_upstream_rq_time => "external.upstream_rq_time": Milliseconds,
            internal_upstream_rq_time => "internal.upstream_rq_time": Milliseconds,
            canary_upstream_rq_time => "canary.upstream_rq_time": Milliseconds,
        }
        codes {
            upstream_rq, external_upstream_rq => "external.upstream_rq",
            internal_upstream_rq => "internal.upstream_rq", canary_upstream_rq => "canary.upstream_rq",
        }
    }
}

stat_template! {
    /// One endpoint, with `per_endpoint_stats`.
    pub mod endpoint_stats {
        counters {
            cx_connect_fail, cx_total, rq_error, rq_success, rq_timeout, rq_total,
        }
        gauges {
            cx_active, rq_active, rq_pending_active, healthy,
        }
        listed_last: true
    }
}

stat_template! {
    /// What a cluster whose endpoints come from EDS has on top.
    pub mod eds_stats {
        counters {
            init_fetch_timeout, update_rejected,
        }
        gauges {
            update_time,
        }
        histograms {
            update_duration: Milliseconds,
        }
        texts { version_text }
    }
}

/// `cluster.<name>.`; of a name with dots in it the tag is what stands before the first.
#[must_use]
pub fn cluster_scope(name: &str) -> ScopeName {
    ScopeName::root().part("cluster").first_token(Some(tags::CLUSTER_NAME), &sanitized(name))
}

/// `cluster.<name>.endpoint.<address>.`; the address keeps its colon as a tag,
/// and an empty host name is no tag.
#[must_use]
pub fn endpoint_scope(cluster: &str, address: &str, hostname: &str) -> ScopeName {
    let scope = cluster_scope(cluster).part("endpoint").tag_as(tags::ENDPOINT_ADDRESS, address, address, "");
    if hostname.is_empty() { scope } else { scope.hidden_tag(tags::ENDPOINT_HOSTNAME, hostname) }
}

/// `cluster.<name>.zone.<from>.<to>.`; Envoy extracts no tag from the zones.
#[must_use]
pub fn zone_scope(cluster: &str, from: &str, to: &str) -> ScopeName {
    below_zone(cluster_scope(cluster), from, to)
}

/// `cluster.<name>.<alternative>.`, for [`alternative_stats`].
#[must_use]
pub fn alternative_scope(cluster: &str, alternative: &str) -> ScopeName {
    cluster_scope(cluster).part(alternative)
}

/// `cluster.<name>.<alternative>.zone.<from>.<to>.`
#[must_use]
pub fn alternative_zone_scope(cluster: &str, alternative: &str, from: &str, to: &str) -> ScopeName {
    below_zone(alternative_scope(cluster, alternative), from, to)
}

fn below_zone(scope: ScopeName, from: &str, to: &str) -> ScopeName {
    scope.part("zone").part(from).part(to)
}
