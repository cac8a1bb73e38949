//! The HTTP connection manager and its filters.

mod origin;

use std::{sync::Arc, time::Duration};

use envoy_types::pb::{
    envoy::{
        config::core::v3::scheme_header_transformation::Transformation,
        extensions::filters::{
            http::router::v3::Router as WireRouter,
            network::http_connection_manager::v3::{self as pb, http_connection_manager as inner},
        },
    },
    google::protobuf::Any,
};

use super::{
    Context, extension, route,
    value::{flag, size},
};
use crate::model::{
    HttpConnectionManager,
    hcm::{
        Codec, CommonOptions, EscapedSlashes, Http1Options, Http2Options, HttpFilter, ProxyName, ProxyStatus,
        RouteSource, Router, ServerHeader, StripHostPort, UpgradeConfig,
    },
    report::Path,
};

const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";
const ROUTER_NAME: &str = "envoy.filters.http.router";
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
const DELAYED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Translates a manager; `None` when its routes or filters are unusable (reported).
pub(super) fn manager(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    mut message: pb::HttpConnectionManager,
) -> Option<HttpConnectionManager> {
    let codec = codec(&message);
    let server_header = server_header(&message);
    let escaped_slashes = escaped_slashes(&message);
    let strip_host_port = strip_host_port(cx, path, &message);
    let invalid_is_stream_error = flag(message.stream_error_on_invalid_http_message, false);
    let scheme_to_overwrite = scheme_to_overwrite(&mut message);
    let original_ip_detection = origin::detection(cx, path, &mut message);
    let early_header_mutation = origin::early_mutation(cx, path, &mut message);
    let proxy_status = message.proxy_status_config.take().map(proxy_status);
    let forward_client_cert = origin::forward_client_cert(&message);
    let timeouts = timeouts(cx, path, &mut message);
    let Protocols { common, http1, http2 } = protocols(cx, path, &mut message, invalid_is_stream_error);
    let routes = routes(cx, path, message.route_specifier);
    let (http_filters, router) = http_filters(cx, path, "http_filters", message.http_filters);
    let upgrades = upgrades(cx, path, message.upgrade_configs);
    let internal = message.internal_address_config.unwrap_or_default();
    Some(HttpConnectionManager {
        stat_prefix: message.stat_prefix,
        codec,
        routes: routes?,
        http_filters,
        router: router?,
        common,
        http1,
        http2,
        max_request_headers: size(message.max_request_headers_kb, 60).saturating_mul(1024),
        stream_idle_timeout: timeouts.stream_idle,
        stream_flush_timeout: timeouts.stream_flush,
        request_timeout: timeouts.request,
        request_headers_timeout: timeouts.request_headers,
        http1_safe_max_connection_duration: message.http1_safe_max_connection_duration,
        drain_timeout: timeouts.drain,
        delayed_close_timeout: timeouts.delayed_close,
        access_log: cx.access_logs(path, "access_log", message.access_log),
        local_reply: cx.local_reply(&path.field("local_reply_config"), message.local_reply_config.unwrap_or_default()),
        server_name: match message.server_name.is_empty() {
            true => "envoy".to_owned(),
            false => message.server_name,
        },
        server_header,
        use_remote_address: flag(message.use_remote_address, false),
        xff_num_trusted_hops: message.xff_num_trusted_hops,
        skip_xff_append: message.skip_xff_append,
        original_ip_detection,
        early_header_mutation,
        forward_client_cert,
        proxy_status,
        append_x_forwarded_port: message.append_x_forwarded_port,
        internal_cidrs: cx.cidrs(&path.field("internal_address_config"), "cidr_ranges", internal.cidr_ranges),
        internal_unix_sockets: internal.unix_sockets,
        via: message.via,
        generate_request_id: flag(message.generate_request_id, true),
        preserve_external_request_id: message.preserve_external_request_id,
        always_set_request_id_in_response: message.always_set_request_id_in_response,
        add_user_agent: flag(message.add_user_agent, false),
        proxy_100_continue: message.proxy_100_continue,
        normalize_path: flag(message.normalize_path, false),
        merge_slashes: message.merge_slashes,
        escaped_slashes,
        strip_host_port,
        strip_trailing_host_dot: message.strip_trailing_host_dot,
        stream_error_on_invalid_http_message: invalid_is_stream_error,
        scheme_to_overwrite,
        upgrades,
    })
}

