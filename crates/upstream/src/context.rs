//! What everything of one cluster on one worker needs at hand: settings, stats, clock, dice.
//!
//! Owned by the cluster, its hosts and every connection (`Rc`), so that connections of a cluster
//! that was removed can still count their end. It also makes the decision that costs most if done
//! naively: whether `max_requests` admits one more.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
};

use nuncio_api::{Runtime, Timers};
use nuncio_config::model::{
    bootstrap::Locality,
    cluster::{Breakers, Cluster as Settings},
    hcm::HeaderKeyFormat,
    listener::{SocketOption, SocketOptionValue, SocketState},
};
use nuncio_http::{
    h1,
    h2::{self, H2Counters},
};
use nuncio_net::{
    connect::ConnectOptions,
    socket_options::{Keepalive, RawOption, RawValue},
};
use nuncio_stats::{
    Counter, Gauge, Group, Shard, StatDef, Store, Template, WorkerId,
    templates::{cluster_scope, cluster_stats as stats, http1_stats, http2_stats, response_code_stats, zone_scope},
};
use rustc_hash::FxHashMap;

use crate::{
    host_set::HostSet,
    limits::LiveLimits,
    pool::{PoolProtocol, Sweeper},
    shared::{Breaker, ClusterShared, RoutingPriority},
    tracked::TrackedStats,
};

pub(crate) struct Context {
    pub(crate) settings: Arc<Settings>,
    pub(crate) stats: Shard,
    pub(crate) shared: Arc<ClusterShared>,
    pub(crate) worker: WorkerId,
    pub(crate) timers: Timers,
    pub(crate) rng: RefCell<fastrand::Rng>,
    pub(crate) sweeper: Rc<Sweeper>,
    pub(crate) store: Arc<Store>,
    pub(crate) tracked: TrackedStats,
    /// Requests of each priority that may be admitted before the other workers are looked at.
    allowance: [Cell<u64>; 2],
    http1: OnceCell<Arc<h1::ClientOptions>>,
    http2: OnceCell<(h2::ClientOptions, Rc<H2Counters>)>,
    http1_stats: OnceCell<Arc<Group>>,
    http2_stats: OnceCell<Shard>,
    connect: OnceCell<ConnectOptions>,
    local_zone: Rc<str>,
    pub(crate) local: Rc<Locality>,
    pub(crate) local_cluster: Rc<LocalCluster>,
    live: LiveLimits,
    zones: RefCell<FxHashMap<Box<str>, Rc<Shard>>>,
}

impl Drop for Context {
    fn drop(&mut self) {
        self.publish_http2();
        let http2 = self.http2_stats.get().map(Shard::group);
        let zones = self.zones.get_mut().values().map(|shard| shard.group());
        for group in http2.into_iter().chain(self.http1_stats.get()).chain(zones) {
            self.store.remove(group);
        }
    }
}

/// Requests that a worker admits before it looks at the others again: by so many times the number
/// of workers `max_requests` may be passed when all of them fill up at once.
const ALLOWANCE: u64 = 16;

/// The cluster that this process belongs to (`local_cluster_name`).
#[derive(Default)]
pub(crate) struct LocalCluster {
    name: String,
    set: RefCell<Option<Arc<HostSet>>>,
}

impl LocalCluster {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), set: RefCell::default() }
    }

    /// Its hosts, once known.
    pub(crate) fn set(&self) -> Option<Arc<HostSet>> {
        self.set.borrow().clone()
    }

    /// `cluster` has new hosts.
    pub(crate) fn note(&self, cluster: &str, set: &Arc<HostSet>) {
        if !self.name.is_empty() && cluster == self.name {
            self.set.replace(Some(Arc::clone(set)));
        }
    }
}

/// What a worker gives every cluster.
#[derive(Clone)]
pub(crate) struct Environment {
    pub(crate) worker: WorkerId,
    pub(crate) store: Arc<Store>,
    pub(crate) timers: Timers,
    pub(crate) sweeper: Rc<Sweeper>,
    /// Zone of this process; empty when it has none.
    pub(crate) local_zone: Rc<str>,
    /// `node.locality`
    pub(crate) local: Rc<Locality>,
    pub(crate) local_cluster: Rc<LocalCluster>,
    pub(crate) runtime: Runtime,
}

