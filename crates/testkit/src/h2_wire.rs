//! HTTP/2 by the frame (RFC 9113 section 4.1), for peers that no library would play.

use std::net::SocketAddr;

use crate::wire::{Closed, Wire};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// ACK on SETTINGS and PING; END_STREAM on DATA and HEADERS.
const ACK_OR_END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const HEAD_BYTES: usize = 9;

/// Frame types (RFC 9113 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// DATA.
    Data = 0,
    /// HEADERS.
    Headers = 1,
    /// PRIORITY.
    Priority = 2,
    /// RST_STREAM.
    RstStream = 3,
    /// SETTINGS.
    Settings = 4,
    /// PUSH_PROMISE.
    PushPromise = 5,
    /// PING.
    Ping = 6,
    /// GOAWAY.
    Goaway = 7,
    /// WINDOW_UPDATE.
    WindowUpdate = 8,
    /// CONTINUATION.
    Continuation = 9,
}

impl FrameKind {
    const ALL: [Self; 10] = [
        Self::Data,
        Self::Headers,
        Self::Priority,
        Self::RstStream,
        Self::Settings,
        Self::PushPromise,
        Self::Ping,
        Self::Goaway,
        Self::WindowUpdate,
        Self::Continuation,
    ];
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// Its type.
    pub kind: FrameKind,
    /// Its flags.
    pub flags: u8,
    /// Its stream, 0 = the connection.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl RawFrame {
    /// The bytes of a frame.
    #[must_use]
    pub fn bytes(kind: FrameKind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut out = length[1..].to_vec();
        out.extend([kind as u8, flags]);
        out.extend(stream.to_be_bytes());
        out.extend_from_slice(payload);
        out
    }

    /// The bytes of the head of a GET without body.
    #[must_use]
    pub fn get(stream: u32, path: &str) -> Vec<u8> {
        Self::bytes(FrameKind::Headers, END_HEADERS | ACK_OR_END_STREAM, stream, &get_block(path))
    }

    /// The bytes of the head of a POST whose body follows.
    #[must_use]
    pub fn post(stream: u32, path: &str) -> Vec<u8> {
        let mut block = vec![0x83, 0x86];
        block.extend(indexed_name(0x04, path));
        block.extend(indexed_name(0x01, "test"));
        Self::bytes(FrameKind::Headers, END_HEADERS, stream, &block)
    }

    /// Whether it ends its stream.
    #[must_use]
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, FrameKind::Data | FrameKind::Headers) && self.flags & ACK_OR_END_STREAM != 0
    }

    /// The error code of GOAWAY or RST_STREAM.
    #[must_use]
    pub fn error_code(&self) -> u32 {
        let at = if self.kind == FrameKind::Goaway { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// The text that may follow a GOAWAY's error code.
    #[must_use]
    pub fn debug_data(&self) -> String {
        String::from_utf8_lossy(&self.payload[8..]).into_owned()
    }
}

/// `:method: GET`, `:scheme: http`, the path and the host `test`, in HPACK without the dynamic table.
#[must_use]
pub fn get_block(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86];
    block.extend(indexed_name(0x04, path));
    block.extend(indexed_name(0x01, "test"));
    block
}

/// A field in HPACK, literal and not indexed.
#[must_use]
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0x00];
    out.extend(text(name));
    out.extend(text(value));
    out
}

fn indexed_name(index: u8, value: &str) -> Vec<u8> {
    let mut out = vec![index];
    out.extend(text(value));
    out
}

/// A string literal of HPACK with its length as a 7-bit prefixed integer (RFC 7541 section 5.1).
fn text(value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut length = value.len();
    if length < 127 {
        out.push(length as u8);
    } else {
        out.push(127);
        length -= 127;
        while length >= 128 {
            out.push((length % 128) as u8 | 128);
            length /= 128;
        }
        out.push(length as u8);
    }
    out.extend_from_slice(value.as_bytes());
    out
}

/// A connection that speaks frames.
pub struct H2Wire {
    wire: Wire,
}

impl H2Wire {
    /// Connects and exchanges prefaces.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[]).await
    }

    /// Connects with these settings (identifier, value).
    pub async fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        Self::over(Wire::connect(address).await, settings).await
    }

    /// Connects with a receive buffer as small as the kernel grants.
    pub async fn connect_with_small_buffer(address: SocketAddr) -> Self {
        Self::over(Wire::connect_with_small_window(address).await, &[]).await
    }

    async fn over(mut wire: Wire, settings: &[(u16, u32)]) -> Self {
        let mut payload = Vec::new();
        for (identifier, value) in settings {
            payload.extend(identifier.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        wire.send(PREFACE).await;
        wire.send(RawFrame::bytes(FrameKind::Settings, 0, 0, &payload)).await;
        let mut h2 = Self { wire };
        let first = h2.next().await.expect("SETTINGS");
        assert_eq!(first.kind, FrameKind::Settings);
        h2.send(&RawFrame::bytes(FrameKind::Settings, ACK_OR_END_STREAM, 0, &[])).await;
        h2
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.wire.send(bytes).await;
    }

    /// Sends bytes; false when the peer no longer takes them.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.wire.try_send(bytes).await.is_ok()
    }

    /// The next frame, or `None` at the end of the connection. A PING is answered on the way, as
    /// every peer must.
    pub async fn next(&mut self) -> Option<RawFrame> {
        let head = self.wire.try_read_exactly(HEAD_BYTES).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let kind = FrameKind::ALL[usize::from(head[3])];
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = self.wire.try_read_exactly(length).await?;
        let frame = RawFrame { kind, flags: head[4], stream, payload };
        if kind == FrameKind::Ping && frame.flags & ACK_OR_END_STREAM == 0 {
            // A peer that has closed its side takes no answer; what it sent before still counts.
            let _ = self.try_send(&RawFrame::bytes(kind, ACK_OR_END_STREAM, 0, &frame.payload)).await;
        }
        Some(frame)
    }

    /// The next frame of this kind; others are passed over.
    pub async fn next_of(&mut self, kind: FrameKind) -> RawFrame {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("the connection ended before {kind:?}"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Everything until the end of the connection.
    pub async fn rest(&mut self) -> Vec<RawFrame> {
        let mut all = Vec::new();
        while let Some(frame) = self.next().await {
            all.push(frame);
        }
        all
    }

    /// Waits for the end of the connection.
    pub async fn closed(&mut self) -> Closed {
        self.wire.read_to_end().await.1
    }
}
