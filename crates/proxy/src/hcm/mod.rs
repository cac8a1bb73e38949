//! The HTTP connection manager: one per filter chain and worker.
//!
//! It owns what is ready for every connection of its chain: settings, stats, the route index and
//! codec options. Connections are served in [`connection`], their streams in [`crate::stream`].

pub(crate) mod cidr;
pub(crate) mod connection;
mod h1;
mod h2;
pub(crate) mod joined;
mod original_ip;
pub(crate) mod path;
pub(crate) mod proxy_status;
pub(crate) mod request_headers;
pub(crate) mod request_id;
pub(crate) mod response_headers;
pub(crate) mod upgrades;

use std::{rc::Rc, sync::Arc};

use http::HeaderValue;
use nuncio_api::Text;
use nuncio_config::model::{
    HttpConnectionManager,
    hcm::{HeaderKeyFormat, RouteSource, Underscores},
};
use nuncio_http::{h1 as codec1, h2 as codec2};
use nuncio_stats::{
    ScopeName, Shard, Store,
    templates::{
        http_scope, http_stats, http_tracing_stats, http1_stats, listener_http_scope, listener_http_stats, router_stats,
    },
};

use tokio::time::Instant;

use crate::{
    access_log::Logs, context::WorkerContext, reply::Mappers, route::RouteIndex, router::charge::RouteStats,
    stream_info::ConnectionInfo,
};

/// A connection manager of one worker.
pub(crate) struct Hcm {
    pub(crate) context: Rc<WorkerContext>,
    pub(crate) settings: Arc<HttpConnectionManager>,
    pub(crate) routes: Arc<RouteIndex>,
    pub(crate) route_stats: RouteStats,
    pub(crate) mappers: Mappers,
    pub(crate) logs: Logs,
    pub(crate) stats: Shard,
    pub(crate) router_stats: Shard,
    pub(crate) listener_stats: Shard,
    pub(crate) http1_stats: Shard,
    pub(crate) http1_options: Arc<codec1::ServerOptions>,
    pub(crate) http2_options: codec2::ServerOptions,
    pub(crate) server_name: HeaderValue,
    /// `per_connection_buffer_limit_bytes`
    pub(crate) buffer_limit: usize,
    /// Makes the jitter of connections differ from that of other workers and processes.
    seed: u64,
}

impl Hcm {
    /// Makes a manager ready. `listener` is the scope of the listener it serves.
    pub(crate) fn new(
        context: &Rc<WorkerContext>,
        settings: &Arc<HttpConnectionManager>,
        listener: ScopeName,
        buffer_limit: usize,
    ) -> Rc<Self> {
        let store = &context.store;
        let shard = |template, scope| store.group(template, scope).shard(context.id);
        let RouteSource::Static(table) = &settings.routes;
        let prefix = &settings.stat_prefix;
        // Listed as in Envoy; nothing counts in it without tracing.
        let is_local = context.local_service().is_some();
        if !is_local {
            let _ = store.group(&http_tracing_stats::TEMPLATE, http_scope(prefix).part("tracing"));
        }
        Rc::new(Self {
            routes: RouteIndex::shared(table),
            mappers: Mappers::new(&settings.local_reply),
            route_stats: RouteStats::new(table, store, context.id),
            logs: Logs::new(&settings.access_log, &context.logs),
            stats: shard(&http_stats::TEMPLATE, http_scope(prefix)),
            router_stats: if is_local {
                // Without routes there is nothing to list.
                Store::new(context.id).group(&router_stats::TEMPLATE, http_scope(prefix)).shard(context.id)
            } else {
                shard(&router_stats::TEMPLATE, http_scope(prefix))
            },
            listener_stats: shard(&listener_http_stats::TEMPLATE, listener_http_scope(listener, prefix)),
            http1_stats: shard(&http1_stats::TEMPLATE, ScopeName::root().part("http1")),
            http1_options: Arc::new(http1_options(settings, buffer_limit)),
            http2_options: http2_options(settings, buffer_limit),
            server_name: HeaderValue::from_str(&settings.server_name).unwrap_or(HeaderValue::from_static("envoy")),
            settings: Arc::clone(settings),
            buffer_limit,
            context: Rc::clone(context),
            seed: fastrand::u64(..),
        })
    }

