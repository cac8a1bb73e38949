//! Pools against scripted hosts on loopback sockets.

mod breakers;
mod chaos;
mod http2;

use std::{cell::RefCell, rc::Rc, time::Duration};

use nuncio_config::model::Address;
use nuncio_stats::templates::cluster_stats as stats;
use tokio::task::{spawn_local, yield_now};

use crate::{
    AcquireError, Breaker, HostStat,
    PoolProtocol::Http1,
    testing::{World, echo, endpoint, exchange, listen, local, nobody, read_request, respond, settings, skip, until},
};

#[test]
fn a_connection_is_used_again() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |_| ());
        for number in 1..=3 {
            let mut stream = world.acquire(Http1).await.unwrap();
            assert_eq!(stream.requests_on_connection(), number);
            assert_eq!(stream.remote_address().unwrap().to_string(), address.to_string());
            assert!(stream.local_address().is_some());
            assert_eq!(world.gauge(stats::UPSTREAM_RQ_ACTIVE), 1);
            assert_eq!(exchange(&mut stream, "/x").await.unwrap(), (200, b"/x".to_vec()));
            stream.finish();
        }
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 1);
        assert_eq!(world.counter(stats::UPSTREAM_CX_HTTP1_TOTAL), 1);
        assert_eq!(world.counter(stats::UPSTREAM_RQ_TOTAL), 3);
        assert_eq!(world.counter(stats::UPSTREAM_RQ_PENDING_TOTAL), 1);
        assert_eq!(world.gauge(stats::UPSTREAM_CX_ACTIVE), 1);
        assert_eq!(world.gauge(stats::UPSTREAM_RQ_ACTIVE), 0);
        assert_eq!(world.gauge(stats::UPSTREAM_RQ_PENDING_ACTIVE), 0);
        assert_eq!(world.host_stat(HostStat::RqTotal), 3);
        assert_eq!(world.host_stat(HostStat::CxActive), 1);
        assert!(world.counter(stats::UPSTREAM_CX_RX_BYTES_TOTAL) > 0);
        assert!(world.counter(stats::UPSTREAM_CX_TX_BYTES_TOTAL) > 0);
    });
}

#[test]
fn the_connection_used_last_is_used_first() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |_| ());
        let (mut a, mut b) = (world.acquire(Http1).await.unwrap(), world.acquire(Http1).await.unwrap());
        let last = b.connection_id();
        exchange(&mut a, "/a").await.unwrap();
        exchange(&mut b, "/b").await.unwrap();
        a.finish();
        b.finish();
        assert_eq!(world.acquire(Http1).await.unwrap().connection_id(), last);
    });
}

#[test]
fn a_refused_connection_fails_everybody_in_line() {
    local(async {
        let world = World::with_host(nobody(), |_| ());
        let (first, second) = (world.acquire(Http1), world.acquire(Http1));
        for acquire in [first, second] {
            let error = acquire.await.err().unwrap();
            assert_eq!(error.reset_reason(), "remote connection failure");
            assert_eq!(error.transport_failure_reason(), "delayed connect error: Connection refused");
        }
        until(|| world.counter(stats::UPSTREAM_CX_CONNECT_FAIL) == 2).await;
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_REMOTE), 2);
        assert_eq!(world.counter(stats::UPSTREAM_RQ_PENDING_FAILURE_EJECT), 2);
        assert_eq!(world.counter(stats::UPSTREAM_RQ_TOTAL), 0);
        assert_eq!(world.gauge(stats::UPSTREAM_CX_ACTIVE), 0);
        assert_eq!(world.host_stat(HostStat::CxConnectFail), 2);
    });
}

#[test]
fn a_connection_that_takes_too_long_times_out() {
    local(async {
        // A full accept queue: the kernel leaves further connections waiting.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut fill = Vec::new();
        for _ in 0..2 {
            fill.push(tokio::net::TcpStream::connect(address).await.unwrap());
        }
        let world = World::with_host(address, |s| s.connect_timeout = Duration::from_millis(30));
        assert_eq!(world.acquire(Http1).await.err(), Some(AcquireError::ConnectTimeout));
        assert_eq!(world.counter(stats::UPSTREAM_CX_CONNECT_TIMEOUT), 1);
        assert_eq!(world.counter(stats::UPSTREAM_CX_CONNECT_FAIL), 1);
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_LOCAL), 1);
    });
}

#[test]
fn at_max_connections_requests_wait_and_then_overflow() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |s| {
            s.breakers_default.max_connections = 1;
            s.breakers_default.max_pending_requests = 1;
        });
        let mut first = world.acquire(Http1).await.unwrap();
        let second = world.acquire(Http1);
        let third = world.acquire(Http1).await.err();
        assert_eq!(third, Some(AcquireError::Overflow(Breaker::Pending)));
        world.source.publish_breakers();
        assert_eq!(world.gauge(stats::CIRCUIT_DEFAULT_CX_OPEN), 1);
        assert_eq!(world.gauge(stats::CIRCUIT_DEFAULT_RQ_PENDING_OPEN), 1);
        exchange(&mut first, "/1").await.unwrap();
        first.finish();
        let mut second = second.await.unwrap();
        exchange(&mut second, "/2").await.unwrap();
        second.finish();
        assert_eq!(world.counter(stats::UPSTREAM_CX_OVERFLOW), 1);
        assert_eq!(world.counter(stats::UPSTREAM_RQ_PENDING_OVERFLOW), 1);
        assert_eq!(world.counter(stats::UPSTREAM_RQ_PENDING_TOTAL), 2);
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 1);
        world.source.publish_breakers();
        assert_eq!(world.gauge(stats::CIRCUIT_DEFAULT_RQ_PENDING_OPEN), 0);
    });
}