impl Context {
    pub(crate) fn new(
        settings: Arc<Settings>,
        shared: Arc<ClusterShared>,
        environment: &Environment,
        rng: fastrand::Rng,
    ) -> Rc<Self> {
        let Environment { worker, store, timers, sweeper, local_zone, local, local_cluster, runtime } =
            environment.clone();
        Rc::new(Self {
            stats: shared.group().shard(worker),
            tracked: TrackedStats::new(&shared, &settings, environment),
            settings,
            shared,
            worker,
            timers,
            rng: RefCell::new(rng),
            sweeper,
            store,
            allowance: [Cell::new(0), Cell::new(0)],
            http1: OnceCell::new(),
            http2: OnceCell::new(),
            http1_stats: OnceCell::new(),
            http2_stats: OnceCell::new(),
            connect: OnceCell::new(),
            local_zone,
            local,
            local_cluster,
            live: LiveLimits::new(runtime),
            zones: RefCell::default(),
        })
    }

    pub(crate) fn limits(&self, priority: RoutingPriority) -> &Breakers {
        priority.limits(&self.settings)
    }

    /// Whether one more of `breaker` may be taken, looking at all workers.
    pub(crate) fn admits(&self, priority: RoutingPriority, breaker: Breaker) -> bool {
        self.shared.in_use(priority, breaker) < self.limit(priority, breaker)
    }

    /// How much of `breaker` may be in use at the moment.
    pub(crate) fn limit(&self, priority: RoutingPriority, breaker: Breaker) -> u64 {
        self.live.of(&self.settings, priority, breaker)
    }

    /// The same for requests, which come too often to read every worker's line each time: of the
    /// room that was seen, this worker's part may be used up before it looks again.
    pub(crate) fn admits_request(&self, priority: RoutingPriority) -> bool {
        let Some(allowance) = self.allowance.get(priority.index()) else { return true };
        if let Some(left) = allowance.get().checked_sub(1) {
            allowance.set(left);
            return true;
        }
        let limit = self.limit(priority, Breaker::Requests);
        let room = limit.saturating_sub(self.shared.in_use(priority, Breaker::Requests));
        let workers = self.shared.threads().saturating_sub(1).max(1);
        let part = room / u64::try_from(workers).unwrap_or(1);
        allowance.set(part.min(ALLOWANCE).saturating_sub(1));
        room > 0
    }

    /// This process has a zone.
    pub(crate) fn has_zone(&self) -> bool {
        !self.local_zone.is_empty()
    }

    /// `zone.<local>.<zone>.`, listed from the first time on.
    pub(crate) fn zone_stats(&self, zone: &str) -> Option<Rc<Shard>> {
        if zone.is_empty() || self.local_zone.is_empty() {
            return None;
        }
        if let Some(known) = self.zones.borrow().get(zone) {
            return Some(Rc::clone(known));
        }
        let scope = zone_scope(&self.settings.stat_name, &self.local_zone, zone);
        let shard = Rc::new(self.store.group(&response_code_stats::TEMPLATE, scope).shard(self.worker));
        self.zones.borrow_mut().insert(zone.into(), Rc::clone(&shard));
        Some(shard)
    }

    pub(crate) fn roll(&self) -> u64 {
        self.rng.borrow_mut().u64(..)
    }

    pub(crate) fn http1_options(&self) -> &Arc<h1::ClientOptions> {
        self.http1.get_or_init(|| {
            // Nothing counts in it: upstream there is nothing to drop, reject or flood.
            let _ = self.http1_stats.set(self.codec_group("http1", &http1_stats::TEMPLATE));
            Arc::new(http1_options(&self.settings))
        })
    }

