//! Load balancing policies: the old enum and the typed list.

use envoy_types::pb::{
    envoy::{
        config::{cluster::v3 as pb, core::v3::RuntimeDouble},
        extensions::load_balancing_policies::{
            common::v3::ConsistentHashingLbConfig,
            least_request::v3::{LeastRequest, least_request::SelectionMethod},
            maglev::v3::Maglev as WireMaglev,
            random::v3::Random as WireRandom,
            ring_hash::v3::{RingHash as WireRingHash, ring_hash::HashFunction as WireFunction},
            round_robin::v3::RoundRobin as WireRoundRobin,
        },
    },
    google::protobuf::{Any, UInt32Value, UInt64Value},
};

use super::{
    Context, extension, locality,
    value::{flag, number},
};
use crate::model::{
    cluster::{ConsistentHashing, HashFunction, LbPolicy, LocalityBalancing, Maglev, RingHash, SlowStart},
    report::Path,
};

const ROUND_ROBIN: &str = "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin";
const LEAST_REQUEST: &str = "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest";
const RANDOM: &str = "envoy.extensions.load_balancing_policies.random.v3.Random";
const RING_HASH: &str = "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash";
const MAGLEV: &str = "envoy.extensions.load_balancing_policies.maglev.v3.Maglev";

const MINIMUM_RING_SIZE: u64 = 1024;
const MAXIMUM_RING_SIZE: u64 = 8 * 1024 * 1024;
const TABLE_SIZE: u64 = 65537;

/// A policy and what goes with it.
pub(super) struct Balancing {
    pub(super) policy: LbPolicy,
    pub(super) localities: LocalityBalancing,
    pub(super) slow_start: Option<SlowStart>,
}

impl Balancing {
    fn plain(policy: LbPolicy, localities: LocalityBalancing) -> Self {
        Self { policy, localities, slow_start: None }
    }
}

