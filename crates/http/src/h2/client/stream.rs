//! One request on an upstream connection, and its response.
//!
//! ```text
//! placed ── send_head ──> asked ── response head ──> answered
//!             └─ extended CONNECT before the peer's SETTINGS: waits until they say that it may
//! ```
//!
//! What is sent into a tunnel before the peer has agreed waits here, up to the connection's buffer
//! limit, and goes nowhere if it refuses.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{Method, StatusCode};
use nuncio_api::{Frame, Headers, RequestHead, ResponseHead};

use super::Shared;
use crate::{
    error::StreamError,
    exchange::{ClientExchange, Exchange, ResetReason, WireBytes},
    h2::{
        convert, failure,
        halves::{Halves, Link},
        meter::Role,
    },
    held::Held,
};

/// One request and its response.
pub struct ClientStream {
    send: Option<SendRequest<Bytes>>,
    response: Option<ResponseFuture>,
    halves: Halves,
    state: Rc<Shared>,
    upgrade: Option<nuncio_api::Text>,
    /// An extended CONNECT that waits until the peer has said whether it takes one.
    early: Option<Box<(RequestHead, bool)>>,
    /// What was sent into a tunnel that the peer has not agreed to yet.
    held: Option<Box<Held>>,
    sent: bool,
    failed: Option<StreamError>,
}

impl ClientStream {
    pub(super) fn new(send: SendRequest<Bytes>, link: Rc<Link>, state: Rc<Shared>) -> Self {
        Self {
            send: Some(send),
            response: None,
            halves: Halves::new(link),
            state,
            upgrade: None,
            early: None,
            held: None,
            sent: false,
            failed: None,
        }
    }

    #[cfg(test)]
    pub(in crate::h2) fn is_sending(&self) -> bool {
        self.halves.is_sending()
    }

    /// Sends the head that waits for the peer's SETTINGS.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.early.is_none() {
            return Poll::Ready(());
        }
        if !self.state.settled.get() && !self.state.closed.get() {
            self.state.wait(cx);
            return Poll::Pending;
        }
        if let Some(early) = self.early.take() {
            self.failed = self.send_request(&early.0, early.1).err();
        }
        Poll::Ready(())
    }

    /// The peer has answered what asks for a tunnel: what waited for it goes out, or nowhere.
    fn settle_tunnel(&mut self, status: StatusCode) {
        let Some(held) = self.held.take() else { return };
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            let (pieces, end) = held.release();
            for piece in pieces {
                self.halves.send_data(piece, false);
            }
            if end {
                self.halves.send_data(Bytes::new(), true);
            }
        } else {
            self.halves.stop_sending();
        }
    }

    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, bool), StreamError>> {
        let Some(response) = &mut self.response else {
            return Poll::Ready(Err(self.failed.take().unwrap_or(StreamError::LocalReset)));
        };
        match ready!(response.poll_informational(cx)) {
            Some(Ok(head)) => return Poll::Ready(self.head_in(head).map(|(head, ())| (head, false))),
            Some(Err(error)) => return Poll::Ready(Err(self.halves.failed(error))),
            None => {}
        }
        let response = match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => response,
            Err(error) => return Poll::Ready(Err(self.halves.failed(error))),
        };
        self.response = None;
        let (mut head, body) = match self.head_in(response) {
            Ok(parts) => parts,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let end = body.is_end_stream();
        self.halves.recv = (!end).then_some(body);
        self.switch_protocols(&mut head);
        self.settle_tunnel(head.status);
        Poll::Ready(Ok((head, end)))
    }

    fn head_in<B>(&mut self, response: http::Response<B>) -> Result<(ResponseHead, B), StreamError> {
        let Link { role, counters, headers, .. } = &*self.halves.link;
        match convert::response_in(response, headers, counters) {
            Ok((head, body)) => {
                self.halves.header_received(&head.headers);
                Ok((head, body))
            }
            Err(refusal) => {
                let error = failure::protocol(*role, refusal.details());
                self.reset(ResetReason::InternalError);
                Err(error)
            }
        }
    }

    /// 200 to an extended CONNECT is what 101 is to an upgrade.
    fn switch_protocols(&mut self, head: &mut ResponseHead) {
        let Some(protocol) = self.upgrade.take().filter(|_| head.status == StatusCode::OK) else { return };
        head.status = StatusCode::SWITCHING_PROTOCOLS;
        if let Ok(value) = http::HeaderValue::from_maybe_shared(protocol.to_bytes()) {
            head.headers.set(http::header::UPGRADE, value);
            head.headers.set(http::header::CONNECTION, http::HeaderValue::from_static("upgrade"));
        }
    }

    fn send_request(&mut self, head: &RequestHead, end: bool) -> Result<(), StreamError> {
        let role = Role::Client;
        let mut send = self.send.take().ok_or(StreamError::LocalReset)?;
        if head.upgrade.is_some() && !send.is_extended_connect_protocol_enabled() {
            return Err(failure::protocol(role, "http2.extended_connect_not_enabled"));
        }
        let request = convert::request_out(head, &self.halves.link.known)
            .ok_or_else(|| failure::protocol(role, failure::MESSAGING))?;
        let (response, body) = send.send_request(request, end).map_err(|error| {
            if error.reason().is_none() && !error.is_io() {
                // All stream ids are used up: nothing was sent, another connection can take it.
                self.state.draining.set(true);
                return StreamError::Refused;
            }
            failure::of_stream(role, error, &self.halves.link.counters)
        })?;
        self.response = Some(response);
        self.upgrade = head.upgrade.clone();
        self.halves.sent_head(body, &head.headers, end);
        Ok(())
    }
}