    pub(crate) fn http2_options(&self) -> &(h2::ClientOptions, Rc<H2Counters>) {
        self.http2.get_or_init(|| {
            let group = self.codec_group("http2", &http2_stats::TEMPLATE);
            let _ = self.http2_stats.set(group.shard(self.worker));
            (http2_options(&self.settings), Rc::default())
        })
    }

    /// Envoy lists the codec's stats from the first attempt to connect on.
    pub(crate) fn list_codec_stats(&self, protocol: PoolProtocol) {
        match protocol {
            PoolProtocol::Http1 => _ = self.http1_options(),
            PoolProtocol::Tcp => {}
            PoolProtocol::Http2 => _ = self.http2_options(),
        }
    }

    fn codec_group(&self, codec: &str, template: &'static Template) -> Arc<Group> {
        self.store.group(template, cluster_scope(&self.settings.stat_name).part(codec))
    }

    /// Moves what the HTTP/2 codec counted to `cluster.<name>.http2.`.
    pub(crate) fn publish_http2(&self) {
        let (Some((_, counters)), Some(shard)) = (self.http2.get(), self.http2_stats.get()) else { return };
        let at =
            |defs: &[StatDef], name| defs.iter().position(|def| def.name == name).and_then(|at| u16::try_from(at).ok());
        counters.take(|name, moved| {
            if let Some(at) = at(http2_stats::TEMPLATE.counters, name) {
                shard.add(Counter(at), moved);
            }
        });
        counters.gauges(|name, value| {
            if let Some(at) = at(http2_stats::TEMPLATE.gauges, name) {
                shard.gauge_set(Gauge(at), value);
            }
        });
    }

    pub(crate) fn connect_options(&self) -> &ConnectOptions {
        self.connect.get_or_init(|| ConnectOptions {
            source: self.settings.bind_address,
            keepalive: self.settings.tcp_keepalive.map(|k| Keepalive {
                probes: k.probes,
                time: k.time,
                interval: k.interval,
            }),
            raw: self
                .settings
                .socket_options
                .iter()
                .filter_map(prebind_option)
                .chain(freebind(&self.settings))
                .collect(),
        })
    }

    /// `max_retries`, or what the budget makes of the requests that are active and in line.
    fn retry_limit(&self, priority: RoutingPriority) -> u64 {
        let budget = self.live.retry_budget(&self.settings, priority);
        let Some((percent, least)) = budget else { return self.limit(priority, Breaker::Retries) };
        let in_use = |breaker| self.shared.in_use(priority, breaker);
        let active = in_use(Breaker::Requests) + in_use(Breaker::Pending);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a part of a number of requests, cut as Envoy does"
        )]
        let part = (percent / 100.0 * active as f64) as u64;
        part.max(least)
    }

    pub(crate) fn retry_permit(self: &Rc<Self>, priority: RoutingPriority) -> Option<RetryPermit> {
        self.shared.note_retry(priority);
        if self.shared.in_use(priority, Breaker::Retries) >= self.retry_limit(priority) {
            self.stats.inc(stats::UPSTREAM_RQ_RETRY_OVERFLOW);
            return None;
        }
        self.shared.take(self.worker, priority, Breaker::Retries);
        Some(RetryPermit { context: Rc::clone(self), priority })
    }
}

/// One of `max_retries`, given back when dropped.
pub struct RetryPermit {
    context: Rc<Context>,
    priority: RoutingPriority,
}

impl Drop for RetryPermit {
    fn drop(&mut self) {
        self.context.shared.give_back(self.context.worker, self.priority, Breaker::Retries);
    }
}

/// One of `max_pending_requests`, given back when dropped.
pub(crate) struct PendingPermit {
    context: Rc<Context>,
    priority: RoutingPriority,
}

