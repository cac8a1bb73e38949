//! The PROXY protocol header that a TCP upstream is sent first: who the client is, for a server
//! that sees only this proxy (haproxy.org, `proxy-protocol.txt`, versions 1 and 2).
//!
//! Addresses that are not of one IP family, such as Unix sockets, are told as unknown.

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};
use nuncio_net::SocketAddress;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, and a connection of somebody else's.
const PROXY: u8 = 0x21;
/// Version 2, and a connection of the proxy's own.
const LOCAL: u8 = 0x20;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The header in `version` 1 or 2, for a connection from `source` to `destination`.
pub(crate) fn header(version: u8, source: &SocketAddress, destination: &SocketAddress) -> Bytes {
    let pair = source.ip().zip(destination.ip()).filter(|(source, destination)| same_family(source, destination));
    match (version, pair) {
        (1, Some((source, destination))) => version_1(source, destination),
        (1, None) => Bytes::from_static(b"PROXY UNKNOWN\r\n"),
        (_, pair) => version_2(pair),
    }
}

fn same_family(source: &SocketAddr, destination: &SocketAddr) -> bool {
    source.is_ipv4() == destination.is_ipv4()
}

fn version_1(source: SocketAddr, destination: SocketAddr) -> Bytes {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into()
}

fn version_2(pair: Option<(SocketAddr, SocketAddr)>) -> Bytes {
    let mut out = BytesMut::with_capacity(52);
    out.put_slice(SIGNATURE);
    let Some((source, destination)) = pair else {
        out.put_slice(&[LOCAL, 0, 0, 0]);
        return out.freeze();
    };
    out.put_u8(PROXY);
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.put_u8(TCP_OVER_IPV4);
            out.put_u16(12);
            out.put_slice(&from.octets());
            out.put_slice(&to.octets());
        }
        (from, to) => {
            out.put_u8(TCP_OVER_IPV6);
            out.put_u16(36);
            out.put_slice(&as_ipv6(from));
            out.put_slice(&as_ipv6(to));
        }
    }
    out.put_u16(source.port());
    out.put_u16(destination.port());
    out.freeze()
}

fn as_ipv6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddress {
        SocketAddress::Ip(text.parse().unwrap())
    }

    #[test]
    fn version_1_is_a_line() {
        let line = header(1, &address("10.0.0.1:40000"), &address("10.0.0.2:80"));
        assert_eq!(line, "PROXY TCP4 10.0.0.1 10.0.0.2 40000 80\r\n");
        let line = header(1, &address("[::1]:40000"), &address("[fd00::2]:80"));
        assert_eq!(line, "PROXY TCP6 ::1 fd00::2 40000 80\r\n");
        assert_eq!(header(1, &address("10.0.0.1:1"), &address("[::1]:80")), "PROXY UNKNOWN\r\n");
    }

    #[test]
    fn version_2_is_binary() {
        let four = header(2, &address("10.0.0.1:258"), &address("10.0.0.2:80"));
        assert_eq!(&four[..12], SIGNATURE);
        assert_eq!(&four[12..], [0x21, 0x11, 0, 12, 10, 0, 0, 1, 10, 0, 0, 2, 1, 2, 0, 80]);
        let six = header(2, &address("[::1]:1"), &address("[::2]:2"));
        assert_eq!((six.len(), &six[12..16]), (16 + 36, &[0x21, 0x21, 0, 36][..]));
        let unknown = header(2, &address("10.0.0.1:1"), &address("[::1]:80"));
        assert_eq!(&unknown[12..], [0x20, 0, 0, 0]);
    }
}
