//! Envoy's protocol constraints over the frames of one connection, sans I/O.
//!
//! The wire shows every byte received and sent; this counts frames per kind and says when one of
//! the limits of `http2_protocol_options` is passed, or a rule broken that h2 does not hold up
//! (sizes of frames, SETTINGS first, trailers). Heads of requests are noted in [`Heads`] until h2
//! hands them up. It never changes bytes. Limits: [`FloodLimits`]. Stats: `http2.inbound_*_flood`,
//! `http2.outbound_*_flood`, `rx_reset`, `tx_reset`, `goaway_sent`, `outbound_*_active`.
//!
//! Frames that h2 still holds are not counted as outbound: h2 stops reading as soon as the gather
//! buffer is full, so what a peer that never reads can pile up is bounded there already.

use std::rc::Rc;

use h2::Reason;

use super::{
    counters::{self, H2Counters, bump},
    failure,
    heads::Heads,
    options::{FloodLimits, HeaderLimits},
    scan::{self, FrameHead, FrameScanner, Seen},
    sniff::PREFACE,
};

const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
/// The last stream of a GOAWAY that only gives notice of another.
const NOTICE: u32 = 0x7fff_ffff;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Facing downstream.
    Server,
    /// Facing upstream.
    Client,
}

/// A limit that the peer passed, or a rule that it broke and h2 does not hold up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flood {
    EmptyFrames,
    PriorityFrames,
    WindowUpdates,
    ControlFrames,
    Frames,
    Continuations,
    PrematureResets,
    /// The first frame is not SETTINGS (RFC 9113 section 3.4).
    NoSettings,
    /// A frame whose kind has one size has another (h2 gives a less exact code).
    FrameSize,
    /// Pseudo headers among trailers, which h2 drops silently.
    PseudoTrailers,
    /// Trailers that do not end their stream.
    OpenTrailers,
}

impl Flood {
    /// The code of the GOAWAY that follows.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::NoSettings | Self::PseudoTrailers | Self::OpenTrailers => Reason::PROTOCOL_ERROR,
            Self::FrameSize => Reason::FRAME_SIZE_ERROR,
            Self::EmptyFrames
            | Self::PriorityFrames
            | Self::WindowUpdates
            | Self::ControlFrames
            | Self::Frames
            | Self::Continuations
            | Self::PrematureResets => Reason::ENHANCE_YOUR_CALM,
        }
    }

    /// Envoy's response code details.
    pub(super) fn details(self) -> &'static str {
        match self {
            Self::EmptyFrames => "http2.inbound_empty_frames_flood",
            Self::PriorityFrames => "http2.inbound_priority_frames_flood",
            Self::WindowUpdates => "http2.inbound_window_update_frames_flood",
            Self::ControlFrames => "http2.outbound_control_frames_flood",
            Self::Frames => "http2.outbound_frames_flood",
            Self::Continuations => "http2.too_many_headers",
            Self::PrematureResets => "too_many_premature_resets",
            Self::NoSettings | Self::FrameSize => failure::CODEC,
            Self::PseudoTrailers => failure::FIELD,
            Self::OpenTrailers => failure::MESSAGING,
        }
    }

    fn count(self, counters: &H2Counters) {
        match self {
            Self::EmptyFrames => bump(&counters.inbound_empty_frames_flood),
            Self::PriorityFrames => bump(&counters.inbound_priority_frames_flood),
            Self::WindowUpdates => bump(&counters.inbound_window_update_frames_flood),
            Self::ControlFrames => bump(&counters.outbound_control_flood),
            Self::Frames => bump(&counters.outbound_flood),
            Self::Continuations => bump(&counters.header_overflow),
            // `downstream_rq_too_many_premature_resets` is the connection manager's.
            Self::PrematureResets | Self::NoSettings | Self::FrameSize => {}
            Self::PseudoTrailers | Self::OpenTrailers => bump(&counters.rx_messaging_error),
        }
    }
}

/// Watches both directions of one connection.
#[derive(Debug)]
pub(super) struct FrameMeter {
    inbound: FrameScanner,
    outbound: FrameScanner,
    rules: Rules,
    unread: Unread,
}

