//! The choice of a host, and what a new host set does to hosts and pools.

mod localities;

use std::{collections::HashMap, rc::Rc, sync::Arc};

use nuncio_api::Timers;
use nuncio_config::model::{
    Address,
    bootstrap::Locality,
    cluster::{ConsistentHashing, Endpoint, EndpointHealth, LbPolicy, LocalityEndpoints, Maglev},
};
use nuncio_stats::{
    Store,
    templates::{cluster_stats as stats, response_code_stats},
};
use tokio::task::spawn_local;

use crate::{
    AcquireOptions, ClusterManager, ClusterSource, HostSet, HostStat, LbContext,
    PoolProtocol::Http1,
    PreviousPriorities,
    testing::{World, echo, endpoint, exchange, listen, local, settings, until},
};

/// Endpoints 10.0.<priority>.<n> with the given health.
fn group(priority: u32, health: &[EndpointHealth]) -> LocalityEndpoints {
    let endpoints = health.iter().enumerate().map(|(n, health)| {
        let address = Address::Ip(format!("10.0.{priority}.{n}:80").parse().unwrap());
        Endpoint { health: *health, ..endpoint(address) }
    });
    LocalityEndpoints { priority, endpoints: endpoints.collect(), ..LocalityEndpoints::default() }
}

fn world(groups: Vec<LocalityEndpoints>) -> World {
    let mut settings = settings(Vec::new());
    settings.endpoints = groups;
    World::new(settings)
}

fn picks(world: &World, times: usize) -> HashMap<String, usize> {
    let cluster = world.cluster();
    let mut counts = HashMap::new();
    for _ in 0..times {
        let host = cluster.choose_host(&LbContext::default()).unwrap();
        *counts.entry(host.address().to_string()).or_default() += 1;
    }
    counts
}

use EndpointHealth::{Degraded, Healthy, Unhealthy};

#[test]
fn only_healthy_hosts_are_picked() {
    local(async {
        let world = world(vec![group(0, &[Healthy, Unhealthy, Healthy])]);
        let counts = picks(&world, 10);
        assert_eq!(counts.len(), 2);
        assert_eq!(counts["10.0.0.0:80"], 5);
        assert_eq!(world.counter(stats::LB_HEALTHY_PANIC), 0);
    });
}

#[test]
fn in_panic_every_host_is_picked() {
    local(async {
        let world = world(vec![group(0, &[Healthy, Unhealthy, Unhealthy])]);
        assert_eq!(picks(&world, 9).len(), 3);
        assert_eq!(world.counter(stats::LB_HEALTHY_PANIC), 9);
    });
}

#[test]
fn degraded_hosts_take_the_rest_of_the_load() {
    local(async {
        let world = world(vec![group(0, &[Healthy, Degraded])]);
        let counts = picks(&world, 1000);
        assert!((620..780).contains(&counts["10.0.0.0:80"]), "{counts:?}");
    });
}

#[test]
fn the_next_priority_takes_over() {
    local(async {
        let world = world(vec![group(0, &[Unhealthy, Unhealthy]), group(1, &[Healthy, Healthy])]);
        let counts = picks(&world, 10);
        assert_eq!(counts["10.0.1.0:80"] + counts["10.0.1.1:80"], 10);
    });
}

#[test]
fn no_hosts_is_no_host() {
    local(async {
        assert!(world(Vec::new()).cluster().choose_host(&LbContext::default()).is_none());
    });
}

#[test]
fn a_rejected_host_is_taken_when_attempts_run_out() {
    local(async {
        let world = world(vec![group(0, &[Healthy, Healthy])]);
        let first = world.host().address().to_string();
        let rejects = |host: &crate::Host| host.address().to_string() == first;
        let lb = LbContext { rejects: Some(&rejects), max_attempts: 3, ..LbContext::default() };
        for _ in 0..10 {
            assert_ne!(world.cluster().choose_host(&lb).unwrap().address().to_string(), first);
        }
        let all = |_: &crate::Host| true;
        let lb = LbContext { rejects: Some(&all), ..lb };
        assert!(world.cluster().choose_host(&lb).is_some());
    });
}