impl Context<'_> {
    /// The policy of a cluster: the typed list wins over `lb_policy`.
    pub(super) fn load_balancing(&mut self, path: &Path<'_>, message: &mut pb::Cluster) -> Balancing {
        if let Some(typed) = message.load_balancing_policy.take() {
            return self.typed_policy(&path.field("load_balancing_policy"), &typed);
        }
        let policy = self.old_policy(path, message);
        let has_slow_start = matches!(policy, LbPolicy::RoundRobin | LbPolicy::LeastRequest { .. });
        let slow_start = self.old_slow_start(path, message.lb_config.as_ref()).filter(|_| has_slow_start);
        Balancing { policy, localities: locality::old(message), slow_start }
    }

    fn old_policy(&mut self, path: &Path<'_>, message: &pb::Cluster) -> LbPolicy {
        use pb::cluster::{LbConfig, LbPolicy as Old};
        match (message.lb_policy(), &message.lb_config) {
            (Old::RoundRobin, _) => LbPolicy::RoundRobin,
            (Old::Random, _) => LbPolicy::Random,
            (Old::LeastRequest, Some(LbConfig::LeastRequestLbConfig(config))) => {
                least_request(config.choice_count, config.active_request_bias.as_ref(), false)
            }
            (Old::LeastRequest, _) => least_request(None, None, false),
            (Old::RingHash, config) => {
                let config = match config {
                    Some(LbConfig::RingHashLbConfig(config)) => *config,
                    _ => pb::cluster::RingHashLbConfig::default(),
                };
                let function = match config.hash_function() {
                    pb::cluster::ring_hash_lb_config::HashFunction::XxHash => HashFunction::Xx,
                    pb::cluster::ring_hash_lb_config::HashFunction::MurmurHash2 => HashFunction::Murmur2,
                };
                let sizes = (config.minimum_ring_size, config.maximum_ring_size);
                self.ring_hash(&path.field("ring_hash_lb_config"), sizes, function, old_hashing(message))
            }
            (Old::Maglev, config) => {
                let table_size = match config {
                    Some(LbConfig::MaglevLbConfig(config)) => config.table_size,
                    _ => None,
                };
                self.maglev(&path.field("maglev_lb_config"), table_size, old_hashing(message))
            }
            (Old::LoadBalancingPolicyConfig, _) => {
                let text = "`lb_policy: LOAD_BALANCING_POLICY_CONFIG` needs the field `load_balancing_policy`";
                self.report.error(&path.field("lb_policy"), "missing-policy", text);
                LbPolicy::RoundRobin
            }
            (other @ Old::ClusterProvided, _) => {
                self.report.unsupported(&path.field("lb_policy"), format!("lb_policy {}", other.as_str_name()));
                LbPolicy::RoundRobin
            }
        }
    }

    /// Envoy allows names as keys for the old type STRICT_DNS only, whatever the policy.
    pub(super) fn check_hashing_by_name(&mut self, path: &Path<'_>, message: &pb::Cluster) {
        use pb::cluster::{ClusterDiscoveryType as By, DiscoveryType as Type};
        let is_strict = message.cluster_discovery_type == Some(By::Type(Type::StrictDns.into()));
        if old_hashing(message).use_hostname && !is_strict {
            let path = path.field("common_lb_config");
            let path = path.field("consistent_hashing_lb_config");
            let text = "hosts are hashed by their names in clusters of `type: STRICT_DNS` only";
            self.report.error(&path.field("use_hostname_for_hashing"), "hashing-by-name", text);
        }
    }

    /// The first policy of the list that is built, as Envoy does.
    fn typed_policy(&mut self, path: &Path<'_>, list: &pb::LoadBalancingPolicy) -> Balancing {
        for (index, policy) in list.policies.iter().enumerate() {
            let config = policy.typed_extension_config.as_ref().and_then(|config| config.typed_config.as_ref());
            let path = path.item("policies", index);
            let path = path.field("typed_extension_config");
            if let Some(policy) = config.and_then(|any| self.policy(&path.field("typed_config"), any)) {
                return policy;
            }
        }
        let first = list.policies.first().and_then(|policy| policy.typed_extension_config.as_ref());
        let name = first.map(|config| config.name.as_str()).unwrap_or_default();
        let built = &[ROUND_ROBIN, LEAST_REQUEST, RANDOM, RING_HASH, MAGLEV];
        let config = first.and_then(|config| config.typed_config.as_ref());
        self.unknown_extension(&path.item("policies", 0), "load balancing policy", name, config, built);
        Balancing::plain(LbPolicy::RoundRobin, locality::typed(None))
    }

    #[expect(deprecated, reason = "`enable_full_scan` is still accepted")]
    fn policy(&mut self, path: &Path<'_>, any: &Any) -> Option<Balancing> {
        Some(match extension::type_name(any) {
            ROUND_ROBIN => {
                let message: WireRoundRobin = self.decode(path, &any.value).unwrap_or_default();
                let localities = locality::typed(message.locality_lb_config);
                let slow_start = self.slow_start(path, message.slow_start_config);
                Balancing { policy: LbPolicy::RoundRobin, localities, slow_start }
            }
            RANDOM => {
                let message: WireRandom = self.decode(path, &any.value).unwrap_or_default();
                Balancing::plain(LbPolicy::Random, locality::typed(message.locality_lb_config))
            }
            LEAST_REQUEST => {
                let message: LeastRequest = self.decode(path, &any.value).unwrap_or_default();
                let full_scan =
                    message.selection_method() == SelectionMethod::FullScan || flag(message.enable_full_scan, false);
                let policy = least_request(message.choice_count, message.active_request_bias.as_ref(), full_scan);
                let localities = locality::typed(message.locality_lb_config);
                Balancing { policy, localities, slow_start: self.slow_start(path, message.slow_start_config) }
            }
            RING_HASH => {
                let message: WireRingHash = self.decode(path, &any.value).unwrap_or_default();
                let function = match message.hash_function() {
                    WireFunction::DefaultHash | WireFunction::XxHash => HashFunction::Xx,
                    WireFunction::MurmurHash2 => HashFunction::Murmur2,
                };
                let sizes = (message.minimum_ring_size, message.maximum_ring_size);
                let localities = locality::weighted_if(message.locality_weighted_lb_config.is_some());
                Balancing::plain(self.ring_hash(path, sizes, function, typed_ring_hashing(message)), localities)
            }
            MAGLEV => {
                let message: WireMaglev = self.decode(path, &any.value).unwrap_or_default();
                let common = message.consistent_hashing_lb_config.unwrap_or_default();
                let localities = locality::weighted_if(message.locality_weighted_lb_config.is_some());
                Balancing::plain(self.maglev(path, message.table_size, typed_hashing(&common)), localities)
            }
            _ => return None,
        })
    }

    fn ring_hash(
        &mut self,
        path: &Path<'_>,
        (minimum, maximum): (Option<UInt64Value>, Option<UInt64Value>),
        function: HashFunction,
        common: ConsistentHashing,
    ) -> LbPolicy {
        let minimum_size = minimum.map_or(MINIMUM_RING_SIZE, |size| size.value);
        let maximum_size = maximum.map_or(MAXIMUM_RING_SIZE, |size| size.value);
        if minimum_size > maximum_size {
            let text = format!("minimum_ring_size ({minimum_size}) > maximum_ring_size ({maximum_size})");
            self.report.error(path, "bad-ring-size", text);
        }
        LbPolicy::RingHash(RingHash { minimum_size, maximum_size, function, common })
    }

    fn maglev(&mut self, path: &Path<'_>, table_size: Option<UInt64Value>, common: ConsistentHashing) -> LbPolicy {
        let table_size = table_size.map_or(TABLE_SIZE, |size| size.value);
        if !is_prime(table_size) {
            let text = "the table size of maglev must be a prime number";
            self.report.error(&path.field("table_size"), "bad-table-size", text);
        }
        LbPolicy::Maglev(Maglev { table_size, common })
    }
}

