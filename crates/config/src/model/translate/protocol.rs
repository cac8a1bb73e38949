//! HTTP protocol options, the same messages for listeners and clusters.

use std::time::Duration;

use envoy_types::pb::envoy::{
    config::core::v3::{
        self as core,
        http1_protocol_options::{HeaderKeyFormat as WireKeyFormat, header_key_format::HeaderFormat},
    },
    extensions::http::header_formatters::preserve_case::v3::{
        PreserveCaseFormatterConfig, preserve_case_formatter_config::FormatterTypeOnEnvoyHeaders as OnEnvoyHeaders,
    },
};

use super::{
    Context, extension,
    value::{flag, number, size, usize_of},
};
use crate::model::{
    hcm::{CommonOptions, HeaderKeyFormat, Http1Options, Http2Keepalive, Http2Options, Underscores},
    report::Path,
};

const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
const PRESERVE_CASE: &str = "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig";

/// `interval_jitter`
const PING_JITTER: f64 = 15.0;

impl Context<'_> {
    /// `common_http_protocol_options`.
    pub(super) fn common_options(&mut self, path: &Path<'_>, message: core::HttpProtocolOptions) -> CommonOptions {
        use core::http_protocol_options::HeadersWithUnderscoresAction as Action;
        CommonOptions {
            idle_timeout: self.timeout_or(&path.field("idle_timeout"), message.idle_timeout, IDLE_TIMEOUT),
            max_connection_duration: self
                .timeout(&path.field("max_connection_duration"), message.max_connection_duration),
            max_connection_duration_jitter: message.max_connection_duration_jitter.map_or(0.0, |p| p.value),
            max_headers_count: size(message.max_headers_count, 100),
            max_response_headers: message.max_response_headers_kb.map(|kb| usize_of(kb.value).saturating_mul(1024)),
            max_stream_duration: self.timeout(&path.field("max_stream_duration"), message.max_stream_duration),
            underscores: match message.headers_with_underscores_action() {
                Action::Allow => Underscores::Allow,
                Action::RejectRequest => Underscores::Reject,
                Action::DropHeader => Underscores::Drop,
            },
            max_requests_per_connection: number(message.max_requests_per_connection, 0),
        }
    }

    /// `connection_keepalive`, when it has an interval of either kind.
    fn keepalive(&mut self, path: &Path<'_>, message: Option<core::KeepaliveSettings>) -> Option<Http2Keepalive> {
        let message = message?;
        let timeout = self.duration(&path.field("timeout"), message.timeout);
        let keepalive = Http2Keepalive {
            interval: self.timeout(&path.field("interval"), message.interval),
            idle_interval: self.timeout(&path.field("connection_idle_interval"), message.connection_idle_interval),
            timeout: timeout?,
            jitter_percent: message.interval_jitter.map_or(PING_JITTER, |percent| percent.value),
        };
        (keepalive.interval.is_some() || keepalive.idle_interval.is_some()).then_some(keepalive)
    }

    /// `http2_protocol_options`; `inherited` is what the manager says about invalid messages.
    #[expect(deprecated, reason = "the old spelling is still accepted")]
    pub(super) fn http2_options(
        &mut self,
        path: &Path<'_>,
        message: core::Http2ProtocolOptions,
        inherited: bool,
    ) -> Http2Options {
        let defaults = http2_defaults();
        let keepalive = self.keepalive(&path.field("connection_keepalive"), message.connection_keepalive);
        Http2Options {
            hpack_table_size: number(message.hpack_table_size, defaults.hpack_table_size),
            max_concurrent_streams: number(message.max_concurrent_streams, defaults.max_concurrent_streams),
            initial_stream_window: number(message.initial_stream_window_size, defaults.initial_stream_window),
            initial_connection_window: number(
                message.initial_connection_window_size,
                defaults.initial_connection_window,
            ),
            allow_connect: message.allow_connect,
            max_outbound_frames: number(message.max_outbound_frames, defaults.max_outbound_frames),
            max_outbound_control_frames: number(
                message.max_outbound_control_frames,
                defaults.max_outbound_control_frames,
            ),
            max_consecutive_empty_frames: number(
                message.max_consecutive_inbound_frames_with_empty_payload,
                defaults.max_consecutive_empty_frames,
            ),
            max_priority_frames_per_stream: number(
                message.max_inbound_priority_frames_per_stream,
                defaults.max_priority_frames_per_stream,
            ),
            max_window_updates_per_data_frame: number(
                message.max_inbound_window_update_frames_per_data_frame_sent,
                defaults.max_window_updates_per_data_frame,
            ),
            stream_error_on_invalid_http_message: flag(
                message.override_stream_error_on_invalid_http_message,
                message.stream_error_on_invalid_http_messaging || inherited,
            ),
            keepalive,
        }
    }
}

