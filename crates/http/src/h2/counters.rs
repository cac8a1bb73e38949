//! Envoy's `http2.` stats as plain cells.
//!
//! The codec counts here; the owner of the scope (listener side or cluster, per worker) shares
//! one set among its connections and moves the numbers to the stats store when it flushes.

use std::cell::Cell;

macro_rules! counters {
    (
        counters { $($(#[$doc:meta])* $name:ident,)* }
        gauges { $($(#[$gdoc:meta])* $gauge:ident,)* }
    ) => {
        /// Counters and gauges of the HTTP/2 codec, named as under Envoy's `http2.` scope.
        #[derive(Debug, Default)]
        pub struct H2Counters {
            $($(#[$doc])* pub $name: Cell<u64>,)*
            $($(#[$gdoc])* pub $gauge: Cell<u64>,)*
        }

        impl H2Counters {
            /// Hands out every counter that moved since the last call, and zeroes it.
            pub fn take(&self, mut moved: impl FnMut(&'static str, u64)) {
                $(
                    let value = self.$name.take();
                    if value != 0 {
                        moved(stringify!($name), value);
                    }
                )*
            }

            /// Hands out the present value of every gauge.
            pub fn gauges(&self, mut present: impl FnMut(&'static str, u64)) {
                $(present(stringify!($gauge), self.$gauge.get());)*
            }

            /// Names of the counters.
            pub const COUNTERS: &'static [&'static str] = &[$(stringify!($name)),*];

            /// Names of the gauges.
            pub const GAUGES: &'static [&'static str] = &[$(stringify!($gauge)),*];
        }
    };
}

counters! {
    counters {
        /// Headers dropped for an underscore in their name.
        dropped_headers_with_underscores,
        /// GOAWAY frames sent.
        goaway_sent,
        /// Header blocks over their size limit.
        header_list_size_too_large,
        /// Header blocks over `max_headers_count`, or of too many CONTINUATIONs.
        header_overflow,
        /// Header callbacks without a stream (h2 cannot produce one; kept for its name).
        headers_cb_no_stream,
        /// Connections closed for empty frames.
        inbound_empty_frames_flood,
        /// Connections closed for PRIORITY frames.
        inbound_priority_frames_flood,
        /// Connections closed for WINDOW_UPDATE frames.
        inbound_window_update_frames_flood,
        /// Connections closed for an unanswered PING.
        keepalive_timeout,
        /// Connections closed for unread acknowledgements and resets.
        outbound_control_flood,
        /// Connections closed for unread frames.
        outbound_flood,
        /// Requests rejected for an underscore in a header name.
        requests_rejected_with_underscores_in_headers,
        /// Messages that break section 8 of RFC 9113.
        rx_messaging_error,
        /// RST_STREAM frames received.
        rx_reset,
        /// Streams refused by the peer.
        stream_refused_errors,
        /// Trailers received.
        trailers,
        /// Streams that a stalled peer made time out (counted by the owner of the timeout).
        tx_flush_timeout,
        /// RST_STREAM frames sent.
        tx_reset,
    }
    gauges {
        /// Acknowledgements and resets waiting for a peer that does not read.
        outbound_control_frames_active,
        /// Frames waiting for a peer that does not read.
        outbound_frames_active,
        /// Bytes waiting for a peer that does not read.
        pending_send_bytes,
        /// Streams open.
        streams_active,
    }
}

/// Adds one.
pub(super) fn bump(counter: &Cell<u64>) {
    counter.set(counter.get().wrapping_add(1));
}

/// Takes one off a gauge.
pub(super) fn drop_one(gauge: &Cell<u64>) {
    gauge.set(gauge.get().saturating_sub(1));
}

/// Moves a gauge that many connections share from one connection's `old` part to its `new` one.
pub(super) fn replace(gauge: &Cell<u64>, old: u64, new: u64) {
    if old != new {
        gauge.set(gauge.get().saturating_sub(old).saturating_add(new));
    }
}
