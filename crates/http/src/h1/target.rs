//! Request targets: origin, absolute, authority and asterisk form (RFC 9112 section 3.2).
//!
//! Pure functions. An absolute target wins over Host; CONNECT takes `host:port` only. What is no
//! target is refused before anything else looks at it, so that a path begins with `/` (or is `*`)
//! and an authority holds no byte that another recipient could read as its end.

use bytes::{BufMut, Bytes, BytesMut};
use http::Method;
use nuncio_api::{Scheme, Text};

use super::details;
use crate::error::ProtocolError;

/// A request target in parts.
#[derive(Debug)]
pub(super) struct Target {
    /// Of the absolute form.
    pub(super) scheme: Option<Scheme>,
    /// Of the absolute and the authority form.
    pub(super) authority: Option<Text>,
    /// Empty for CONNECT.
    pub(super) path: Text,
}

/// Splits the target of the request line.
pub(super) fn target(method: &Method, target: Bytes, allow_absolute_url: bool) -> Result<Target, ProtocolError> {
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err(details::CODEC_ERROR);
    }
    if *method == Method::CONNECT {
        return authority_form(target);
    }
    let asterisk_form = target.first() == Some(&b'*');
    if asterisk_form && *method != Method::OPTIONS {
        return Err(details::INVALID_URL);
    }
    // More than an asterisk is for the layer above to refuse, as what is no path.
    if asterisk_form || target.first() == Some(&b'/') {
        return Ok(Target { scheme: None, authority: None, path: text(target)? });
    }
    if !allow_absolute_url {
        return Err(details::CODEC_ERROR);
    }
    absolute_form(&target)
}

fn authority_form(target: Bytes) -> Result<Target, ProtocolError> {
    let port = target.rsplit(|b| *b == b':').next().unwrap_or_default();
    let has_port = port.len() < target.len() && is_port(port);
    if !has_port || !is_url_authority(&target) {
        return Err(details::INVALID_URL);
    }
    Ok(Target { scheme: None, authority: Some(text(target)?), path: Text::default() })
}

fn absolute_form(target: &Bytes) -> Result<Target, ProtocolError> {
    let colon = memchr::memmem::find(target, b"://").ok_or(details::CODEC_ERROR)?;
    let scheme = target.slice(..colon);
    if scheme.is_empty() || !scheme.iter().all(u8::is_ascii_alphanumeric) {
        return Err(details::CODEC_ERROR);
    }
    let rest = target.slice(colon + 3..);
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let authority = rest.slice(..end);
    if rest.get(end) == Some(&b'#') {
        return Err(details::CODEC_ERROR);
    }
    if !is_url_authority(&authority) {
        return Err(details::INVALID_URL);
    }
    let scheme = match scheme {
        s if s.eq_ignore_ascii_case(b"http") => Scheme::Http,
        s if s.eq_ignore_ascii_case(b"https") => Scheme::Https,
        _ => return Err(details::INVALID_SCHEME),
    };
    let path = match rest.slice(end..) {
        path if path.first() == Some(&b'/') => path,
        path => rooted(&path),
    };
    Ok(Target { scheme: Some(scheme), authority: Some(text(authority)?), path: text(path)? })
}

/// `?query` of `http://host?query` belongs to the path `/`.
fn rooted(query: &[u8]) -> Bytes {
    let mut path = BytesMut::with_capacity(query.len() + 1);
    path.put_u8(b'/');
    path.put_slice(query);
    path.freeze()
}

/// A Host header's value as authority; it may be empty (RFC 9112 section 3.2).
pub(super) fn host(value: Bytes) -> Result<Text, ProtocolError> {
    if !is_authority(&value) {
        return Err(details::INVALID_AUTHORITY);
    }
    text(value)
}

/// Bytes of a registered name, an IP literal and a port. No user, no path.
fn is_authority(bytes: &[u8]) -> bool {
    let port = match bytes.strip_prefix(b"[") {
        Some(rest) => {
            let Some(close) = memchr::memchr(b']', rest) else {
                return false;
            };
            let literal = rest.get(..close).unwrap_or_default();
            if literal.is_empty()
                || !literal
                    .iter()
                    .all(|b| b.is_ascii_hexdigit() || b":.%-_~vV".contains(b) || b.is_ascii_alphanumeric())
            {
                return false;
            }
            match rest.get(close + 1..) {
                Some([b':', port @ ..]) => port,
                Some([]) | None => return true,
                Some(_) => return false,
            }
        }
        None => {
            let mut parts = bytes.splitn(2, |b| *b == b':');
            let name = parts.next().unwrap_or_default();
            if !name.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(b)) {
                return false;
            }
            match parts.next() {
                Some(port) => port,
                None => return true,
            }
        }
    };
    port.iter().all(u8::is_ascii_digit)
}

/// The authority of a target, of which Envoy takes less than a Host may hold: a name of letters,
/// digits, dots and hyphens or an address, and a port that exists.
fn is_url_authority(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let sound = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')),
    };
    sound && port.is_none_or(|port| is_port(port.as_bytes()))
}

fn is_port(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.len() <= 5
        && std::str::from_utf8(bytes).is_ok_and(|t| t.bytes().all(|b| b.is_ascii_digit()) && t.parse::<u16>().is_ok())
}

fn text(bytes: Bytes) -> Result<Text, ProtocolError> {
    Text::from_utf8(bytes).map_err(|_| details::CODEC_ERROR)
}
