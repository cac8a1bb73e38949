//! HTTP/2 pools: places on shared connections, and connections that come and go.

use std::time::Duration;

use nuncio_stats::templates::cluster_stats as stats;
use tokio::task::spawn_local;

use crate::{
    PoolProtocol::Http2,
    testing::{World, echo_http2, exchange, listen, local, skip, until},
};

#[test]
fn requests_share_one_http2_connection() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo_http2(listener, 100, None));
        let world = World::with_host(address, |_| ());
        let (mut a, mut b) = (world.acquire(Http2).await.unwrap(), world.acquire(Http2).await.unwrap());
        assert_eq!(a.connection_id(), b.connection_id());
        assert_eq!(world.gauge(stats::UPSTREAM_RQ_ACTIVE), 2);
        assert_eq!(exchange(&mut a, "/a").await.unwrap(), (200, b"/a".to_vec()));
        assert_eq!(exchange(&mut b, "/b").await.unwrap(), (200, b"/b".to_vec()));
        a.finish();
        b.finish();
        assert_eq!(world.counter(stats::UPSTREAM_CX_HTTP2_TOTAL), 1);
        assert_eq!(world.counter(stats::UPSTREAM_RQ_TOTAL), 2);
        assert_eq!(world.gauge(stats::UPSTREAM_RQ_ACTIVE), 0);
        assert_eq!(world.counter(stats::UPSTREAM_RQ_TX_RESET), 0);
        assert_eq!(world.gauge(stats::UPSTREAM_CX_ACTIVE), 1);
    });
}

#[test]
fn a_full_http2_connection_gets_a_second_one_beside_it() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo_http2(listener, 100, None));
        let world = World::with_host(address, |s| s.http2.max_concurrent_streams = 1);
        let a = world.acquire(Http2).await.unwrap();
        let b = world.acquire(Http2).await.unwrap();
        assert_ne!(a.connection_id(), b.connection_id());
        assert_eq!(world.counter(stats::UPSTREAM_CX_HTTP2_TOTAL), 2);
    });
}

#[test]
fn a_full_http2_connection_at_the_limit_passes_places_on() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo_http2(listener, 100, None));
        let world = World::with_host(address, |s| {
            s.http2.max_concurrent_streams = 1;
            s.breakers_default.max_connections = 1;
        });
        let mut first = world.acquire(Http2).await.unwrap();
        let second = world.acquire(Http2);
        exchange(&mut first, "/").await.unwrap();
        first.finish();
        let mut second = second.await.unwrap();
        assert_eq!(exchange(&mut second, "/2").await.unwrap().0, 200);
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 1);
    });
}

#[test]
fn a_burst_on_a_new_connection_keeps_to_what_the_host_allows() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo_http2(listener, 128, None));
        let world = World::with_host(address, |_| ());
        let waiting: Vec<_> = (0..150).map(|_| world.acquire(Http2)).collect();
        let mut streams = Vec::new();
        for acquire in waiting {
            streams.push(acquire.await.unwrap());
        }
        let first = streams[0].connection_id();
        assert_eq!(streams.iter().filter(|stream| stream.connection_id() == first).count(), 128);
        for stream in &mut streams {
            assert_eq!(exchange(stream, "/").await.unwrap().0, 200);
        }
        assert_eq!(world.counter(stats::UPSTREAM_CX_HTTP2_TOTAL), 2);
    });
}

#[test]
fn after_goaway_requests_go_to_a_new_connection() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo_http2(listener, 100, Some(1)));
        let world = World::with_host(address, |_| ());
        for path in ["/1", "/2", "/3"] {
            let mut stream = world.acquire(Http2).await.unwrap();
            assert_eq!(exchange(&mut stream, path).await.unwrap().1, path.as_bytes());
            stream.finish();
            until(|| world.gauge(stats::UPSTREAM_CX_ACTIVE) == 0).await;
        }
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 3);
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_REMOTE), 3);
        assert_eq!(world.counter(stats::UPSTREAM_CX_CLOSE_NOTIFY), 3);
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_WITH_ACTIVE_RQ), 0);
    });
}

#[test]
fn an_abandoned_http2_request_is_reset_and_the_connection_lives() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo_http2(listener, 100, None));
        let world = World::with_host(address, |_| ());
        drop(world.acquire(Http2).await.unwrap());
        assert_eq!(world.counter(stats::UPSTREAM_RQ_TX_RESET), 1);
        let mut stream = world.acquire(Http2).await.unwrap();
        assert_eq!(exchange(&mut stream, "/").await.unwrap().0, 200);
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 1);
    });
}

#[test]
fn an_http2_host_that_goes_away_takes_its_requests_along() {
    local(async {
        let (listener, address) = listen().await;
        let world = World::with_host(address, |_| ());
        let mut stream = world.acquire(Http2).await.unwrap();
        drop(listener.accept().await.unwrap());
        assert!(exchange(&mut stream, "/").await.is_err());
        stream.finish();
        until(|| world.gauge(stats::UPSTREAM_CX_ACTIVE) == 0).await;
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_REMOTE), 1);
    });
}

#[test]
fn max_requests_per_connection_holds_for_http2() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo_http2(listener, 100, None));
        let world = World::with_host(address, |s| s.common.max_requests_per_connection = 2);
        for _ in 0..4 {
            let mut stream = world.acquire(Http2).await.unwrap();
            exchange(&mut stream, "/").await.unwrap();
            stream.finish();
        }
        until(|| world.gauge(stats::UPSTREAM_CX_ACTIVE) == 0).await;
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 2);
        assert_eq!(world.counter(stats::UPSTREAM_CX_MAX_REQUESTS), 2);
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_LOCAL), 2);
    });
}

#[test]
fn an_idle_http2_connection_closes_after_its_timeout() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo_http2(listener, 100, None));
        let world = World::with_host(address, |s| s.common.idle_timeout = Some(Duration::from_secs(60)));
        let mut stream = world.acquire(Http2).await.unwrap();
        exchange(&mut stream, "/").await.unwrap();
        skip(Duration::from_secs(90)).await;
        exchange_again(&world).await;
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 1);
        stream.finish();
        skip(Duration::from_secs(61)).await;
        until(|| world.gauge(stats::UPSTREAM_CX_ACTIVE) == 0).await;
        assert_eq!(world.counter(stats::UPSTREAM_CX_IDLE_TIMEOUT), 1);
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_LOCAL), 1);
    });
}

async fn exchange_again(world: &World) {
    let mut stream = world.acquire(Http2).await.unwrap();
    exchange(&mut stream, "/again").await.unwrap();
    stream.finish();
}
