//! The response on its way down, once its head is taken.
//!
//! Up to the response head a failure becomes a local reply; after it the stream is cut. The
//! upload goes on while the response comes down; a response that ends first ends the exchange
//! (HTTP/1 then closes, HTTP/2 resets with NO_ERROR).

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use http::{HeaderValue, header};
use nuncio_api::{Protocol, ResponseHead, names};
use nuncio_http::{Exchange, ServerExchange, StreamError, exchange::ResetReason};
use nuncio_upstream::Host;
use tokio::time::Instant;

use super::{
    Stream,
    forward::Job,
    pump::{Broken, Pump},
    record::millis,
    tries::{Taken, Tries, Try},
};
use crate::{
    hcm::response_headers,
    phase::phase,
    reply::{self, Failure},
    router::charge,
};

impl Stream {
    /// Passes the head on, or answers in its place; true when more is to follow.
    pub(super) fn pass_head<D: ServerExchange>(&mut self, taken: Taken, tries: &Tries, down: &mut D) -> bool {
        phase!("response head");
        let Taken { head, ended } = taken;
        if self.is_failed_handshake(&head) {
            self.record.info.bytes_received = tries.upload.bytes;
            self.reply_to_failed_handshake(head, down);
            return false;
        }
        self.note_agreement(&head);
        let host = tries.active.first().map(|one| &*one.host);
        self.begin_response(head, ended, host, down);
        true
    }

    /// What follows the head, whose message may have `ended` with it.
    pub(super) async fn exchange<D: ServerExchange>(
        &mut self,
        job: &Job<'_>,
        tries: &mut Tries,
        ended: bool,
        down: &mut D,
    ) -> Result<(), Failure> {
        phase!("bodies");
        let mut download = if ended { Pump::already_ended() } else { Pump::default() };
        let outcome = self.bodies(job, tries, &mut download, down).await;
        self.record.info.bytes_received = tries.upload.bytes;
        self.record.info.bytes_sent = download.bytes;
        let Some(mut winner) = tries.active.pop() else { return outcome };
        if let Some(stream) = winner.stream() {
            self.record.info.upstream.wire = stream.wire_bytes();
        }
        if let Err(failure) = outcome {
            winner.received = download.bytes;
            self.abandon(winner, &failure, job);
            return Err(failure);
        }
        if std::mem::take(&mut self.record.awaits_grpc_status) {
            count_outcome(&winner.host, download.trailers.as_ref().is_some_and(reply::is_grpc_success));
        }
        self.record.info.response_trailers = download.trailers.take();
        self.record.ended = true;
        self.record_time();
        winner.received = download.bytes;
        self.note_end(&winner, None, job);
        let is_whole = winner.pump.done && !winner.upload_broken;
        if let Some(mut stream) = winner.into_stream() {
            if is_whole {
                stream.finish();
            } else {
                stream.reset(ResetReason::NoError);
            }
        }
        Ok(())
    }

    /// 1xx responses go on when the upstream is to answer expectations; else they end here, as in
    /// Envoy.
    pub(super) fn pass_informational<D: ServerExchange>(&mut self, head: &ResponseHead, down: &mut D) {
        if let Some(charged) = &mut self.record.charged {
            charged.upstream_response(head);
        }
        if self.hcm.settings.proxy_100_continue {
            charge::downstream(&self.hcm.stats, &self.hcm.listener_stats, head.status);
            down.send_informational(head.status, &head.headers);
        }
    }

    fn begin_response<D: ServerExchange>(
        &mut self,
        mut head: ResponseHead,
        ended: bool,
        host: Option<&Host>,
        down: &mut D,
    ) {
        let now = Instant::now();
        self.deadlines.touch(now);
        self.count_head(&head, ended, host);
        let suppress = self.hcm.settings.router.suppress_envoy_headers;
        response_headers::drop_hop_by_hop(&mut head.headers);
        if !suppress {
            // An answer that comes before the request is complete has no service time.
            if let Some(since) = self.record.info.request_complete {
                let value = HeaderValue::from(millis(now.saturating_duration_since(since)));
                head.headers.set(names::X_ENVOY_UPSTREAM_SERVICE_TIME, value);
            }
        }
        for cookie in std::mem::take(&mut self.record.cookies) {
            head.headers.append(header::SET_COOKIE, cookie);
        }
        let info = &mut self.record.info;
        info.upstream_first_rx = Some(now);
        info.details = Some("via_upstream".into());
        info.response = Some(head);
        self.apply_route_response_headers();
        self.dress_response(now, down);
        if let Some(response) = &self.record.info.response {
            down.send_head(response, ended);
        }
        self.record.info.downstream_first_tx = Some(now);
        self.responded = true;
    }