    /// `max_connection_duration` with its jitter, which is the same whenever it is asked for.
    pub(crate) fn lives_until(&self, connection: &ConnectionInfo) -> Option<Instant> {
        let common = &self.settings.common;
        let longest = common.max_connection_duration?;
        let share = match common.max_connection_duration_jitter {
            jitter if jitter > 0.0 => fastrand::Rng::with_seed(self.seed ^ connection.id).f64() * jitter / 100.0,
            _ => 0.0,
        };
        connection.start.checked_add(longest.saturating_add(longest.mul_f64(share.min(1.0))))
    }
}

fn http1_options(settings: &HttpConnectionManager, buffer_limit: usize) -> codec1::ServerOptions {
    let host = &settings.http1.default_host_for_http_10;
    codec1::ServerOptions {
        max_head_bytes: settings.max_request_headers,
        max_headers_count: settings.common.max_headers_count,
        underscores: match settings.common.underscores {
            Underscores::Allow => codec1::UnderscoresAction::Allow,
            Underscores::Reject => codec1::UnderscoresAction::RejectRequest,
            Underscores::Drop => codec1::UnderscoresAction::DropHeader,
        },
        accept_http_10: settings.http1.accept_http_10,
        default_host_for_http_10: (!host.is_empty()).then(|| Text::from(host.as_str())),
        allow_absolute_url: settings.http1.allow_absolute_url,
        allow_chunked_length: settings.http1.allow_chunked_length,
        allow_custom_methods: settings.http1.allow_custom_methods,
        enable_trailers: settings.http1.enable_trailers,
        header_key_format: match settings.http1.header_key_format {
            HeaderKeyFormat::Lower => codec1::HeaderKeyFormat::LowerCase,
            HeaderKeyFormat::ProperCase => codec1::HeaderKeyFormat::ProperCase,
            HeaderKeyFormat::Preserve { reason_phrase, proper_case_for_others } => {
                codec1::HeaderKeyFormat::Preserve(codec1::PreserveCase {
                    forward_reason_phrase: reason_phrase,
                    proper_case_for_others,
                })
            }
        },
        buffer_limit,
        ignored_upgrades: ignored_upgrades(settings),
        // A client that closes its side has gone, as in Envoy: what it asked for is not worth finishing.
        half_close: false,
        ..codec1::ServerOptions::default()
    }
}

fn ignored_upgrades(settings: &HttpConnectionManager) -> Option<codec1::IgnoredUpgrades> {
    let matchers = settings.http1.ignored_upgrades.clone();
    (!matchers.is_empty())
        .then(|| codec1::IgnoredUpgrades::new(move |token| matchers.iter().any(|matcher| matcher.matches(token))))
}

fn http2_options(settings: &HttpConnectionManager, buffer_limit: usize) -> codec2::ServerOptions {
    let http2 = &settings.http2;
    let mut options = codec2::ServerOptions {
        max_concurrent_streams: http2.max_concurrent_streams,
        allow_connect: http2.allow_connect,
        stream_error_on_invalid_http_message: http2.stream_error_on_invalid_http_message,
        buffer_limit,
        ..codec2::ServerOptions::default()
    };
    options.windows.header_table_size = http2.hpack_table_size;
    options.windows.stream = http2.initial_stream_window;
    options.windows.connection = http2.initial_connection_window;
    options.headers.max_kb = u32::try_from(settings.max_request_headers.div_ceil(1024)).unwrap_or(u32::MAX);
    options.headers.max_count = u32::try_from(settings.common.max_headers_count).unwrap_or(u32::MAX);
    options.headers.underscores = match settings.common.underscores {
        Underscores::Allow => codec2::Underscores::Allow,
        Underscores::Reject => codec2::Underscores::Reject,
        Underscores::Drop => codec2::Underscores::Drop,
    };
    options.limits.max_outbound_frames = http2.max_outbound_frames;
    options.limits.max_outbound_control_frames = http2.max_outbound_control_frames;
    options.limits.max_consecutive_inbound_frames_with_empty_payload = http2.max_consecutive_empty_frames;
    options.limits.max_inbound_priority_frames_per_stream = http2.max_priority_frames_per_stream;
    options.limits.max_inbound_window_update_frames_per_data_frame_sent = http2.max_window_updates_per_data_frame;
    options.keepalive = http2.keepalive.map(|keepalive| codec2::KeepaliveOptions {
        interval: keepalive.interval,
        idle_interval: None,
        timeout: keepalive.timeout,
        jitter_percent: keepalive.jitter_percent,
    });
    options
}
