//! Hosts with several addresses: in which order they are tried, and the race (RFC 8305).
//!
//! Addresses come from `additional_addresses` of an endpoint or from the answer for a LOGICAL_DNS
//! name. Families take turns (section 4), `happy_eyeballs_config` says which is first and how many
//! of it. The next attempt starts when one fails or has been silent for [`DELAY`]; the first that
//! connects wins and the others are dropped, which closes their sockets. When all fail the last
//! failure is told. `connect_timeout` bounds the whole race; every attempt counts in
//! `upstream_cx_total`.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use nuncio_api::Timers;
use nuncio_config::model::cluster::{AddressFamily, HappyEyeballs};
use nuncio_net::{
    SocketAddress, Stream,
    connect::{ConnectError, ConnectOptions, connect},
};
use tokio::time::Instant;

/// Envoy's; RFC 8305 section 5 recommends 250 ms.
const DELAY: Duration = Duration::from_millis(300);

/// `addresses` in the order of the attempts; the families take turns.
pub(crate) fn attempt_order(addresses: &[SocketAddress], settings: HappyEyeballs) -> Vec<SocketAddress> {
    let Some(first) = addresses.first() else { return Vec::new() };
    let preferred = settings.first_family.unwrap_or_else(|| family(first));
    let (of_it, others): (Vec<_>, Vec<_>) = addresses.iter().cloned().partition(|address| family(address) == preferred);
    let (mut of_it, mut others) = (of_it.into_iter(), others.into_iter());
    let at_a_time = usize::try_from(settings.first_family_count.max(1)).unwrap_or(usize::MAX);
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(of_it.by_ref().take(at_a_time));
        order.extend(others.next());
    }
    order
}

fn family(address: &SocketAddress) -> AddressFamily {
    match address {
        SocketAddress::Ip(ip) if ip.is_ipv4() => AddressFamily::V4,
        SocketAddress::Ip(_) => AddressFamily::V6,
        SocketAddress::Pipe(_) => AddressFamily::Pipe,
    }
}

type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + 'a>>;

/// Attempts under way.
struct Race<'a> {
    left: std::slice::Iter<'a, SocketAddress>,
    running: Vec<(&'a SocketAddress, Connecting<'a>)>,
    options: &'a ConnectOptions,
}

impl Race<'_> {
    /// Starts the next attempt; false when all were.
    fn start(&mut self) -> bool {
        let Some(target) = self.left.next() else { return false };
        self.running.push((target, Box::pin(connect(target, self.options))));
        true
    }
}

/// Connects to whichever of `addresses` answers first. `also` is called for each attempt after the
/// first. Cancel-safe: dropping the future closes all sockets.
pub(crate) async fn connect_any(
    addresses: &[SocketAddress],
    options: &ConnectOptions,
    timers: &Timers,
    also: impl Fn(),
) -> Result<(Stream, SocketAddress), ConnectError> {
    let mut race = Race { left: addresses.iter(), running: Vec::new(), options };
    race.start();
    let timer = timers.timer();
    timer.set(Some(Instant::now() + DELAY));
    poll_fn(|cx| {
        loop {
            let mut failed = None;
            for (index, (target, attempt)) in race.running.iter_mut().enumerate() {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok((stream, target.clone()))),
                    Poll::Ready(Err(error)) => {
                        failed = Some((index, error));
                        break;
                    }
                    Poll::Pending => {}
                }
            }
            let is_due = failed.is_some() || timer.poll_expired(cx).is_ready();
            if let Some((index, error)) = failed {
                drop(race.running.swap_remove(index));
                if race.running.is_empty() && race.left.len() == 0 {
                    return Poll::Ready(Err(error));
                }
            }
            if !is_due {
                return Poll::Pending;
            }
            if race.start() {
                also();
                timer.set(Some(Instant::now() + DELAY));
            } else {
                timer.set(None);
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::testing::{listen, local, nobody};

    fn order(list: &[&str], first_family: Option<AddressFamily>, first_family_count: u32) -> Vec<String> {
        let list: Vec<_> = list.iter().map(|text| SocketAddress::Ip(text.parse().unwrap())).collect();
        let order = attempt_order(&list, HappyEyeballs { first_family, first_family_count });
        order.iter().map(|address| address.to_string().rsplit(':').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn families_take_turns() {
        let list = ["[::1]:1", "[::1]:2", "[::1]:3", "1.1.1.1:4", "1.1.1.1:5"];
        assert_eq!(order(&list, None, 1), ["1", "4", "2", "5", "3"]);
        assert_eq!(order(&list, Some(AddressFamily::V4), 1), ["4", "1", "5", "2", "3"]);
        assert_eq!(order(&list, Some(AddressFamily::V6), 2), ["1", "2", "4", "3", "5"]);
        assert_eq!(order(&list, Some(AddressFamily::V4), 9), ["4", "5", "1", "2", "3"]);
        assert_eq!(order(&list, Some(AddressFamily::Pipe), 1), ["1", "2", "3", "4", "5"]);
        assert!(order(&[], None, 1).is_empty());
    }

    #[test]
    fn an_attempt_that_fails_starts_the_next_one() {
        local(async {
            let timers = Timers::new();
            let (listener, address) = listen().await;
            let addresses = [nobody(), nobody(), address].map(SocketAddress::Ip);
            let more = Cell::new(0);
            let options = ConnectOptions::default();
            let connected = connect_any(&addresses, &options, &timers, || more.set(more.get() + 1)).await;
            assert_eq!(connected.unwrap().1.to_string(), address.to_string());
            assert_eq!(more.get(), 2);
            drop(listener);
            let failed = connect_any(&addresses, &options, &timers, || ()).await;
            assert_eq!(failed.map(|_| ()).unwrap_err().to_string(), "delayed connect error: Connection refused");
        });
    }
}