/// How long a manager waits, and for what.
struct Timeouts {
    stream_idle: Option<Duration>,
    stream_flush: Option<Duration>,
    request: Option<Duration>,
    request_headers: Option<Duration>,
    drain: Duration,
    delayed_close: Option<Duration>,
}

fn timeouts(cx: &mut Context<'_>, path: &Path<'_>, message: &mut pb::HttpConnectionManager) -> Timeouts {
    let (idle, close) = (message.stream_idle_timeout.take(), message.delayed_close_timeout.take());
    let (request, headers) = (message.request_timeout.take(), message.request_headers_timeout.take());
    let drain = cx.duration(&path.field("drain_timeout"), message.drain_timeout.take());
    let stream_idle = cx.timeout_or(&path.field("stream_idle_timeout"), idle, STREAM_IDLE_TIMEOUT);
    let flush = message.stream_flush_timeout.take();
    let or_idle = stream_idle.unwrap_or_default();
    Timeouts {
        stream_idle,
        stream_flush: cx.timeout_or(&path.field("stream_flush_timeout"), flush, or_idle).filter(|d| !d.is_zero()),
        request: cx.timeout(&path.field("request_timeout"), request),
        request_headers: cx.timeout(&path.field("request_headers_timeout"), headers),
        drain: drain.unwrap_or(DRAIN_TIMEOUT),
        delayed_close: cx.timeout_or(&path.field("delayed_close_timeout"), close, DELAYED_CLOSE_TIMEOUT),
    }
}

/// The options of the protocols a manager speaks.
struct Protocols {
    common: CommonOptions,
    http1: Http1Options,
    http2: Http2Options,
}

fn protocols(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    message: &mut pb::HttpConnectionManager,
    invalid_is_stream_error: bool,
) -> Protocols {
    let common = message.common_http_protocol_options.take().unwrap_or_default();
    let http1 = message.http_protocol_options.take().unwrap_or_default();
    let http2 = message.http2_protocol_options.take().unwrap_or_default();
    Protocols {
        common: cx.common_options(&path.field("common_http_protocol_options"), common),
        http1: cx.http1_options(&path.field("http_protocol_options"), http1, invalid_is_stream_error),
        http2: cx.http2_options(&path.field("http2_protocol_options"), http2, invalid_is_stream_error),
    }
}

fn proxy_status(message: inner::ProxyStatusConfig) -> ProxyStatus {
    use inner::proxy_status_config::ProxyName as Wire;
    ProxyStatus {
        // `use_node_id: false` chooses the node as well, as in Envoy.
        name: match message.proxy_name {
            None => ProxyName::Server,
            Some(Wire::UseNodeId(_)) => ProxyName::NodeId,
            Some(Wire::LiteralProxyName(name)) => ProxyName::Literal(name),
        },
        remove_details: message.remove_details,
        remove_connection_termination_details: message.remove_connection_termination_details,
        remove_response_flags: message.remove_response_flags,
        set_recommended_response_code: message.set_recommended_response_code,
    }
}

fn scheme_to_overwrite(message: &mut pb::HttpConnectionManager) -> Option<String> {
    let Transformation::SchemeToOverwrite(scheme) = message.scheme_header_transformation.take()?.transformation?;
    Some(scheme)
}

