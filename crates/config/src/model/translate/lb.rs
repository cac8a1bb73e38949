//! Load balancing policies: the old enum and the typed list.

use envoy_types::pb::envoy::{
    config::{cluster::v3 as pb, core::v3::RuntimeDouble},
    extensions::load_balancing_policies::least_request::v3::LeastRequest,
};

use super::{Context, extension, value::number};
use crate::model::{cluster::LbPolicy, report::Path};

const ROUND_ROBIN: &str = "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin";
const LEAST_REQUEST: &str = "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest";
const RANDOM: &str = "envoy.extensions.load_balancing_policies.random.v3.Random";

impl Context<'_> {
    /// The policy of a cluster: the typed list wins over `lb_policy`.
    pub(super) fn load_balancing(&mut self, path: &Path<'_>, message: &mut pb::Cluster) -> LbPolicy {
        use pb::cluster::{LbConfig, LbPolicy as Old};
        if let Some(typed) = message.load_balancing_policy.take() {
            return self.typed_policy(&path.field("load_balancing_policy"), &typed);
        }
        match message.lb_policy() {
            Old::RoundRobin => LbPolicy::RoundRobin,
            Old::Random => LbPolicy::Random,
            Old::LeastRequest => match &message.lb_config {
                Some(LbConfig::LeastRequestLbConfig(config)) => {
                    least_request(config.choice_count, config.active_request_bias.as_ref())
                }
                _ => least_request(None, None),
            },
            Old::LoadBalancingPolicyConfig => {
                let text = "`lb_policy: LOAD_BALANCING_POLICY_CONFIG` needs the field `load_balancing_policy`";
                self.report.error(&path.field("lb_policy"), "missing-policy", text);
                LbPolicy::RoundRobin
            }
            other @ (Old::RingHash | Old::Maglev | Old::ClusterProvided) => {
                self.report.unsupported(&path.field("lb_policy"), format!("lb_policy {}", other.as_str_name()));
                LbPolicy::RoundRobin
            }
        }
    }

    /// The first policy of the list that is built, as Envoy does.
    fn typed_policy(&mut self, path: &Path<'_>, list: &pb::LoadBalancingPolicy) -> LbPolicy {
        for (index, policy) in list.policies.iter().enumerate() {
            let config = policy.typed_extension_config.as_ref().and_then(|config| config.typed_config.as_ref());
            let Some(any) = config else { continue };
            match extension::type_name(any) {
                ROUND_ROBIN => return LbPolicy::RoundRobin,
                RANDOM => return LbPolicy::Random,
                LEAST_REQUEST => {
                    let path = path.item("policies", index);
                    let path = path.field("typed_extension_config");
                    let message: LeastRequest =
                        self.decode(&path.field("typed_config"), &any.value).unwrap_or_default();
                    return least_request(message.choice_count, message.active_request_bias.as_ref());
                }
                _ => {}
            }
        }
        let first = list.policies.first().and_then(|policy| policy.typed_extension_config.as_ref());
        let name = first.map(|config| config.name.as_str()).unwrap_or_default();
        let built = &[ROUND_ROBIN, LEAST_REQUEST, RANDOM];
        let config = first.and_then(|config| config.typed_config.as_ref());
        self.unknown_extension(&path.item("policies", 0), "load balancing policy", name, config, built);
        LbPolicy::RoundRobin
    }
}

fn least_request(
    choice_count: Option<envoy_types::pb::google::protobuf::UInt32Value>,
    bias: Option<&RuntimeDouble>,
) -> LbPolicy {
    LbPolicy::LeastRequest {
        choice_count: number(choice_count, 2),
        active_request_bias: bias.map_or(1.0, |bias| bias.default_value),
    }
}
