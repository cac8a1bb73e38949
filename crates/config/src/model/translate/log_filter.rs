//! Filters of access logs and of local replies: which streams are meant.

use envoy_types::pb::envoy::{
    config::accesslog::v3::{self as pb, access_log_filter::FilterSpecifier as By, comparison_filter::Op},
    data::accesslog::v3::AccessLogType,
};

use super::{
    Context,
    value::{flag, runtime_fraction},
};
use crate::model::{
    access_log::{Comparison, ComparisonOp, Filter, LogType},
    report::Path,
    route::RuntimeFraction,
};

impl Context<'_> {
    /// A filter; `None` when it is unusable (reported).
    pub(super) fn log_filter(&mut self, path: &Path<'_>, message: pb::AccessLogFilter) -> Option<Filter> {
        Some(match message.filter_specifier {
            Some(By::StatusCodeFilter(filter)) => Filter::StatusCode(comparison(filter.comparison)),
            Some(By::DurationFilter(filter)) => Filter::Duration(comparison(filter.comparison)),
            Some(By::NotHealthCheckFilter(_)) => Filter::NotHealthCheck,
            Some(By::TraceableFilter(_)) => Filter::Traceable,
            Some(By::RuntimeFilter(filter)) => runtime(filter),
            Some(By::AndFilter(all)) => Filter::All(self.log_filters(&path.field("and_filter"), all.filters)),
            Some(By::OrFilter(any)) => Filter::Any(self.log_filters(&path.field("or_filter"), any.filters)),
            Some(By::HeaderFilter(filter)) => {
                let path = path.field("header_filter");
                Filter::Header(self.header_matcher(&path.field("header"), filter.header.unwrap_or_default())?)
            }
            Some(By::ResponseFlagFilter(filter)) => Filter::ResponseFlag(filter.flags),
            Some(By::GrpcStatusFilter(filter)) => Filter::GrpcStatus {
                statuses: filter.statuses.into_iter().filter_map(|status| status.try_into().ok()).collect(),
                exclude: filter.exclude,
            },
            Some(By::MetadataFilter(filter)) => {
                Filter::Metadata { match_if_key_not_found: flag(filter.match_if_key_not_found, true) }
            }
            Some(By::LogTypeFilter(filter)) => {
                Filter::LogType { types: filter.types.into_iter().map(log_type).collect(), exclude: filter.exclude }
            }
            // The field check has refused it; the wire rules demand one.
            Some(By::ExtensionFilter(_)) | None => return None,
        })
    }

    fn log_filters(&mut self, path: &Path<'_>, list: Vec<pb::AccessLogFilter>) -> Vec<Filter> {
        let each = list.into_iter().enumerate();
        each.filter_map(|(index, filter)| self.log_filter(&path.item("filters", index), filter)).collect()
    }
}

fn comparison(message: Option<pb::ComparisonFilter>) -> Comparison {
    let message = message.unwrap_or_default();
    let op = match message.op() {
        Op::Eq => ComparisonOp::Equal,
        Op::Ge => ComparisonOp::AtLeast,
        Op::Le => ComparisonOp::AtMost,
        Op::Ne => ComparisonOp::NotEqual,
    };
    let value = message.value.unwrap_or_default();
    Comparison { op, value: value.default_value, runtime_key: value.runtime_key }
}

/// Without `percent_sampled` nothing is sampled, unless the runtime says so.
fn runtime(message: pb::RuntimeFilter) -> Filter {
    let default = envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent {
        default_value: message.percent_sampled,
        runtime_key: message.runtime_key,
    };
    let fraction: RuntimeFraction = runtime_fraction(default);
    Filter::Runtime { fraction, independent: message.use_independent_randomness }
}

fn log_type(number: i32) -> LogType {
    match AccessLogType::try_from(number) {
        Ok(AccessLogType::NotSet) => LogType::NotSet,
        Ok(AccessLogType::DownstreamEnd) => LogType::DownstreamEnd,
        Ok(_) | Err(_) => LogType::Other,
    }
}
