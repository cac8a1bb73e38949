//! Addresses as access logs print them: `10.1.2.3:0`, `[::1]:80`, with and without port, or cut to
//! a network (`10.1.0.0/16`).
//!
//! A Unix socket prints its path where an address is asked for and has no port.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::ffi::OsStrExt,
};

use nuncio_config::model::format::LocalAddress;
use nuncio_net::SocketAddress;

use super::values::{Written, number, text};
use crate::stream_info::StreamInfo;

/// An address of a stream: the client's has no type of its own when x-forwarded-for gave it.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Ip(SocketAddr),
    Pipe(&'a [u8]),
}

impl<'a> From<&'a SocketAddress> for Place<'a> {
    fn from(address: &'a SocketAddress) -> Self {
        match address {
            SocketAddress::Ip(address) => Self::Ip(*address),
            SocketAddress::Pipe(path) => Self::Pipe(path.as_os_str().as_bytes()),
        }
    }
}

/// Finds `address` of the stream.
pub(super) fn of(address: LocalAddress, info: &StreamInfo) -> Option<Place<'_>> {
    let connection = &info.connection;
    match address {
        LocalAddress::DownstreamRemote => Some(info.client.map_or_else(|| Place::from(&connection.remote), Place::Ip)),
        LocalAddress::DownstreamDirectRemote => Some(Place::from(&connection.remote)),
        LocalAddress::DownstreamLocal | LocalAddress::DownstreamDirectLocal => Some(Place::from(&connection.local)),
        LocalAddress::UpstreamLocal => info.upstream.local.as_ref().map(Place::from),
        LocalAddress::UpstreamRemote => info.upstream.host.as_ref().map(Place::from),
    }
}

/// With its port.
pub(super) fn with_port(address: LocalAddress, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    match of(address, info) {
        Some(Place::Ip(SocketAddr::V4(v4))) => {
            write_v4(*v4.ip(), out);
            out.push(b':');
            number(Some(v4.port().into()), out);
            Written::Text
        }
        Some(Place::Ip(v6)) => {
            // Writing to a vector does not fail.
            let _ = write!(out, "{v6}");
            Written::Text
        }
        Some(Place::Pipe(path)) => text(Some(path), out),
        None => Written::Absent,
    }
}

/// Without its port, cut to the first `mask` bits where a mask is given.
pub(super) fn without_port(address: LocalAddress, mask: Option<u8>, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    let ip = match of(address, info) {
        Some(Place::Ip(address)) => address.ip(),
        Some(Place::Pipe(path)) => return text(Some(path), out),
        None => return Written::Absent,
    };
    match mask {
        None => write_ip(ip, out),
        Some(bits) => {
            let widest = if ip.is_ipv4() { 32 } else { 128 };
            write_ip(masked(ip, bits.min(widest)), out);
            out.push(b'/');
            number(Some(bits.min(widest).into()), out);
        }
    }
    Written::Text
}

/// The port alone.
pub(super) fn port(address: LocalAddress, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    match of(address, info) {
        Some(Place::Ip(address)) => number(Some(address.port().into()), out),
        Some(Place::Pipe(_)) | None => Written::Absent,
    }
}

fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(v4) => write_v4(v4, out),
        IpAddr::V6(v6) => {
            let _ = write!(out, "{v6}");
        }
    }
}

fn write_v4(ip: Ipv4Addr, out: &mut Vec<u8>) {
    for (at, octet) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        number(Some(octet.into()), out);
    }
}