    /// Counts a response by its code when its head is there.
    fn count_head(&mut self, head: &ResponseHead, ended: bool, host: Option<&Host>) {
        self.record.awaits_grpc_status = self.is_grpc && !ended && !head.status.is_server_error();
        match host {
            Some(_) if self.record.awaits_grpc_status => {}
            Some(host) if head.status.is_server_error() => host.count_error(),
            Some(host) => count_outcome(host, !self.is_grpc || reply::is_grpc_success(&head.headers)),
            None => {}
        }
        if let Some(charged) = &mut self.record.charged {
            charged.host(host);
            charged.upstream_response(head);
        }
    }

    /// Records how long a complete response took; one that is cut short is not recorded.
    fn record_time(&self) {
        if let (Some(charged), Some(since)) = (&self.record.charged, self.record.info.request_complete) {
            let end = self.record.info.upstream_last_rx.unwrap_or_else(Instant::now);
            charged.complete(end.saturating_duration_since(since), self.record.timeout);
        }
    }

    /// Both bodies, until the response is complete and sent.
    async fn bodies<D: ServerExchange>(
        &mut self,
        job: &Job<'_>,
        tries: &mut Tries,
        download: &mut Pump,
        down: &mut D,
    ) -> Result<(), Failure> {
        // An upload whose last bytes wait to be written goes on too.
        let mut uploading = tries.active.first().is_some_and(|one| !one.pump.done && !one.upload_broken);
        let is_tunnel = self.is_tunnel_open();
        poll_fn(|cx| {
            // The upload would learn of a reset first, and what came before it would be lost. The last
            // words of a tunnel come like that; of any other response nothing less than all counts.
            if is_tunnel
                && let Some(one) = tries.active.first_mut()
                && let Poll::Ready(outcome) = self.poll_download(cx, job, one, download, down)
            {
                return Poll::Ready(outcome);
            }
            if uploading {
                match self.poll_upload(cx, 0, job, tries, down) {
                    Poll::Ready(Ok(())) => uploading = false,
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                    Poll::Pending => {}
                }
            }
            let Some(one) = tries.active.first_mut() else { return Poll::Ready(Ok(())) };
            if let Poll::Ready(outcome) = self.poll_download(cx, job, one, download, down) {
                return Poll::Ready(outcome);
            }
            if !uploading && let Poll::Ready(error) = down.poll_gone(cx) {
                return Poll::Ready(Err(Self::downstream_gone(&error)));
            }
            self.poll_limits(cx, one)
        })
        .await
    }

    fn poll_download<D: ServerExchange>(
        &mut self,
        cx: &mut Context<'_>,
        job: &Job<'_>,
        one: &mut Try,
        download: &mut Pump,
        down: &mut D,
    ) -> Poll<Result<(), Failure>> {
        let Some(upstream) = one.stream() else { return Poll::Ready(Ok(())) };
        let polled = download.poll(cx, |cx| upstream.poll_frame(cx), down);
        if download.take_moved() {
            let now = Instant::now();
            self.deadlines.touch(now);
            one.touch(now, job.timeouts.per_try_idle);
            self.record.info.bytes_sent = download.bytes;
            if download.ended {
                self.record.info.upstream_last_rx = Some(now);
            }
        }
        match polled {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(Broken::Source(error))) => Poll::Ready(Err(mid_response(&error, self.is_tunnel_open()))),
            Poll::Ready(Err(Broken::Sink(error))) => Poll::Ready(Err(Self::downstream_gone(&error))),
            // The upstream is done; an HTTP/2 peer that does not open its window is waited for
            // by `flush`.
            Poll::Pending if download.ended && self.record.info.protocol == Some(Protocol::Http2) => {
                Poll::Ready(Ok(()))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// The deadlines of the stream, and of the try that answers.
    fn poll_limits(&mut self, cx: &mut Context<'_>, one: &Try) -> Poll<Result<(), Failure>> {
        let alarm = [one.idle_at, one.ends_at].into_iter().flatten().min();
        self.deadlines.set_alarm(alarm);
        self.deadlines.arm();
        self.deadlines.poll_expired(cx).map(|failure| {
            Err(failure.unwrap_or_else(|| match one.ends_at {
                Some(at) if at <= Instant::now() => {
                    Failure::UpstreamMaxDuration { request_complete: self.deadlines.request_complete }
                }
                _ => Failure::PerTryTimeout { idle: true },
            }))
        })
    }
}

fn count_outcome(host: &Host, success: bool) {
    if success {
        host.count_success();
    } else {
        host.count_error();
    }
}

/// The upstream failed before its response head.
pub(super) fn upstream_failure(error: &StreamError) -> Failure {
    match error {
        StreamError::Protocol(_) => Failure::UpstreamProtocol,
        StreamError::RemoteReset(_) | StreamError::LocalReset => Failure::UpstreamReset,
        StreamError::Refused => Failure::UpstreamRefused,
        StreamError::Connection(_) => Failure::UpstreamTermination,
    }
}

/// The upstream failed within its body: an early end breaks HTTP/1 framing, of which a tunnel has none.
fn mid_response(error: &StreamError, is_tunnel: bool) -> Failure {
    match error {
        StreamError::Connection(_) if !is_tunnel => Failure::UpstreamProtocol,
        other => upstream_failure(other),
    }
}
