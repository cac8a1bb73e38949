//! Stats of active health checks and of outlier detection, below a cluster's scope.

use crate::stat_template;

stat_template! {
    /// `cluster.<name>.health_check.`
    pub mod health_check_stats {
        counters {
            attempt, failure, network_failure, passive_failure, success, verify_cluster,
        }
        gauges {
            degraded, healthy,
        }
    }
}

stat_template! {
    /// `cluster.<name>.outlier_detection.`
    pub mod outlier_detection_stats {
        counters {
            ejections_consecutive_5xx, ejections_detected_consecutive_5xx,
            ejections_detected_consecutive_gateway_failure,
            ejections_detected_consecutive_local_origin_failure, ejections_detected_degradation,
            ejections_detected_failure_percentage, ejections_detected_local_origin_failure_percentage,
            ejections_detected_local_origin_success_rate, ejections_detected_success_rate,
            ejections_enforced_consecutive_5xx, ejections_enforced_consecutive_gateway_failure,
            ejections_enforced_consecutive_local_origin_failure, ejections_enforced_failure_percentage,
            ejections_enforced_local_origin_failure_percentage, ejections_enforced_local_origin_success_rate,
            ejections_enforced_success_rate, ejections_enforced_total, ejections_overflow,
            ejections_success_rate, ejections_total,
        }
        gauges {
            ejections_active,
        }
    }
}
