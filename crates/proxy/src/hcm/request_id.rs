//! `x-request-id`: a version 4 UUID whose 14th nibble tells the trace decision (Envoy's UUID
//! request id extension): 4 = not traced, 9 = sampled, a = forced by a client, b = forced by the
//! service. Without tracing every generated id says 4 and received ids pass unchanged.

use http::HeaderValue;

/// Where each byte's two digits stand.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// The two digits of every byte.
const PAIRS: [[u8; 2]; 256] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [HEX[byte >> 4], HEX[byte & 0xf]];
        byte += 1;
    }
    pairs
};

/// A fresh id from a random number of 128 bits.
pub(crate) fn generate(random: u128) -> HeaderValue {
    let mut bytes = random.to_be_bytes();
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = *version & 0x0f | 0x40;
    *variant = *variant & 0x3f | 0x80;
    let mut text = [b'-'; 36];
    for (byte, at) in bytes.iter().zip(PLACES) {
        if let Some(pair) = text.get_mut(at..at + 2) {
            pair.copy_from_slice(&PAIRS[usize::from(*byte)]);
        }
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
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
