//! The names that stand before a stat: dotted, tag-extracted, and the tags.
//!
//! Envoy builds the dotted name first and finds the tags in it with 44 regular
//! expressions. Here a scope is put together from fixed parts and tags, so all
//! three are known by construction and no name is ever parsed, except for the
//! two suffixes by response code that [`split_code_suffix`] knows.
//!
//! Nothing here touches values. Names come from the configuration, never from
//! a peer, apart from response codes, which are bounded.

use std::borrow::Cow;
use std::net::SocketAddr;

/// Tag names of Envoy that more than one template uses.
pub mod tags {
    /// `cluster.<value>.`
    pub const CLUSTER_NAME: &str = "envoy.cluster_name";
    /// `listener.<value>.`
    pub const LISTENER_ADDRESS: &str = "envoy.listener_address";
    /// `http.<value>.`
    pub const HTTP_CONN_MANAGER_PREFIX: &str = "envoy.http_conn_manager_prefix";
    /// `tcp.<value>.`
    pub const TCP_PREFIX: &str = "envoy.tcp_prefix";
    /// `vhost.<value>.`
    pub const VIRTUAL_HOST: &str = "envoy.virtual_host";
    /// `vhost.<host>.vcluster.<value>.`
    pub const VIRTUAL_CLUSTER: &str = "envoy.virtual_cluster";
    /// `vhost.<host>.route.<value>.`
    pub const ROUTE: &str = "envoy.route";
    /// `worker_<value>.`
    pub const WORKER_ID: &str = "envoy.worker_id";
    /// `_rq_<value>`
    pub const RESPONSE_CODE: &str = "envoy.response_code";
    /// `_rq_<value>xx`
    pub const RESPONSE_CODE_CLASS: &str = "envoy.response_code_class";
    /// `http.<hcm>.rds.<value>.`
    pub const RDS_ROUTE_CONFIG: &str = "envoy.rds_route_config";
    /// `endpoint.<value>.`
    pub const ENDPOINT_ADDRESS: &str = "envoy.endpoint_address";
    /// Host name of an endpoint; in no dotted name.
    pub const ENDPOINT_HOSTNAME: &str = "envoy.endpoint_hostname";
    /// `<value>.http_local_rate_limit.`
    pub const LOCAL_HTTP_RATELIMIT_PREFIX: &str = "envoy.local_http_ratelimit_prefix";
    /// `ssl.ciphers.<value>`
    pub const SSL_CIPHER: &str = "envoy.ssl_cipher";
    /// `ssl.versions.<value>`
    pub const SSL_VERSION: &str = "envoy.ssl_version";
    /// `ssl.curves.<value>`
    pub const SSL_CURVE: &str = "envoy.ssl_curve";
    /// `ssl.sigalgs.<value>`
    pub const SSL_SIGALG: &str = "envoy.ssl_sigalg";
    /// `ssl.certificate.<value>.`
    pub const TLS_CERTIFICATE: &str = "envoy.tls_certificate";
    /// `ext_authz.<value>.`
    pub const EXT_AUTHZ_PREFIX: &str = "envoy.ext_authz_prefix";
    /// `proxy_proto.versions.v<value>.`
    pub const PROXY_PROTOCOL_VERSION: &str = "envoy.proxy_protocol_version";
}

/// One tag of a scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    /// For example `envoy.cluster_name`.
    pub name: Cow<'static, str>,
    /// For example `foo`.
    pub value: String,
}

/// The parts and tags in front of the stats of one group.
///
/// ```
/// use nuncio_stats::ScopeName;
/// let scope = ScopeName::root().part("cluster").tag("envoy.cluster_name", "foo");
/// assert_eq!(scope.dotted(), "cluster.foo.");
/// assert_eq!(scope.extracted(), "cluster.");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ScopeName {
    dotted: String,
    extracted: String,
    tags: Vec<Tag>,
}

impl ScopeName {
    /// The scope without a prefix.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Adds a fixed part, which may contain dots. An empty part adds nothing.
    #[must_use]
    pub fn part(mut self, part: &str) -> Self {
        push_part(&mut self.dotted, part);
        push_part(&mut self.extracted, part);
        self
    }

