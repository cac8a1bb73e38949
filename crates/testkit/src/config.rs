//! An Envoy bootstrap, put together from a few lines of YAML.
//!
//! Everything extra is given as YAML in flow style, one field per string, for example
//! `"stream_idle_timeout: 0.2s"`, and lands in the message that the method is named for.

use std::{fmt::Write as _, net::SocketAddr};

/// What an access log line looks like here; [`crate::LogLine`] reads it.
pub(crate) const LOG_FORMAT: &str = "method=%REQ(:METHOD)% path=%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% \
    protocol=%PROTOCOL% code=%RESPONSE_CODE% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS% \
    rx=%BYTES_RECEIVED% tx=%BYTES_SENT% cluster=%UPSTREAM_CLUSTER% host=%UPSTREAM_HOST% \
    upstream_protocol=%UPSTREAM_PROTOCOL% attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% route=%ROUTE_NAME% \
    client=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%";

/// Stands for the path of the access log until the proxy has one.
pub(crate) const LOG_PATH: &str = "@access-log@";

/// The name of the listener that [`Config`] makes.
pub(crate) const LISTENER: &str = "main";

/// A bootstrap with one listener (`main`), one connection manager (`stat_prefix: main`) and one
/// virtual host.
#[derive(Clone, Debug, Default)]
pub struct Config {
    manager: Vec<String>,
    table: Vec<String>,
    host: Vec<String>,
    hosts: Vec<String>,
    routes: Vec<String>,
    listener: Vec<String>,
    clusters: Vec<Cluster>,
    bootstrap: Vec<String>,
}

impl Config {
    /// No routes, no clusters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything goes to one host, in the cluster `up`.
    #[must_use]
    pub fn forwarding_to(version: crate::Version, address: SocketAddr) -> Self {
        Self::new().cluster(Cluster::new("up").host(address).version(version)).route("/", "cluster: up")
    }

    /// A field of the connection manager.
    #[must_use]
    pub fn manager(mut self, field: &str) -> Self {
        self.manager.push(field.to_owned());
        self
    }

    /// A field of the route configuration.
    #[must_use]
    pub fn table(mut self, field: &str) -> Self {
        self.table.push(field.to_owned());
        self
    }

    /// A field of the virtual host.
    #[must_use]
    pub fn virtual_host(mut self, field: &str) -> Self {
        self.host.push(field.to_owned());
        self
    }

    /// Another virtual host, whole, before the one for all domains.
    #[must_use]
    pub fn other_virtual_host(mut self, host: &str) -> Self {
        self.hosts.push(host.to_owned());
        self
    }

    /// A route by prefix; `action` are the fields of its `route`.
    #[must_use]
    pub fn route(self, prefix: &str, action: &str) -> Self {
        self.any_route(&format!("match: {{prefix: {prefix:?}}}, route: {{{action}}}"))
    }

    /// A route, given by all its fields.
    #[must_use]
    pub fn any_route(mut self, fields: &str) -> Self {
        self.routes.push(fields.to_owned());
        self
    }

    /// A field of the listener.
    #[must_use]
    pub fn listener(mut self, field: &str) -> Self {
        self.listener.push(field.to_owned());
        self
    }

    /// A cluster.
    #[must_use]
    pub fn cluster(mut self, cluster: Cluster) -> Self {
        self.clusters.push(cluster);
        self
    }

    /// A field of the bootstrap.
    #[must_use]
    pub fn bootstrap(mut self, field: &str) -> Self {
        self.bootstrap.push(field.to_owned());
        self
    }

