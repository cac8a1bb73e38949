//! `%XFCC_VALUE(key)%`: one key of the request's x-forwarded-client-cert.
//!
//! The header is a list of elements (`,`) of pairs (`;`); values may be quoted, with backslashes.

use nuncio_api::names;
use nuncio_config::model::format::XfccKey;

use super::values::Written;
use crate::stream_info::StreamInfo;

/// A key of x-forwarded-client-cert: of the first element that has it.
pub(super) fn write(key: XfccKey, info: &StreamInfo, out: &mut Vec<u8>) -> Written {
    let name: &[u8] = match key {
        XfccKey::By => b"by",
        XfccKey::Hash => b"hash",
        XfccKey::Cert => b"cert",
        XfccKey::Chain => b"chain",
        XfccKey::Subject => b"subject",
        XfccKey::Uri => b"uri",
        XfccKey::Dns => b"dns",
    };
    let Some(request) = &info.request else {
        return Written::Absent;
    };
    let Some(list) = request.headers.get(&names::X_FORWARDED_CLIENT_CERT) else {
        return Written::Absent;
    };
    let mut rest = list.as_bytes();
    while !rest.is_empty() {
        let (pair, tail) = split_unquoted(rest);
        rest = tail;
        let Some(at) = memchr::memchr(b'=', pair) else {
            continue;
        };
        let (found, value) = (pair.get(..at).unwrap_or_default(), pair.get(at + 1..).unwrap_or_default());
        if found.trim_ascii().eq_ignore_ascii_case(name) {
            unquote(value.trim_ascii(), out);
            return Written::Text;
        }
    }
    Written::Absent
}

/// Up to the first `,` or `;` outside quotes, and what follows it.
fn split_unquoted(text: &[u8]) -> (&[u8], &[u8]) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b';' if !quoted => {
                return (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
            }
            _ => {}
        }
    }
    (text, &[])
}

fn unquote(value: &[u8], out: &mut Vec<u8>) {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")) else {
        out.extend_from_slice(value);
        return;
    };
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next()),
            byte => out.push(*byte),
        }
    }
}
