//! One downstream connection: which protocol it speaks, then serving it to its end.

use std::{future::poll_fn, io, rc::Rc, task::Poll, time::Duration};

use bytes::BytesMut;
use nuncio_api::Timer;
use nuncio_config::model::hcm::Codec;
use nuncio_http::h2::{Sniff, is_h2_preface};
use nuncio_net::Stream;
use nuncio_stats::templates::http_stats;
use tokio::time::Instant;

use super::{Hcm, h1, h2};
use crate::{
    context::{Command, Registered},
    stream::record::millis,
    stream_info::ConnectionInfo,
};

/// How long after its last use (or its beginning) an HTTP/1 connection that is to drain is still
/// open for a request. One may be under way already: closing in that moment would lose it, and the
/// client could not know whether it was carried out. Busy connections carry their next request
/// within this time and close in order with its response; idle ones close at once.
pub(super) const DRAIN_LINGER: Duration = Duration::from_secs(1);

/// How a connection ended, for the stats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The peer closed it.
    Remote,
    /// We closed it.
    Local,
}

/// What serving a connection needs.
pub(super) struct Served {
    pub(super) hcm: Rc<Hcm>,
    pub(super) info: Rc<ConnectionInfo>,
    pub(super) registered: Registered,
    /// The connection's deadline, also its HTTP/1 streams'.
    pub(super) timer: Rc<Timer>,
}

/// Serves an accepted connection.
pub(crate) async fn serve(hcm: Rc<Hcm>, info: Rc<ConnectionInfo>, registered: Registered, stream: Stream) {
    let timer = Rc::new(hcm.context.timers.timer());
    let served = Served { hcm, info, registered, timer };
    let stats = served.hcm.stats.clone();
    stats.inc(http_stats::DOWNSTREAM_CX_TOTAL);
    stats.gauge_inc(http_stats::DOWNSTREAM_CX_ACTIVE);
    let start = served.info.start;
    let control = Rc::clone(&served.registered.control);
    let _closing = Closing { stats: stats.clone(), start };
    let ended = match served.hcm.settings.codec {
        Codec::Http1 => Box::pin(h1::serve(served, stream, BytesMut::new())).await,
        Codec::Http2 => Box::pin(h2::serve(served, stream, BytesMut::new())).await,
        Codec::Auto => serve_by_preface(served, stream).await,
    };
    let active = control.was_active_at_end.get().unwrap_or(control.active_requests.get() > 0);
    stats.inc(http_stats::DOWNSTREAM_CX_DESTROY);
    if active {
        stats.inc(http_stats::DOWNSTREAM_CX_DESTROY_ACTIVE_RQ);
    }
    match ended {
        Ended::Remote => {
            stats.inc(http_stats::DOWNSTREAM_CX_DESTROY_REMOTE);
            if active {
                stats.inc(http_stats::DOWNSTREAM_CX_DESTROY_REMOTE_ACTIVE_RQ);
            }
        }
        Ended::Local => {
            stats.inc(http_stats::DOWNSTREAM_CX_DESTROY_LOCAL);
            if active {
                stats.inc(http_stats::DOWNSTREAM_CX_DESTROY_LOCAL_ACTIVE_RQ);
            }
        }
    }
}

/// The gauges, given back however the connection ends.
struct Closing {
    stats: nuncio_stats::Shard,
    start: Instant,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.stats.gauge_dec(http_stats::DOWNSTREAM_CX_ACTIVE);
        self.stats.record(http_stats::DOWNSTREAM_CX_LENGTH_MS, millis(self.start.elapsed()));
    }
}

/// `codec_type: AUTO`: HTTP/2 when the connection starts with its preface.
async fn serve_by_preface(served: Served, mut stream: Stream) -> Ended {
    let mut first = BytesMut::new();
    loop {
        match is_h2_preface(&first) {
            Sniff::No => return Box::pin(h1::serve(served, stream, first)).await,
            Sniff::Yes => return Box::pin(h2::serve(served, stream, first)).await,
            Sniff::NeedMore => {}
        }
        match read_more(&served, &mut stream, &mut first).await {
            Ok(0) if first.is_empty() => return Ended::Remote,
            // Too short to be anything: let HTTP/1 say what is wrong with it.
            Ok(0) => return Box::pin(h1::serve(served, stream, first)).await,
            Ok(_) => {}
            Err(Stop::Io) => return Ended::Remote,
            Err(Stop::Told) => return Ended::Local,
            Err(Stop::Idle) => {
                served.hcm.stats.inc(http_stats::DOWNSTREAM_CX_IDLE_TIMEOUT);
                return Ended::Local;
            }
            Err(Stop::TooOld) => {
                served.hcm.stats.inc(http_stats::DOWNSTREAM_CX_MAX_DURATION_REACHED);
                return Ended::Local;
            }
        }
    }
}

enum Stop {
    Io,
    Told,
    Idle,
    TooOld,
}

async fn read_more(served: &Served, stream: &mut Stream, into: &mut BytesMut) -> Result<usize, Stop> {
    let common = &served.hcm.settings.common;
    let idle_at = common.idle_timeout.map(|d| Instant::now() + d);
    let lives_until = served.hcm.lives_until(&served.info);
    let linger_until = served.info.start + DRAIN_LINGER;
    let deadline = [idle_at, lives_until].into_iter().flatten().min();
    served.timer.set(deadline);
    let mut seen = Command::Serve;
    poll_fn(|cx| {
        let control = &served.registered.control;
        if let Poll::Ready(command) = control.poll_changed(seen, cx) {
            if command == Command::Cut || linger_until <= Instant::now() {
                return Poll::Ready(Err(Stop::Told));
            }
            seen = command;
            served.timer.set(deadline.into_iter().chain([linger_until]).min());
            let _ = control.poll_changed(seen, cx);
        }
        if served.timer.poll_expired(cx).is_ready() {
            if seen == Command::Drain && linger_until <= Instant::now() {
                return Poll::Ready(Err(Stop::Told));
            }
            let too_old = lives_until.is_some_and(|at| at <= Instant::now());
            return Poll::Ready(Err(if too_old { Stop::TooOld } else { Stop::Idle }));
        }
        loop {
            if std::task::ready!(stream.poll_read_ready(cx)).is_err() {
                return Poll::Ready(Err(Stop::Io));
            }
            // On the stack: nothing is held for a connection that has not sent anything yet.
            let mut first = [0; FIRST_READ];
            match stream.try_read(&mut first) {
                Ok(count) => {
                    into.extend_from_slice(first.get(..count).unwrap_or_default());
                    return Poll::Ready(Ok(count));
                }
                // A new socket counts as readable until a read has shown that it is not.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(Err(Stop::Io)),
            }
        }
    })
    .await
}

/// A whole request head in most cases.
const FIRST_READ: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use nuncio_http::h2::ServerStream;

    use super::*;
    use crate::stream::{self, Arrival};

    fn size<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// What each idle connection and each stream of HTTP/2 holds for as long as it lives. A local
    /// kept over an `await` shows here at once.
    #[test]
    fn futures_stay_small() {
        let connection = size(serve);
        let http1 = size(|a, b, c, ()| h1::serve(a, b, c));
        let http2 = size(|a, b, c, ()| h2::serve(a, b, c));
        let stream = size(|a: Arrival<'static>, b, c, d: &'static mut ServerStream| stream::serve(a, b, c, d));
        assert!(connection <= 640, "{connection}");
        assert!(http1 <= 960, "{http1}");
        assert!(http2 <= 704, "{http2}");
        assert!(stream <= 2112, "{stream}");
    }
}
