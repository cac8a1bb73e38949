//! Names to addresses, behind a small trait so that tests can script the answers.
//!
//! [`DnsResolver`] asks, in this order: the hosts file, which settles a name it knows without any
//! query; RFC 6761 for `localhost`; then DNS (hickory) at the configured resolvers or those of
//! `/etc/resolv.conf`. Nothing is cached here: how often to ask is the cluster's setting. Counts
//! under the names of Envoy's c-ares resolver, `dns.cares.`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{
        ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts,
        ServerOrderingStrategy,
    },
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RecordType},
    },
    system_conf::read_system_conf,
};
use nuncio_config::model::cluster::{DnsFamily, DnsServers};
use nuncio_stats::{ScopeName, Shard, Store, templates::dns_stats};

/// Envoy's for one query.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Envoy's for one lookup.
const TRIES: u32 = 4;

/// An answer; no addresses is an answer too (NXDOMAIN, or no record of the wanted family).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// In the order of the answer.
    pub addresses: Vec<IpAddr>,
    /// Shortest time to live; `None` when it does not come from DNS.
    pub ttl: Option<Duration>,
}

/// No answer: timeout, refusal, no name server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ResolveError(pub String);

/// What [`Resolve::resolve`] returns.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = Result<Resolution, ResolveError>> + 'a>>;

/// Resolves names.
pub trait Resolve {
    /// Addresses of `name` as `family` wants them. Cancel-safe.
    fn resolve<'a>(&'a self, name: &'a str, family: DnsFamily) -> Resolving<'a>;
}

/// The hosts file and DNS.
pub struct DnsResolver {
    dns: TokioResolver,
    hosts_file: PathBuf,
    stats: Shard,
}

impl fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsResolver").field("hosts_file", &self.hosts_file).finish_non_exhaustive()
    }
}

/// The two kinds of address records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    V4,
    V6,
}

impl Kind {
    fn is_of(self, address: &IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }

    fn localhost(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::LOCALHOST.into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }
}

/// Which records are asked for, and whether the second is only for want of the first.
fn wanted(family: DnsFamily) -> (Kind, Option<Kind>, bool) {
    match family {
        DnsFamily::Auto => (Kind::V6, Some(Kind::V4), true),
        DnsFamily::V4Only => (Kind::V4, None, true),
        DnsFamily::V6Only => (Kind::V6, None, true),
        DnsFamily::V4Preferred => (Kind::V4, Some(Kind::V6), true),
        DnsFamily::All => (Kind::V4, Some(Kind::V6), false),
    }
}

impl DnsResolver {
    /// Asks as `settings` say; counts in `dns.cares.`. Without any server names of the hosts file
    /// still resolve. Must be called inside a tokio runtime.
    pub fn new(settings: &DnsServers, store: &Store) -> Result<Self, ResolveError> {
        Self::with_hosts_file(settings, store, PathBuf::from("/etc/hosts"))
    }

    fn with_hosts_file(settings: &DnsServers, store: &Store, hosts_file: PathBuf) -> Result<Self, ResolveError> {
        let (config, mut options) = match settings.servers.as_slice() {
            // No readable resolv.conf: the same as one without name servers.
            [] => read_system_conf().unwrap_or_default(),
            servers => {
                let servers = servers.iter().map(|server| name_server(*server)).collect();
                (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
            }
        };
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = settings.timeout.unwrap_or(TIMEOUT);
        // It counts what comes after the first try.
        options.attempts = usize::try_from(settings.tries.unwrap_or(TRIES)).unwrap_or(1).saturating_sub(1);
        options.num_concurrent_reqs = 1;
        options.server_ordering_strategy = match settings.rotate {
            true => ServerOrderingStrategy::RoundRobin,
            false => ServerOrderingStrategy::UserProvidedOrder,
        };
        let config = adjusted(config, settings);
        let dns = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| ResolveError(error.to_string()))?;
        let stats = store.group(&dns_stats::TEMPLATE, ScopeName::root().part("dns.cares")).shard(0);
        Ok(Self { dns, hosts_file, stats })
    }

    async fn lookup(&self, name: &str, family: DnsFamily) -> Result<Resolution, ResolveError> {
        if let Ok(address) = name.trim_matches(['[', ']']).parse() {
            self.stats.inc(dns_stats::RESOLVE_TOTAL);
            return Ok(Resolution { addresses: vec![address], ttl: None });
        }
        let local = self.local_addresses(name);
        let local = local.as_deref();
        let (first, second, only_for_want) = wanted(family);
        let Some(second) = second else { return self.counted(self.ask(name, first, local)).await };
        if !only_for_want {
            return self.counted(self.ask_both(name, [first, second], local)).await;
        }
        match self.counted(self.ask(name, first, local)).await {
            Ok(found) if !found.addresses.is_empty() => Ok(found),
            _ => self.counted(self.ask(name, second, local)).await,
        }
    }

