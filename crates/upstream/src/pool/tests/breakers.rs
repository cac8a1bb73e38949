//! Limits that count more than connections and requests: retries, pools, connections per host.

use nuncio_config::model::{Address, cluster::RetryBudget};
use nuncio_stats::templates::cluster_stats as stats;
use tokio::task::spawn_local;

use crate::{
    AcquireError, AcquireOptions,
    PoolProtocol::{Http1, Http2},
    testing::{World, echo, endpoint, exchange, listen, local, settings, until},
};

#[test]
fn a_retry_budget_is_a_part_of_the_active_requests() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let budget = RetryBudget { percent: 50.0, min_concurrency: 1 };
        let world = World::with_host(address, |s| s.breakers_default.retry_budget = Some(budget));
        let first = world.cluster().try_retry(false).unwrap();
        assert!(world.cluster().try_retry(false).is_none(), "one is allowed anyway");
        assert_eq!(world.counter(stats::UPSTREAM_RQ_RETRY_OVERFLOW), 1);
        let mut requests = Vec::new();
        for _ in 0..5 {
            requests.push(world.acquire(Http1).await.unwrap());
        }
        let second = world.cluster().try_retry(false).unwrap();
        assert!(world.cluster().try_retry(false).is_none(), "half of five is two");
        drop((first, second, requests));
    });
}

#[test]
fn a_host_takes_no_more_connections_than_are_allowed_for_each() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |s| s.breakers_default.max_connections_per_host = 1);
        let first = world.acquire(Http1).await.unwrap();
        let waiting = world.acquire(Http1);
        assert_eq!(world.counter(stats::UPSTREAM_CX_OVERFLOW), 1);
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 1);
        drop((first, waiting));
    });
}

#[test]
fn a_pool_beyond_the_limit_is_refused_until_another_has_no_connections() {
    local(async {
        let (one, one_address) = listen().await;
        spawn_local(echo(one));
        let (two, two_address) = listen().await;
        spawn_local(echo(two));
        let mut settings = settings(vec![endpoint(Address::Ip(one_address)), endpoint(Address::Ip(two_address))]);
        settings.breakers_default.max_connection_pools = 1;
        let world = World::new(settings);
        let options = AcquireOptions { protocol: Http1, high_priority: false };
        let (first_host, second_host) = (world.host(), world.host());
        let mut first = world.cluster().acquire(&first_host, options).await.unwrap();
        world.source.publish_breakers();
        assert_eq!(world.gauge(stats::CIRCUIT_DEFAULT_CX_POOL_OPEN), 1);
        let refused = world.cluster().acquire(&second_host, options).await.map(|_| ());
        assert_eq!(refused, Err(AcquireError::NoPool));
        assert_eq!(world.counter(stats::UPSTREAM_CX_POOL_OVERFLOW), 1);
        assert!(world.cluster().acquire(&first_host, options).await.is_ok(), "the pool that is there goes on");
        exchange(&mut first, "/").await.unwrap();
        first.finish();
        until(|| world.gauge(stats::UPSTREAM_CX_ACTIVE) == 1).await;
        let other_protocol = AcquireOptions { protocol: Http2, ..options };
        drop(world.cluster().acquire(&first_host, other_protocol));
        assert_eq!(world.counter(stats::UPSTREAM_CX_POOL_OVERFLOW), 1, "a quiet pool of the host makes place");
    });
}