impl PendingPermit {
    /// Takes one, or answers `None` at the limit.
    pub(crate) fn take(context: &Rc<Context>, priority: RoutingPriority) -> Option<Self> {
        if !context.admits(priority, Breaker::Pending) {
            context.stats.inc(stats::UPSTREAM_RQ_PENDING_OVERFLOW);
            return None;
        }
        context.shared.take(context.worker, priority, Breaker::Pending);
        context.stats.inc(stats::UPSTREAM_RQ_PENDING_TOTAL);
        context.stats.gauge_inc(stats::UPSTREAM_RQ_PENDING_ACTIVE);
        Some(Self { context: Rc::clone(context), priority })
    }
}

impl Drop for PendingPermit {
    fn drop(&mut self) {
        self.context.shared.give_back(self.context.worker, self.priority, Breaker::Pending);
        self.context.stats.gauge_dec(stats::UPSTREAM_RQ_PENDING_ACTIVE);
    }
}

fn http1_options(settings: &Settings) -> h1::ClientOptions {
    let defaults = h1::ClientOptions::default();
    h1::ClientOptions {
        max_head_bytes: settings.common.max_response_headers.unwrap_or(defaults.max_head_bytes),
        max_headers_count: settings.common.max_headers_count,
        allow_chunked_length: settings.http1.allow_chunked_length,
        enable_trailers: settings.http1.enable_trailers,
        header_key_format: match settings.http1.header_key_format {
            HeaderKeyFormat::Lower => h1::HeaderKeyFormat::LowerCase,
            HeaderKeyFormat::ProperCase => h1::HeaderKeyFormat::ProperCase,
            HeaderKeyFormat::Preserve { reason_phrase, proper_case_for_others } => {
                h1::HeaderKeyFormat::Preserve(h1::PreserveCase {
                    forward_reason_phrase: reason_phrase,
                    proper_case_for_others,
                })
            }
        },
        send_fully_qualified_url: settings.http1.send_fully_qualified_url,
        buffer_limit: settings.per_connection_buffer_limit,
    }
}

fn http2_options(settings: &Settings) -> h2::ClientOptions {
    let mut options = h2::ClientOptions::default();
    let http2 = &settings.http2;
    options.windows.header_table_size = http2.hpack_table_size;
    options.windows.stream = http2.initial_stream_window;
    options.windows.connection = http2.initial_connection_window;
    options.max_concurrent_streams = http2.max_concurrent_streams;
    if let Some(bytes) = settings.common.max_response_headers {
        options.headers.max_kb = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    }
    options.headers.max_count = u32::try_from(settings.common.max_headers_count).unwrap_or(u32::MAX);
    options.limits.max_outbound_frames = http2.max_outbound_frames;
    options.limits.max_outbound_control_frames = http2.max_outbound_control_frames;
    options.limits.max_consecutive_inbound_frames_with_empty_payload = http2.max_consecutive_empty_frames;
    options.limits.max_inbound_priority_frames_per_stream = http2.max_priority_frames_per_stream;
    options.limits.max_inbound_window_update_frames_per_data_frame_sent = http2.max_window_updates_per_data_frame;
    options.keepalive = http2.keepalive.map(|keepalive| h2::KeepaliveOptions {
        interval: keepalive.interval,
        idle_interval: keepalive.idle_interval,
        timeout: keepalive.timeout,
        jitter_percent: keepalive.jitter_percent,
    });
    options.buffer_limit = settings.per_connection_buffer_limit;
    options
}

/// Only options that are set before the socket is bound make sense on a connecting socket.
fn prebind_option(option: &SocketOption) -> Option<RawOption> {
    if option.state != SocketState::Prebind {
        return None;
    }
    let value = match &option.value {
        SocketOptionValue::Int(value) => RawValue::Int(*value),
        SocketOptionValue::Bytes(bytes) => RawValue::Bytes(bytes.clone()),
    };
    Some(RawOption { level: option.level, name: option.name, value })
}

/// `IP_FREEBIND` or `IPV6_FREEBIND`, as the source address needs.
fn freebind(settings: &Settings) -> Option<RawOption> {
    let source = settings.bind_address.filter(|_| settings.freebind)?;
    let (level, name) = if source.is_ipv4() { (0, 15) } else { (41, 78) };
    Some(RawOption { level, name, value: RawValue::Int(1) })
}
