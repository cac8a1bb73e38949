//! Format commands without parameters.
//!
//! Text is written straight behind what the buffer holds; the answer says whether it was text, a
//! number (printed without quotes in JSON) or nothing at all. What has no source in
//! [`StreamInfo`] (TLS, tracing, transport statistics) is absent.

use std::sync::LazyLock;

use nuncio_api::{Protocol, ResponseFlag, names};
use nuncio_config::model::format::{GrpcStatusForm, LocalAddress, Plain, Precision};
use tokio::time::Instant;

use super::{
    address, commands, grpc,
    sizes::{request_size, response_size, size},
};
use crate::stream_info::StreamInfo;

static HOSTNAME: LazyLock<Vec<u8>> = LazyLock::new(|| rustix::system::uname().nodename().to_bytes().to_vec());

/// What a command wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing: there is no value.
    Absent,
    /// Text, perhaps empty.
    Text,
    /// Decimal digits, or what else stands in JSON without quotes.
    Number,
}

/// Writes a text that may be absent.
pub(super) fn text(value: Option<impl AsRef<[u8]>>, out: &mut Vec<u8>) -> Written {
    let Some(value) = value else {
        return Written::Absent;
    };
    out.extend_from_slice(value.as_ref());
    Written::Text
}

/// Writes a number that may be absent.
pub(super) fn number(value: Option<u64>, out: &mut Vec<u8>) -> Written {
    let Some(value) = value else {
        return Written::Absent;
    };
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    Written::Number
}

/// Writes a text with underscores for spaces.
pub(super) fn underscored(value: &str, out: &mut Vec<u8>) -> Written {
    out.extend(value.bytes().map(|byte| if byte == b' ' { b'_' } else { byte }));
    Written::Text
}

/// Writes what `plain` stands for.
pub(super) fn write(plain: Plain, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    match plain {
        Plain::AccessLogType => text(Some(if info.end.is_some() { "DownstreamEnd" } else { "NotSet" }), out),
        Plain::Protocol => text(info.protocol.map(Protocol::as_str), out),
        Plain::ResponseCode => number(Some(info.response_code().into()), out),
        Plain::ResponseFlags => flags(info, ResponseFlag::short, out),
        Plain::ResponseFlagsLong => flags(info, ResponseFlag::long, out),
        Plain::Hostname => text(Some(HOSTNAME.as_slice()), out),
        Plain::GrpcStatusNumber => grpc::write(GrpcStatusForm::Number, info, out),
        Plain::RouteName => text(info.route.as_ref().map(|r| r.name.as_str()).filter(|n| !n.is_empty()), out),
        Plain::VirtualClusterName => text(info.virtual_cluster.as_deref(), out),
        Plain::StreamId => text(request_id(info), out),
        Plain::UniqueId => unique_id(out),
        // Printed empty by Envoy too: filters alone set it.
        Plain::CustomFlags => Written::Text,
        Plain::LocalReplyBody => {
            out.extend_from_slice(info.local_reply_body.as_deref().unwrap_or_default());
            Written::Text
        }
        Plain::ListenerName => text(Some(&*info.connection.listener).filter(|name| !name.is_empty()), out),
        Plain::ConnectionId => number(Some(info.connection.id), out),
        Plain::ConnectionTerminationDetails => text(info.connection_termination, out),
        Plain::DownstreamDetectedCloseType => text(Some("Normal"), out),
        _ => {
            let first = bytes(plain, info, out);
            let second = if first == Written::Absent { durations(plain, info, out) } else { first };
            if second == Written::Absent { addresses(plain, info, out) } else { second }
        }
    }
}

/// Counts of bytes.
fn bytes(plain: Plain, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    let (down, up) = (&info.downstream_wire, &info.upstream.wire);
    // HPACK hides the size before compression; HTTP/1 has none.
    let plain_headers = |protocol, bytes| (protocol != Some(Protocol::Http2)).then_some(bytes);
    let value = match plain {
        Plain::BytesReceived => Some(info.bytes_received),
        Plain::BytesSent => Some(info.bytes_sent),
        Plain::DownstreamWireBytesReceived => Some(down.received),
        Plain::DownstreamWireBytesSent => Some(down.sent),
        Plain::DownstreamHeaderBytesReceived => Some(down.header_received),
        Plain::DownstreamHeaderBytesSent => Some(down.header_sent),
        Plain::DownstreamDecompressedHeaderBytesReceived => plain_headers(info.protocol, down.header_received),
        Plain::DownstreamDecompressedHeaderBytesSent => plain_headers(info.protocol, down.header_sent),
        Plain::UpstreamWireBytesReceived => Some(up.received),
        Plain::UpstreamWireBytesSent => Some(up.sent),
        Plain::UpstreamHeaderBytesReceived => Some(up.header_received),
        Plain::UpstreamHeaderBytesSent => Some(up.header_sent),
        Plain::UpstreamDecompressedHeaderBytesReceived => plain_headers(info.upstream.protocol, up.header_received),
        Plain::UpstreamDecompressedHeaderBytesSent => plain_headers(info.upstream.protocol, up.header_sent),
        Plain::RequestHeadersBytes => Some(info.request.as_ref().map_or(0, request_size)),
        Plain::ResponseHeadersBytes => Some(info.response.as_ref().map_or(0, response_size)),
        Plain::ResponseTrailersBytes => Some(info.response_trailers.as_ref().map_or(0, size)),
        Plain::UpstreamRequestAttemptCount => Some(info.upstream.attempts.into()),
        Plain::UpstreamConnectionId => Some(info.upstream.connection_id.unwrap_or(0)),
        _ => None,
    };
    number(value, out)
}