#[test]
fn no_pending_requests_means_no_first_request_either() {
    local(async {
        let world = World::with_host(nobody(), |s| s.breakers_default.max_pending_requests = 0);
        let error = world.acquire(Http1).await.err().unwrap();
        assert_eq!(error.reset_reason(), "overflow");
        assert_eq!(world.counter(stats::UPSTREAM_RQ_PENDING_OVERFLOW), 1);
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 0);
    });
}

#[test]
fn max_requests_is_looked_at_when_the_connection_stands() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |s| s.breakers_default.max_requests = 0);
        let error = world.acquire(Http1).await.err();
        assert_eq!(error, Some(AcquireError::Overflow(Breaker::Requests)));
        assert_eq!(world.counter(stats::UPSTREAM_RQ_ACTIVE_OVERFLOW), 1);
        assert_eq!(world.counter(stats::UPSTREAM_RQ_PENDING_TOTAL), 1);
        assert_eq!(world.gauge(stats::UPSTREAM_CX_ACTIVE), 1);
    });
}

#[test]
fn a_place_under_max_requests_passes_to_the_next_in_line() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |s| {
            s.breakers_default.max_requests = 1;
            s.breakers_default.max_connections = 1;
        });
        let mut first = world.acquire(Http1).await.unwrap();
        let second = world.acquire(Http1);
        exchange(&mut first, "/1").await.unwrap();
        first.finish();
        assert!(second.await.is_ok());
    });
}

#[test]
fn a_request_that_leaves_the_line_is_cancelled_and_its_connection_kept() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |_| ());
        drop(world.acquire(Http1));
        assert_eq!(world.counter(stats::UPSTREAM_RQ_CANCELLED), 1);
        assert_eq!(world.gauge(stats::UPSTREAM_RQ_PENDING_ACTIVE), 0);
        let mut stream = world.acquire(Http1).await.unwrap();
        exchange(&mut stream, "/").await.unwrap();
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 1);
    });
}

#[test]
fn an_unused_stream_goes_back_to_the_pool() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |_| ());
        let waiting = world.acquire(Http1);
        until(|| world.counter(stats::UPSTREAM_RQ_TOTAL) == 1).await;
        drop(waiting);
        assert_eq!(world.gauge(stats::UPSTREAM_RQ_ACTIVE), 0);
        assert_eq!(world.acquire(Http1).await.unwrap().requests_on_connection(), 1);
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 1);
    });
}

#[test]
fn a_stream_dropped_before_its_end_closes_the_connection() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |_| ());
        drop(world.acquire(Http1).await.unwrap());
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_LOCAL_WITH_ACTIVE_RQ), 1);
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_WITH_ACTIVE_RQ), 1);
        assert_eq!(world.gauge(stats::UPSTREAM_CX_ACTIVE), 0);
    });
}

#[test]
fn a_host_that_closes_before_it_answers_is_counted_as_the_one_who_did() {
    local(async {
        let (listener, address) = listen().await;
        let world = World::with_host(address, |_| ());
        let mut stream = world.acquire(Http1).await.unwrap();
        drop(listener.accept().await.unwrap());
        assert!(exchange(&mut stream, "/").await.is_err());
        stream.finish();
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_REMOTE_WITH_ACTIVE_RQ), 1);
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_LOCAL), 0);
    });
}

#[test]
fn a_response_that_says_close_ends_the_connection() {
    local(async {
        let (listener, address) = listen().await;
        let world = World::with_host(address, |_| ());
        spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await.unwrap();
            respond(&mut stream, "bye", "connection: close\r\n").await.unwrap();
            read_request(&mut stream).await;
        });
        let mut stream = world.acquire(Http1).await.unwrap();
        assert_eq!(exchange(&mut stream, "/").await.unwrap().1, b"bye");
        stream.finish();
        assert_eq!(world.counter(stats::UPSTREAM_CX_CLOSE_NOTIFY), 1);
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY), 1);
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_WITH_ACTIVE_RQ), 0);
    });
}