    /// The text.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut out = String::new();
        lines(&mut out, 0, &self.bootstrap);
        out.push_str("static_resources:\n  listeners:\n");
        let _ = writeln!(out, "  - name: {LISTENER}");
        out.push_str("    address: {socket_address: {address: 127.0.0.1, port_value: 0}}\n");
        lines(&mut out, 4, &self.listener);
        out.push_str("    filter_chains:\n    - filters:\n");
        out.push_str("      - name: envoy.filters.network.http_connection_manager\n        typed_config:\n");
        out.push_str("          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n");
        out.push_str("          stat_prefix: main\n");
        self.push_access_log(&mut out);
        out.push_str("          http_filters:\n          - name: envoy.filters.http.router\n            typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}\n");
        lines(&mut out, 10, &self.manager);
        out.push_str("          route_config:\n            name: table\n            validate_clusters: false\n");
        lines(&mut out, 12, &self.table);
        out.push_str("            virtual_hosts:\n");
        for host in &self.hosts {
            let _ = writeln!(out, "            - {{{host}}}");
        }
        out.push_str("            - name: all\n              domains: [\"*\"]\n");
        lines(&mut out, 14, &self.host);
        out.push_str("              routes:\n");
        for route in &self.routes {
            let _ = writeln!(out, "              - {{{route}}}");
        }
        out.push_str("  clusters:\n");
        for cluster in &self.clusters {
            cluster.push(&mut out);
        }
        out
    }

    fn push_access_log(&self, out: &mut String) {
        if self.manager.iter().any(|field| field.starts_with("access_log:")) {
            return;
        }
        out.push_str("          access_log:\n          - name: envoy.access_loggers.file\n            typed_config:\n");
        out.push_str(
            "              \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog\n",
        );
        let _ = writeln!(out, "              path: \"{LOG_PATH}\"");
        out.push_str("              log_format: {text_format_source: {inline_string: \"");
        out.push_str(LOG_FORMAT);
        out.push_str("\\n\"}}\n");
    }
}

/// One cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    name: String,
    hosts: Vec<(String, u16)>,
    version: crate::Version,
    protocol: Vec<String>,
    common: Vec<String>,
    fields: Vec<String>,
}

impl Cluster {
    /// A static HTTP/1 cluster without hosts.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            hosts: Vec::new(),
            version: crate::Version::Http1,
            protocol: Vec::new(),
            common: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Adds a host.
    #[must_use]
    pub fn host(self, address: SocketAddr) -> Self {
        self.named_host(&address.ip().to_string(), address.port())
    }

    /// Adds a host by name.
    #[must_use]
    pub fn named_host(mut self, host: &str, port: u16) -> Self {
        self.hosts.push((host.to_owned(), port));
        self
    }

    /// Speaks this version.
    #[must_use]
    pub fn version(mut self, version: crate::Version) -> Self {
        self.version = version;
        self
    }

    /// A field of `http_protocol_options` or `http2_protocol_options`, whichever applies.
    #[must_use]
    pub fn protocol(mut self, field: &str) -> Self {
        self.protocol.push(field.to_owned());
        self
    }

    /// A field of `common_http_protocol_options`.
    #[must_use]
    pub fn common(mut self, field: &str) -> Self {
        self.common.push(field.to_owned());
        self
    }

    /// A field of the cluster.
    #[must_use]
    pub fn with(mut self, field: &str) -> Self {
        self.fields.push(field.to_owned());
        self
    }

    fn push(&self, out: &mut String) {
        let _ = writeln!(out, "  - name: {}", self.name);
        let has = |name: &str| self.fields.iter().any(|field| field.starts_with(name));
        if !has("type:") {
            out.push_str("    type: STATIC\n");
        }
        if !has("connect_timeout:") {
            out.push_str("    connect_timeout: 5s\n");
        }
        lines(out, 4, &self.fields);
        self.push_protocol(out);
        if has("load_assignment:") {
            return;
        }
        let _ = writeln!(out, "    load_assignment:\n      cluster_name: {}\n      endpoints:", self.name);
        out.push_str("      - lb_endpoints:\n");
        for (host, port) in &self.hosts {
            let _ = writeln!(
                out,
                "        - endpoint: {{address: {{socket_address: {{address: \"{host}\", port_value: {port}}}}}}}"
            );
        }
    }

    fn push_protocol(&self, out: &mut String) {
        if self.fields.iter().any(|field| field.starts_with("typed_extension_protocol_options:")) {
            return;
        }
        let protocol = match self.version {
            crate::Version::Http1 => "http_protocol_options",
            crate::Version::Http2 => "http2_protocol_options",
        };
        out.push_str("    typed_extension_protocol_options:\n      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n");
        let _ = writeln!(out, "        common_http_protocol_options: {{{}}}", self.common.join(", "));
        let fields = self.protocol.join(", ");
        let _ = writeln!(out, "        explicit_http_config: {{{protocol}: {{{fields}}}}}");
    }
}

fn lines(out: &mut String, indent: usize, fields: &[String]) {
    for field in fields {
        let _ = writeln!(out, "{:indent$}{field}", "");
    }
}
