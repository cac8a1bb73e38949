//! Addresses, socket options and keepalive.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use envoy_types::pb::envoy::config::core::v3 as core;

use super::Context;
use crate::model::{
    Address,
    listener::{SocketOption, SocketOptionValue, SocketState, TcpKeepalive},
    report::Path,
};

/// What a host name in place of an IP address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// It is resolved later.
    Allowed,
    /// An error with this advice.
    Refused(&'static str),
}

impl Context<'_> {
    /// An address; `None` (with an error) when it is unusable.
    pub(super) fn address(&mut self, path: &Path<'_>, message: Option<core::Address>, names: Names) -> Option<Address> {
        match message.and_then(|address| address.address) {
            Some(core::address::Address::SocketAddress(socket)) => {
                self.socket_address(&path.field("socket_address"), socket, names)
            }
            Some(core::address::Address::Pipe(pipe)) => {
                Some(Address::Pipe { path: PathBuf::from(pipe.path), mode: pipe.mode })
            }
            // The field check has refused it.
            Some(core::address::Address::EnvoyInternalAddress(_)) => None,
            None => {
                self.report.error(path, "missing-address", "an address is needed: `socket_address` or `pipe`");
                None
            }
        }
    }

    /// A TCP address; `None` (with an error) when it is unusable.
    pub(super) fn socket_address(
        &mut self,
        path: &Path<'_>,
        socket: core::SocketAddress,
        names: Names,
    ) -> Option<Address> {
        use core::socket_address::{PortSpecifier, Protocol};
        if socket.protocol() == Protocol::Udp {
            self.report.unsupported(&path.field("protocol"), "UDP");
        }
        let port = match socket.port_specifier {
            Some(PortSpecifier::PortValue(port)) => port,
            // A named port is refused by the field check.
            Some(PortSpecifier::NamedPort(_)) | None => 0,
        };
        let Ok(port) = u16::try_from(port) else {
            self.report.error(&path.field("port_value"), "bad-port", format!("port {port} is above 65535"));
            return None;
        };
        match (socket.address.parse::<IpAddr>(), names) {
            (Ok(ip), _) => Some(Address::Ip(SocketAddr::new(ip, port))),
            (Err(_), Names::Allowed) => Some(Address::Name { host: socket.address, port }),
            (Err(_), Names::Refused(help)) => {
                let message = format!("malformed IP address: {}", socket.address);
                self.report.error_with(&path.field("address"), "malformed-ip", message, help);
                None
            }
        }
    }

    /// Ranges of addresses; bad ones are reported and left out.
    pub(super) fn cidrs(&mut self, path: &Path<'_>, name: &str, ranges: Vec<core::CidrRange>) -> Vec<(IpAddr, u8)> {
        let mut cidrs = Vec::with_capacity(ranges.len());
        for (index, range) in ranges.into_iter().enumerate() {
            let path = path.item(name, index);
            let Ok(ip) = range.address_prefix.parse::<IpAddr>() else {
                let message = format!("malformed IP address: {}", range.address_prefix);
                self.report.error(&path.field("address_prefix"), "malformed-ip", message);
                continue;
            };
            let most = if ip.is_ipv4() { 32 } else { 128 };
            let length = range.prefix_len.map_or(0, |length| length.value);
            // Envoy cuts what is too long for the family.
            cidrs.push((ip, u8::try_from(length).unwrap_or(u8::MAX).min(most)));
        }
        cidrs
    }
}

/// Raw socket options.
pub(super) fn options(options: Vec<core::SocketOption>) -> Vec<SocketOption> {
    use core::socket_option::{SocketState as State, Value};
    let translate = |option: core::SocketOption| SocketOption {
        level: option.level,
        name: option.name,
        state: match option.state() {
            State::StatePrebind => SocketState::Prebind,
            State::StateBound => SocketState::Bound,
            State::StateListening => SocketState::Listening,
        },
        value: match option.value {
            Some(Value::BufValue(bytes)) => SocketOptionValue::Bytes(bytes),
            Some(Value::IntValue(number)) => SocketOptionValue::Int(number),
            None => SocketOptionValue::Int(0),
        },
    };
    options.into_iter().map(translate).collect()
}

/// Keepalive probes.
pub(super) fn keepalive(message: core::TcpKeepalive) -> TcpKeepalive {
    let seconds = |value: Option<envoy_types::pb::google::protobuf::UInt32Value>| {
        value.map(|seconds| Duration::from_secs(seconds.value.into()))
    };
    TcpKeepalive {
        probes: message.keepalive_probes.map(|probes| probes.value),
        time: seconds(message.keepalive_time),
        interval: seconds(message.keepalive_interval),
    }
}