    /// Adds a part that is the value of a tag: it stands in the dotted name and
    /// is left out of the extracted one.
    #[must_use]
    pub fn tag(self, name: &'static str, value: &str) -> Self {
        let clean = sanitized(value).into_owned();
        self.tag_as(name, &clean, value, "")
    }

    /// Adds a name that stands in the dotted name as it is and whose first token, up to a dot, is
    /// the value of a tag: what Envoy's extraction by tokens makes of a name with dots in it. With
    /// `None` it is no tag at all, only fixed parts.
    #[must_use]
    pub fn first_token(mut self, tag: Option<&'static str>, name: &str) -> Self {
        self.dotted.push_str(name);
        self.dotted.push('.');
        let Some(tag) = tag else {
            self.extracted.push_str(name);
            self.extracted.push('.');
            return self;
        };
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        if !rest.is_empty() {
            self.extracted.push_str(rest);
            self.extracted.push('.');
        }
        self.tags.push(Tag { name: Cow::Borrowed(tag), value: first.to_owned() });
        self
    }

    /// Adds a tag whose value, dotted part and extracted part all differ: the
    /// version in `proxy_proto.versions.v1.` is `tag_as(.., "1", "versions.v1", "")`.
    #[must_use]
    pub fn tag_as(mut self, name: &'static str, value: &str, dotted: &str, extracted: &str) -> Self {
        push_part(&mut self.dotted, dotted);
        push_part(&mut self.extracted, extracted);
        self.tags.push(Tag { name: Cow::Borrowed(name), value: value.to_owned() });
        self
    }

    /// Adds a tag that stands in no name, such as the host name of an endpoint.
    #[must_use]
    pub fn hidden_tag(mut self, name: impl Into<Cow<'static, str>>, value: &str) -> Self {
        self.tags.push(Tag { name: name.into(), value: value.to_owned() });
        self
    }

    /// Adds a part to the dotted name alone; its tag is added separately.
    pub(crate) fn dotted_part(mut self, part: &str) -> Self {
        push_part(&mut self.dotted, part);
        self
    }

    /// Adds `worker_<index>.`, which Envoy extracts to the prefix `worker_`.
    /// `index` counts from 0, unlike [`WorkerId`](crate::WorkerId).
    #[must_use]
    pub fn worker(mut self, index: usize) -> Self {
        let value = index.to_string();
        push_part(&mut self.dotted, &format!("worker_{value}"));
        self.extracted.push_str("worker_");
        self.tags.push(Tag { name: Cow::Borrowed(tags::WORKER_ID), value });
        self
    }

    /// The dotted name with its final dot; empty at the root.
    #[must_use]
    pub fn dotted(&self) -> &str {
        &self.dotted
    }

    /// The dotted name without the values of tags.
    #[must_use]
    pub fn extracted(&self) -> &str {
        &self.extracted
    }

    /// Tags in the order in which they were added.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// Tags in the order in which Envoy emits them as labels: the one added last
    /// comes first, but the cluster comes before what is inside the cluster, and a route after its
    /// virtual host.
    pub fn tags_as_labels(&self) -> impl Iterator<Item = &Tag> {
        let mut order: Vec<&Tag> = self.tags.iter().rev().collect();
        order.sort_by_key(|tag| label_rank(&tag.name));
        order.into_iter()
    }
}

fn label_rank(name: &str) -> u8 {
    match name {
        tags::CLUSTER_NAME => 0,
        tags::ENDPOINT_ADDRESS | tags::ROUTE => 2,
        tags::ENDPOINT_HOSTNAME => 3,
        _ => 1,
    }
}

fn push_part(name: &mut String, part: &str) {
    let clean = sanitized(part.trim_end_matches('.'));
    if !clean.is_empty() {
        name.push_str(&clean);
        name.push('.');
    }
}

/// Envoy's replacement of characters that statsd cannot carry: `://` and `:/`
/// become one underscore, a colon or a NUL another.
#[must_use]
pub fn sanitized(name: &str) -> Cow<'_, str> {
    if !name.contains([':', '\0']) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.replace("://", "_").replace(":/", "_").replace([':', '\0'], "_"))
}

