//! Heads and frames of one exchange, the same for HTTP/1 and HTTP/2.
//!
//! A codec turns bytes into these and back; everything between works on these alone. The
//! pseudo headers of HTTP/2 are fields here, so no header map ever holds a name that starts with
//! a colon.

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::{headers::Headers, text::Text};

/// Protocol version of one side of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

impl Protocol {
    /// As access logs print it (`%PROTOCOL%`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// Scheme of the request (`:scheme`, and what x-forwarded-proto says).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// http
    Http,
    /// https
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A request without its body.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// Method, any token.
    pub method: Method,
    /// Scheme as the codec saw it (absolute form or `:scheme`), else of the connection.
    pub scheme: Scheme,
    /// Host of the request: `Host`, `:authority`, or the host of an absolute-form target. Empty when absent.
    pub authority: Text,
    /// Path with query, exactly as received (`*` for `OPTIONS *`; empty for CONNECT).
    pub path: Text,
    /// Version of the connection it came on.
    pub protocol: Protocol,
    /// `:protocol` of an extended CONNECT (RFC 8441), or the `Upgrade` token of an HTTP/1.1 upgrade.
    pub upgrade: Option<Text>,
    /// All other headers; `host` is not among them.
    pub headers: Headers,
}

/// A response without its body.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// Status; 1xx only for informational responses.
    pub status: StatusCode,
    /// Version of the connection it came on (ignored when encoding).
    pub protocol: Protocol,
    /// All headers.
    pub headers: Headers,
}

impl ResponseHead {
    /// A head with no headers.
    pub fn new(status: StatusCode) -> Self {
        Self { status, protocol: Protocol::Http11, headers: Headers::new() }
    }
}

/// What a body is made of.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Some bytes; `end` says nothing follows.
    Data {
        /// The bytes; may be empty only when `end`.
        data: Bytes,
        /// No further frame follows.
        end: bool,
    },
    /// Trailers; nothing follows.
    Trailers(Headers),
}

/// How a body's length is known when its head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body: the head ends the message.
    Empty,
    /// Exactly so many bytes will follow.
    Known(u64),
    /// The end is found while reading (chunked, HTTP/2, or by the end of the connection).
    Unknown,
}

impl BodyLength {
    /// True when the head ends the message.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Empty | Self::Known(0))
    }
}
