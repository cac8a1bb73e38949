//! What can go wrong on the wire, told by kind so that the layer above can map it exhaustively.

use std::io;

use http::StatusCode;

/// The peer broke HTTP. `details` are Envoy's `%RESPONSE_CODE_DETAILS%` texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{details}")]
pub struct ProtocolError {
    /// Status that a downstream peer is answered with (HTTP/1), before the connection is closed.
    pub status: StatusCode,
    /// Envoy's response code details, e.g. `http1.codec_error`.
    pub details: &'static str,
}

/// How one side of an exchange ended early.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The peer broke the protocol.
    #[error("protocol error: {0}")]
    Protocol(#[from] ProtocolError),
    /// The peer reset this stream (HTTP/2 RST_STREAM with this error code).
    #[error("stream reset by peer, code {0}")]
    RemoteReset(u32),
    /// The stream was refused before any processing (REFUSED_STREAM, or GOAWAY below its id): a
    /// retry is safe.
    #[error("stream refused by peer")]
    Refused,
    /// This side reset the stream.
    #[error("stream reset locally")]
    LocalReset,
    /// The connection ended: `io::ErrorKind::UnexpectedEof` for a clean end at the wrong place.
    #[error("connection: {0}")]
    Connection(#[from] io::Error),
}
