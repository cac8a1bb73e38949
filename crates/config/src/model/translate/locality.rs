//! What load balancing policies have in common: localities and slow start.

use std::time::Duration;

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::{self as pb, cluster::common_lb_config as old},
            core::v3::RuntimeDouble,
        },
        extensions::load_balancing_policies::common::v3::{
            LocalityLbConfig, SlowStartConfig,
            locality_lb_config::{LocalityConfigSpecifier as Typed, ZoneAwareLbConfig},
        },
        r#type::v3::Percent,
    },
    google::protobuf::Duration as WireDuration,
};

use super::{Context, value::percent};
use crate::model::{
    cluster::{LocalityBalancing, SlowStart, ZoneAware},
    report::Path,
};

const MIN_CLUSTER_SIZE: u64 = 6;
const MIN_WEIGHT_PERCENT: f64 = 10.0;

/// The same three fields, wherever they stand.
type SlowStartFields = (Option<WireDuration>, Option<RuntimeDouble>, Option<Percent>);

impl Context<'_> {
    /// `slow_start_config` of a typed policy.
    pub(super) fn slow_start(&mut self, path: &Path<'_>, message: Option<SlowStartConfig>) -> Option<SlowStart> {
        let message = message?;
        let fields = (message.slow_start_window, message.aggression, message.min_weight_percent);
        self.slow_start_of(&path.field("slow_start_config"), fields)
    }

    /// `slow_start_config` of the cluster's own fields.
    pub(super) fn old_slow_start(&mut self, path: &Path<'_>, lb: Option<&pb::cluster::LbConfig>) -> Option<SlowStart> {
        use pb::cluster::LbConfig;
        let (name, message) = match lb? {
            LbConfig::RoundRobinLbConfig(config) => ("round_robin_lb_config", config.slow_start_config.clone()?),
            LbConfig::LeastRequestLbConfig(config) => ("least_request_lb_config", config.slow_start_config.clone()?),
            _ => return None,
        };
        let path = path.field(name);
        let fields = (message.slow_start_window, message.aggression, message.min_weight_percent);
        self.slow_start_of(&path.field("slow_start_config"), fields)
    }

    fn slow_start_of(&mut self, path: &Path<'_>, (window, aggression, least): SlowStartFields) -> Option<SlowStart> {
        let window = self.timeout(&path.field("slow_start_window"), window)?;
        // Envoy counts whole milliseconds.
        let window = Duration::from_millis(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        let aggression = aggression.map_or(1.0, |aggression| aggression.default_value);
        Some(SlowStart {
            window,
            aggression: if aggression > 0.0 { aggression } else { 1.0 },
            min_weight_percent: percent(least, MIN_WEIGHT_PERCENT),
        })
    }
}

/// `locality_lb_config` of a typed policy.
pub(super) fn typed(message: Option<LocalityLbConfig>) -> LocalityBalancing {
    match message.and_then(|message| message.locality_config_specifier) {
        Some(Typed::LocalityWeightedLbConfig(_)) => LocalityBalancing::Weighted,
        Some(Typed::ZoneAwareLbConfig(zones)) => LocalityBalancing::ZoneAware(typed_zones(&zones)),
        None => LocalityBalancing::ZoneAware(ZoneAware::default()),
    }
}

/// `locality_weighted_lb_config` of a policy that picks by hash.
pub(super) fn weighted_if(is_weighted: bool) -> LocalityBalancing {
    match is_weighted {
        true => LocalityBalancing::Weighted,
        false => LocalityBalancing::ZoneAware(ZoneAware::default()),
    }
}

/// `common_lb_config` of the cluster.
pub(super) fn old(message: &pb::Cluster) -> LocalityBalancing {
    let common = message.common_lb_config.as_ref();
    match common.and_then(|common| common.locality_config_specifier.as_ref()) {
        Some(old::LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => LocalityBalancing::Weighted,
        Some(old::LocalityConfigSpecifier::ZoneAwareLbConfig(zones)) => LocalityBalancing::ZoneAware(ZoneAware {
            routing_enabled: whole(zones.routing_enabled),
            min_cluster_size: zones.min_cluster_size.map_or(MIN_CLUSTER_SIZE, |size| size.value),
            fail_traffic_on_panic: zones.fail_traffic_on_panic,
            force_direct: false,
        }),
        None => LocalityBalancing::ZoneAware(ZoneAware::default()),
    }
}

#[expect(deprecated, reason = "`force_locality_direct_routing` is still accepted")]
fn typed_zones(zones: &ZoneAwareLbConfig) -> ZoneAware {
    ZoneAware {
        routing_enabled: whole(zones.routing_enabled),
        min_cluster_size: zones.min_cluster_size.map_or(MIN_CLUSTER_SIZE, |size| size.value),
        fail_traffic_on_panic: zones.fail_traffic_on_panic,
        force_direct: zones.force_locality_direct_routing,
    }
}

/// Envoy rounds to whole percent.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and 100")]
fn whole(value: Option<Percent>) -> u8 {
    percent(value, 100.0).clamp(0.0, 100.0).round() as u8
}
