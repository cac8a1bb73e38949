//! Localities: by weight, and the own one first.

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use nuncio_api::Timers;
use nuncio_config::model::{
    Address,
    bootstrap::Locality,
    cluster::{
        Cluster as Settings, Endpoint, EndpointHealth, LbPolicy, LocalityBalancing, LocalityEndpoints, Maglev,
        SlowStart, ZoneAware,
    },
};
use nuncio_stats::{Store, templates::cluster_stats as stats};

use super::{Healthy, Unhealthy};
use crate::{
    Cluster, ClusterManager, ClusterSource, LbContext,
    testing::{endpoint, local, settings},
};

/// Hosts of a zone with a weight.
fn zone(name: &str, weight: u32, health: &[EndpointHealth]) -> LocalityEndpoints {
    let endpoints = health.iter().enumerate().map(|(at, health)| {
        let address = Address::Ip(([10, 0, 0, 1], u16::try_from(at).unwrap() + 1).into());
        Endpoint { health: *health, ..endpoint(address) }
    });
    let locality = Locality { zone: name.to_owned(), ..Locality::default() };
    LocalityEndpoints { locality, priority: 0, weight, endpoints: endpoints.collect() }
}

/// A worker in zone `a` whose own cluster has the given numbers of proxies in zones.
struct World {
    manager: ClusterManager,
    source: Rc<ClusterSource>,
    _own: Rc<ClusterSource>,
}

impl World {
    fn new(zones: Vec<LocalityEndpoints>, own: &[(&str, usize)], change: impl FnOnce(&mut Settings)) -> Self {
        let store = Store::new(1);
        let here = Locality { zone: "a".to_owned(), ..Locality::default() };
        let manager = ClusterManager::seeded(1, Arc::clone(&store), Timers::new(), 7).with_local(&here, Some("own"));
        let mut of_own = settings(Vec::new());
        of_own.name = "own".into();
        of_own.stat_name = "own".to_owned();
        of_own.endpoints = own.iter().map(|(name, count)| zone(name, 0, &vec![Healthy; *count])).collect();
        let own = ClusterSource::new(Arc::new(of_own), Arc::clone(&store));
        manager.add_or_update(Arc::clone(own.settings()), own.hosts());
        let mut of_it = settings(Vec::new());
        of_it.endpoints = zones;
        change(&mut of_it);
        let source = ClusterSource::new(Arc::new(of_it), store);
        manager.add_or_update(Arc::clone(source.settings()), source.hosts());
        Self { manager, source, _own: own }
    }

    fn cluster(&self) -> Rc<Cluster> {
        self.manager.cluster("c").unwrap()
    }

    /// Picks by zone.
    fn picks(&self, times: u64) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for hash in 0..times {
            let lb = LbContext { hash: Some(hash), ..LbContext::default() };
            let host = self.cluster().choose_host(&lb).unwrap();
            *counts.entry(host.locality().zone.clone()).or_default() += 1;
        }
        counts
    }

    fn count(&self, counter: nuncio_stats::Counter) -> u64 {
        self.source.hosts().shared().group().counter(counter)
    }
}

fn weighted(settings: &mut Settings) {
    settings.localities = LocalityBalancing::Weighted;
}

fn counts<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.into_iter().map(|(zone, count)| (zone.to_owned(), count)).collect()
}

#[test]
fn localities_take_turns_by_weight() {
    local(async {
        let zones = vec![zone("a", 1, &[Healthy; 4]), zone("b", 3, &[Healthy]), zone("c", 0, &[Healthy; 9])];
        let world = World::new(zones, &[], weighted);
        assert_eq!(world.picks(400), counts([("a", 100), ("b", 300)]));
    });
}

#[test]
fn a_locality_with_few_healthy_hosts_takes_less() {
    local(async {
        // Half of the hosts times 1.4 is 0.7 of the weight.
        let zones = vec![zone("a", 10, &[Healthy, Unhealthy]), zone("b", 10, &[Healthy; 2])];
        let world = World::new(zones, &[], weighted);
        let picks = world.picks(1700);
        assert!(picks["a"].abs_diff(700) <= 2, "{picks:?}");
    });
}

