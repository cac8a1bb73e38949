//! Filter chain matching by address: destination port, destination range, source type, source
//! range, source port; more specific wins in that order. A pure function.

use std::net::IpAddr;

use nuncio_config::model::{
    Listener as Settings,
    listener::{FilterChain, FilterChainMatch},
};
use nuncio_net::SocketAddress;

use crate::hcm::cidr;

/// Index of the chain for a connection; the default chain's is the number of chains.
pub(crate) fn choose(settings: &Settings, local: &SocketAddress, remote: &SocketAddress) -> Option<usize> {
    let chains = &settings.filter_chains;
    let best = chains
        .iter()
        .enumerate()
        .filter_map(|(index, chain)| score(chain, local, remote).map(|score| (score, index)))
        // The first of equals: reversed index as the tie-breaker.
        .max_by_key(|(score, index)| (*score, usize::MAX - index));
    best.map(|(_, index)| index).or_else(|| settings.default_filter_chain.as_ref().map(|_| chains.len()))
}

/// How specific a match is, criterion by criterion; `None` when it does not match.
type Score = (bool, u8, u8, bool, u8, bool);

fn score(chain: &FilterChain, local: &SocketAddress, remote: &SocketAddress) -> Option<Score> {
    let wanted = &chain.matches;
    if *wanted == FilterChainMatch::default() {
        return Some(Score::default());
    }
    let (local, remote) = (local.ip(), remote.ip());
    let port = match wanted.destination_port {
        None => false,
        Some(port) => local.is_some_and(|a| a.port() == port).then_some(true)?,
    };
    let destination = longest(&wanted.prefix_ranges, local.map(|a| a.ip()))?;
    let direct = longest(&wanted.direct_source_prefix_ranges, remote.map(|a| a.ip()))?;
    let source_type = match wanted.source_is_local {
        None => false,
        Some(want) => {
            let is_local = match (local, remote) {
                (Some(l), Some(r)) => r.ip().is_loopback() || l.ip() == r.ip(),
                _ => true,
            };
            (is_local == want).then_some(true)?
        }
    };
    let source = longest(&wanted.source_prefix_ranges, remote.map(|a| a.ip()))?;
    let source_port = match wanted.source_ports.as_slice() {
        [] => false,
        ports => remote.is_some_and(|a| ports.contains(&a.port())).then_some(true)?,
    };
    Some((port, destination, direct, source_type, source, source_port))
}

/// The longest prefix that holds `ip` (plus one, so that a matched /0 beats no range at all);
/// 0 without ranges; `None` when none holds it.
fn longest(ranges: &[(IpAddr, u8)], ip: Option<IpAddr>) -> Option<u8> {
    if ranges.is_empty() {
        return Some(0);
    }
    let ip = ip?;
    ranges.iter().filter(|range| cidr::contains_any(&[**range], ip)).map(|(_, length)| length.saturating_add(1)).max()
}