    /// Addresses of both kinds; for c-ares that is one look-up.
    async fn ask_both(&self, name: &str, kinds: [Kind; 2], local: Option<&[IpAddr]>) -> Result<Resolution, NetError> {
        let [first, second] = kinds;
        let mut answer = self.ask(name, first, local).await;
        match (&mut answer, self.ask(name, second, local).await) {
            (Ok(found), Ok(more)) => {
                found.addresses.extend(more.addresses);
                found.ttl = found.ttl.into_iter().chain(more.ttl).min();
                answer
            }
            (Ok(_), Err(_)) => answer,
            (Err(_), other) => other,
        }
    }

    /// One look-up, counted as c-ares' are: what is known without DNS too.
    async fn counted(
        &self,
        answer: impl Future<Output = Result<Resolution, NetError>>,
    ) -> Result<Resolution, ResolveError> {
        let pending = self.stats.gauge_guard(dns_stats::PENDING_RESOLUTIONS);
        let answer = answer.await;
        drop(pending);
        self.stats.inc(dns_stats::RESOLVE_TOTAL);
        match answer {
            Ok(found) => {
                if found.addresses.is_empty() {
                    self.stats.inc(dns_stats::NOT_FOUND);
                }
                Ok(found)
            }
            Err(error) => {
                self.stats.inc(match error {
                    NetError::Timeout => dns_stats::TIMEOUTS,
                    _ => dns_stats::GET_ADDR_FAILURE,
                });
                Err(ResolveError(error.to_string()))
            }
        }
    }

    async fn ask(&self, name: &str, kind: Kind, local: Option<&[IpAddr]>) -> Result<Resolution, NetError> {
        if let Some(local) = local {
            let addresses = local.iter().copied().filter(|address| kind.is_of(address)).collect();
            return Ok(Resolution { addresses, ttl: None });
        }
        let record = match kind {
            Kind::V4 => RecordType::A,
            Kind::V6 => RecordType::AAAA,
        };
        // As it is spelt: names of containers have characters that host names may not have.
        match self.dns.lookup(Name::from_ascii(name)?, record).await {
            Ok(found) => {
                let records = found.answers().iter();
                let addresses = records.clone().filter_map(|record| record.data.ip_addr()).collect();
                let ttl = records.map(|record| Duration::from_secs(record.ttl.into())).min();
                Ok(Resolution { addresses, ttl })
            }
            Err(error) if says_there_is_none(&error) => Ok(Resolution::default()),
            Err(error) => Err(error),
        }
    }

    /// What is known without DNS; `None` when nothing is.
    fn local_addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let name = name.trim_end_matches('.');
        let text = std::fs::read_to_string(&self.hosts_file).unwrap_or_default();
        let mut found = hosts_of(&text, name);
        if is_localhost(name) {
            // As c-ares does: what the file lacks of the two families is filled in.
            for kind in [Kind::V4, Kind::V6] {
                if !found.iter().any(|address| kind.is_of(address)) {
                    found.push(kind.localhost());
                }
            }
        }
        (!found.is_empty()).then_some(found)
    }
}

/// `localhost` and everything below it (RFC 6761 section 6.3).
fn is_localhost(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.eq_ignore_ascii_case("localhost")
}

impl Resolve for DnsResolver {
    fn resolve<'a>(&'a self, name: &'a str, family: DnsFamily) -> Resolving<'a> {
        Box::pin(self.lookup(name, family))
    }
}

/// Without search domains or UDP when they are not wanted.
fn adjusted(config: ResolverConfig, settings: &DnsServers) -> ResolverConfig {
    let (domain, search, mut servers) = config.into_parts();
    if settings.use_tcp {
        for server in &mut servers {
            server.connections.retain(|connection| matches!(connection.protocol, ProtocolConfig::Tcp));
        }
    }
    if settings.no_search {
        ResolverConfig::from_parts(None, Vec::new(), servers)
    } else {
        ResolverConfig::from_parts(domain, search, servers)
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    server.connections = server.connections.drain(..).map(with_port).collect();
    server
}

/// The name server knows that there is nothing, unlike when it could not say.
fn says_there_is_none(error: &NetError) -> bool {
    matches!(
        error,
        NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code: ResponseCode::NXDomain | ResponseCode::NoError,
            ..
        }))
    )
}

