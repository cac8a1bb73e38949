//! Header manipulation on the way up and down: added and removed headers of each level, the
//! headers the router itself adds, and host and path rewriting.
//!
//! Levels apply from the most specific to the least (weighted cluster, route, virtual host, route
//! table), unless `most_specific_header_mutations_wins` turns the order of the last three round.
//! Values are computed from the stream as it is before a level applies, as Envoy does.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use nuncio_api::{Headers, RequestHead, Text, names};
use nuncio_config::model::{
    HeaderMutation, RouteTable,
    hcm::Router,
    header::{AddedValue, AppendAction, HeaderAddition, HeaderChange},
    route::{Forward, Route, VirtualHost, WeightedCluster},
};
use smallvec::SmallVec;

use crate::{
    access_log::render,
    hcm::joined,
    router::{
        plan::Plan,
        rewrite,
        timeouts::{GrpcTimeout, grpc_timeout_value},
    },
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

/// Request mutations of a route, besides those of its weighted cluster.
pub(crate) fn request_levels<'a>(table: &'a RouteTable, host: &'a VirtualHost, route: &'a Route) -> Levels<'a> {
    ordered(table, [&route.request_headers, &host.request_headers, &table.request_headers])
}

/// Response mutations of a route; a weighted cluster's come first in either order.
pub(crate) fn response_levels<'a>(
    table: &'a RouteTable,
    host: &'a VirtualHost,
    route: &'a Route,
    weighted: Option<&'a WeightedCluster>,
) -> Levels<'a> {
    let own = weighted.map(|w| &w.response_headers).filter(|level| !level.is_empty());
    let rest = ordered(table, [&route.response_headers, &host.response_headers, &table.response_headers]);
    own.into_iter().chain(rest).collect()
}

/// Whether any level but that of a weighted cluster changes responses.
pub(crate) fn changes_responses(table: &RouteTable, host: &VirtualHost, route: &Route) -> bool {
    [&route.response_headers, &host.response_headers, &table.response_headers].iter().any(|level| !level.is_empty())
}

/// `most_specific` comes first, and last where the table says that the last word is the route's.
fn ordered<'a>(table: &RouteTable, most_specific: [&'a HeaderMutation; 3]) -> Levels<'a> {
    let mut levels: Levels<'a> = most_specific.into_iter().filter(|level| !level.is_empty()).collect();
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

/// Applies one level's changes.
pub(crate) fn apply(mutation: &HeaderMutation, info: &mut StreamInfo, target: Target) {
    // Envoy removes first, so that a removed header can be added anew.
    if let Some(headers) = headers_of(info, target) {
        for name in &mutation.remove {
            headers.remove(name);
        }
    }
    // All is computed, and what is there looked up, before anything is put in.
    let wanted: SmallVec<[(&HeaderAddition, HeaderValue); 4]> = mutation
        .add
        .iter()
        .filter_map(|addition| Some((addition, value_of(addition, info)?)))
        .filter(|(addition, _)| applies(addition, info, target))
        .collect();
    let Some(headers) = headers_of(info, target) else { return };
    // Overwriting comes before appending, whatever the order in the config.
    let (over, added): (SmallVec<[_; 4]>, SmallVec<[_; 4]>) =
        wanted.into_iter().partition(|(addition, _)| overwrites(addition.action));
    for (addition, value) in over {
        replace(headers, &addition.name, value);
    }
    for (addition, value) in added {
        append(headers, &addition.name, value, target);
    }
}

/// Applies changes one after the other, each seeing what those before it made.
pub(crate) fn apply_changes(changes: &[HeaderChange], info: &mut StreamInfo, target: Target) {
    for change in changes {
        match change {
            HeaderChange::Add(addition) => {
                let value = value_of(addition, info).filter(|_| applies(addition, info, target));
                let (Some(value), Some(headers)) = (value, headers_of(info, target)) else { continue };
                if overwrites(addition.action) {
                    replace(headers, &addition.name, value);
                } else {
                    append(headers, &addition.name, value, target);
                }
            }
            HeaderChange::Remove(name) => {
                headers_of(info, target).map(|headers| headers.remove(name));
            }
            HeaderChange::RemoveMatching(names) => {
                let Some(headers) = headers_of(info, target) else { continue };
                headers.retain(|name, _| !names.matches(name.as_str().as_bytes()));
            }
        }
    }
}

