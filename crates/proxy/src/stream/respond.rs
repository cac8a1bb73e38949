//! Answers that the proxy gives itself, and the end of a stream that failed.

use std::{future::poll_fn, rc::Rc, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use nuncio_api::{Frame, Headers, Protocol, ResponseFlag, ResponseHead, message::BodyLength, names};
use nuncio_config::model::{
    access_log::LogFormat,
    local_reply::BodyFormat,
    route::{DirectResponse, Redirect, Route, RouteAction},
};
use nuncio_http::{ServerExchange, exchange::ResetReason};
use nuncio_stats::templates::{http_stats, router_stats};
use tokio::time::Instant;

use super::{Stream, weighted_of};
use crate::{
    hcm::{proxy_status, response_headers},
    headers,
    phase::phase,
    reply::{self, Asker, Failure},
    router::{charge, redirect},
};

/// Bytes of a request that are read only to be forgotten.
const TAKEN_AT_MOST: u64 = 1024 * 1024;

impl Stream {
    /// `Expect: 100-continue`: answered here unless the upstream is to answer it.
    pub(super) fn answer_expectation<D: ServerExchange>(&mut self, down: &mut D) {
        if self.hcm.settings.proxy_100_continue {
            return;
        }
        charge::downstream(&self.hcm.stats, &self.hcm.listener_stats, StatusCode::CONTINUE);
        down.send_informational(StatusCode::CONTINUE, &Headers::new());
        if let Some(request) = &mut self.record.info.request {
            request.headers.remove(&header::EXPECT);
        }
    }

    /// `direct_response`; one that creates or redirects says where, which is where the request came to.
    pub(super) fn reply_directly<D: ServerExchange>(&mut self, direct: &DirectResponse, down: &mut D) {
        let says_where = direct.status == StatusCode::CREATED || direct.status.is_redirection();
        let location = if says_where { redirect::location(None, &self.record.info) } else { None };
        self.begin_reply(direct.status, location);
        let body = match &direct.format {
            Some(format) => self.dressed(direct.body.clone(), format),
            None => direct.body.clone(),
        };
        self.send_with(body, None, down);
    }

    /// `redirect`, which rewrites the request first.
    pub(super) fn redirect<D: ServerExchange>(&mut self, redirect: &Redirect, route: &Route, down: &mut D) {
        let suppress = self.hcm.settings.router.suppress_envoy_headers;
        if let Some(path) = redirect::rewritten(&redirect.path, &route.matches, &self.record.info) {
            headers::replace_path(&mut self.record.info, path, suppress);
        }
        self.begin_reply(redirect.status, redirect::location(Some(redirect), &self.record.info));
        self.send_with(Bytes::new(), None, down);
    }

    /// `body_format`: the body put into it, and its type said in the head.
    fn dressed(&mut self, body: Bytes, format: &BodyFormat) -> Bytes {
        let info = &mut self.record.info;
        info.local_reply_body = Some(Box::from(&*body));
        let mut text = Vec::new();
        crate::access_log::append_line(&format.body, info, &mut text);
        info.local_reply_body = None;
        let json = matches!(format.body, LogFormat::Json { .. }).then(|| HeaderValue::from_static("application/json"));
        if let (Some(kind), Some(response)) = (format.content_type.clone().or(json), &mut info.response) {
            response.headers.remove(&header::CONTENT_TYPE);
            response.headers.append(header::CONTENT_TYPE, kind);
        }
        text.into()
    }

    /// The head of a route's own answer: where to, and the route's headers.
    fn begin_reply(&mut self, status: StatusCode, location: Option<String>) {
        self.record.info.details = Some("direct_response".into());
        let mut list = Headers::with_capacity(6);
        if let Some(value) = location.and_then(|l| HeaderValue::try_from(l).ok()) {
            list.append(header::LOCATION, value);
        }
        self.record.info.response = Some(ResponseHead { headers: list, ..head(status) });
        self.apply_route_response_headers();
    }

    /// Completes the response in the record by `body`, behind the headers that are there, and sends
    /// it; unless `local_reply_config` makes another of it. `grpc_status` is one that does not follow from
    /// the HTTP status.
    fn send_with<D: ServerExchange>(&mut self, body: Bytes, grpc_status: Option<u16>, down: &mut D) {
        let asker = Asker {
            grpc: self.is_grpc,
            head: self.record.request().method == http::Method::HEAD,
            rate_limited: self.record.info.flags.contains(ResponseFlag::RateLimited),
            grpc_status,
        };
        let info = &mut self.record.info;
        let rewritten = self.hcm.mappers.rewrite(info, &self.hcm.context.runtime, body);
        let body = match &mut info.response {
            Some(response) => reply::complete(response, rewritten, asker),
            None => rewritten.body,
        };
        self.send_own(body, down);
    }

    /// Takes what has arrived of the request while it could not go anywhere, so that a request that
    /// is complete counts as such. Never waits.
    pub(super) async fn take_arrived<D: ServerExchange>(&mut self, down: &mut D) {
        let limit = TAKEN_AT_MOST;
        poll_fn(|cx| {
            while !self.deadlines.request_complete && self.record.info.bytes_received < limit {
                let Poll::Ready(Ok(frame)) = down.poll_frame(cx) else { break };
                self.shadows.feed(&frame);
                let ended = match frame {
                    Frame::Data { data, end } => {
                        self.record.info.bytes_received += data.len() as u64;
                        end
                    }
                    Frame::Trailers(_) => true,
                };
                if ended {
                    self.request_completed(Instant::now());
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// What the route does to the headers of a response, also to one that its router gives itself.
    pub(super) fn apply_route_response_headers(&mut self) {
        let hcm = Rc::clone(&self.hcm);
        let table = hcm.routes.table();
        let info = &mut self.record.info;
        let (Some(host), Some(route)) = (&info.virtual_host, &info.route) else { return };
        let tells_attempts = host.include_attempt_count_in_response;
        if self.record.weighted.is_some() || headers::changes_responses(table, host, route) {
            // What is added may tell anything of `info`.
            let (host, route) = (Arc::clone(host), Arc::clone(route));
            let weighted = match &route.action {
                RouteAction::Forward(forward) => weighted_of(forward, self.record.weighted),
                _ => None,
            };
            let levels = headers::response_levels(table, &host, &route, weighted);
            headers::apply_levels(&levels, info, headers::Target::Response);
        }
        if let (true, 1.., Some(response)) = (tells_attempts, info.upstream.attempts, &mut info.response) {
            response.headers.set(names::X_ENVOY_ATTEMPT_COUNT, HeaderValue::from(info.upstream.attempts));
        }
    }

    /// `require_tls`.
    pub(super) fn redirect_to_https<D: ServerExchange>(&mut self, down: &mut D) {
        let location = redirect::https_location(self.record.request());
        self.hcm.router_stats.inc(router_stats::RQ_DIRECT_RESPONSE);
        self.begin_reply(StatusCode::MOVED_PERMANENTLY, Some(location));
        self.send_with(Bytes::new(), None, down);
    }

    /// `path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT`.
    pub(super) fn redirect_to_normalized<D: ServerExchange>(&mut self, path: String, down: &mut D) {
        let mut list = Headers::new();
        if let Ok(value) = HeaderValue::try_from(path) {
            list.append(header::LOCATION, value);
        }
        self.record.info.details = Some("path_normalization_failed".into());
        self.record.info.response = Some(ResponseHead { headers: list, ..head(StatusCode::TEMPORARY_REDIRECT) });
        self.send_with(Bytes::new(), None, down);
    }

    /// Ends the stream with `failure`: a local reply, or a cut when the response has begun.
    pub(super) fn fail<D: ServerExchange>(&mut self, failure: Failure, down: &mut D) {
        phase!("local reply");
        self.is_cut = self.responded;
        self.count_failure(&failure);
        let mut reply = failure.reply();
        if self.record.retried {
            reply = reply.after_retry();
        }
        if self.answers_timeout_otherwise(&failure) {
            reply.status = StatusCode::NO_CONTENT;
            reply.body = Bytes::new();
        }
        let broken = matches!(failure, Failure::Codec(_)) && self.is_http2();
        // What answers a broken request does not know yet that it will be logged as one.
        let flagged_late = matches!(failure, Failure::Codec(_) | Failure::LowVersion) && !broken && !self.responded;
        if let (Some(flag), false) = (reply.flag, flagged_late) {
            self.record.info.flags.insert(flag);
        }
        self.record.info.upstream.transport_failure = failure.transport_failure();
        if broken || matches!(failure, Failure::DownstreamReset | Failure::DownstreamTermination | Failure::Shutdown) {
            self.record.info.details = Some(reply.details);
            down.reset(if broken { ResetReason::Protocol } else { ResetReason::Cancel });
            self.record.ended = true;
            return;
        }
        if self.responded {
            self.record.charge_failure(&failure, None);
            self.count_reset_of_grpc(&failure);
            self.record.info.details = Some(failure.details_after_response_started());
            self.hcm.stats.inc(http_stats::DOWNSTREAM_RQ_TX_RESET);
            self.hcm.stats.inc(http_stats::DOWNSTREAM_RQ_RX_RESET);
            down.reset(self.cut_reason(&failure));
            self.record.ended = true;
            return;
        }
        self.record.info.details = Some(reply.details.clone());
        self.record.charge_failure(&failure, Some(reply.status));
        if reply.close && !self.keeps_after(&failure) {
            down.close_after_response();
        }
        let list = reply.header.into_iter().collect();
        self.record.info.response = Some(ResponseHead { headers: list, ..head(reply.status) });
        if failure.is_routers() || matches!(failure, Failure::NoCluster(_) | Failure::InvalidEnvoyHeader(..)) {
            self.apply_route_response_headers();
        }
        self.send_with(reply.body, failure.grpc_status(), down);
        if let Some(flag) = reply.flag {
            self.record.info.flags.insert(flag);
        }
    }

    /// `x-envoy-upstream-rq-timeout-alt-response`
    pub(super) fn answers_timeout_otherwise(&self, failure: &Failure) -> bool {
        self.record.alt_timeout && failure.is_upstream_timeout()
    }

    /// `stream_error_on_invalid_http_message`: a message that is wrong but framed ends its stream alone.
    fn keeps_after(&self, failure: &Failure) -> bool {
        self.hcm.settings.http1.stream_error_on_invalid_http_message
            && matches!(failure, Failure::MissingHost | Failure::PathNormalization)
    }

    /// A gRPC response that looked good until its upstream broke off.
    fn count_reset_of_grpc(&self, failure: &Failure) {
        let by_upstream = matches!(
            failure,
            Failure::UpstreamReset
                | Failure::UpstreamRefused
                | Failure::UpstreamTermination
                | Failure::UpstreamProtocol
        );
        let looked_good = self.record.info.response.as_ref().is_some_and(|response| !response.status.is_server_error());
        if self.is_grpc && by_upstream && looked_good {
            self.hcm.router_stats.inc(router_stats::RQ_RESET_AFTER_DOWNSTREAM_RESPONSE_STARTED);
        }
    }

    fn count_failure(&self, failure: &Failure) {
        let stats = &self.hcm.stats;
        match failure {
            // HTTP/2 resets the stream without an answer; its connection counts the rest.
            Failure::Codec(_) if self.is_http2() => stats.inc(http_stats::DOWNSTREAM_RQ_RX_RESET),
            Failure::Codec(_) | Failure::LowVersion => stats.inc(http_stats::DOWNSTREAM_CX_PROTOCOL_ERROR),
            Failure::StreamIdle { .. } => stats.inc(http_stats::DOWNSTREAM_RQ_IDLE_TIMEOUT),
            Failure::MaxStreamDuration { .. } => stats.inc(http_stats::DOWNSTREAM_RQ_MAX_DURATION_REACHED),
            Failure::UnknownClient(_) => stats.inc(http_stats::DOWNSTREAM_RQ_REJECTED_VIA_IP_DETECTION),
            Failure::RequestTimeout => stats.inc(http_stats::DOWNSTREAM_RQ_TIMEOUT),
            Failure::RequestHeadersTimeout => stats.inc(http_stats::DOWNSTREAM_RQ_HEADER_TIMEOUT),
            Failure::DownstreamReset | Failure::DownstreamTermination => {
                stats.inc(http_stats::DOWNSTREAM_RQ_RX_RESET);
            }
            Failure::MissingHost
            | Failure::AbsolutePath
            | Failure::PathNormalization
            | Failure::QueryWithoutContentType
            | Failure::UpgradeFailed
            | Failure::NoRoute
            | Failure::NoCluster(_)
            | Failure::InvalidEnvoyHeader(..)
            | Failure::NoHealthyUpstream
            | Failure::DropOverload
            | Failure::Overflow
            | Failure::ConnectFailed(_)
            | Failure::ConnectTimeout
            | Failure::UpstreamTermination
            | Failure::UpstreamReset
            | Failure::UpstreamRefused
            | Failure::UpstreamProtocol
            | Failure::RouteTimeout
            | Failure::PerTryTimeout { .. }
            | Failure::UpstreamMaxDuration { .. }
            | Failure::Shutdown => {}
        }
    }

    /// Sends the response in the record, which the proxy made itself, with `body`.
    pub(super) fn send_own<D: ServerExchange>(&mut self, body: Bytes, down: &mut D) {
        let now = Instant::now();
        self.dress_response(now, down);
        let Some(response) = &self.record.info.response else { return };
        let is_head = self.record.request().method == http::Method::HEAD;
        let body = if is_head { Bytes::new() } else { body };
        down.send_head(response, body.is_empty());
        self.responded = true;
        self.record.info.downstream_first_tx = Some(now);
        if !body.is_empty() {
            self.record.info.bytes_sent += body.len() as u64;
            down.send_data(body, true);
        }
        self.record.ended = true;
    }

    /// The manager's own response headers, and draining.
    pub(super) fn dress_response<D: ServerExchange>(&mut self, now: Instant, down: &mut D) {
        let hcm = &self.hcm;
        let info = &mut self.record.info;
        if let Some(response) = &mut info.response {
            let date = hcm.context.date(now);
            response_headers::mutate(
                &hcm.settings,
                info.request.as_ref(),
                &hcm.server_name,
                date,
                &mut response.headers,
            );
        }
        // What could not be read as a request is answered without, as in Envoy.
        if let Some(settings) = hcm.settings.proxy_status.as_ref().filter(|_| info.request.is_some()) {
            let names = proxy_status::Names { server: &hcm.settings.server_name, node: &hcm.context.node.id };
            proxy_status::apply(settings, names, info);
        }
        // HTTP/2 connections have a timer of their own, and those that end safely do so later.
        let ends_now = info.protocol != Some(Protocol::Http2) && !hcm.settings.http1_safe_max_connection_duration;
        if ends_now && hcm.lives_until(&info.connection).is_some_and(|until| until <= now) {
            hcm.stats.inc(http_stats::DOWNSTREAM_CX_MAX_DURATION_REACHED);
            down.close_after_response();
        }
        if hcm.context.drain.should_close(|| fastrand::u64(..)) {
            hcm.stats.inc(http_stats::DOWNSTREAM_CX_DRAIN_CLOSE);
            down.close_after_response();
            self.chosen_by_drain = true;
        }
    }

    /// Ends the stream: HTTP/1 moves the last bytes on, and the wire counts are taken.
    pub(super) async fn flush<D: ServerExchange>(&mut self, down: &mut D) {
        if self.responded && (!self.request_ended() || self.is_answered_early()) {
            // What is left of the request will never be read.
            self.hcm.stats.inc(http_stats::DOWNSTREAM_RQ_RESPONSE_BEFORE_RQ_COMPLETE);
            if self.record.ended && !self.is_cut && !self.request_ended() {
                self.hcm.stats.inc(http_stats::DOWNSTREAM_RQ_RX_RESET);
            }
        }
        let mut now = Instant::now();
        // What is left of an HTTP/2 response is its connection's business: the stream is over.
        if !self.is_http2() && self.waits_for_flush(now, down).await {
            now = Instant::now();
        }
        self.record.info.downstream_last_tx = Some(now);
        self.record.info.downstream_wire = down.wire_bytes();
    }

    /// Moves the last bytes on, within the idle timeout; true when that took time.
    async fn waits_for_flush<D: ServerExchange>(&mut self, now: Instant, down: &mut D) -> bool {
        let mut waits = false;
        let is_flushed = poll_fn(|cx| {
            if down.poll_flush(cx).is_ready() {
                return Poll::Ready(true);
            }
            if !waits {
                waits = true;
                match self.record.flush_timeout {
                    Some(limit) => self.deadlines.set_idle(limit, now),
                    None => self.deadlines.touch(now),
                }
                self.deadlines.arm();
            }
            self.deadlines.poll_expired(cx).map(|_| false)
        })
        .await;
        if !is_flushed {
            down.reset(ResetReason::InternalError);
        }
        waits
    }

    fn is_http2(&self) -> bool {
        self.record.info.protocol == Some(Protocol::Http2)
    }

    pub(super) fn request_ended(&self) -> bool {
        self.request_body == BodyLength::Empty || self.deadlines.request_complete
    }

    /// The downstream side is gone.
    pub(super) fn downstream_gone(error: &nuncio_http::StreamError) -> Failure {
        match error {
            nuncio_http::StreamError::Protocol(error) => Failure::Codec(*error),
            nuncio_http::StreamError::RemoteReset(_) | nuncio_http::StreamError::Refused => Failure::DownstreamReset,
            nuncio_http::StreamError::LocalReset | nuncio_http::StreamError::Connection(_) => {
                Failure::DownstreamTermination
            }
        }
    }
}

fn head(status: StatusCode) -> ResponseHead {
    ResponseHead::new(status)
}
