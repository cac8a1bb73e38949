//! `RetryPolicy`: what is retried, how often, when and where.
//!
//! Names in `retry_on` that no Envoy knows are passed over, as Envoy does. Intervals below a
//! millisecond count as one.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::{
    envoy::{
        config::route::v3::{self as pb, retry_policy as wire},
        extensions::retry::{
            host::omit_host_metadata::v3::OmitHostMetadataConfig,
            priority::previous_priorities::v3::PreviousPrioritiesConfig,
        },
    },
    google::protobuf::{Any, Duration as WireDuration},
};
use serde_json::Value as Json;

use super::super::{Context, extension, json, value::number};
use crate::model::{
    report::Path,
    route::{
        BackOff, HostPredicate, RateLimitedBackOff, ResetHeader, ResetHeaderFormat, RetryOn, RetryPolicy, RetryPriority,
    },
};

const PREVIOUS_HOSTS: &str = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";
const OMIT_CANARY: &str = "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate";
const OMIT_METADATA: &str = "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig";
const PREVIOUS_PRIORITIES: &str = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig";

/// `max_interval` of a rate-limited back-off that sets none.
const RATE_LIMITED_MAX: Duration = Duration::from_secs(300);
/// The shortest interval there is.
const SHORTEST: Duration = Duration::from_millis(1);
/// `max_interval` of a back-off that sets none, in base intervals.
const MAX_IN_BASES: u32 = 10;

impl Context<'_> {
    /// A retry policy.
    pub(in crate::model::translate) fn retry_policy(
        &mut self,
        path: &Path<'_>,
        message: pb::RetryPolicy,
    ) -> Arc<RetryPolicy> {
        let per_try_timeout = self.timeout(&path.field("per_try_timeout"), message.per_try_timeout);
        let idle = self.timeout(&path.field("per_try_idle_timeout"), message.per_try_idle_timeout);
        let headers = self.header_matchers_in(path, "retriable_headers", message.retriable_headers);
        let request_headers =
            self.header_matchers_in(path, "retriable_request_headers", message.retriable_request_headers);
        let back_off = message.retry_back_off.and_then(|wire| self.back_off(&path.field("retry_back_off"), wire));
        let rate_limited = message
            .rate_limited_retry_back_off
            .map(|wire| self.rate_limited(&path.field("rate_limited_retry_back_off"), wire));
        let mut host_predicates = Vec::with_capacity(message.retry_host_predicate.len());
        for (index, predicate) in message.retry_host_predicate.into_iter().enumerate() {
            host_predicates.extend(self.host_predicate(&path.item("retry_host_predicate", index), predicate));
        }
        let priority = message.retry_priority.filter(|priority| !priority.name.is_empty());
        let priority = priority.and_then(|wire| self.retry_priority(&path.field("retry_priority"), wire));
        Arc::new(RetryPolicy {
            on: RetryOn::from_names(&message.retry_on) | RetryOn::from_grpc_names(&message.retry_on),
            num_retries: number(message.num_retries, 1),
            per_try_timeout,
            per_try_idle_timeout: idle,
            status_codes: message.retriable_status_codes,
            headers,
            request_headers,
            back_off,
            rate_limited,
            host_predicates,
            host_attempts: match message.host_selection_retry_max_attempts {
                0 => 1,
                attempts => u32::try_from(attempts).unwrap_or(u32::MAX),
            },
            priority,
        })
    }

    fn back_off(&mut self, path: &Path<'_>, message: wire::RetryBackOff) -> Option<BackOff> {
        let base = self.interval(&path.field("base_interval"), message.base_interval)?;
        let max = match message.max_interval {
            None => base.saturating_mul(MAX_IN_BASES),
            max => self.interval(&path.field("max_interval"), max)?,
        };
        if max < base {
            let text = "`max_interval` must be greater than or equal to `base_interval`";
            self.report.error(&path.field("max_interval"), "bad-interval", text);
            return None;
        }
        Some(BackOff { base, max })
    }

    fn rate_limited(&mut self, path: &Path<'_>, message: wire::RateLimitedRetryBackOff) -> RateLimitedBackOff {
        let max = self.interval(&path.field("max_interval"), message.max_interval).unwrap_or(RATE_LIMITED_MAX);
        let mut headers = Vec::with_capacity(message.reset_headers.len());
        for (index, header) in message.reset_headers.into_iter().enumerate() {
            let format = match header.format() {
                wire::ResetHeaderFormat::Seconds => ResetHeaderFormat::Seconds,
                wire::ResetHeaderFormat::UnixTimestamp => ResetHeaderFormat::UnixTimestamp,
            };
            let name = self.any_header(&path.item("reset_headers", index).field("name"), &header.name);
            headers.extend(name.map(|name| ResetHeader { name, format }));
        }
        RateLimitedBackOff { headers, max }
    }

    fn interval(&mut self, path: &Path<'_>, value: Option<WireDuration>) -> Option<Duration> {
        self.duration(path, value).map(|interval| interval.max(SHORTEST))
    }

    fn host_predicate(&mut self, path: &Path<'_>, message: wire::RetryHostPredicate) -> Option<HostPredicate> {
        let any = message.config_type.map(|wire::retry_host_predicate::ConfigType::TypedConfig(any)| any);
        match any.as_ref().map(extension::type_name).unwrap_or_default() {
            PREVIOUS_HOSTS => Some(HostPredicate::PreviousHosts),
            OMIT_CANARY => Some(HostPredicate::OmitCanary),
            OMIT_METADATA => self.omit_metadata(&path.field("typed_config"), any.as_ref()?),
            _ => {
                let built = &[
                    "envoy.retry_host_predicates.previous_hosts",
                    "envoy.retry_host_predicates.omit_canary_hosts",
                    "envoy.retry_host_predicates.omit_host_metadata",
                ];
                self.unknown_extension(path, "retry host predicate", &message.name, any.as_ref(), built);
                None
            }
        }
    }

    fn omit_metadata(&mut self, path: &Path<'_>, any: &Any) -> Option<HostPredicate> {
        let config: OmitHostMetadataConfig = self.decode(path, &any.value)?;
        let metadata = config.metadata_match.unwrap_or_default();
        let wanted = match metadata.filter_metadata.get("envoy.lb").map(json::object) {
            Some(Json::Object(wanted)) => wanted,
            _ => serde_json::Map::new(),
        };
        Some(HostPredicate::OmitMetadata(Arc::new(wanted)))
    }

    fn retry_priority(&mut self, path: &Path<'_>, message: wire::RetryPriority) -> Option<RetryPriority> {
        let any = message.config_type.map(|wire::retry_priority::ConfigType::TypedConfig(any)| any);
        if any.as_ref().map(extension::type_name) != Some(PREVIOUS_PRIORITIES) {
            let built = &["envoy.retry_priorities.previous_priorities"];
            self.unknown_extension(path, "retry priority", &message.name, any.as_ref(), built);
            return None;
        }
        let config: PreviousPrioritiesConfig = self.decode(&path.field("typed_config"), &any?.value)?;
        // The field rule has refused what is not positive.
        let update_frequency = u32::try_from(config.update_frequency).ok()?;
        Some(RetryPriority::PreviousPriorities { update_frequency })
    }
}