/// What the wire rules refuse anyway needs no search.
fn is_prime(number: u64) -> bool {
    const MOST: u64 = 5_000_011;
    (2..=MOST).contains(&number)
        && (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

fn old_hashing(message: &pb::Cluster) -> ConsistentHashing {
    let common = message.common_lb_config.as_ref();
    let hashing = common.and_then(|common| common.consistent_hashing_lb_config).unwrap_or_default();
    hashing_of(hashing.use_hostname_for_hashing, hashing.hash_balance_factor)
}

/// The fields of the ring itself count only without the common ones.
#[expect(deprecated, reason = "the fields of the ring itself are still accepted")]
fn typed_ring_hashing(message: WireRingHash) -> ConsistentHashing {
    match message.consistent_hashing_lb_config {
        Some(common) => typed_hashing(&common),
        None => hashing_of(message.use_hostname_for_hashing, message.hash_balance_factor),
    }
}

fn typed_hashing(message: &ConsistentHashingLbConfig) -> ConsistentHashing {
    hashing_of(message.use_hostname_for_hashing, message.hash_balance_factor)
}

fn hashing_of(use_hostname: bool, balance_factor: Option<UInt32Value>) -> ConsistentHashing {
    let balance_factor = balance_factor.map(|factor| factor.value).filter(|factor| *factor > 0);
    ConsistentHashing { use_hostname, balance_factor }
}

fn least_request(choice_count: Option<UInt32Value>, bias: Option<&RuntimeDouble>, full_scan: bool) -> LbPolicy {
    LbPolicy::LeastRequest {
        choice_count: number(choice_count, 2),
        active_request_bias: bias.map_or(1.0, |bias| bias.default_value),
        full_scan,
    }
}
