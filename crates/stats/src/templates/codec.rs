//! Stats of the HTTP codecs.
//!
//! Downstream they are shared by all listeners and stand at the root (`http1.`,
//! `http2.`); upstream they stand below the cluster (`cluster.<name>.http1.`).
//! Envoy makes them with the first connection of the protocol.

use crate::stat_template;

stat_template! {
    /// `http1.`
    pub mod http1_stats {
        counters {
            dropped_headers_with_underscores, metadata_not_supported_error,
            requests_rejected_with_underscores_in_headers, response_flood,
        }
    }
}

stat_template! {
    /// `http2.`
    pub mod http2_stats {
        counters {
            cookies_total_bytes_too_large, dropped_headers_with_underscores, goaway_sent,
            header_list_size_too_large, header_overflow, headers_cb_no_stream, inbound_empty_frames_flood,
            inbound_priority_frames_flood, inbound_window_update_frames_flood, keepalive_timeout,
            metadata_empty_frames, nghttp2_downstream_connections, nghttp2_upstream_connections,
            oghttp2_downstream_connections, oghttp2_upstream_connections, outbound_control_flood,
            outbound_flood, requests_rejected_with_underscores_in_headers, rx_messaging_error, rx_reset,
            stream_refused_errors, trailers, tx_flush_timeout, tx_reset,
        }
        gauges {
            deferred_stream_close, outbound_control_frames_active, outbound_frames_active, pending_send_bytes,
            streams_active,
        }
        histograms {
            cookie_count: Unspecified, cookie_size: Bytes, header_count: Unspecified, header_list_size: Bytes,
        }
    }
}