impl FrameMeter {
    pub(super) fn new(role: Role, limits: FloodLimits, headers: &HeaderLimits, counters: Rc<H2Counters>) -> Self {
        let (received_first, sent_first) = match role {
            Role::Server => (PREFACE.len(), 0),
            Role::Client => (0, PREFACE.len()),
        };
        Self {
            inbound: FrameScanner::new(received_first),
            outbound: FrameScanner::new(sent_first),
            rules: Rules {
                role,
                limits,
                max_continuations: headers.max_continuations(),
                counters,
                opened: 0,
                last_opened: 0,
                empty: 0,
                continuations: 0,
                priority: 0,
                window_updates: 0,
                data_sent: 0,
                going_away: false,
                started: false,
                settled: false,
                lenient: false,
                heads: Heads::default(),
                block_of: 0,
                bad_trailers: None,
                last_data: 0,
                better_reason: None,
            },
            unread: Unread::default(),
        }
    }

    /// A malformed message ends its stream only.
    pub(super) fn forgive_messages(&mut self) {
        self.rules.lenient = true;
    }

    /// Bytes that came from the peer.
    pub(super) fn received(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        let rules = &mut self.rules;
        let look = |seen: Seen<'_>| match seen {
            Seen::Head(frame) => rules.received(frame),
            Seen::Block(part) => {
                rules.heads.block(part);
                Ok(())
            }
            Seen::BlockEnd => {
                if rules.heads.block_ended() {
                    rules.bad_trailers.get_or_insert((rules.block_of, Flood::PseudoTrailers));
                }
                Ok(())
            }
        };
        self.inbound.scan(bytes, look).inspect_err(|flood| flood.count(&self.rules.counters))
    }

    /// Bytes that h2 handed over for the peer.
    pub(super) fn sent(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        let Self { outbound, rules, unread, .. } = self;
        unread.appended += bytes.len();
        let result = outbound.scan(bytes, |seen| {
            let Seen::Head(frame) = seen else { return Ok(()) };
            let control = rules.sent(frame);
            unread.add(control, &rules.limits)
        });
        result.inspect_err(|flood| flood.count(&self.rules.counters))
    }

    /// The GOAWAY of our own. No limit matters on a connection that is being closed, and the one
    /// that was passed has been counted.
    pub(super) fn sent_goaway(&mut self, frame: &[u8]) {
        let Self { outbound, rules, unread, .. } = self;
        unread.appended += frame.len();
        let _: Result<(), Flood> = outbound.scan(frame, |seen| {
            if let Seen::Head(frame) = seen {
                rules.sent(frame);
            }
            Ok(())
        });
    }

    /// Tells how many bytes the socket has not taken yet.
    pub(super) fn settled(&mut self, waiting: usize) {
        self.unread.settle(waiting);
        self.unread.report(waiting, &self.rules.counters);
    }

    /// True when the peer announced that it takes no more streams.
    pub(super) fn peer_is_going_away(&self) -> bool {
        self.rules.going_away
    }

    /// True when the peer's first SETTINGS have come: another frame has followed them.
    pub(super) fn peer_has_settled(&self) -> bool {
        self.rules.settled
    }

    /// Heads that came in and were not handed up, and what was refused of them.
    pub(super) fn heads(&mut self) -> &mut Heads {
        &mut self.rules.heads
    }

    /// A more exact code for the GOAWAY that h2 just wrote.
    pub(super) fn take_better_reason(&mut self) -> Option<Reason> {
        self.rules.better_reason.take()
    }

    /// Counts a broken rule whose effect came later.
    pub(super) fn count(&self, flood: Flood) {
        flood.count(&self.rules.counters);
    }

    /// The stream whose trailers end the connection, once h2 has handed up what came before them.
    pub(super) fn bad_trailers(&self) -> Option<(u32, Flood)> {
        self.rules.bad_trailers
    }

    /// The GOAWAY that ends a flooded connection; `None` in the middle of a frame.
    pub(super) fn goaway(&self, code: u32) -> Option<[u8; 17]> {
        let last = if self.rules.role == Role::Server { self.rules.last_opened } else { 0 };
        let mut frame = [0, 0, 8, scan::GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let payload = (u64::from(last) << 32 | u64::from(code)).to_be_bytes();
        frame.iter_mut().skip(9).zip(payload).for_each(|(byte, value)| *byte = value);
        self.outbound.at_boundary().then_some(frame)
    }
}