/// Durations in whole milliseconds.
fn durations(plain: Plain, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    let millis = |from, to| commands::between(from, to, Precision::Milliseconds);
    let start = Some(info.start);
    let value = match plain {
        Plain::Duration => millis(start, info.end.or_else(|| Some(Instant::now()))),
        Plain::RequestDuration => millis(start, info.request_complete),
        Plain::RequestTxDuration => millis(start, info.upstream_last_tx),
        Plain::ResponseDuration => millis(start, info.upstream_first_rx),
        Plain::ResponseTxDuration => millis(info.upstream_first_rx, info.downstream_last_tx),
        _ => None,
    };
    number(value, out)
}

/// Addresses, and the rest of the upstream side.
fn addresses(plain: Plain, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    let upstream = &info.upstream;
    match plain {
        Plain::DownstreamRemoteAddress => address::with_port(LocalAddress::DownstreamRemote, info, out),
        Plain::DownstreamRemotePort => address::port(LocalAddress::DownstreamRemote, info, out),
        Plain::DownstreamDirectRemoteAddress => address::with_port(LocalAddress::DownstreamDirectRemote, info, out),
        Plain::DownstreamDirectRemotePort => address::port(LocalAddress::DownstreamDirectRemote, info, out),
        Plain::DownstreamLocalAddress | Plain::DownstreamDirectLocalAddress => {
            address::with_port(LocalAddress::DownstreamLocal, info, out)
        }
        Plain::DownstreamLocalPort | Plain::DownstreamDirectLocalPort => {
            address::port(LocalAddress::DownstreamLocal, info, out)
        }
        Plain::UpstreamHost | Plain::UpstreamRemoteAddress => {
            address::with_port(LocalAddress::UpstreamRemote, info, out)
        }
        Plain::UpstreamRemotePort => address::port(LocalAddress::UpstreamRemote, info, out),
        Plain::UpstreamLocalAddress => address::with_port(LocalAddress::UpstreamLocal, info, out),
        Plain::UpstreamLocalPort => address::port(LocalAddress::UpstreamLocal, info, out),
        Plain::UpstreamHostName => host_name(true, info, out),
        Plain::UpstreamHostNameWithoutPort => host_name(false, info, out),
        Plain::UpstreamCluster => text(upstream.cluster_alias.as_deref().or(upstream.cluster.as_deref()), out),
        Plain::UpstreamClusterRaw => text(upstream.cluster.as_deref(), out),
        Plain::UpstreamProtocol => text(upstream.protocol.map(Protocol::as_str), out),
        Plain::UpstreamTransportFailureReason => match &upstream.transport_failure {
            Some(reason) => underscored(reason, out),
            None => Written::Absent,
        },
        Plain::UpstreamDetectedCloseType => text(upstream.host.as_ref().map(|_| "Normal"), out),
        _ => attempted(plain, info, out),
    }
}

/// The lists of what was attempted: known while there was no more than one attempt.
fn attempted(plain: Plain, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    if info.upstream.attempts > 1 {
        return Written::Absent;
    }
    match plain {
        Plain::UpstreamHostsAttempted => address::with_port(LocalAddress::UpstreamRemote, info, out),
        Plain::UpstreamHostsAttemptedWithoutPort => {
            address::without_port(LocalAddress::UpstreamRemote, None, info, out)
        }
        Plain::UpstreamHostNamesAttempted => host_name(true, info, out),
        Plain::UpstreamHostNamesAttemptedWithoutPort => host_name(false, info, out),
        Plain::UpstreamConnectionIdsAttempted => match number(info.upstream.connection_id, out) {
            Written::Absent => Written::Absent,
            // A list is text even when it holds one number.
            Written::Text | Written::Number => Written::Text,
        },
        _ => Written::Absent,
    }
}

/// The host's name, or its address when it has none.
fn host_name(port: bool, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    match &info.upstream.host_name {
        Some(name) => text(Some(name.as_bytes()), out),
        None if port => address::with_port(LocalAddress::UpstreamRemote, info, out),
        None => address::without_port(LocalAddress::UpstreamRemote, None, info, out),
    }
}

fn flags(info: &StreamInfo, name: impl Fn(ResponseFlag) -> &'static str, out: &mut Vec<u8>) -> Written {
    if info.flags.is_empty() {
        // Not absent: Envoy prints it in JSON as well.
        out.push(b'-');
        return Written::Text;
    }
    for (at, flag) in info.flags.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name(flag).as_bytes());
    }
    Written::Text
}

pub(super) fn request_id(info: &StreamInfo) -> Option<&[u8]> {
    info.request.as_ref()?.headers.get(&names::X_REQUEST_ID).map(|value| value.as_bytes())
}

/// A fresh UUID of version 4 for each line.
fn unique_id(out: &mut Vec<u8>) -> Written {
    let id = crate::hcm::request_id::generate(fastrand::u128(..));
    text(Some(id.as_bytes()), out)
}
