//! Requests that the process answers itself: the admin server.
//!
//! A context that has a [`LocalService`] routes nothing: its connection managers read a request as
//! any other does, hand it to the service and send what that answers. So the admin server speaks
//! every protocol, counts and logs as listeners do. The service decides at once; what takes longer
//! is none of its business.

use bytes::Bytes;
use http::StatusCode;
use nuncio_api::{Headers, RequestHead};

/// Answers requests inside of the process.
pub trait LocalService {
    /// The answer to a request. `body` is what came with it, empty when that was too long.
    fn answer(&self, request: &RequestHead, body: &[u8]) -> LocalAnswer;
}

/// What a [`LocalService`] says.
#[derive(Clone, Debug)]
pub struct LocalAnswer {
    /// Status.
    pub status: StatusCode,
    /// Headers besides those of the connection manager.
    pub headers: Headers,
    /// The body; sent without a length, as Envoy does.
    pub body: Bytes,
}