/// Addresses of `name` in the text of a hosts file.
fn hosts_of(text: &str, name: &str) -> Vec<IpAddr> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut found = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str =
        "127.0.0.1 localhost # me\n::1 localhost ip6-localhost\n10.0.0.1 db.internal DB\n# 10.0.0.2 db\n";

    #[test]
    fn a_hosts_file_is_read_without_regard_to_case_or_comments() {
        assert_eq!(hosts_of(HOSTS, "db"), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(hosts_of(HOSTS, "Localhost").len(), 2);
        assert!(hosts_of(HOSTS, "me").is_empty());
    }

    #[test]
    fn localhost_resolves_without_hosts_file_and_network() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let resolver = resolver("127.0.0.1:9".parse().unwrap(), &Store::new(1));
            for (family, wanted) in [
                (DnsFamily::Auto, vec!["::1"]),
                (DnsFamily::V4Only, vec!["127.0.0.1"]),
                (DnsFamily::V6Only, vec!["::1"]),
                (DnsFamily::V4Preferred, vec!["127.0.0.1"]),
                (DnsFamily::All, vec!["127.0.0.1", "::1"]),
            ] {
                let answer = resolver.resolve("app.localhost", family).await.unwrap();
                let got: Vec<_> = answer.addresses.iter().map(IpAddr::to_string).collect();
                assert_eq!(got, wanted, "{family:?}");
            }
            assert_eq!(resolver.resolve("[::7]", DnsFamily::V4Only).await.unwrap().addresses.len(), 1);
        });
    }

    /// A name server on a free port that answers every query with `code` and, for A queries of
    /// `code` 0, with 10.0.0.1 for 7 seconds.
    async fn name_server(code: u8) -> SocketAddr {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((len, peer)) = socket.recv_from(&mut query).await {
                let name_len = query[12..len].iter().position(|byte| *byte == 0).unwrap() + 1;
                let question = &query[12..12 + name_len + 4];
                let is_a = question[name_len..name_len + 2] == [0, 1];
                let answers = u8::from(code == 0 && is_a);
                let mut reply = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0];
                reply.extend_from_slice(question);
                if answers == 1 {
                    reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 7, 0, 4, 10, 0, 0, 1]);
                }
                socket.send_to(&reply, peer).await.unwrap();
            }
        });
        address
    }

    fn resolver(server: SocketAddr, store: &Store) -> DnsResolver {
        let settings = DnsServers { servers: vec![server], ..DnsServers::default() };
        DnsResolver::with_hosts_file(&settings, store, "/nonexistent/hosts".into()).unwrap()
    }

    async fn ask(code: u8, family: DnsFamily) -> Result<Resolution, ResolveError> {
        let server = name_server(code).await;
        resolver(server, &Store::new(1)).resolve("db_1.Test.", family).await
    }

    #[test]
    fn lookups_are_counted_by_their_outcome() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::new(1);
            for (code, family) in
                [(0, DnsFamily::Auto), (2, DnsFamily::V4Only), (3, DnsFamily::V6Only), (0, DnsFamily::All)]
            {
                let resolver = resolver(name_server(code).await, &store);
                let _ = resolver.resolve("db.test.", family).await;
            }
            let group = store.group(&dns_stats::TEMPLATE, ScopeName::root().part("dns.cares"));
            let counts =
                [dns_stats::RESOLVE_TOTAL, dns_stats::NOT_FOUND, dns_stats::GET_ADDR_FAILURE, dns_stats::TIMEOUTS]
                    .map(|counter| group.counter(counter));
            assert_eq!(counts, [5, 2, 1, 0]);
            assert_eq!(group.gauge(dns_stats::PENDING_RESOLUTIONS), 0);
        });
    }

    #[test]
    fn dns_answers_come_with_their_time_to_live() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let wanted = Resolution { addresses: vec!["10.0.0.1".parse().unwrap()], ttl: Some(Duration::from_secs(7)) };
            for family in [DnsFamily::V4Only, DnsFamily::Auto, DnsFamily::V4Preferred, DnsFamily::All] {
                assert_eq!(ask(0, family).await.unwrap(), wanted, "{family:?}");
            }
            assert_eq!(ask(0, DnsFamily::V6Only).await.unwrap(), Resolution::default());
        });
    }

    #[test]
    fn a_name_that_does_not_exist_is_an_answer_and_a_server_failure_is_none() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert_eq!(ask(3, DnsFamily::Auto).await.unwrap(), Resolution::default());
            assert!(ask(2, DnsFamily::V4Only).await.is_err());
        });
    }
}
