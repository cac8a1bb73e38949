//! Header manipulation on the way up and down: added and removed headers of each level, the
//! headers the router itself adds, and host and path rewriting.
//!
//! Levels apply from the most specific to the least (weighted cluster, route, virtual host, route
//! table), unless `most_specific_header_mutations_wins` turns the order round. Values are computed
//! from the stream as it is before any level applies, one level at a time, as Envoy does.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use nuncio_api::{Headers, RequestHead, Text, names};
use nuncio_config::model::{
    HeaderMutation, RouteTable,
    header::{AddedValue, AppendAction, HeaderAddition, HeaderChange},
    route::{Forward, HostRewrite, Route, VirtualHost, WeightedCluster},
};
use smallvec::SmallVec;

use crate::{
    access_log::render,
    router::{plan::Plan, rewrite, timeouts::grpc_timeout_value},
    stream_info::StreamInfo,
};

/// Mutations in the order they apply.
pub(crate) type Levels<'a> = SmallVec<[&'a HeaderMutation; 4]>;

/// Which headers a mutation changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Those that go to the upstream.
    Request,
    /// Those that go to the client.
    Response,
}

/// Request mutations of a route.
pub(crate) fn request_levels<'a>(
    table: &'a RouteTable,
    host: &'a VirtualHost,
    route: &'a Route,
    weighted: Option<&'a WeightedCluster>,
) -> Levels<'a> {
    let own = weighted.map(|w| &w.request_headers);
    ordered(table, own, &route.request_headers, &host.request_headers, &table.request_headers)
}

/// Response mutations of a route.
pub(crate) fn response_levels<'a>(
    table: &'a RouteTable,
    host: &'a VirtualHost,
    route: &'a Route,
    weighted: Option<&'a WeightedCluster>,
) -> Levels<'a> {
    let own = weighted.map(|w| &w.response_headers);
    ordered(table, own, &route.response_headers, &host.response_headers, &table.response_headers)
}

fn ordered<'a>(
    table: &RouteTable,
    weighted: Option<&'a HeaderMutation>,
    route: &'a HeaderMutation,
    host: &'a HeaderMutation,
    all: &'a HeaderMutation,
) -> Levels<'a> {
    let mut levels: Levels<'a> =
        weighted.into_iter().chain([route, host, all]).filter(|level| !level.is_empty()).collect();
    if table.most_specific_header_mutations_wins {
        levels.reverse();
    }
    levels
}

/// Applies the levels to the request or response in `info`.
pub(crate) fn apply_levels(levels: &Levels<'_>, info: &mut StreamInfo, target: Target) {
    for level in levels {
        apply(level, info, target);
    }
}

fn apply(mutation: &HeaderMutation, info: &mut StreamInfo, target: Target) {
    let values: SmallVec<[Option<HeaderValue>; 4]> =
        mutation.add.iter().map(|addition| value_of(addition, info)).collect();
    let Some(headers) = headers_of(info, target) else { return };
    // Envoy removes first, so that a removed header can be added anew.
    for name in &mutation.remove {
        headers.remove(name);
    }
    // Overwriting comes before appending, whatever the order in the config.
    let mut additions: SmallVec<[(&HeaderAddition, Option<HeaderValue>); 4]> =
        mutation.add.iter().zip(values).collect();
    additions.sort_by_key(|(addition, _)| !overwrites(addition.action));
    for (addition, value) in additions {
        if let Some(value) = value {
            put(headers, &addition.name, value, addition.action);
        }
    }
}

/// Applies changes one after the other, each seeing what those before it made.
pub(crate) fn apply_changes(changes: &[HeaderChange], info: &mut StreamInfo, target: Target) {
    for change in changes {
        let value = match change {
            HeaderChange::Add(addition) => value_of(addition, info),
            HeaderChange::Remove(_) | HeaderChange::RemoveMatching(_) => None,
        };
        let Some(headers) = headers_of(info, target) else { return };
        match (change, value) {
            (HeaderChange::Add(addition), Some(value)) => put(headers, &addition.name, value, addition.action),
            (HeaderChange::Add(_), None) => {}
            (HeaderChange::Remove(name), _) => {
                headers.remove(name);
            }
            (HeaderChange::RemoveMatching(names), _) => {
                headers.retain(|name, _| !names.matches(name.as_str().as_bytes()));
            }
        }
    }
}

fn headers_of(info: &mut StreamInfo, target: Target) -> Option<&mut Headers> {
    match target {
        Target::Request => info.request.as_mut().map(|r| &mut r.headers),
        Target::Response => info.response.as_mut().map(|r| &mut r.headers),
    }
}