/// Whether the header's being there or not lets it be added.
fn applies(addition: &HeaderAddition, info: &StreamInfo, target: Target) -> bool {
    let headers = match target {
        Target::Request => info.request.as_ref().map(|r| &r.headers),
        Target::Response => info.response.as_ref().map(|r| &r.headers),
    };
    let is_there = || headers.is_some_and(|headers| headers.contains(&addition.name));
    match addition.action {
        AppendAction::AppendIfExistsOrAdd | AppendAction::OverwriteIfExistsOrAdd => true,
        AppendAction::AddIfAbsent => !is_there(),
        AppendAction::OverwriteIfExists => is_there(),
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

/// Beside the values that are there; joined to them in headers of which there is but one.
fn append(headers: &mut Headers, name: &HeaderName, value: HeaderValue, target: Target) {
    let joins = match target {
        Target::Request => joined::in_requests(name),
        Target::Response => joined::in_responses(name),
    };
    match headers.get(name).filter(|before| joins && !before.is_empty()) {
        Some(before) => {
            let all = [before.as_bytes(), value.as_bytes()].join(b",".as_slice());
            if let Ok(all) = HeaderValue::from_bytes(&all) {
                headers.set(name.clone(), all);
            }
        }
        None if joins => headers.set(name.clone(), value),
        None => headers.append(name.clone(), value),
    }
}

/// Headers that tell the router how long the upstream may take, and end here.
static CONSUMED: [HeaderName; 6] = [
    names::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT,
    names::X_ENVOY_UPSTREAM_ALT_STAT_NAME,
    names::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS,
    names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE,
    names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS,
    names::X_ENVOY_UPSTREAM_STREAM_DURATION_MS,
];

/// What the router removes and sets before the levels: its own control headers go, the expected
/// timeout comes, less what is used of it.
fn prepare_upstream_request(info: &mut StreamInfo, plan: &Plan, used: Duration, router: &Router) {
    let Some(request) = &mut info.request else { return };
    let headers = &mut request.headers;
    match plan.duration.grpc_timeout {
        GrpcTimeout::Keep => {}
        GrpcTimeout::Remove => {
            headers.remove(&names::GRPC_TIMEOUT);
        }
        GrpcTimeout::Set(limit) => headers.set(names::GRPC_TIMEOUT, grpc_timeout_value(limit)),
    }
    let keeps_global = router.respect_expected_rq_timeout && headers.contains(&names::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS);
    headers.retain(|name, _| {
        !(name.as_str().starts_with("x-envoy-")
            && CONSUMED.contains(name)
            && !(keeps_global && *name == names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS))
    });
    plan.timeouts.tell(used, router.suppress_envoy_headers, headers);
}

/// What a route makes of a request.
#[derive(Clone, Copy)]
pub(crate) struct Taken<'a> {
    pub(crate) table: &'a RouteTable,
    pub(crate) host: &'a VirtualHost,
    pub(crate) route: &'a Route,
    pub(crate) forward: &'a Forward,
    pub(crate) weighted: Option<&'a WeightedCluster>,
}

/// What the request becomes on its way up: the router's own headers, `used` of the time-out gone,
/// then what the route changes.
pub(crate) fn towards_upstream(info: &mut StreamInfo, taken: Taken<'_>, plan: &Plan, used: Duration, router: &Router) {
    prepare_upstream_request(info, plan, used, router);
    if let (true, Some(request)) = (taken.host.include_request_attempt_count, &mut info.request) {
        request.headers.set(names::X_ENVOY_ATTEMPT_COUNT, HeaderValue::from_static("1"));
    }
    // Added headers may tell the number of the try that is about to begin.
    let before = std::mem::replace(&mut info.upstream.attempts, 1);
    finalize_request(info, taken, router.suppress_envoy_headers);
    info.upstream.attempts = before;
}

/// Header changes of every level, then host and path (the host not when it waits for the host pick).
fn finalize_request(info: &mut StreamInfo, taken: Taken<'_>, suppress: bool) {
    if let Some(weighted) = taken.weighted {
        apply(&weighted.request_headers, info, Target::Request);
        if let (Some(host), Some(request)) =
            (weighted.host_rewrite.as_deref().filter(|host| !host.is_empty()), &mut info.request)
        {
            request.authority = Text::from(host);
        }
    }
    apply_levels(&request_levels(taken.table, taken.host, taken.route), info, Target::Request);
    let forward = taken.forward;
    if let (Some(host), Some(request)) = (rewrite::host(&forward.host_rewrite, info), &mut info.request) {
        replace_host(request, host, forward.append_x_forwarded_host, suppress);
    }
    if let Some(path) = rewrite::path(&forward.path_rewrite, &taken.route.matches, info) {
        replace_path(info, path, suppress);
    }
}

/// Replaces the path, keeping the old one in `x-envoy-original-path`.
pub(crate) fn replace_path(info: &mut StreamInfo, path: String, suppress: bool) {
    let Some(request) = &mut info.request else { return };
    let original = std::mem::replace(&mut request.path, Text::from(path));
    if !suppress && let Ok(value) = HeaderValue::from_maybe_shared(original.to_bytes()) {
        request.headers.set(names::X_ENVOY_ORIGINAL_PATH, value);
    }
    info.original_path = Some(original);
}

/// Replaces the host, keeping the old one in `x-envoy-original-host`.
pub(crate) fn replace_host(request: &mut RequestHead, host: Text, append_forwarded: bool, suppress: bool) {
    let original = std::mem::replace(&mut request.authority, host);
    let Ok(value) = HeaderValue::from_maybe_shared(original.to_bytes()) else { return };
    if value.is_empty() {
        return;
    }
    let headers = &mut request.headers;
    if !suppress {
        headers.set(names::X_ENVOY_ORIGINAL_HOST, value.clone());
    }
    if append_forwarded {
        // Not a second time when it is the last one already.
        let forwarded = headers.get(&names::X_FORWARDED_HOST).map(HeaderValue::as_bytes).unwrap_or_default();
        let last = forwarded.split(|byte| *byte == b',').rfind(|part| !part.trim_ascii().is_empty());
        if last != Some(value.as_bytes()) {
            append(headers, &names::X_FORWARDED_HOST, value, Target::Request);
        }
    }
}