/// The part of a listener's name that stands for its address: `0.0.0.0_80`,
/// `[__]_80`.
#[must_use]
pub fn address_part(address: SocketAddr) -> String {
    sanitized(&address.to_string()).into_owned()
}

/// What Envoy extracts from the end of a stat's own name: `upstream_rq_503`
/// becomes `upstream_rq` with the code, `downstream_rq_2xx` becomes
/// `downstream_rq_xx` with the class.
#[must_use]
pub fn split_code_suffix(name: &str) -> (Cow<'_, str>, Option<(&'static str, &str)>) {
    let Some((stem, suffix)) = name.rsplit_once('_') else {
        return (Cow::Borrowed(name), None);
    };
    let digits = suffix.bytes().take_while(u8::is_ascii_digit).count();
    match (stem.ends_with("_rq"), suffix.len(), digits) {
        (true, 3, 3) => (Cow::Borrowed(stem), Some((tags::RESPONSE_CODE, suffix))),
        (true, 3, 1) if suffix.ends_with("xx") => {
            (Cow::Owned(format!("{stem}_xx")), Some((tags::RESPONSE_CODE_CLASS, &suffix[..1])))
        }
        _ => (Cow::Borrowed(name), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_scope_knows_all_three_names() {
        let scope = ScopeName::root().part("cluster").tag(tags::CLUSTER_NAME, "foo");
        assert_eq!((scope.dotted(), scope.extracted()), ("cluster.foo.", "cluster."));
        assert_eq!(scope.tags(), [Tag { name: tags::CLUSTER_NAME.into(), value: "foo".into() }]);
    }

    #[test]
    fn worker_scope_is_extracted_as_a_prefix_without_a_dot() {
        let scope = ScopeName::root().part("listener").tag(tags::LISTENER_ADDRESS, "0.0.0.0:80").worker(0);
        assert_eq!(scope.dotted(), "listener.0.0.0.0_80.worker_0.");
        assert_eq!(scope.extracted(), "listener.worker_");
    }

    #[test]
    fn colons_become_underscores() {
        assert_eq!(sanitized("spiffe://a:b"), "spiffe_a_b");
        let v6: SocketAddr = "[::]:80".parse().unwrap();
        assert_eq!(address_part(v6), "[__]_80");
        assert_eq!(address_part("0.0.0.0:80".parse().unwrap()), "0.0.0.0_80");
    }

    #[test]
    fn labels_are_ordered_as_envoy_orders_them() {
        let names =
            |scope: &ScopeName| -> Vec<String> { scope.tags_as_labels().map(|tag| tag.name.to_string()).collect() };
        let endpoint = ScopeName::root()
            .tag(tags::CLUSTER_NAME, "c")
            .tag(tags::ENDPOINT_ADDRESS, "a")
            .hidden_tag(tags::ENDPOINT_HOSTNAME, "h");
        assert_eq!(names(&endpoint), [tags::CLUSTER_NAME, tags::ENDPOINT_ADDRESS, tags::ENDPOINT_HOSTNAME]);
        let vcluster = ScopeName::root().tag(tags::VIRTUAL_HOST, "h").tag(tags::VIRTUAL_CLUSTER, "c");
        assert_eq!(names(&vcluster), [tags::VIRTUAL_CLUSTER, tags::VIRTUAL_HOST]);
        let authz = ScopeName::root().tag(tags::CLUSTER_NAME, "c").tag(tags::EXT_AUTHZ_PREFIX, "x");
        assert_eq!(names(&authz), [tags::CLUSTER_NAME, tags::EXT_AUTHZ_PREFIX]);
    }

    #[test]
    fn only_request_counters_lose_their_code() {
        assert_eq!(
            split_code_suffix("external.upstream_rq_503"),
            ("external.upstream_rq".into(), Some((tags::RESPONSE_CODE, "503")))
        );
        assert_eq!(
            split_code_suffix("downstream_rq_2xx"),
            ("downstream_rq_xx".into(), Some((tags::RESPONSE_CODE_CLASS, "2")))
        );
        for whole in ["upstream_rq_completed", "ejections_consecutive_5xx", "upstream_rq_0rtt", "rq_total", "uptime"] {
            assert_eq!(split_code_suffix(whole), (whole.into(), None));
        }
    }
}