/// The value to add; `None` when it came out empty and empty ones are not kept.
fn value_of(addition: &HeaderAddition, info: &StreamInfo) -> Option<HeaderValue> {
    let value = match &addition.value {
        AddedValue::Literal(value) => value.clone(),
        AddedValue::Format(format) => {
            let mut text = Vec::with_capacity(64);
            render::render_omitting_empty(format, info, &mut text);
            HeaderValue::from_bytes(&text).ok()?
        }
    };
    (!value.is_empty() || addition.keep_empty_value).then_some(value)
}

/// Envoy removes the old entry and appends the new one.
fn replace(headers: &mut Headers, name: &HeaderName, value: HeaderValue) {
    headers.remove(name);
    headers.append(name.clone(), value);
}

fn overwrites(action: AppendAction) -> bool {
    matches!(action, AppendAction::OverwriteIfExistsOrAdd | AppendAction::OverwriteIfExists)
}

fn put(headers: &mut Headers, name: &HeaderName, value: HeaderValue, action: AppendAction) {
    let there = headers.contains(name);
    match action {
        AppendAction::AppendIfExistsOrAdd => headers.append(name.clone(), value),
        AppendAction::AddIfAbsent if !there => headers.append(name.clone(), value),
        AppendAction::OverwriteIfExistsOrAdd => replace(headers, name, value),
        AppendAction::OverwriteIfExists if there => replace(headers, name, value),
        AppendAction::AddIfAbsent | AppendAction::OverwriteIfExists => {}
    }
}

/// Headers that tell the router what to do and end here.
const CONSUMED: [HeaderName; 13] = [
    names::X_ENVOY_FORCE_TRACE,
    names::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT,
    names::X_ENVOY_IP_TAGS,
    names::X_ENVOY_MAX_RETRIES,
    names::X_ENVOY_RETRIABLE_HEADER_NAMES,
    names::X_ENVOY_RETRIABLE_STATUS_CODES,
    names::X_ENVOY_RETRY_GRPC_ON,
    names::X_ENVOY_RETRY_ON,
    names::X_ENVOY_UPSTREAM_ALT_STAT_NAME,
    names::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS,
    names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE,
    names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS,
    names::X_ENVOY_UPSTREAM_STREAM_DURATION_MS,
];

/// What the router removes and adds before the levels: its own control headers go, the expected
/// timeout comes, less what is used of it.
pub(crate) fn prepare_upstream_request(info: &mut StreamInfo, plan: &Plan, used: Duration, suppress: bool) {
    let Some(request) = &mut info.request else { return };
    request.headers.retain(|name, _| !(name.as_str().starts_with("x-envoy-") && CONSUMED.contains(name)));
    if let Some(timeout) = plan.duration.grpc_timeout {
        request.headers.set(names::GRPC_TIMEOUT, grpc_timeout_value(timeout));
    }
    plan.timeouts.tell(used, suppress, &mut request.headers);
}

/// Rewrites host (unless it waits for the host pick) and path.
pub(crate) fn rewrite(
    info: &mut StreamInfo,
    forward: &Forward,
    route: &Route,
    weighted: Option<&WeightedCluster>,
    suppress: bool,
) {
    let Some(request) = &mut info.request else { return };
    let waits = matches!(forward.host_rewrite, HostRewrite::Auto) && weighted.is_none();
    if !waits && let Some(host) = rewrite::host(forward, weighted, request, None) {
        replace_host(request, host, forward.append_x_forwarded_host);
    }
    if let Some(path) = rewrite::path(forward, &route.matches, &request.path) {
        let original = std::mem::replace(&mut request.path, Text::from(path));
        if !suppress && let Ok(value) = HeaderValue::from_maybe_shared(original.to_bytes()) {
            request.headers.set(names::X_ENVOY_ORIGINAL_PATH, value);
        }
        info.original_path = Some(original);
    }
}

/// Replaces the host, keeping the old one in `x-envoy-original-host`.
pub(crate) fn replace_host(request: &mut RequestHead, host: Text, append_forwarded: bool) {
    let original = std::mem::replace(&mut request.authority, host);
    let Ok(value) = HeaderValue::from_maybe_shared(original.to_bytes()) else { return };
    request.headers.set(names::X_ENVOY_ORIGINAL_HOST, value.clone());
    if append_forwarded {
        let joined = match request.headers.get(&names::X_FORWARDED_HOST) {
            Some(before) => {
                let mut text = before.as_bytes().to_vec();
                text.push(b',');
                text.extend_from_slice(value.as_bytes());
                HeaderValue::from_bytes(&text).unwrap_or_else(|_| value.clone())
            }
            None => value.clone(),
        };
        request.headers.set(names::X_FORWARDED_HOST, joined);
    }
}
