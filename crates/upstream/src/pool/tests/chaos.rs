//! Whatever requests and hosts do to each other, nothing stays counted that is over.

use std::{cell::Cell, rc::Rc};

use nuncio_http::{Exchange, exchange::ResetReason};
use nuncio_stats::templates::cluster_stats as stats;
use tokio::{
    net::TcpListener,
    task::{spawn_local, yield_now},
};

use crate::{
    Breaker, HostStat, PoolProtocol, RoutingPriority,
    testing::{World, echo_http2, exchange, listen, local, read_request, respond, until},
};

/// Answers, closes before the answer, closes after it, or never answers.
async fn moody(listener: TcpListener, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut rng = rng.fork();
        spawn_local(async move {
            while read_request(&mut stream).await.is_some() {
                match rng.u8(0..8) {
                    0 => return,
                    1 => {
                        respond(&mut stream, "bye", "connection: close\r\n").await.ok();
                        return;
                    }
                    2 => {
                        respond(&mut stream, "surprise", "").await.ok();
                        return;
                    }
                    _ => {}
                }
                if respond(&mut stream, "ok", "").await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn one_request(world: &World, protocol: PoolProtocol, mut rng: fastrand::Rng) {
    let mut acquire = world.acquire(protocol);
    if rng.u8(0..6) == 0 {
        // Gone before, or just when, the connection is there.
        for _ in 0..rng.u8(0..20) {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(acquire.poll_acquire(cx))).await;
            if polled.is_ready() {
                return;
            }
            yield_now().await;
        }
        return;
    }
    let Ok(mut stream) = acquire.await else { return };
    match rng.u8(0..8) {
        0 => drop(stream),
        1 => stream.finish(),
        2 => {
            stream.reset(ResetReason::Cancel);
            drop(stream);
        }
        3 => {
            stream.reset(ResetReason::NoError);
            stream.finish();
        }
        _ => {
            // A broken exchange is as good as a complete one here.
            let _ = exchange(&mut stream, "/").await;
            stream.finish();
        }
    }
}

async fn storm(protocol: PoolProtocol, seed: u64) {
    let (listener, address) = listen().await;
    match protocol {
        PoolProtocol::Http1 | PoolProtocol::Tcp => spawn_local(moody(listener, seed)),
        PoolProtocol::Http2 => spawn_local(echo_http2(listener, 3, Some(17))),
    };
    let world = Rc::new(World::with_host(address, |s| {
        s.breakers_default.max_connections = 5;
        s.breakers_default.max_pending_requests = 20;
        s.breakers_default.max_requests = 12;
        s.common.max_requests_per_connection = 9;
    }));
    let running = Rc::new(Cell::new(0));
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..40 {
        for _ in 0..rng.u8(1..30) {
            running.set(running.get() + 1);
            let (world, running, rng) = (Rc::clone(&world), Rc::clone(&running), rng.fork());
            spawn_local(async move {
                one_request(&world, protocol, rng).await;
                running.set(running.get() - 1);
            });
        }
        let some = rng.u32(0..10);
        until(|| running.get() <= some).await;
    }
    until(|| running.get() == 0).await;
    everything_is_settled(&world).await;
}

async fn everything_is_settled(world: &World) {
    assert_eq!(world.gauge(stats::UPSTREAM_RQ_ACTIVE), 0);
    assert_eq!(world.gauge(stats::UPSTREAM_RQ_PENDING_ACTIVE), 0);
    assert_eq!(world.host_stat(HostStat::RqActive), 0);
    assert_eq!(world.host_stat(HostStat::RqPendingActive), 0);
    assert_eq!(world.host().rq_active(), 0);
    let in_use = |breaker| world.source.hosts().shared().in_use(RoutingPriority::Default, breaker);
    assert_eq!((in_use(Breaker::Requests), in_use(Breaker::Pending)), (0, 0));
    world.manager.remove("c");
    until(|| world.gauge(stats::UPSTREAM_CX_ACTIVE) == 0).await;
    assert_eq!(in_use(Breaker::Connections), 0);
    assert_eq!(world.host_stat(HostStat::CxActive), 0);
    assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY), world.counter(stats::UPSTREAM_CX_TOTAL));
    let by = [stats::UPSTREAM_CX_DESTROY_LOCAL, stats::UPSTREAM_CX_DESTROY_REMOTE];
    let ends: u64 = by.into_iter().map(|counter| world.counter(counter)).sum();
    assert_eq!(ends, world.counter(stats::UPSTREAM_CX_DESTROY));
    assert!(world.counter(stats::UPSTREAM_RQ_TOTAL) > 100);
}

#[test]
fn http1_requests_in_a_storm_leave_nothing_behind() {
    for seed in 1..=5 {
        local(storm(PoolProtocol::Http1, seed));
    }
}

#[test]
fn http2_requests_in_a_storm_leave_nothing_behind() {
    for seed in 1..=5 {
        local(storm(PoolProtocol::Http2, seed));
    }
}