fn codec(message: &pb::HttpConnectionManager) -> Codec {
    match message.codec_type() {
        inner::CodecType::Auto => Codec::Auto,
        inner::CodecType::Http1 => Codec::Http1,
        // HTTP/3 is refused where the routes are looked at.
        inner::CodecType::Http2 | inner::CodecType::Http3 => Codec::Http2,
    }
}

fn server_header(message: &pb::HttpConnectionManager) -> ServerHeader {
    match message.server_header_transformation() {
        inner::ServerHeaderTransformation::Overwrite => ServerHeader::Overwrite,
        inner::ServerHeaderTransformation::AppendIfAbsent => ServerHeader::AppendIfAbsent,
        inner::ServerHeaderTransformation::PassThrough => ServerHeader::PassThrough,
    }
}

fn escaped_slashes(message: &pb::HttpConnectionManager) -> EscapedSlashes {
    use inner::PathWithEscapedSlashesAction as Action;
    match message.path_with_escaped_slashes_action() {
        Action::ImplementationSpecificDefault | Action::KeepUnchanged => EscapedSlashes::Keep,
        Action::RejectRequest => EscapedSlashes::Reject,
        Action::UnescapeAndRedirect => EscapedSlashes::UnescapeAndRedirect,
        Action::UnescapeAndForward => EscapedSlashes::UnescapeAndForward,
    }
}

fn strip_host_port(cx: &mut Context<'_>, path: &Path<'_>, message: &pb::HttpConnectionManager) -> StripHostPort {
    if message.codec_type() == inner::CodecType::Http3 {
        cx.report.unsupported(&path.field("codec_type"), "HTTP/3");
    }
    let any = matches!(message.strip_port_mode, Some(inner::StripPortMode::StripAnyHostPort(true)));
    match (any, message.strip_matching_host_port) {
        (true, true) => {
            let text = "only one of `strip_matching_host_port` and `strip_any_host_port` can be set";
            cx.report.error(&path.field("strip_any_host_port"), "conflicting-fields", text);
            StripHostPort::Any
        }
        (true, false) => StripHostPort::Any,
        (false, true) => StripHostPort::Matching,
        (false, false) => StripHostPort::Keep,
    }
}

fn routes(cx: &mut Context<'_>, path: &Path<'_>, specifier: Option<inner::RouteSpecifier>) -> Option<RouteSource> {
    match specifier {
        Some(inner::RouteSpecifier::RouteConfig(table)) => {
            let table = route::table(cx, &path.field("route_config"), table, route::Origin::Static);
            Some(RouteSource::Static(Arc::new(table)))
        }
        // The field check has refused these.
        Some(inner::RouteSpecifier::Rds(_) | inner::RouteSpecifier::ScopedRoutes(_)) => None,
        None => {
            let message = "an HTTP connection manager needs a `route_config`";
            cx.report.error(path, "missing-routes", message);
            None
        }
    }
}

/// `upgrade_configs`
fn upgrades(cx: &mut Context<'_>, path: &Path<'_>, list: Vec<inner::UpgradeConfig>) -> Box<[UpgradeConfig]> {
    let mut upgrades: Vec<UpgradeConfig> = Vec::with_capacity(list.len());
    for (index, message) in list.into_iter().enumerate() {
        let path = path.item("upgrade_configs", index);
        let kind = message.upgrade_type.to_ascii_lowercase();
        if upgrades.iter().any(|other| other.kind == kind) {
            let text = format!("duplicate upgrade `{}`", message.upgrade_type);
            cx.report.error(&path.field("upgrade_type"), "duplicate-upgrade", text);
        }
        let filters = (!message.filters.is_empty()).then(|| http_filters(cx, &path, "filters", message.filters).0);
        upgrades.push(UpgradeConfig { kind, enabled: flag(message.enabled, true), filters });
    }
    upgrades.into()
}

