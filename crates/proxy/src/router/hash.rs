//! `hash_policy`: the number by which a request is put with others of its kind.
//!
//! Pure: header values (each the seed of the next), cookies, the client's address and query
//! parameters, hashed by xxHash64 and put together by rotating and exclusive or, as Envoy does, so that both choose the same host. A
//! cookie that is missing is made up when the policy gives it a lifetime; the response sets it then.
//! Filter state is nothing that the proxy has, so that such a policy gives nothing.

use std::time::Duration;

use http::{HeaderValue, header};
use nuncio_api::RequestHead;
use nuncio_config::model::route::{CookieAttribute, HashPolicy, HashSource};
use smallvec::SmallVec;
use xxhash_rust::xxh64::xxh64;

use super::{read, rewrite};
use crate::stream_info::StreamInfo;

/// What the policies make of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hashed {
    /// The hash, when any policy gives one.
    pub value: Option<u64>,
    /// `set-cookie` of the cookies that were made up.
    pub cookies: Vec<HeaderValue>,
}

/// Hashes the request in `info`.
pub(crate) fn of(policies: &[HashPolicy], info: &StreamInfo) -> Hashed {
    let mut cookies = Vec::new();
    let value = put_together(policies, info, Some(&mut cookies));
    Hashed { value, cookies }
}

/// The same where no cookie can be set.
pub(crate) fn without_cookies(policies: &[HashPolicy], info: &StreamInfo) -> Option<u64> {
    put_together(policies, info, None)
}

fn put_together(policies: &[HashPolicy], info: &StreamInfo, mut cookies: Option<&mut Vec<HeaderValue>>) -> Option<u64> {
    let request = info.request.as_ref()?;
    let mut hash: Option<u64> = None;
    for policy in policies {
        if let Some(new) = one(&policy.source, request, info, cookies.as_deref_mut()) {
            // Rotated, so that two alike do not cancel each other out.
            hash = Some(hash.unwrap_or(0).rotate_left(1) ^ new);
        }
        if policy.terminal && hash.is_some() {
            break;
        }
    }
    hash
}

fn one(
    source: &HashSource,
    request: &RequestHead,
    info: &StreamInfo,
    cookies: Option<&mut Vec<HeaderValue>>,
) -> Option<u64> {
    match source {
        HashSource::Header { name, rewrite } => {
            let values = read::all(request, name);
            let mut values: SmallVec<[Vec<u8>; 2]> = values
                .iter()
                .map(|value| match rewrite {
                    Some((regex, with)) => rewrite::replace_bytes(regex, with, value),
                    None => value.to_vec(),
                })
                .collect();
            if values.is_empty() {
                return None;
            }
            // The same in whatever order they come.
            values.sort_unstable();
            Some(values.iter().fold(0, |seed, value| xxh64(value, seed)))
        }
        HashSource::Cookie { name, ttl, path, attributes } => match cookie(request, name) {
            Some(value) => Some(xxh64(value, 0)),
            None => {
                let (ttl, cookies) = ((*ttl)?, cookies?);
                let value = made_up(info);
                cookies.extend(set_cookie(name, &value, ttl, path, attributes));
                Some(xxh64(value.as_bytes(), 0))
            }
        },
        HashSource::SourceIp => info.client.map(|client| xxh64(client.ip().to_string().as_bytes(), 0)),
        HashSource::QueryParameter(name) => {
            let (_, query) = request.path.split_once('?')?;
            let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.find(|(found, _)| found == name).map(|(_, value)| xxh64(value.as_bytes(), 0))
        }
        HashSource::FilterState(_) => None,
    }
}

/// The value of a cookie; `None` when it is missing or empty.
fn cookie<'a>(request: &'a RequestHead, name: &str) -> Option<&'a [u8]> {
    let all = request.headers.get_all(&header::COOKIE).flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut named = all.filter_map(|pair| {
        let at = memchr::memchr(b'=', pair)?;
        let (key, value) = (pair.get(..at)?.trim_ascii_start(), pair.get(at + 1..)?);
        (key == name.as_bytes()).then_some(value)
    });
    let value = named.next()?;
    let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    (!bare.is_empty()).then_some(bare)
}

/// The same for all streams of a connection, so that those that race get the same cookie.
fn made_up(info: &StreamInfo) -> String {
    let ends = format!("{}{}", info.connection.remote, info.connection.local);
    format!("{:016x}", xxh64(ends.as_bytes(), 0))
}

fn set_cookie(
    name: &str,
    value: &str,
    ttl: Duration,
    path: &str,
    attributes: &[CookieAttribute],
) -> Option<HeaderValue> {
    let mut text = format!("{name}=\"{value}\"");
    if !ttl.is_zero() {
        text.push_str(&format!("; Max-Age={}", ttl.as_secs()));
    }
    if !path.is_empty() {
        text.push_str("; Path=");
        text.push_str(path);
    }
    for CookieAttribute { name, value } in attributes {
        text.push_str("; ");
        text.push_str(name);
        if !value.is_empty() {
            text.push('=');
            text.push_str(value);
        }
    }
    text.push_str("; HttpOnly");
    HeaderValue::try_from(text).ok()
}
