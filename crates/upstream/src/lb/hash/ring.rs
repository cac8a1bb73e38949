//! RING_HASH: hosts stand many times on a circle of hashes (ketama); a request goes to the next.
//!
//! The host of least weight has a whole number of places, the others as many more as they weigh;
//! `minimum_ring_size` scales the number up, `maximum_ring_size` cuts it.

use nuncio_config::model::cluster::{HashFunction, RingHash};
use xxhash_rust::xxh64::xxh64;

use super::{Census, Weighted, murmur::murmur2};

/// Places in the order of their hashes.
pub(super) struct Ring {
    places: Box<[(u64, u32)]>,
    census: Option<Census>,
}

impl Ring {
    pub(super) fn new(hosts: &[Weighted], settings: &RingHash) -> Self {
        if hosts.is_empty() {
            return Self { places: Box::default(), census: None };
        }
        let least = hosts.iter().map(|host| host.weight).fold(1.0, f64::min);
        #[expect(clippy::cast_precision_loss, reason = "the wire rules keep rings below 2^23 places")]
        let (minimum, maximum) = (settings.minimum_size as f64, settings.maximum_size as f64);
        let scale = ((least * minimum).ceil() / least).min(maximum);
        let size = whole(scale);
        let mut census = Census { size, min_per_host: size, max_per_host: 0 };
        let mut places = Vec::new();
        let (mut placed, mut target) = (0.0, 0.0);
        let mut number = itoa::Buffer::new();
        for (index, host) in (0_u32..).zip(hosts) {
            target += scale * host.weight;
            let mut key = format!("{}_", host.key).into_bytes();
            let prefix = key.len();
            let mut count = 0_u64;
            while placed < target {
                key.truncate(prefix);
                key.extend_from_slice(number.format(count).as_bytes());
                let hash = match settings.function {
                    HashFunction::Xx => xxh64(&key, 0),
                    HashFunction::Murmur2 => murmur2(&key),
                };
                places.push((hash, index));
                count += 1;
                placed += 1.0;
            }
            census.min_per_host = census.min_per_host.min(count);
            census.max_per_host = census.max_per_host.max(count);
        }
        places.sort_by_key(|(hash, _)| *hash);
        Self { places: places.into(), census: Some(census) }
    }

    /// The first place at or after `hash`, around the circle; a later attempt goes so many further.
    pub(super) fn choose(&self, hash: u64, attempt: u32) -> Option<usize> {
        let len = self.places.len();
        let at = self.places.partition_point(|(place, _)| *place < hash);
        // A hash of zero matches no interval in ketama, which means the first place here too.
        let at = at.checked_add(usize::try_from(attempt).ok()?)?.checked_rem(len)?;
        let (_, host) = self.places.get(at)?;
        usize::try_from(*host).ok()
    }

    pub(super) fn census(&self) -> Option<Census> {
        self.census
    }
}

/// The wire rules keep rings below 2^23 places.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and below 2^23")]
fn whole(scale: f64) -> u64 {
    scale.ceil() as u64
}
