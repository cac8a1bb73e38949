//! Socket options by level and name, as `envoy.config.core.v3.SocketOption` gives them.
//!
//! Owns the table of options that can be set from a raw (level, name, value) triple and the
//! `tcp_keepalive` trio. Every entry goes through a safe call, so an option that no safe call
//! knows is refused when the socket is made, with its numbers: it is never skipped in silence.
//! Linux numbers; that is the only system this runs on.
//!
//! Used for listening sockets before they are bound and for upstream sockets before they connect.

use std::{io, os::fd::AsFd, time::Duration};

use rustix::net::sockopt;
use socket2::SockRef;

/// One raw option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawOption {
    /// For example 1, `SOL_SOCKET`.
    pub level: i64,
    /// For example 9, `SO_KEEPALIVE`.
    pub name: i64,
    /// What it is set to.
    pub value: RawValue,
}

/// The value of a raw option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawValue {
    /// A C int.
    Int(i64),
    /// A buffer: a device name, the name of a congestion control.
    Bytes(Vec<u8>),
}

/// Keepalive of a TCP connection; `None` leaves the system's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// Unanswered probes before the connection is given up.
    pub probes: Option<u32>,
    /// Idle time before the first probe.
    pub time: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
}

/// Why an option could not be set.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// No safe call knows it.
    #[error("socket option level {level} name {name} is not supported")]
    Unknown {
        /// Level as configured.
        level: i64,
        /// Name as configured.
        name: i64,
    },
    /// The value does not fit the option.
    #[error("socket option level {level} name {name} does not take this value")]
    Value {
        /// Level as configured.
        level: i64,
        /// Name as configured.
        name: i64,
    },
    /// The kernel refused.
    #[error("socket option level {level} name {name}: {source}")]
    Refused {
        /// Level as configured.
        level: i64,
        /// Name as configured.
        name: i64,
        /// Its answer.
        source: io::Error,
    },
}

/// Turns keepalive on with the given values.
pub fn set_keepalive(socket: impl AsFd, keepalive: &Keepalive) -> io::Result<()> {
    let socket = SockRef::from(&socket);
    socket.set_keepalive(true)?;
    let mut settings = socket2::TcpKeepalive::new();
    if let Some(time) = keepalive.time {
        settings = settings.with_time(time);
    }
    if let Some(interval) = keepalive.interval {
        settings = settings.with_interval(interval);
    }
    if let Some(probes) = keepalive.probes {
        settings = settings.with_retries(probes);
    }
    socket.set_tcp_keepalive(&settings)
}

/// Sets one raw option.
pub fn set_raw(socket: impl AsFd, option: &RawOption) -> Result<(), OptionError> {
    let RawOption { level, name, value } = option;
    let (level, name) = (*level, *name);
    let unknown = || OptionError::Unknown { level, name };
    let setting = match value {
        RawValue::Int(value) => set_int(&socket, level, name, *value),
        RawValue::Bytes(bytes) => set_bytes(&socket, level, name, bytes),
    };
    match setting {
        Setting::Done => Ok(()),
        Setting::Unknown => Err(unknown()),
        Setting::BadValue => Err(OptionError::Value { level, name }),
        Setting::Refused(source) => Err(OptionError::Refused { level, name, source }),
    }
}

/// What came of one call.
enum Setting {
    Done,
    Unknown,
    BadValue,
    Refused(io::Error),
}

impl<E: Into<io::Error>> From<Result<(), E>> for Setting {
    fn from(result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(error) => Self::Refused(error.into()),
        }
    }
}

const SOL_IP: i64 = 0;
const SOL_SOCKET: i64 = 1;
const SOL_TCP: i64 = 6;
const SOL_IPV6: i64 = 41;

fn set_int(socket: &impl AsFd, level: i64, name: i64, value: i64) -> Setting {
    match level {
        SOL_SOCKET => set_socket_level(socket, name, value),
        SOL_TCP => set_tcp_level(socket, name, value),
        SOL_IP | SOL_IPV6 => set_ip_level(socket, level, name, value),
        _ => Setting::Unknown,
    }
}

fn set_socket_level(fd: &impl AsFd, name: i64, value: i64) -> Setting {
    let socket = SockRef::from(fd);
    let on = value != 0;
    let (Ok(word), Ok(size)) = (u32::try_from(value), usize::try_from(value)) else {
        return Setting::BadValue;
    };
    match name {
        2 => socket.set_reuse_address(on).into(),
        6 => socket.set_broadcast(on).into(),
        7 => socket.set_send_buffer_size(size).into(),
        8 => socket.set_recv_buffer_size(size).into(),
        9 => socket.set_keepalive(on).into(),
        10 => socket.set_out_of_band_inline(on).into(),
        12 => socket.set_priority(word).into(),
        15 => socket.set_reuse_port(on).into(),
        16 => socket.set_passcred(on).into(),
        32 => sockopt::set_socket_send_buffer_size_force(fd, size).into(),
        33 => sockopt::set_socket_recv_buffer_size_force(fd, size).into(),
        36 => socket.set_mark(word).into(),
        49 => sockopt::set_socket_incoming_cpu(fd, word).into(),
        _ => Setting::Unknown,
    }
}