#[test]
fn an_idle_connection_that_the_host_closed_is_not_used() {
    local(async {
        let (listener, address) = listen().await;
        let world = World::with_host(address, |_| ());
        let accepted = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&accepted);
        spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                read_request(&mut stream).await.unwrap();
                respond(&mut stream, "", "").await.unwrap();
                seen.borrow_mut().push(stream);
            }
        });
        let mut stream = world.acquire(Http1).await.unwrap();
        exchange(&mut stream, "/1").await.unwrap();
        stream.finish();
        until(|| !accepted.borrow().is_empty()).await;
        accepted.borrow_mut().clear();
        // The reactor hears of the close on its next turns.
        for _ in 0..100 {
            yield_now().await;
        }
        let mut stream = world.acquire(Http1).await.unwrap();
        assert_eq!(stream.requests_on_connection(), 1);
        exchange(&mut stream, "/2").await.unwrap();
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_REMOTE), 1);
    });
}

#[test]
fn max_requests_per_connection_ends_it_after_the_last_one() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |s| s.common.max_requests_per_connection = 2);
        for _ in 0..4 {
            let mut stream = world.acquire(Http1).await.unwrap();
            exchange(&mut stream, "/").await.unwrap();
            stream.finish();
        }
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 2);
        assert_eq!(world.counter(stats::UPSTREAM_CX_MAX_REQUESTS), 2);
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_LOCAL), 2);
    });
}

#[test]
fn an_idle_connection_closes_after_its_timeout() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |s| s.common.idle_timeout = Some(Duration::from_secs(60)));
        let mut stream = world.acquire(Http1).await.unwrap();
        exchange(&mut stream, "/").await.unwrap();
        stream.finish();
        yield_now().await;
        skip(Duration::from_secs(30)).await;
        until(|| world.counter(stats::UPSTREAM_CX_DESTROY) == 0).await;
        skip(Duration::from_secs(31)).await;
        until(|| world.counter(stats::UPSTREAM_CX_IDLE_TIMEOUT) == 1).await;
        assert_eq!(world.gauge(stats::UPSTREAM_CX_ACTIVE), 0);
        assert_eq!(world.counter(stats::UPSTREAM_CX_DESTROY_LOCAL), 1);
    });
}

#[test]
fn a_connection_whose_time_is_up_is_replaced() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let limit = Duration::from_secs(300);
        let world = World::with_host(address, |s| s.common.max_connection_duration = Some(limit));
        for _ in 0..2 {
            let mut stream = world.acquire(Http1).await.unwrap();
            exchange(&mut stream, "/").await.unwrap();
            skip(limit).await;
            stream.finish();
        }
        assert_eq!(world.counter(stats::UPSTREAM_CX_MAX_DURATION_REACHED), 2);
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 2);
        assert_eq!(world.gauge(stats::UPSTREAM_CX_ACTIVE), 0);
    });
}

#[test]
fn priorities_have_breakers_of_their_own() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |s| s.breakers_default.max_pending_requests = 0);
        assert!(world.acquire(Http1).await.is_err());
        let options = crate::AcquireOptions { protocol: Http1, high_priority: true };
        assert!(world.cluster().acquire(&world.host(), options).await.is_ok());
    });
}

#[test]
fn retries_are_limited_and_given_back() {
    local(async {
        let world = World::with_host(nobody(), |s| s.breakers_default.max_retries = 1);
        let permit = world.cluster().try_retry(false).unwrap();
        assert!(world.cluster().try_retry(false).is_none());
        assert!(world.cluster().try_retry(true).is_some());
        drop(permit);
        assert!(world.cluster().try_retry(false).is_some());
    });
}

#[test]
fn a_host_is_reached_at_whichever_address_answers() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let mut settings = settings(vec![endpoint(Address::Ip(nobody()))]);
        settings.endpoints[0].endpoints[0].additional_addresses = vec![Address::Ip(nobody()), Address::Ip(address)];
        let world = World::new(settings);
        let stream = world.acquire(Http1).await.unwrap();
        assert_eq!(stream.remote_address().unwrap().to_string(), address.to_string());
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 3);
        assert_eq!(world.counter(stats::UPSTREAM_CX_CONNECT_FAIL), 0);
        assert_eq!((world.gauge(stats::UPSTREAM_CX_ACTIVE), world.host_stat(HostStat::CxTotal)), (1, 3));
    });
}

#[test]
fn limits_hold_over_all_workers() {
    local(async {
        let (listener, address) = listen().await;
        spawn_local(echo(listener));
        let world = World::with_host(address, |s| s.breakers_default.max_connections = 1);
        let mut first = world.acquire(Http1).await.unwrap();
        let second_worker = world.second_worker();
        let cluster = second_worker.cluster("c").unwrap();
        let options = crate::AcquireOptions { protocol: Http1, high_priority: false };
        let acquire = |host| cluster.acquire(host, options);
        let host = cluster.choose_host(&crate::LbContext::default()).unwrap();
        // A pool that has no connection at all may always have one.
        let second = acquire(&host).await.unwrap();
        assert_eq!(world.counter(stats::UPSTREAM_CX_OVERFLOW), 1);
        let waiting = acquire(&host);
        assert_eq!(world.counter(stats::UPSTREAM_CX_OVERFLOW), 2);
        assert_eq!(world.counter(stats::UPSTREAM_CX_TOTAL), 2);
        drop(waiting);
        drop(second);
        exchange(&mut first, "/").await.unwrap();
    });
}