#[test]
fn without_any_weight_localities_do_not_count() {
    local(async {
        let world = World::new(vec![zone("a", 0, &[Healthy; 3]), zone("b", 0, &[Healthy])], &[], weighted);
        assert_eq!(world.picks(400), counts([("a", 300), ("b", 100)]));
    });
}

#[test]
fn tables_follow_the_weights_of_localities() {
    local(async {
        let zones = vec![zone("a", 1, &[Healthy; 4]), zone("b", 3, &[Healthy]), zone("c", 0, &[Healthy; 9])];
        let world = World::new(zones, &[], |settings| {
            weighted(settings);
            settings.lb = LbPolicy::Maglev(Maglev { table_size: 401, common: Default::default() });
        });
        let picks = world.picks(401);
        assert!(picks["a"].abs_diff(100) < 5 && picks["b"].abs_diff(300) < 5 && picks.len() == 2, "{picks:?}");
    });
}

#[test]
fn requests_stay_where_hosts_suffice() {
    local(async {
        let zones = || vec![zone("a", 0, &[Healthy; 3]), zone("b", 0, &[Healthy; 3])];
        let world = World::new(zones(), &[("a", 1), ("b", 1)], |_| ());
        assert_eq!(world.picks(100), counts([("a", 100)]));
        assert_eq!(world.count(stats::LB_ZONE_ROUTING_ALL_DIRECTLY), 100);
        assert_eq!(world.count(stats::LB_RECALCULATE_ZONE_STRUCTURES), 1);
    });
}

#[test]
fn what_does_not_fit_goes_where_room_is() {
    local(async {
        // A quarter of the hosts for half of the proxies: half of the requests stay.
        let zones = vec![zone("a", 0, &[Healthy; 2]), zone("b", 0, &[Healthy; 6])];
        let world = World::new(zones, &[("a", 1), ("b", 1)], |_| ());
        let picks = world.picks(1000);
        assert!(picks["a"].abs_diff(500) < 60, "{picks:?}");
        let sampled = world.count(stats::LB_ZONE_ROUTING_SAMPLED);
        assert_eq!(sampled + world.count(stats::LB_ZONE_ROUTING_CROSS_ZONE), 1000);
        assert_eq!(usize::try_from(sampled), Ok(picks["a"]));
    });
}

#[test]
fn small_clusters_and_unknown_places_have_no_zones() {
    local(async {
        let zones = || vec![zone("a", 0, &[Healthy; 2]), zone("b", 0, &[Healthy; 2])];
        let world = World::new(zones(), &[("a", 1), ("b", 1)], |_| ());
        assert_eq!(world.picks(100), counts([("a", 50), ("b", 50)]));
        assert_eq!(world.count(stats::LB_ZONE_CLUSTER_TOO_SMALL), 1);
        let world = World::new(zones(), &[("b", 1), ("c", 1)], |settings| {
            let zones = ZoneAware { min_cluster_size: 1, ..ZoneAware::default() };
            settings.localities = LocalityBalancing::ZoneAware(zones);
        });
        assert_eq!(world.picks(100), counts([("a", 50), ("b", 50)]));
        assert_eq!(world.count(stats::LB_LOCAL_CLUSTER_NOT_OK), 1);
    });
}

#[test]
fn in_panic_requests_fail_where_that_is_wanted() {
    local(async {
        let zones = vec![zone("a", 0, &[Healthy, Unhealthy, Unhealthy])];
        let world = World::new(zones, &[], |settings| {
            let zones = ZoneAware { fail_traffic_on_panic: true, ..ZoneAware::default() };
            settings.localities = LocalityBalancing::ZoneAware(zones);
        });
        assert!(world.cluster().choose_host(&LbContext::default()).is_none());
        assert_eq!(world.count(stats::LB_HEALTHY_PANIC), 1);
    });
}

#[test]
fn a_slow_start_is_one_for_all_hosts_that_come_together() {
    local(async {
        let window = std::time::Duration::from_secs(1000);
        let world = World::new(vec![zone("a", 0, &[Healthy; 2]), zone("b", 0, &[Healthy; 2])], &[], |settings| {
            settings.slow_start = Some(SlowStart { window, aggression: 1.0, min_weight_percent: 10.0 });
        });
        assert_eq!(world.picks(100), counts([("a", 50), ("b", 50)]));
    });
}
