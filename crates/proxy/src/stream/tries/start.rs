//! The beginning of a try: which host, over what, and the head of the request.

use std::rc::Rc;

use nuncio_api::{Protocol, Text};
use nuncio_config::model::{cluster::UpstreamProtocol, route::HostRewrite};
use nuncio_http::ClientExchange;
use nuncio_stats::templates::cluster_stats as c;
use nuncio_upstream::{AcquireError, AcquireOptions, Host, LbContext, PoolProtocol, UpstreamStream};
use tokio::time::Instant;

use super::{Link, Tries, Try};
use crate::{
    headers,
    phase::phase,
    reply::Failure,
    router::{charge::Measured, retry::RetryState},
    stream::{Stream, forward::Job, pump::Pump, upload::Upload},
};

impl Stream {
    /// Picks a host and asks for a connection to it.
    pub(super) fn start_try(&mut self, job: &Job<'_>, tries: &mut Tries) -> Result<(), Failure> {
        phase!("host pick");
        self.record.info.upstream.attempts += 1;
        let picked = self.pick_host(job, tries.retry.as_deref());
        if let Some(charged) = &mut self.record.charged {
            charged.host(picked.as_deref());
        }
        let host = picked.ok_or_else(|| {
            job.cluster.stats().inc(c::UPSTREAM_CX_NONE_HEALTHY);
            Failure::NoHealthyUpstream
        })?;
        if let Some(retry) = &mut tries.retry {
            retry.note_host(&host);
        }
        self.use_host(&host, job);
        self.shadows.start(tries.upload.is_bodiless());
        phase!("connection");
        let options = AcquireOptions { protocol: self.protocol_towards(job), high_priority: job.forward.high_priority };
        tries.active.push(Try {
            link: Link::Connecting(job.cluster.acquire(&host, options)),
            host,
            measured: Measured::start(job.cluster),
            pump: Pump::default(),
            received: 0,
            given: 0,
            upload_broken: false,
            superseded: false,
            late_at: None,
            idle_at: None,
            ends_at: None,
        });
        Ok(())
    }

    fn pick_host(&self, job: &Job<'_>, retry: Option<&RetryState>) -> Option<Rc<Host>> {
        match retry.filter(|_| self.record.retried) {
            None => job.cluster.choose_host(&LbContext { hash: job.hash, ..LbContext::default() }),
            Some(retry) => {
                let rejects = |host: &Host| retry.rejects(host);
                let context = LbContext {
                    hash: job.hash,
                    rejects: Some(&rejects),
                    max_attempts: retry.host_attempts(),
                    previous_priorities: retry.previous_priorities(),
                };
                job.cluster.choose_host(&context)
            }
        }
    }

    fn use_host(&mut self, host: &Rc<Host>, job: &Job<'_>) {
        let info = &mut self.record.info;
        info.upstream.host = Some(host.address().clone());
        info.upstream.metadata = host.own_metadata();
        info.upstream.host_name = host.shared_hostname();
        let name = host.hostname();
        if let (HostRewrite::Auto, false, Some(request)) =
            (&job.forward.host_rewrite, name.is_empty(), &mut info.request)
        {
            let suppress = self.hcm.settings.router.suppress_envoy_headers;
            headers::replace_host(request, Text::from(name), job.forward.append_x_forwarded_host, suppress);
        }
    }

    fn protocol_towards(&self, job: &Job<'_>) -> PoolProtocol {
        if self.terminates(job.forward).is_some() {
            return PoolProtocol::Tcp;
        }
        match (job.cluster.settings().protocol, self.record.info.protocol) {
            (UpstreamProtocol::Http2, _) | (UpstreamProtocol::SameAsDownstream, Some(Protocol::Http2)) => {
                PoolProtocol::Http2
            }
            (UpstreamProtocol::Http1 | UpstreamProtocol::SameAsDownstream, _) => PoolProtocol::Http1,
        }
    }

    /// Sends the head of the request.
    pub(super) fn begin_request(&mut self, one: &mut Try, upload: &Upload, job: &Job<'_>) {
        let now = Instant::now();
        let ended = upload.is_bodiless();
        if self.deadlines.request_complete {
            one.late_at = job.timeouts.per_try.map(|limit| now + limit);
        }
        one.touch(now, job.timeouts.per_try_idle);
        one.ends_at = job.duration.map(|limit| now + limit);
        if ended {
            one.pump = Pump::already_ended();
        }
        let Some(stream) = one.stream() else { return };
        self.record_connection(stream);
        if let Some(config) = self.terminates(job.forward) {
            stream.open_raw(self.preamble(config), ended);
        } else if let Some(request) = &self.record.info.request {
            stream.send_head(request, ended);
        }
        self.record.info.upstream_first_tx = Some(now);
        if ended {
            self.record.info.upstream_last_tx = Some(now);
        }
    }

    fn record_connection(&mut self, upstream: &UpstreamStream) {
        if let Some(charged) = &self.record.charged {
            charged.connected();
        }
        let info = &mut self.record.info.upstream;
        info.host = upstream.remote_address().cloned();
        info.local = upstream.local_address().cloned();
        info.connection_id = Some(upstream.connection_id());
        info.protocol = match upstream.protocol() {
            PoolProtocol::Http1 => Some(Protocol::Http11),
            PoolProtocol::Http2 => Some(Protocol::Http2),
            PoolProtocol::Tcp => None,
        };
    }
}

pub(in crate::stream) fn acquire_failure(error: &AcquireError) -> Failure {
    match error {
        AcquireError::Overflow(_) => Failure::Overflow,
        AcquireError::NoPool => Failure::NoHealthyUpstream,
        AcquireError::ConnectTimeout => Failure::ConnectTimeout,
        AcquireError::ConnectFailed { source, .. } => Failure::ConnectFailed(source.to_string()),
        AcquireError::Shutdown => Failure::UpstreamTermination,
    }
}
