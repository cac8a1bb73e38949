//! `x-request-id`: a version 4 UUID whose 14th nibble tells the trace decision (Envoy's UUID
//! request id extension): 4 = not traced, 9 = sampled, a = forced by a client, b = forced by the
//! service. Without tracing every generated id says 4 and received ids pass unchanged.

use http::HeaderValue;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A fresh id from a random number of 128 bits.
pub(crate) fn generate(random: u128) -> HeaderValue {
    let bytes = (random & !(0xf << 76) | (4 << 76)) & !(0b11 << 62) | (0b10 << 62);
    let mut text = [b'-'; 36];
    let mut nibbles = (0..32).rev().map(|n| ((bytes >> (4 * n)) & 0xf) as usize);
    for (at, slot) in text.iter_mut().enumerate() {
        if !matches!(at, 8 | 13 | 18 | 23) {
            *slot = nibbles.next().and_then(|n| HEX.get(n)).copied().unwrap_or(b'0');
        }
    }
    let mut value = HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""));
    // Never again the same: keep it out of HPACK's dynamic table.
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_version_4_uuid() {
        let id = generate(u128::MAX);
        assert_eq!(id.to_str().unwrap(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(generate(0).to_str().unwrap(), "00000000-0000-4000-8000-000000000000");
    }
}
