//! CIDR ranges.

use std::net::IpAddr;

/// True when one of `ranges` (address, prefix length) holds `ip`.
pub(crate) fn contains_any(ranges: &[(IpAddr, u8)], ip: IpAddr) -> bool {
    ranges.iter().any(|(base, length)| contains(*base, *length, ip))
}

fn contains(base: IpAddr, length: u8, ip: IpAddr) -> bool {
    match (base, ip.to_canonical()) {
        (IpAddr::V4(base), IpAddr::V4(ip)) => same(u128::from(base.to_bits()), u128::from(ip.to_bits()), 32, length),
        (IpAddr::V6(base), IpAddr::V6(ip)) => same(base.to_bits(), ip.to_bits(), 128, length),
        _ => false,
    }
}

fn same(a: u128, b: u128, width: u8, length: u8) -> bool {
    let shift = u32::from(width.saturating_sub(length));
    a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_bound_the_range() {
        let range = |text: &str, length| (text.parse::<IpAddr>().unwrap(), length);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(contains_any(&[range("10.0.0.0", 8)], ip("10.255.0.1")));
        assert!(!contains_any(&[range("10.0.0.0", 8)], ip("11.0.0.1")));
        assert!(contains_any(&[range("0.0.0.0", 0)], ip("1.2.3.4")));
        assert!(contains_any(&[range("::1", 128)], ip("::1")));
        assert!(contains_any(&[range("10.0.0.0", 8)], ip("::ffff:10.0.0.1")));
    }
}
