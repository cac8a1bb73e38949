//! MAGLEV: a table with as many places as a prime number, filled by turns.
//!
//! Each host has a permutation of all places that its key decides; by turns, more often for the
//! heavier, hosts take the next free place of theirs (section 3.4 of the paper). Faster to pick
//! from than a ring and more even, but a change of hosts moves a few more requests.

use xxhash_rust::xxh64::xxh64;

use super::{Census, Weighted};

/// Which host has which place.
pub(super) struct Table {
    places: Box<[u32]>,
    census: Option<Census>,
}

/// A host while the table is filled.
struct Filling {
    host: u32,
    offset: u64,
    skip: u64,
    weight: f64,
    target: f64,
    next: u64,
    count: u64,
}

/// A place that no host has yet.
const FREE: u32 = u32::MAX;

impl Filling {
    /// The next free place of this host's permutation. There is one: the caller counts them.
    fn take(&mut self, places: &mut [u32]) {
        let size = places.len() as u64;
        loop {
            let place = (self.offset + self.skip * self.next) % size;
            self.next += 1;
            let free = usize::try_from(place).ok().and_then(|place| places.get_mut(place));
            if let Some(place) = free.filter(|place| **place == FREE) {
                *place = self.host;
                self.count += 1;
                return;
            }
        }
    }
}

impl Table {
    pub(super) fn new(hosts: &[Weighted], size: u64) -> Self {
        let len = usize::try_from(size).unwrap_or(0);
        if hosts.is_empty() || len < 2 {
            return Self { places: Box::default(), census: None };
        }
        let mut filling: Vec<_> = (0_u32..).zip(hosts).map(|(host, weighted)| start(host, weighted, size)).collect();
        // The order decides who takes a place first: it must not depend on that of the config.
        let key = |host: &Filling| hosts.get(usize::try_from(host.host).unwrap_or(0)).map(|host| host.key.as_str());
        filling.sort_by(|a, b| key(a).cmp(&key(b)));
        let most = hosts.iter().map(|host| host.weight).fold(0.0, f64::max);
        let mut places = vec![FREE; len].into_boxed_slice();
        let mut left = len;
        let mut turn = 1.0;
        while left > 0 {
            for host in &mut filling {
                if left == 0 {
                    break;
                }
                if turn * host.weight < host.target {
                    continue;
                }
                host.target += most;
                host.take(&mut places);
                left -= 1;
            }
            turn += 1.0;
        }
        let counts = || filling.iter().map(|host| host.count);
        let census =
            Census { size, min_per_host: counts().min().unwrap_or(0), max_per_host: counts().max().unwrap_or(0) };
        Self { places, census: Some(census) }
    }

    /// The place of `hash`; a later attempt changes nearly all bits of it.
    pub(super) fn choose(&self, hash: u64, attempt: u32) -> Option<usize> {
        let hash = match attempt {
            0 => hash,
            attempt => hash ^ (u64::MAX - u64::from(attempt) + 1),
        };
        let place = hash.checked_rem(self.places.len() as u64)?;
        let host = self.places.get(usize::try_from(place).ok()?)?;
        usize::try_from(*host).ok()
    }

    pub(super) fn census(&self) -> Option<Census> {
        self.census
    }
}

fn start(host: u32, weighted: &Weighted, size: u64) -> Filling {
    let key = weighted.key.as_bytes();
    Filling {
        host,
        offset: xxh64(key, 0) % size,
        skip: xxh64(key, 1) % (size - 1) + 1,
        weight: weighted.weight,
        target: 0.0,
        next: 0,
        count: 0,
    }
}
