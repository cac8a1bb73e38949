//! Streams that a [`LocalService`](crate::local::LocalService) answers.
//!
//! The request is taken whole, then the answer goes out piece by piece as the peer takes it.
//! Limits: a body beyond [`BODY_LIMIT`] is read and forgotten; the stream's deadlines hold.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use nuncio_api::{Frame, ResponseHead};
use nuncio_http::{ServerExchange, StreamError};
use tokio::time::Instant;

use super::Stream;
use crate::{local::LocalService, reply::Failure};

/// No request to a local service says more than this.
const BODY_LIMIT: usize = 64 * 1024;

/// How much of an answer is handed on at a time.
const PIECE: usize = 64 * 1024;

impl Stream {
    /// Takes the request, asks the service, sends the answer.
    pub(super) async fn answer_locally<D: ServerExchange>(
        &mut self,
        service: &Rc<dyn LocalService>,
        down: &mut D,
    ) -> Result<(), Failure> {
        let body = self.take_request(down).await?;
        let request = self.record.request();
        let is_head = request.method == http::Method::HEAD;
        let answer = service.answer(request, &body);
        self.record.info.details = Some("admin_filter_response".into());
        self.record.info.response = Some(ResponseHead { headers: answer.headers, ..ResponseHead::new(answer.status) });
        let now = Instant::now();
        self.dress_response(now, down);
        let Some(response) = &self.record.info.response else { return Ok(()) };
        let mut rest = if is_head { Bytes::new() } else { answer.body.clone() };
        down.send_head(response, is_head);
        if rest.is_empty() && !is_head {
            down.send_data(Bytes::new(), true);
        }
        self.responded = true;
        self.record.info.downstream_first_tx = Some(now);
        // Counted though a HEAD request does not get it, as in Envoy.
        self.record.info.bytes_sent = answer.body.len() as u64;
        while !rest.is_empty() {
            self.wait(down, |down, cx| down.poll_ready(cx)).await?;
            let piece = rest.split_to(PIECE.min(rest.len()));
            down.send_data(piece, rest.is_empty());
        }
        self.record.ended = true;
        Ok(())
    }

    async fn take_request<D: ServerExchange>(&mut self, down: &mut D) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        // What asks for an upgrade has no end before it gets its answer.
        let is_upgrade = self.record.request().upgrade.is_some();
        while !is_upgrade && !self.request_ended() {
            let end = match self.wait(down, |down, cx| down.poll_frame(cx)).await? {
                Frame::Data { data, end } => {
                    self.record.info.bytes_received += data.len() as u64;
                    if self.record.info.bytes_received <= BODY_LIMIT as u64 {
                        body.extend_from_slice(&data);
                    } else {
                        body.clear();
                    }
                    end
                }
                Frame::Trailers(_) => true,
            };
            if end {
                self.request_completed(Instant::now());
            }
        }
        Ok(body)
    }

    /// Waits for the client within the stream's deadlines.
    async fn wait<D: ServerExchange, T>(
        &mut self,
        down: &mut D,
        poll: impl Fn(&mut D, &mut Context<'_>) -> Poll<Result<T, StreamError>>,
    ) -> Result<T, Failure> {
        self.deadlines.touch(Instant::now());
        let mut armed = false;
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = poll(down, cx) {
                return Poll::Ready(outcome.map_err(|error| Self::downstream_gone(&error)));
            }
            if !armed {
                armed = true;
                self.deadlines.arm();
            }
            match self.deadlines.poll_expired(cx) {
                Poll::Ready(Some(failure)) => Poll::Ready(Err(failure)),
                // The alarm is for retries, of which there are none.
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}