#[test]
fn the_same_hash_goes_to_the_same_host_and_another_attempt_elsewhere() {
    local(async {
        let mut settings = settings(Vec::new());
        settings.endpoints = vec![group(0, &[Healthy; 5])];
        let common = ConsistentHashing::default();
        settings.lb = LbPolicy::Maglev(Maglev { table_size: 17, common });
        let world = World::new(settings);
        let choose = |lb: &LbContext<'_>| world.cluster().choose_host(lb).unwrap().address().to_string();
        for hash in 0..17 {
            let lb = LbContext { hash: Some(hash), ..LbContext::default() };
            let first = choose(&lb);
            assert_eq!(choose(&lb), first);
            let rejects = |host: &crate::Host| host.address().to_string() == first;
            assert_ne!(choose(&LbContext { rejects: Some(&rejects), max_attempts: 9, ..lb }), first);
        }
        assert!(picks(&world, 200).len() == 5, "without a hash any host is picked");
    });
}

#[test]
fn retries_go_to_priorities_that_were_not_tried() {
    local(async {
        let world = world((0..3).map(|priority| group(priority, &[Healthy])).collect());
        let previous = PreviousPriorities::new(2);
        let lb = LbContext { previous_priorities: Some(&previous), ..LbContext::default() };
        let mut priorities = Vec::new();
        for _ in 0..7 {
            let host = world.cluster().choose_host(&lb).unwrap();
            previous.attempted(&host);
            priorities.push(host.priority());
        }
        assert_eq!(priorities, [0, 0, 1, 1, 2, 2, 0], "when all were tried the first one is again");
    });
}

#[test]
fn requests_between_zones_are_counted_when_both_have_a_name() {
    local(async {
        let mut settings = settings(Vec::new());
        settings.endpoints = vec![group(0, &[Healthy]), group(1, &[Healthy])];
        settings.endpoints[0].locality.zone = "there".to_owned();
        settings.endpoints[1].locality.zone = String::new();
        let store = Store::new(2);
        let source = ClusterSource::new(Arc::new(settings), Arc::clone(&store));
        let here = Locality { zone: "here".to_owned(), ..Locality::default() };
        let manager = ClusterManager::seeded(1, Arc::clone(&store), Timers::new(), 7).with_local(&here, None);
        manager.add_or_update(Arc::clone(source.settings()), source.hosts());
        let cluster = manager.cluster("c").unwrap();
        let host = cluster.choose_host(&LbContext::default()).unwrap();
        let stats = cluster.zone_stats(&host).unwrap();
        stats.dynamic_inc(response_code_stats::UPSTREAM_RQ, 200);
        let names: Vec<_> = store.snapshot().numbers.iter().map(|number| number.name.dotted()).collect();
        assert!(names.contains(&"cluster.c.zone.here.there.upstream_rq_2xx".to_owned()), "{names:?}");
    });
}

#[test]
fn a_host_that_leaves_closes_when_idle_and_a_host_that_stays_keeps_its_connection() {
    local(async {
        let (one, one_address) = listen().await;
        let (two, two_address) = listen().await;
        spawn_local(echo(one));
        spawn_local(echo(two));
        let world = World::new(settings(vec![endpoint(Address::Ip(one_address)), endpoint(Address::Ip(two_address))]));
        let cluster = world.cluster();
        let options = AcquireOptions { protocol: Http1, high_priority: false };
        for _ in 0..2 {
            let mut stream = cluster.acquire(&world.host(), options).await.unwrap();
            exchange(&mut stream, "/").await.unwrap();
            stream.finish();
        }
        assert_eq!(world.gauge(stats::UPSTREAM_CX_ACTIVE), 2);
        let old = world.source.hosts();
        let stays = Arc::clone(old.hosts().next().unwrap());
        let leaves = Arc::clone(old.hosts().nth(1).unwrap());
        let new = HostSet::new(world.source.settings(), Arc::clone(old.shared()), vec![Arc::clone(&stays)]);
        world.manager.set_hosts("c", new);
        assert_eq!(world.gauge(stats::UPSTREAM_CX_ACTIVE), 1);
        assert_eq!(leaves.description.stat(HostStat::CxActive), 0);
        let stream = cluster.acquire(&world.host(), options).await.unwrap();
        assert_eq!(stream.requests_on_connection(), 2);
    });
}

