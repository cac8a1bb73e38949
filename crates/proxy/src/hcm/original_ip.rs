//! `original_ip_detection_extensions`: who the client is, as others tell it.
//!
//! The extensions are asked in order; the first that finds an address decides, also on whether that
//! address may make the request internal. One may refuse a request whose client it does not find.
//! Pure functions over the headers; used only where `use_remote_address` is off.

use std::net::{IpAddr, SocketAddr};

use http::StatusCode;
use nuncio_api::{Headers, names};
use nuncio_config::model::{HttpConnectionManager, hcm::OriginalIpDetection};

use super::{
    cidr,
    request_headers::{Client, Ends, address, address_from_xff, append_peer, is_internal, is_single},
};

/// What an extension found.
#[derive(Default)]
struct Found {
    address: Option<SocketAddr>,
    /// The address may count as internal.
    trusted: bool,
    /// The peer is not added to x-forwarded-for; the last extension asked decides.
    skip_append: bool,
}

/// Asks the extensions; the status is that of a refusal.
pub(super) fn client(
    settings: &HttpConnectionManager,
    ends: Ends<'_>,
    headers: &mut Headers,
) -> Result<Client, StatusCode> {
    let peer = ends.remote.ip();
    let mut found = Found { skip_append: true, ..Found::default() };
    for detection in &settings.original_ip_detection {
        found = detect(detection, peer.map(|p| p.ip()), headers)?;
        if found.address.is_some() {
            break;
        }
    }
    if !found.skip_append {
        append_peer(ends, headers);
    }
    let address = found.address.or(peer);
    let trusted = found.address.is_some() && found.trusted;
    Ok(Client { address, internal: trusted && is_internal(settings, ends.remote, address) })
}

fn detect(by: &OriginalIpDetection, peer: Option<IpAddr>, headers: &Headers) -> Result<Found, StatusCode> {
    match by {
        OriginalIpDetection::ForwardedFor { trusted: Some(proxies), .. }
            if !peer.is_some_and(|peer| cidr::contains_any(proxies, peer)) =>
        {
            Ok(Found::default())
        }
        OriginalIpDetection::ForwardedFor { trusted_hops, trusted, skip_append } => {
            let ip = match trusted {
                Some(proxies) => behind(proxies, headers),
                None => address_from_xff(headers, *trusted_hops),
            };
            let address = ip.map(|ip| SocketAddr::new(ip, 0));
            Ok(Found { address, trusted: is_single(headers), skip_append: *skip_append })
        }
        OriginalIpDetection::Header { name, trusted, reject_with } => {
            let ip = headers.get_str(name).and_then(|text| text.parse().ok());
            match (ip, reject_with) {
                (None, Some(status)) => Err(*status),
                (ip, _) => {
                    let address = ip.map(|ip| SocketAddr::new(ip, 0));
                    Ok(Found { address, trusted: *trusted, skip_append: true })
                }
            }
        }
    }
}

/// The last entry of x-forwarded-for that is no trusted proxy; if all are, the first.
fn behind(proxies: &[(IpAddr, u8)], headers: &Headers) -> Option<IpAddr> {
    let mut last = None;
    for entry in headers.get_str(&names::X_FORWARDED_FOR)?.rsplit(',') {
        let found = address(entry)?;
        last = Some(found);
        if !cidr::contains_any(proxies, found) {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn forwarded(text: &str) -> Headers {
        [(names::X_FORWARDED_FOR, HeaderValue::from_str(text).unwrap())].into_iter().collect()
    }

    #[test]
    fn the_client_is_the_last_that_is_no_trusted_proxy() {
        let proxies = [("10.0.0.0".parse().unwrap(), 8)];
        let by =
            OriginalIpDetection::ForwardedFor { trusted_hops: 0, trusted: Some(proxies.into()), skip_append: true };
        let find = |peer: &str, list: &str| {
            let found = detect(&by, peer.parse().ok(), &forwarded(list)).unwrap();
            (found.address.map(|address| address.ip().to_string()), found.skip_append)
        };
        let some = |text: &str| (Some(text.to_owned()), true);
        assert_eq!(find("10.1.1.1", "1.1.1.1, 2.2.2.2,10.0.0.1"), some("2.2.2.2"));
        assert_eq!(find("10.1.1.1", "10.0.0.2,10.0.0.1"), some("10.0.0.2"));
        assert_eq!(find("9.1.1.1", "1.1.1.1"), (None, false), "a peer that nobody trusts");
        assert_eq!(find("10.1.1.1", "1.1.1.1, nonsense, 10.0.0.1"), (None, true));
    }

    #[test]
    fn a_header_names_the_client_or_the_request_is_refused() {
        let name = HeaderName::from_static("x-real");
        let ask = |value: &str, reject_with| {
            let headers = [(name.clone(), HeaderValue::from_str(value).unwrap())].into_iter().collect();
            let by = OriginalIpDetection::Header { name: name.clone(), trusted: true, reject_with };
            detect(&by, None, &headers).map(|found| found.address.map(|address| address.ip().to_string()))
        };
        assert_eq!(ask("1.2.3.4", None), Ok(Some("1.2.3.4".to_owned())));
        assert_eq!(ask("1.2.3.4:80", None), Ok(None));
        assert_eq!(ask("nobody", None), Ok(None));
        assert_eq!(ask("nobody", Some(StatusCode::FORBIDDEN)), Err(StatusCode::FORBIDDEN));
    }
}