impl Exchange for ClientStream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, StreamError>> {
        self.halves.poll_frame(cx)
    }

    fn send_data(&mut self, data: Bytes, end: bool) {
        match &mut self.held {
            Some(held) => held.push(data, end),
            None => self.halves.send_data(data, end),
        }
    }

    fn send_trailers(&mut self, trailers: &Headers) {
        match &mut self.held {
            Some(held) => held.push(Bytes::new(), true),
            None => self.halves.send_trailers(trailers),
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match (self.failed.take(), &self.held) {
            (Some(error), _) => Poll::Ready(Err(error)),
            // The response, which whoever sends waits for too, makes room.
            (None, Some(held)) if held.len() >= self.halves.link.wire.limit() => Poll::Pending,
            (None, Some(_)) => Poll::Ready(Ok(())),
            (None, None) => self.halves.poll_ready(cx),
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        // Queued frames belong to the connection, whose task moves them.
        Poll::Ready(Ok(()))
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        match self.failed.take() {
            Some(error) => Poll::Ready(error),
            None => self.halves.poll_reset(cx),
        }
    }

    fn reset(&mut self, reason: ResetReason) {
        self.halves.reset(failure::code(reason));
    }

    fn wire_bytes(&self) -> WireBytes {
        self.halves.bytes
    }
}

impl ClientExchange for ClientStream {
    fn send_head(&mut self, head: &RequestHead, end: bool) {
        if std::mem::replace(&mut self.sent, true) {
            return;
        }
        let is_tunnel = head.upgrade.is_some() || head.method == Method::CONNECT;
        self.held = is_tunnel.then(|| Box::new(Held::new(end)));
        let end = end && !is_tunnel;
        let offers = || self.send.as_ref().is_none_or(SendRequest::is_extended_connect_protocol_enabled);
        if head.upgrade.is_some() && !self.state.settled.get() && !offers() {
            self.early = Some(Box::new((head.clone(), end)));
            return;
        }
        self.failed = self.send_request(head, end).err();
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, bool), StreamError>> {
        ready!(self.poll_early(cx));
        match self.failed.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => self.poll_response(cx),
        }
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        self.state.active.set(self.state.active.get().saturating_sub(1));
        self.state.wake_all();
    }
}