impl Drop for FrameMeter {
    fn drop(&mut self) {
        self.settled(0);
    }
}

#[derive(Debug)]
struct Rules {
    role: Role,
    limits: FloodLimits,
    max_continuations: u32,
    counters: Rc<H2Counters>,
    opened: u64,
    last_opened: u32,
    empty: u32,
    continuations: u32,
    priority: u64,
    window_updates: u64,
    data_sent: u64,
    going_away: bool,
    started: bool,
    settled: bool,
    lenient: bool,
    heads: Heads,
    /// The stream of the block under way.
    block_of: u32,
    /// The stream whose trailers are wrong, and how.
    bad_trailers: Option<(u32, Flood)>,
    /// The last frame was DATA of this stream.
    last_data: u32,
    better_reason: Option<Reason>,
}

impl Rules {
    fn received(&mut self, frame: &FrameHead) -> Result<(), Flood> {
        if std::mem::replace(&mut self.started, true) {
            self.settled = true;
        } else if frame.kind != scan::SETTINGS {
            return Err(Flood::NoSettings);
        }
        if !frame.has_right_size() {
            return Err(Flood::FrameSize);
        }
        let whole = frame.kind == scan::DATA && frame.padding <= frame.length;
        self.last_data = if whole { frame.stream } else { 0 };
        match frame.kind {
            scan::DATA | scan::HEADERS | scan::CONTINUATION => {
                if frame.kind == scan::HEADERS && self.role == Role::Server {
                    self.request_headers(frame);
                }
                self.block(frame)?;
                return self.payload(frame);
            }
            scan::PRIORITY => {
                self.priority += 1;
                let allowed = u64::from(self.limits.max_inbound_priority_frames_per_stream);
                if self.priority > allowed.saturating_mul(1 + self.opened) {
                    return Err(Flood::PriorityFrames);
                }
            }
            scan::WINDOW_UPDATE => {
                self.window_updates += 1;
                let per_data = u64::from(self.limits.max_inbound_window_update_frames_per_data_frame_sent);
                // Envoy's formula: a few at the start, then two per stream and so many per frame.
                let allowed = 2 * self.opened.saturating_add(per_data.saturating_mul(self.data_sent)) + 5;
                if self.window_updates > allowed {
                    return Err(Flood::WindowUpdates);
                }
            }
            scan::RST_STREAM if frame.stream > 0 && frame.stream <= self.last_opened => {
                bump(&self.counters.rx_reset);
            }
            scan::GOAWAY => self.going_away = true,
            _ => {}
        }
        Ok(())
    }

    /// A request's head or its trailers.
    fn request_headers(&mut self, frame: &FrameHead) {
        // Such a frame ends the connection before it opens a stream.
        if frame.stream.is_multiple_of(2) || frame.padding > frame.length {
            return;
        }
        let opens = self.opens(frame.stream);
        self.block_of = frame.stream;
        self.heads.headers(frame, opens);
        if !opens && !self.lenient && frame.flags & scan::END_STREAM_OR_ACK == 0 {
            self.bad_trailers.get_or_insert((frame.stream, Flood::OpenTrailers));
        }
    }

    /// A header block may be cut into few frames only; h2 has a similar limit but does not tell
    /// when it was passed.
    fn block(&mut self, frame: &FrameHead) -> Result<(), Flood> {
        if frame.kind != scan::CONTINUATION || frame.flags & scan::END_HEADERS != 0 {
            self.continuations = 0;
            return Ok(());
        }
        self.continuations += 1;
        if self.continuations > self.max_continuations { Err(Flood::Continuations) } else { Ok(()) }
    }