impl Context<'_> {
    /// `http_protocol_options`; `inherited` is what the manager says about invalid messages.
    pub(super) fn http1_options(
        &mut self,
        path: &Path<'_>,
        message: core::Http1ProtocolOptions,
        inherited: bool,
    ) -> Http1Options {
        let invalid = message.override_stream_error_on_invalid_http_message;
        let ignored = message.ignore_http_11_upgrade.into_iter().enumerate();
        let ignored_upgrades =
            ignored.filter_map(|(at, matcher)| self.string_matcher(&path.item("ignore_http_11_upgrade", at), matcher));
        let ignored_upgrades = ignored_upgrades.collect();
        Http1Options {
            allow_absolute_url: flag(message.allow_absolute_url, true),
            accept_http_10: message.accept_http_10,
            default_host_for_http_10: message.default_host_for_http_10,
            header_key_format: self.header_key_format(&path.field("header_key_format"), message.header_key_format),
            enable_trailers: message.enable_trailers,
            allow_chunked_length: message.allow_chunked_length,
            allow_custom_methods: message.allow_custom_methods,
            stream_error_on_invalid_http_message: flag(invalid, inherited),
            ignored_upgrades,
            send_fully_qualified_url: message.send_fully_qualified_url,
        }
    }

    fn header_key_format(&mut self, path: &Path<'_>, message: Option<WireKeyFormat>) -> HeaderKeyFormat {
        let path = path.field("stateful_formatter");
        let typed = match message.and_then(|format| format.header_format) {
            None => return HeaderKeyFormat::Lower,
            Some(HeaderFormat::ProperCaseWords(_)) => return HeaderKeyFormat::ProperCase,
            Some(HeaderFormat::StatefulFormatter(typed)) => typed,
        };
        let Some(any) = typed.typed_config.as_ref().filter(|any| extension::type_name(any) == PRESERVE_CASE) else {
            let built = &["envoy.http.stateful_header_formatters.preserve_case"];
            self.unknown_extension(&path, "header formatter", &typed.name, typed.typed_config.as_ref(), built);
            return HeaderKeyFormat::Lower;
        };
        let config: PreserveCaseFormatterConfig =
            self.decode(&path.field("typed_config"), &any.value).unwrap_or_default();
        HeaderKeyFormat::Preserve {
            reason_phrase: config.forward_reason_phrase,
            proper_case_for_others: config.formatter_type_on_envoy_headers() == OnEnvoyHeaders::ProperCase,
        }
    }
}

/// Envoy's defaults since 1.36.
fn http2_defaults() -> Http2Options {
    Http2Options {
        hpack_table_size: 4096,
        max_concurrent_streams: 1024,
        initial_stream_window: 16 * 1024 * 1024,
        initial_connection_window: 24 * 1024 * 1024,
        allow_connect: false,
        max_outbound_frames: 10_000,
        max_outbound_control_frames: 1000,
        max_consecutive_empty_frames: 1,
        max_priority_frames_per_stream: 100,
        max_window_updates_per_data_frame: 10,
        stream_error_on_invalid_http_message: false,
        keepalive: None,
    }
}
