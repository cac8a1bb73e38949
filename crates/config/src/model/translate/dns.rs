//! DNS settings of clusters, in the three places where they can stand.

use std::{net::SocketAddr, time::Duration};

use envoy_types::pb::{
    envoy::{
        config::{cluster::v3 as pb, core::v3 as core},
        extensions::{
            clusters::{common::dns::v3::DnsLookupFamily as TypedFamily, dns::v3::DnsCluster},
            network::dns_resolver::cares::v3::CaresDnsResolverConfig,
        },
    },
    google::protobuf::Duration as WireDuration,
};

use super::{Context, extension, socket::Names};
use crate::model::{
    Address,
    cluster::{Dns, DnsFamily, DnsServers},
    report::Path,
};

const REFRESH_RATE: Duration = Duration::from_secs(5);
const CARES: &str = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig";
const GETADDRINFO: &str = "envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig";

/// How often names are looked up, as both kinds of message say it.
struct Rates {
    refresh: Option<WireDuration>,
    failure: Option<(Option<WireDuration>, Option<WireDuration>)>,
    jitter: Option<WireDuration>,
}

impl Context<'_> {
    /// The fields of the cluster itself.
    #[expect(deprecated, reason = "they are what most configurations use")]
    pub(super) fn cluster_dns(&mut self, path: &Path<'_>, message: &mut pb::Cluster) -> Dns {
        use pb::cluster::DnsLookupFamily as Family;
        let rates = Rates {
            refresh: message.dns_refresh_rate.take(),
            failure: message.dns_failure_refresh_rate.take().map(|rate| (rate.base_interval, rate.max_interval)),
            jitter: message.dns_jitter.take(),
        };
        let family = match message.dns_lookup_family() {
            Family::Auto => DnsFamily::Auto,
            Family::V4Only => DnsFamily::V4Only,
            Family::V6Only => DnsFamily::V6Only,
            Family::V4Preferred => DnsFamily::V4Preferred,
            Family::All => DnsFamily::All,
        };
        let resolution = message.dns_resolution_config.take();
        let listed = std::mem::take(&mut message.dns_resolvers);
        let mut resolver = self.resolver(path, message.typed_dns_resolver_config.take(), resolution);
        if let (None, false) = (&resolver, listed.is_empty()) {
            let servers = self.servers(path, "dns_resolvers", listed);
            resolver = Some(DnsServers { servers, ..self.resolver.clone() });
        }
        let mut dns = self.dns(path, rates, message.respect_dns_ttl, family, resolver);
        dns.resolver.use_tcp |= message.use_tcp_for_dns_lookups;
        dns
    }

    /// The config of a cluster of the type `envoy.cluster.dns`.
    pub(super) fn dns_cluster(&mut self, path: &Path<'_>, message: DnsCluster) -> Dns {
        let family = match message.dns_lookup_family() {
            TypedFamily::Unspecified | TypedFamily::Auto => DnsFamily::Auto,
            TypedFamily::V4Only => DnsFamily::V4Only,
            TypedFamily::V6Only => DnsFamily::V6Only,
            TypedFamily::V4Preferred => DnsFamily::V4Preferred,
            TypedFamily::All => DnsFamily::All,
        };
        let rates = Rates {
            refresh: message.dns_refresh_rate,
            failure: message.dns_failure_refresh_rate.map(|rate| (rate.base_interval, rate.max_interval)),
            jitter: message.dns_jitter,
        };
        let min_refresh = self.duration(&path.field("dns_min_refresh_rate"), message.dns_min_refresh_rate);
        let resolver = self.resolver(path, message.typed_dns_resolver_config, None);
        let dns = self.dns(path, rates, message.respect_dns_ttl, family, resolver);
        Dns { min_refresh: min_refresh.unwrap_or_default(), ..dns }
    }

    fn dns(
        &mut self,
        path: &Path<'_>,
        rates: Rates,
        respect_ttl: bool,
        family: DnsFamily,
        resolver: Option<DnsServers>,
    ) -> Dns {
        let refresh_rate = self.duration(&path.field("dns_refresh_rate"), rates.refresh).unwrap_or(REFRESH_RATE);
        let failure_refresh = match rates.failure {
            None => (refresh_rate, refresh_rate),
            Some((base, most)) => self.failure_refresh(&path.field("dns_failure_refresh_rate"), base, most),
        };
        Dns {
            refresh_rate,
            failure_refresh,
            respect_ttl,
            min_refresh: Duration::ZERO,
            jitter: self.duration(&path.field("dns_jitter"), rates.jitter).unwrap_or_default(),
            family,
            resolver: resolver.unwrap_or_else(|| self.resolver.clone()),
        }
    }

    fn failure_refresh(
        &mut self,
        path: &Path<'_>,
        base: Option<WireDuration>,
        most: Option<WireDuration>,
    ) -> (Duration, Duration) {
        let base = self.duration(&path.field("base_interval"), base).unwrap_or(REFRESH_RATE);
        let most = self.duration(&path.field("max_interval"), most).unwrap_or_else(|| base.saturating_mul(10));
        if base > most {
            let text = "`base_interval` must be less than or equal to `max_interval`";
            self.report.error(path, "bad-interval", text);
        }
        (base, most)
    }

    /// The resolver of a cluster or of the bootstrap: the typed one wins. `None` when neither says
    /// anything.
    pub(super) fn resolver(
        &mut self,
        path: &Path<'_>,
        typed: Option<core::TypedExtensionConfig>,
        old: Option<core::DnsResolutionConfig>,
    ) -> Option<DnsServers> {
        if let Some(typed) = typed {
            return Some(self.typed_resolver(path, &typed));
        }
        let old = old?;
        let servers = self.servers(&path.field("dns_resolution_config"), "resolvers", old.resolvers);
        Some(with_options(DnsServers { servers, ..DnsServers::default() }, old.dns_resolver_options))
    }

    /// c-ares' servers and settings; the system's resolver otherwise.
    fn typed_resolver(&mut self, path: &Path<'_>, typed: &core::TypedExtensionConfig) -> DnsServers {
        let path = path.field("typed_dns_resolver_config");
        let config = typed.typed_config.as_ref();
        match config.map(extension::type_name) {
            Some(CARES) => {
                let value = config.map(|any| any.value.as_slice()).unwrap_or_default();
                let message: CaresDnsResolverConfig = self.decode(&path, value).unwrap_or_default();
                let servers = DnsServers {
                    servers: self.servers(&path.field("typed_config"), "resolvers", message.resolvers),
                    timeout: message.query_timeout_seconds.map(|seconds| Duration::from_secs(seconds.value)),
                    tries: message.query_tries.map(|tries| tries.value),
                    rotate: message.rotate_nameservers,
                    ..DnsServers::default()
                };
                with_options(servers, message.dns_resolver_options)
            }
            Some(GETADDRINFO) => DnsServers::default(),
            _ => {
                let built = &["envoy.network.dns_resolver.cares", "envoy.network.dns_resolver.getaddrinfo"];
                self.unknown_extension(&path, "DNS resolver", &typed.name, config, built);
                DnsServers::default()
            }
        }
    }

    /// Servers to ask.
    fn servers(&mut self, path: &Path<'_>, name: &str, list: Vec<core::Address>) -> Vec<SocketAddr> {
        let names = Names::Refused("resolvers are given by their IP address");
        let each = list.into_iter().enumerate();
        each.filter_map(|(index, address)| match self.address(&path.item(name, index), Some(address), names)? {
            Address::Ip(address) if address.port() == 0 => Some(SocketAddr::new(address.ip(), 53)),
            Address::Ip(address) => Some(address),
            _ => None,
        })
        .collect()
    }
}

fn with_options(servers: DnsServers, options: Option<core::DnsResolverOptions>) -> DnsServers {
    let options = options.unwrap_or_default();
    DnsServers { use_tcp: options.use_tcp_for_dns_lookups, no_search: options.no_default_search_domain, ..servers }
}