    fn payload(&mut self, frame: &FrameHead) -> Result<(), Flood> {
        let empty = frame.length <= frame.padding;
        if !empty || (frame.flags & scan::END_STREAM_OR_ACK != 0 && frame.kind != scan::CONTINUATION) {
            self.empty = 0;
            return Ok(());
        }
        self.empty += 1;
        if self.empty > self.limits.max_consecutive_inbound_frames_with_empty_payload {
            return Err(Flood::EmptyFrames);
        }
        Ok(())
    }

    /// Returns whether the frame is an acknowledgement or a reset.
    fn sent(&mut self, frame: &FrameHead) -> bool {
        match frame.kind {
            scan::DATA => self.data_sent += 1,
            scan::HEADERS if self.role == Role::Client => {
                self.opens(frame.stream);
            }
            // As Envoy counts: not the notice, nor one that tells of an error.
            scan::GOAWAY if frame.code == NO_ERROR && frame.last != NOTICE => bump(&self.counters.goaway_sent),
            scan::GOAWAY if frame.code == PROTOCOL_ERROR && self.role == Role::Server => {
                self.better_reason = self.better_reason();
            }
            scan::RST_STREAM => {
                bump(&self.counters.tx_reset);
                let malformed = frame.code == PROTOCOL_ERROR;
                match self.role {
                    // A malformed request is counted where it is refused.
                    Role::Server if frame.code == REFUSED_STREAM => bump(&self.counters.stream_refused_errors),
                    Role::Client if malformed => bump(&self.counters.rx_messaging_error),
                    Role::Server | Role::Client => {}
                }
                self.heads.reset(frame.stream, malformed);
                return true;
            }
            scan::SETTINGS | scan::PING => return frame.flags & scan::END_STREAM_OR_ACK != 0,
            _ => {}
        }
        false
    }

    fn better_reason(&self) -> Option<Reason> {
        if self.heads.is_broken() {
            return Some(Reason::COMPRESSION_ERROR);
        }
        // DATA that ends the connection although its stream was opened: it had ended.
        (1..=self.last_opened).contains(&self.last_data).then_some(Reason::STREAM_CLOSED)
    }

    fn opens(&mut self, stream: u32) -> bool {
        let opens = stream > self.last_opened;
        if opens {
            self.last_opened = stream;
            self.opened += 1;
        }
        opens
    }
}

/// Frames handed over and not yet taken by the socket, counted without remembering each: what was
/// there when the mark was set (`old`) is forgotten once the socket has taken up to the mark.
#[derive(Debug, Default)]
struct Unread {
    appended: usize,
    mark: usize,
    old: Frames,
    new: Frames,
    reported: (Frames, usize),
}

#[derive(Clone, Copy, Debug, Default)]
struct Frames {
    all: u32,
    control: u32,
}

impl Unread {
    fn add(&mut self, control: bool, limits: &FloodLimits) -> Result<(), Flood> {
        self.new.all = self.new.all.saturating_add(1);
        if control {
            self.new.control = self.new.control.saturating_add(1);
        }
        if self.old.control.saturating_add(self.new.control) > limits.max_outbound_control_frames {
            return Err(Flood::ControlFrames);
        }
        if self.old.all.saturating_add(self.new.all) > limits.max_outbound_frames {
            return Err(Flood::Frames);
        }
        Ok(())
    }

    fn settle(&mut self, waiting: usize) {
        if waiting == 0 {
            *self = Self { reported: self.reported, ..Self::default() };
            return;
        }
        if self.appended.saturating_sub(waiting) >= self.mark {
            self.mark = self.appended;
            self.old = std::mem::take(&mut self.new);
        }
    }

    fn report(&mut self, waiting: usize, counters: &H2Counters) {
        let (then, then_waiting) = self.reported;
        let all = self.old.all.saturating_add(self.new.all);
        let control = self.old.control.saturating_add(self.new.control);
        counters::replace(&counters.outbound_frames_active, then.all.into(), all.into());
        counters::replace(&counters.outbound_control_frames_active, then.control.into(), control.into());
        let bytes = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        counters::replace(&counters.pending_send_bytes, bytes(then_waiting), bytes(waiting));
        self.reported = (Frames { all, control }, waiting);
    }
}

#[cfg(test)]
#[path = "meter/tests.rs"]
mod tests;