fn set_tcp_level(fd: &impl AsFd, name: i64, value: i64) -> Setting {
    let socket = SockRef::from(fd);
    let on = value != 0;
    let Ok(word) = u32::try_from(value) else {
        return Setting::BadValue;
    };
    let seconds = Duration::from_secs(u64::from(word));
    match name {
        1 => socket.set_tcp_nodelay(on).into(),
        2 => socket.set_tcp_mss(word).into(),
        3 => socket.set_tcp_cork(on).into(),
        4 => sockopt::set_tcp_keepidle(fd, seconds).into(),
        5 => sockopt::set_tcp_keepintvl(fd, seconds).into(),
        6 => sockopt::set_tcp_keepcnt(fd, word).into(),
        12 => socket.set_tcp_quickack(on).into(),
        16 => socket.set_tcp_thin_linear_timeouts(on).into(),
        18 => sockopt::set_tcp_user_timeout(fd, word).into(),
        25 => socket.set_tcp_notsent_lowat(word).into(),
        _ => Setting::Unknown,
    }
}

fn set_ip_level(fd: &impl AsFd, level: i64, name: i64, value: i64) -> Setting {
    let socket = SockRef::from(fd);
    let on = value != 0;
    let Ok(word) = u32::try_from(value) else {
        return Setting::BadValue;
    };
    match (level, name) {
        (SOL_IP, 1) => socket.set_tos_v4(word).into(),
        (SOL_IP, 2) => socket.set_ttl_v4(word).into(),
        (SOL_IP, 15) => socket.set_freebind_v4(on).into(),
        (SOL_IP, 19) => socket.set_ip_transparent_v4(on).into(),
        (SOL_IPV6, 16) => socket.set_unicast_hops_v6(word).into(),
        (SOL_IPV6, 26) => socket.set_only_v6(on).into(),
        (SOL_IPV6, 67) => socket.set_tclass_v6(word).into(),
        (SOL_IPV6, 75) => socket.set_ip_transparent_v6(on).into(),
        (SOL_IPV6, 78) => socket.set_freebind_v6(on).into(),
        _ => Setting::Unknown,
    }
}

fn set_bytes(fd: &impl AsFd, level: i64, name: i64, bytes: &[u8]) -> Setting {
    let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    match (level, name) {
        (SOL_SOCKET, 25) => SockRef::from(fd).bind_device(Some(text)).into(),
        (SOL_TCP, 13) => SockRef::from(fd).set_tcp_congestion(text).into(),
        // Envoy hands an integer's bytes over as they are.
        _ => match <[u8; 4]>::try_from(bytes) {
            Ok(word) => set_int(fd, level, name, i64::from(i32::from_ne_bytes(word))),
            Err(_) => Setting::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};

    fn socket() -> Socket {
        Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()
    }

    fn int(level: i64, name: i64, value: i64) -> RawOption {
        RawOption { level, name, value: RawValue::Int(value) }
    }

    #[test]
    fn known_numbers_reach_the_kernel() {
        let socket = socket();
        set_raw(&socket, &int(SOL_SOCKET, 9, 1)).unwrap();
        set_raw(&socket, &int(SOL_TCP, 1, 1)).unwrap();
        set_raw(&socket, &int(SOL_TCP, 6, 7)).unwrap();
        set_raw(&socket, &int(SOL_IP, 1, 16)).unwrap();
        assert!(socket.keepalive().unwrap());
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(sockopt::tcp_keepcnt(&socket).unwrap(), 7);
        assert_eq!(socket.tos_v4().unwrap(), 16);
    }

    #[test]
    fn an_integer_may_come_as_bytes() {
        let socket = socket();
        let value = RawValue::Bytes(1_i32.to_ne_bytes().to_vec());
        set_raw(&socket, &RawOption { level: SOL_SOCKET, name: 9, value }).unwrap();
        assert!(socket.keepalive().unwrap());
    }

    #[test]
    fn unknown_numbers_are_refused_with_their_numbers() {
        let error = set_raw(socket(), &int(4711, 1, 1)).unwrap_err();
        assert_eq!(error.to_string(), "socket option level 4711 name 1 is not supported");
        assert!(matches!(set_raw(socket(), &int(SOL_TCP, 1, -1)), Err(OptionError::Value { .. })));
    }

    #[test]
    fn keepalive_sets_all_three_values() {
        let socket = socket();
        let keepalive =
            Keepalive { probes: Some(3), time: Some(Duration::from_secs(40)), interval: Some(Duration::from_secs(5)) };
        set_keepalive(&socket, &keepalive).unwrap();
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), Duration::from_secs(40));
        assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), Duration::from_secs(5));
        assert_eq!(sockopt::tcp_keepcnt(&socket).unwrap(), 3);
    }
}
