//! Zone-aware routing: to hosts of the own locality as far as those have room.
//!
//! The own cluster (`local_cluster_name`) tells how many proxies each locality has, the upstream
//! how many hosts. Where hosts are at least as large a part of theirs as proxies are of theirs,
//! all requests stay; else as many as fit, and the rest goes to localities with room to spare, in
//! proportion to it. Priority 0 only, and only with enough hosts. Numbers are parts of ten
//! thousand, as in Envoy. Stats: `lb_zone_*`, `lb_local_cluster_not_ok`,
//! `lb_recalculate_zone_structures`.

use std::sync::Arc;

use nuncio_config::model::cluster::ZoneAware;
use nuncio_stats::templates::cluster_stats as stats;

use crate::{
    context::Context,
    host_set::{HostSet, localities::Localities},
};

/// All of it.
const WHOLE: u64 = 10_000;

/// How requests are shared among localities.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Routing {
    /// As if there were no localities.
    Off,
    /// To the own locality.
    Direct,
    /// So much to the own locality, the rest by the room that localities have, summed up.
    Residual { stays: u64, room: Vec<u64> },
}

/// The routing that the latest sets of both clusters give.
#[derive(Default)]
pub(super) struct Zones {
    known: Option<(Arc<HostSet>, Routing)>,
    /// Of the own cluster: in panic when too few are usable.
    local_usable_percent: f64,
}

impl Zones {
    /// The locality to pick in, if any; `None` when the request is not to be served.
    pub(super) fn pick(
        &mut self,
        context: &Context,
        settings: &ZoneAware,
        local: &Arc<HostSet>,
        upstream: &Localities,
    ) -> Option<Option<usize>> {
        if !self.known.as_ref().is_some_and(|(set, _)| Arc::ptr_eq(set, local)) {
            self.recalculate(context, settings, local, upstream);
        }
        let routing = self.known.as_ref().map_or(&Routing::Off, |(_, routing)| routing);
        if *routing == Routing::Off || context.roll() % 100 >= u64::from(settings.routing_enabled) {
            return Some(None);
        }
        if self.local_usable_percent < context.settings.healthy_panic_threshold {
            context.stats.inc(stats::LB_LOCAL_CLUSTER_NOT_OK);
            return (!settings.fail_traffic_on_panic).then_some(None);
        }
        Some(Some(by_routing(context, routing, upstream.len())))
    }

    fn recalculate(&mut self, context: &Context, settings: &ZoneAware, local: &Arc<HostSet>, upstream: &Localities) {
        context.stats.inc(stats::LB_RECALCULATE_ZONE_STRUCTURES);
        let hosts = local.priorities().first().map_or(&[][..], Vec::as_slice);
        let own = Localities::new(hosts, &context.local);
        let (total, healthy, degraded) = own.totals();
        #[expect(clippy::cast_precision_loss, reason = "numbers of hosts")]
        let usable = if total == 0 { 0.0 } else { 100.0 * (healthy + degraded) as f64 / total as f64 };
        self.local_usable_percent = usable;
        let routing = match refused(context, settings, &own, upstream) {
            true => Routing::Off,
            false => Routing::new(settings, &own, upstream),
        };
        self.known = Some((Arc::clone(local), routing));
    }
}

/// Whether localities cannot count at all.
fn refused(context: &Context, settings: &ZoneAware, own: &Localities, upstream: &Localities) -> bool {
    if upstream.len() < 2 || (own.len() < 2 && !settings.force_direct) {
        return true;
    }
    if !own.has_local() {
        context.stats.inc(stats::LB_LOCAL_CLUSTER_NOT_OK);
        return true;
    }
    let healthy = u64::try_from(upstream.totals().1).unwrap_or(u64::MAX);
    if healthy < settings.min_cluster_size {
        context.stats.inc(stats::LB_ZONE_CLUSTER_TOO_SMALL);
        return true;
    }
    false
}

impl Routing {
    fn new(settings: &ZoneAware, own: &Localities, upstream: &Localities) -> Self {
        let (all_own, all_upstream) = (own.totals().1, upstream.totals().1);
        // Of each locality: its part of the proxies, its part of the hosts.
        let parts: Vec<(u64, u64)> = (0..upstream.len())
            .map(|index| match upstream.healthy(index) {
                0 => (0, 0),
                healthy => (part(own.healthy_as_in(upstream, index), all_own), part(healthy, all_upstream)),
            })
            .collect();
        let first = parts.first().copied().filter(|_| upstream.has_local());
        if first.is_some_and(|(own, hosts)| hosts > 0 && hosts >= own || settings.force_direct) {
            return Self::Direct;
        }
        let stays = first.and_then(|(own, hosts)| (hosts * WHOLE).checked_div(own)).unwrap_or(0);
        let mut sum = 0;
        let room = parts.iter().enumerate().map(|(index, (own, hosts))| {
            let is_local = index == 0 && upstream.has_local();
            sum += if is_local { 0 } else { hosts.saturating_sub(*own) };
            sum
        });
        Self::Residual { stays, room: room.collect() }
    }
}

fn part(of: usize, all: usize) -> u64 {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    WHOLE.saturating_mul(number(of)).checked_div(number(all)).unwrap_or(0)
}

fn by_routing(context: &Context, routing: &Routing, localities: usize) -> usize {
    let Routing::Residual { stays, room } = routing else {
        context.stats.inc(stats::LB_ZONE_ROUTING_ALL_DIRECTLY);
        return 0;
    };
    if context.roll() % WHOLE < *stays {
        context.stats.inc(stats::LB_ZONE_ROUTING_SAMPLED);
        return 0;
    }
    context.stats.inc(stats::LB_ZONE_ROUTING_CROSS_ZONE);
    match room.last().and_then(|all| context.roll().checked_rem(*all)) {
        Some(place) => room.partition_point(|sum| *sum <= place),
        None => {
            context.stats.inc(stats::LB_ZONE_NO_CAPACITY_LEFT);
            context.rng.borrow_mut().usize(0..localities.max(1))
        }
    }
}