#[test]
fn a_request_on_a_removed_cluster_finishes_and_its_connection_closes() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |_| ());
        let cluster = world.cluster();
        let mut stream = world.acquire(Http1).await.unwrap();
        world.manager.remove("c");
        assert!(world.manager.cluster("c").is_none());
        assert_eq!(exchange(&mut stream, "/").await.unwrap().0, 200);
        stream.finish();
        assert_eq!(world.gauge(stats::UPSTREAM_CX_ACTIVE), 0);
        drop(cluster);
    });
}

#[test]
fn a_connection_that_is_on_its_way_when_its_host_leaves_closes() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |_| ());
        drop(world.acquire(Http1));
        world.manager.remove("c");
        until(|| world.gauge(stats::UPSTREAM_CX_ACTIVE) == 0).await;
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_LOCAL), 1);
    });
}

#[test]
fn the_same_settings_keep_the_cluster() {
    local(async {
        let world = world(vec![group(0, &[Healthy])]);
        let before = world.cluster();
        world.manager.add_or_update(Arc::clone(world.source.settings()), world.source.hosts());
        assert!(Rc::ptr_eq(&before, &world.cluster()));
        let changed = Arc::new((**world.source.settings()).clone());
        world.manager.add_or_update(changed, world.source.hosts());
        assert!(!Rc::ptr_eq(&before, &world.cluster()));
    });
}

#[test]
fn all_connections_end_with_a_change_of_hosts_where_that_is_wanted() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |s| s.close_connections_on_host_set_change = true);
        let mut stream = world.acquire(Http1).await.unwrap();
        exchange(&mut stream, "/").await.unwrap();
        stream.finish();
        let old = world.source.hosts();
        let stays = Arc::clone(old.hosts().next().unwrap());
        let same = HostSet::new(world.source.settings(), Arc::clone(old.shared()), vec![Arc::clone(&stays)]);
        world.manager.set_hosts("c", same);
        assert_eq!(world.gauge(stats::UPSTREAM_CX_ACTIVE), 1, "nothing has changed");
        world.host();
        let new = Arc::new(crate::HostEntry {
            description: crate::HostDescription::new("new", old.shared()),
            ..(*stays).clone()
        });
        let more = HostSet::new(world.source.settings(), Arc::clone(old.shared()), vec![stays, new]);
        world.manager.set_hosts("c", more);
        assert_eq!(world.gauge(stats::UPSTREAM_CX_ACTIVE), 0);
    });
}

#[test]
fn priorities_may_be_as_healthy_as_the_weights_of_their_hosts() {
    local(async {
        let mut settings = settings(Vec::new());
        settings.weighted_priority_health = true;
        settings.endpoints = vec![group(0, &[Healthy, Unhealthy]), group(1, &[Healthy])];
        settings.endpoints[0].endpoints[0].weight = 1;
        settings.endpoints[0].endpoints[1].weight = 6;
        let world = World::new(settings);
        let plan: Vec<_> = world.source.hosts().plan().0.iter().map(|load| load.healthy).collect();
        assert_eq!(plan, [20, 80], "a seventh times 1.4, where half of the hosts would be 70");
    });
}

#[test]
fn a_source_address_may_be_bound_before_it_is_there() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |settings| {
            settings.bind_address = Some("127.0.0.3:0".parse().unwrap());
            settings.freebind = true;
        });
        let stream = world.acquire(Http1).await.unwrap();
        assert!(stream.local_address().unwrap().to_string().starts_with("127.0.0.3:"));
    });
}