/// The filters before the router, and the router, which has to be the last one; `field` is where
/// they stand.
fn http_filters(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    field: &'static str,
    list: Vec<pb::HttpFilter>,
) -> (Vec<HttpFilter>, Option<Router>) {
    let mut filters = Vec::with_capacity(list.len());
    let mut router = None;
    let count = list.len();
    let mut last = None;
    let mut last_is_refused = false;
    for (index, filter) in list.into_iter().enumerate() {
        let path = path.item(field, index);
        last_is_refused = true;
        let config = match filter.config_type {
            Some(pb::http_filter::ConfigType::TypedConfig(any)) => Some(any),
            // The field check has refused it.
            Some(pb::http_filter::ConfigType::ConfigDiscovery(_)) => continue,
            None => None,
        };
        let kind = config.as_ref().map(extension::type_name).unwrap_or_default().to_owned();
        last = Some((filter.name.clone(), kind.clone()));
        let built = kind == ROUTER || cx.options.http_filters.contains(&kind.as_str());
        let Some(any) = config.as_ref().filter(|_| built) else {
            unbuilt_filter(cx, &path, &filter.name, config.as_ref(), filter.is_optional);
            last_is_refused = !filter.is_optional;
            continue;
        };
        last_is_refused = false;
        if kind == ROUTER {
            router = Some(router_filter(cx, &path, any));
            if index + 1 != count {
                let text = format!("the router `{}` must be the last one of `{field}`", filter.name);
                cx.report.error_with(&path, "terminal-not-last", text, "filters after it would never run");
            }
        }
        let (type_url, config) = (any.type_url.clone(), any.value.clone().into());
        filters.push(HttpFilter { name: filter.name, type_url, disabled: filter.disabled, config });
    }
    if router.is_none() {
        // Of a last filter that is refused nobody knows whether it would have been the router.
        if !last_is_refused {
            no_router(cx, path, field, last);
        }
        router = Some(default_router());
    }
    (filters, router)
}

/// `last` is the name and the type of the last filter.
fn no_router(cx: &mut Context<'_>, path: &Path<'_>, field: &'static str, last: Option<(String, String)>) {
    let text = match last {
        Some((name, kind)) => format!("non-terminal filter `{name}` ({kind}) is the last one of `{field}`"),
        None => format!("`{field}` is empty, so that no request would ever be answered"),
    };
    cx.report.error_with(&path.field(field), "no-router", text, format!("end `{field}` with `{ROUTER_NAME}`"));
}

fn unbuilt_filter(cx: &mut Context<'_>, path: &Path<'_>, name: &str, config: Option<&Any>, is_optional: bool) {
    if is_optional {
        let text = format!("HTTP filter `{name}` is not built in and left out, as `is_optional` allows");
        cx.report.warning(path, "optional-filter-left-out", text, None);
        return;
    }
    let mut built = vec!["envoy.filters.http.router"];
    built.extend(cx.options.http_filters);
    cx.unknown_extension(path, "HTTP filter", name, config, &built);
}

fn router_filter(cx: &mut Context<'_>, path: &Path<'_>, any: &Any) -> Router {
    let message: WireRouter = cx.decode(&path.field("typed_config"), &any.value).unwrap_or_default();
    #[expect(deprecated, reason = "accepted, though nothing reads it")]
    let start_child_span = message.start_child_span;
    Router {
        dynamic_stats: flag(message.dynamic_stats, true),
        suppress_envoy_headers: message.suppress_envoy_headers,
        start_child_span,
        respect_expected_rq_timeout: message.respect_expected_rq_timeout,
        strict_check_headers: message
            .strict_check_headers
            .iter()
            .enumerate()
            .filter_map(|(index, name)| cx.header_name(&path.item("strict_check_headers", index), name))
            .collect(),
    }
}

fn default_router() -> Router {
    Router {
        dynamic_stats: true,
        suppress_envoy_headers: false,
        start_child_span: false,
        respect_expected_rq_timeout: false,
        strict_check_headers: Vec::new(),
    }
}
