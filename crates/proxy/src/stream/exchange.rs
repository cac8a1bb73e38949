//! One attempt: a host, a connection, the request up, the response down.
//!
//! Up to the response head a failure becomes a local reply; after it the stream is cut. The
//! upload goes on while the response comes down; a response that ends first ends the exchange
//! (HTTP/1 then closes, HTTP/2 resets with NO_ERROR).

use std::{
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use http::HeaderValue;
use nuncio_api::{Protocol, ResponseHead, names};
use nuncio_config::model::{
    cluster::UpstreamProtocol,
    route::{Forward, RouteAction},
};
use nuncio_http::{ClientExchange, Exchange, ServerExchange, StreamError, exchange::ResetReason};
use nuncio_stats::templates::cluster_stats as c;
use nuncio_upstream::{AcquireError, AcquireOptions, Cluster, Host, LbContext, PoolProtocol, UpstreamStream};
use tokio::time::Instant;

use super::{
    Stream,
    pump::{Broken, Pump},
    record::millis,
    weighted_of,
};
use crate::{
    hcm::response_headers,
    headers,
    phase::phase,
    reply::Failure,
    router::{charge, rewrite},
};

/// The two directions of an attempt.
struct Directions {
    upload: Pump,
    /// The upstream no longer takes the request; its response may still come.
    upload_broken: bool,
    download: Pump,
}

impl Stream {
    /// Host pick, connection, exchange.
    pub(super) async fn attempt<D: ServerExchange>(
        &mut self,
        cluster: &Rc<Cluster>,
        forward: &Forward,
        down: &mut D,
    ) -> Result<(), Failure> {
        phase!("host pick");
        self.record.info.upstream.attempts += 1;
        let host = cluster.choose_host(&LbContext::default()).ok_or_else(|| {
            cluster.stats().inc(c::UPSTREAM_CX_NONE_HEALTHY);
            Failure::NoHealthyUpstream
        })?;
        self.use_host(&host, forward);
        phase!("connection");
        let mut upstream = self.connect(cluster, &host, forward.high_priority, down).await?;
        phase!("attempt");
        self.record_connection(&upstream);
        let mut directions = self.send_request(&mut upstream);
        let outcome = self.exchange(&mut upstream, &mut directions, down).await;
        self.record.info.bytes_received = directions.upload.bytes;
        self.record.info.bytes_sent = directions.download.bytes;
        self.record.info.upstream.wire = upstream.wire_bytes();
        match outcome {
            Ok(()) => {
                self.record.info.response_trailers = directions.download.trailers.take();
                self.record.ended = true;
                self.record_time();
                if directions.upload.done && !directions.upload_broken {
                    upstream.finish();
                } else {
                    upstream.reset(ResetReason::NoError);
                }
                Ok(())
            }
            Err(failure) => {
                self.give_up(&failure, &host, cluster, upstream);
                Err(failure)
            }
        }
    }

    fn use_host(&mut self, host: &Rc<Host>, forward: &Forward) {
        let info = &mut self.record.info;
        info.upstream.host = Some(host.address().clone());
        let name = host.hostname();
        info.upstream.host_name = (!name.is_empty()).then(|| Arc::from(name));
        if matches!(forward.host_rewrite, nuncio_config::model::route::HostRewrite::Auto) {
            let Some(request) = &mut info.request else { return };
            if let Some(new) = rewrite::host(forward, None, request, Some(name)) {
                headers::replace_host(request, new, forward.append_x_forwarded_host);
            }
        }
    }

    async fn connect<D: ServerExchange>(
        &mut self,
        cluster: &Rc<Cluster>,
        host: &Rc<Host>,
        high_priority: bool,
        down: &mut D,
    ) -> Result<UpstreamStream, Failure> {
        let protocol = match cluster.settings().protocol {
            UpstreamProtocol::Http1 => PoolProtocol::Http1,
            UpstreamProtocol::Http2 => PoolProtocol::Http2,
            UpstreamProtocol::SameAsDownstream => match self.record.info.protocol {
                Some(Protocol::Http2) => PoolProtocol::Http2,
                _ => PoolProtocol::Http1,
            },
        };
        let mut acquire = cluster.acquire(host, AcquireOptions { protocol, high_priority });
        let mut armed = false;
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = acquire.poll_acquire(cx) {
                return Poll::Ready(outcome.map_err(|error| acquire_failure(&error)));
            }
            if !armed {
                armed = true;
                self.deadlines.arm();
            }
            if let Poll::Ready(failure) = self.deadlines.poll_expired(cx) {
                return Poll::Ready(Err(failure));
            }
            match down.poll_gone(cx) {
                Poll::Ready(error) => Poll::Ready(Err(Self::downstream_gone(&error))),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    fn record_connection(&mut self, upstream: &UpstreamStream) {
        let info = &mut self.record.info.upstream;
        info.host = upstream.remote_address().cloned();
        info.local = upstream.local_address().cloned();
        info.connection_id = Some(upstream.connection_id());
        info.protocol = Some(match upstream.protocol() {
            PoolProtocol::Http1 => Protocol::Http11,
            PoolProtocol::Http2 => Protocol::Http2,
        });
    }

    fn send_request(&mut self, upstream: &mut UpstreamStream) -> Directions {
        let ended = self.request_body.is_empty();
        if let Some(request) = &self.record.info.request {
            upstream.send_head(request, ended);
        }
        let now = Instant::now();
        self.record.info.upstream_first_tx = Some(now);
        if ended {
            self.record.info.upstream_last_tx = Some(now);
        }
        Directions {
            upload: if ended { Pump::already_ended() } else { Pump::default() },
            upload_broken: false,
            download: Pump::default(),
        }
    }

    async fn exchange<D: ServerExchange>(
        &mut self,
        upstream: &mut UpstreamStream,
        directions: &mut Directions,
        down: &mut D,
    ) -> Result<(), Failure> {
        let (head, ended) = self.response_head(upstream, directions, down).await?;
        phase!("response head");
        self.begin_response(head, ended, upstream, down);
        phase!("bodies");
        if ended {
            directions.download = Pump::already_ended();
        }
        self.bodies(upstream, directions, down).await
    }

    /// Uploads until the final response head is there.
    async fn response_head<D: ServerExchange>(
        &mut self,
        upstream: &mut UpstreamStream,
        directions: &mut Directions,
        down: &mut D,
    ) -> Result<(ResponseHead, bool), Failure> {
        let mut uploading = true;
        poll_fn(|cx| {
            if uploading {
                match self.poll_upload(cx, directions, down, upstream) {
                    Poll::Ready(Ok(())) => uploading = false,
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                    Poll::Pending => {}
                }
            }
            loop {
                match upstream.poll_head(cx) {
                    Poll::Ready(Ok((head, _))) if head.status.is_informational() => {
                        self.pass_informational(&head, down);
                    }
                    Poll::Ready(Ok(head)) => return Poll::Ready(Ok(head)),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(upstream_failure(&error))),
                    Poll::Pending => break,
                }
            }
            if (directions.upload.ended || directions.upload_broken)
                && let Poll::Ready(error) = down.poll_gone(cx)
            {
                return Poll::Ready(Err(Self::downstream_gone(&error)));
            }
            self.deadlines.arm();
            self.deadlines.poll_expired(cx).map(Err)
        })
        .await
    }

    /// Ready when the upload is over (or the upstream does not take more of it).
    fn poll_upload<D: ServerExchange>(
        &mut self,
        cx: &mut Context<'_>,
        directions: &mut Directions,
        down: &mut D,
        upstream: &mut UpstreamStream,
    ) -> Poll<Result<(), Failure>> {
        if directions.upload_broken {
            return Poll::Ready(Ok(()));
        }
        let was_ended = directions.upload.ended;
        let polled = directions.upload.poll(cx, down, upstream);
        if directions.upload.take_moved() {
            let now = Instant::now();
            self.deadlines.touch(now);
            self.record.info.bytes_received = directions.upload.bytes;
            if directions.upload.ended && !was_ended {
                self.request_completed(now);
                self.record.info.upstream_last_tx = Some(now);
            }
        }
        match polled {
            Poll::Ready(Err(Broken::Source(error))) => Poll::Ready(Err(Self::downstream_gone(&error))),
            Poll::Ready(Err(Broken::Sink(_))) => {
                // The response may already be on its way: reading tells what became of it.
                directions.upload_broken = true;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// 1xx responses go on when the upstream is to answer expectations; else they end here, as in
    /// Envoy.
    fn pass_informational<D: ServerExchange>(&self, head: &ResponseHead, down: &mut D) {
        if let Some(cluster) = self.charged_cluster() {
            charge::upstream(cluster.stats(), head.status, self.record.info.internal, false);
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
        upstream: &UpstreamStream,
        down: &mut D,
    ) {
        let now = Instant::now();
        self.deadlines.touch(now);
        self.count_head(&head, upstream);
        let suppress = self.hcm.settings.router.suppress_envoy_headers;
        response_headers::drop_hop_by_hop(&mut head.headers);
        if !suppress {
            // An answer that comes before the request is complete has no service time.
            if let Some(since) = self.record.info.request_complete {
                let value = HeaderValue::from(millis(now.saturating_duration_since(since)));
                head.headers.set(names::X_ENVOY_UPSTREAM_SERVICE_TIME, value);
            }
        }
        let info = &mut self.record.info;
        info.upstream_first_rx = Some(now);
        info.details = Some("via_upstream".into());
        info.response = Some(head);
        let table = Arc::clone(self.hcm.routes.table());
        if let (Some(host), Some(route)) = (info.virtual_host.clone(), info.route.clone()) {
            let weighted = match &route.action {
                RouteAction::Forward(forward) => weighted_of(forward, self.record.weighted),
                _ => None,
            };
            let levels = headers::response_levels(&table, &host, &route, weighted);
            headers::apply_levels(&levels, info, headers::Target::Response);
            if let (true, Some(response)) = (host.include_attempt_count_in_response, &mut info.response) {
                response.headers.set(names::X_ENVOY_ATTEMPT_COUNT, HeaderValue::from(info.upstream.attempts));
            }
        }
        self.dress_response(now, down);
        if let Some(response) = &self.record.info.response {
            down.send_head(response, ended);
        }
        self.record.info.downstream_first_tx = Some(now);
        self.responded = true;
    }

    /// Counts a response by its code when its head is there.
    fn count_head(&mut self, head: &ResponseHead, upstream: &UpstreamStream) {
        self.record.canary = charge::is_canary(&head.headers, upstream.host().is_canary());
        if head.status.is_server_error() {
            upstream.host().count_error();
        } else {
            upstream.host().count_success();
        }
        if let Some(cluster) = self.charged_cluster() {
            charge::upstream(cluster.stats(), head.status, self.record.info.internal, self.record.canary);
        }
    }

    /// Records how long a complete response took; one that is cut short is not recorded.
    fn record_time(&self) {
        if let (Some(cluster), Some(since)) = (self.charged_cluster(), self.record.info.request_complete) {
            let end = self.record.info.upstream_last_rx.unwrap_or_else(Instant::now);
            let ms = millis(end.saturating_duration_since(since));
            charge::upstream_time(cluster.stats(), ms, self.record.info.internal, self.record.canary);
        }
    }

    fn charged_cluster(&self) -> Option<&Rc<Cluster>> {
        self.record.cluster.as_ref().filter(|_| self.hcm.settings.router.dynamic_stats)
    }

    /// Both bodies, until the response is complete and sent.
    async fn bodies<D: ServerExchange>(
        &mut self,
        upstream: &mut UpstreamStream,
        directions: &mut Directions,
        down: &mut D,
    ) -> Result<(), Failure> {
        // An upload whose last bytes wait to be written goes on too.
        let mut uploading = !directions.upload.done && !directions.upload_broken;
        poll_fn(|cx| {
            if uploading {
                match self.poll_upload(cx, directions, down, upstream) {
                    Poll::Ready(Ok(())) => uploading = false,
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                    Poll::Pending => {}
                }
            }
            let polled = directions.download.poll(cx, upstream, down);
            if directions.download.take_moved() {
                let now = Instant::now();
                self.deadlines.touch(now);
                self.record.info.bytes_sent = directions.download.bytes;
                if directions.download.ended {
                    self.record.info.upstream_last_rx = Some(now);
                }
            }
            match polled {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(Broken::Source(error))) => return Poll::Ready(Err(mid_response(&error))),
                Poll::Ready(Err(Broken::Sink(error))) => return Poll::Ready(Err(Self::downstream_gone(&error))),
                // The upstream is done; an HTTP/2 peer that does not open its window is waited for
                // by `flush`.
                Poll::Pending if directions.download.ended && self.record.info.protocol == Some(Protocol::Http2) => {
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => {}
            }
            if !uploading && let Poll::Ready(error) = down.poll_gone(cx) {
                return Poll::Ready(Err(Self::downstream_gone(&error)));
            }
            self.deadlines.arm();
            self.deadlines.poll_expired(cx).map(Err)
        })
        .await
    }

    fn give_up(&mut self, failure: &Failure, host: &Rc<Host>, cluster: &Rc<Cluster>, mut upstream: UpstreamStream) {
        let stats = cluster.stats();
        match failure {
            Failure::RouteTimeout => {
                stats.inc(c::UPSTREAM_RQ_TIMEOUT);
                host.count_timeout();
            }
            Failure::UpstreamReset | Failure::UpstreamTermination | Failure::UpstreamProtocol => {
                host.count_error();
            }
            _ => {}
        }
        upstream.reset(ResetReason::Cancel);
    }
}

fn acquire_failure(error: &AcquireError) -> Failure {
    match error {
        AcquireError::Overflow(_) => Failure::Overflow,
        AcquireError::NoPool => Failure::NoHealthyUpstream,
        AcquireError::ConnectTimeout => Failure::ConnectTimeout,
        AcquireError::ConnectFailed { source, .. } => Failure::ConnectFailed(source.to_string()),
        AcquireError::Shutdown => Failure::UpstreamTermination,
    }
}

/// The upstream failed before its response head.
fn upstream_failure(error: &StreamError) -> Failure {
    match error {
        StreamError::Protocol(_) => Failure::UpstreamProtocol,
        StreamError::RemoteReset(_) | StreamError::LocalReset => Failure::UpstreamReset,
        StreamError::Refused => Failure::UpstreamRefused,
        StreamError::Connection(_) => Failure::UpstreamTermination,
    }
}

/// The upstream failed within its body: an early end breaks HTTP/1 framing.
fn mid_response(error: &StreamError) -> Failure {
    match error {
        StreamError::Connection(_) => Failure::UpstreamProtocol,
        other => upstream_failure(other),
    }
}
