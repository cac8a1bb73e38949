//! The commands of the format language and what can be said with their parameters.
//!
//! Plain data for whoever prints a format; `parse` beside this makes it. CEL expressions are kept
//! unparsed: they print `-`.

use http::HeaderName;

use super::Plain;

/// What an operator prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A command without parameters.
    Plain(Plain),
    /// `REQ`, `RESP`, `TRAILER`: a header, or another one in its place.
    Header {
        /// Which list.
        source: HeaderSource,
        /// First choice.
        name: HeaderKey,
        /// Printed when the first is missing (`%REQ(a?b)%`).
        alternative: Option<HeaderKey>,
    },
    /// `START_TIME`, `START_TIME_LOCAL`, `EMIT_TIME`, `EMIT_TIME_LOCAL`.
    Time {
        /// Which moment.
        source: TimeSource,
        /// In local time rather than UTC.
        local: bool,
        /// strftime-like format; `None`: `%Y-%m-%dT%H:%M:%E3SZ`.
        format: Option<String>,
    },
    /// `DOWNSTREAM_PEER_CERT_V_START` and its like.
    CertificateTime {
        /// Whose certificate.
        side: Side,
        /// Its start or its end.
        time: CertTime,
        /// strftime-like format.
        format: Option<String>,
    },
    /// `..._ADDRESS_WITHOUT_PORT`, cut to a prefix when asked for.
    AddressWithoutPort {
        /// Which address.
        address: LocalAddress,
        /// Prefix length to keep; the address is printed as a network then.
        mask: Option<u8>,
    },
    /// `COMMON_DURATION(from:to:precision)`.
    CommonDuration {
        /// Start.
        from: DurationPoint,
        /// End.
        to: DurationPoint,
        /// Unit.
        precision: Precision,
    },
    /// `RESPONSE_CODE_DETAILS`; spaces become underscores unless `ALLOW_WHITESPACES`.
    ResponseCodeDetails {
        /// Leave spaces.
        allow_whitespace: bool,
    },
    /// `GRPC_STATUS`.
    GrpcStatus(GrpcStatusForm),
    /// `REQUESTED_SERVER_NAME`.
    RequestedServerName {
        /// Server name indication, host, or one before the other.
        source: ServerNameSource,
        /// For the host: the original one, the current one, or the first that exists.
        host: PathSource,
    },
    /// `PATH(query:source)`.
    Path {
        /// With or without the query.
        query: PathQuery,
        /// Which path.
        source: PathSource,
    },
    /// `QUERY_PARAM(name)`.
    QueryParam(String),
    /// `QUERY_PARAMS(ORIG|DECODED)`.
    QueryParams {
        /// Percent-decoded.
        decoded: bool,
    },
    /// `DYNAMIC_METADATA`, `CLUSTER_METADATA`, `UPSTREAM_METADATA`, `METADATA`.
    Metadata {
        /// Whose.
        source: MetadataSource,
        /// Filter namespace.
        namespace: String,
        /// Keys below it.
        path: Vec<String>,
    },
    /// `FILTER_STATE`, `UPSTREAM_FILTER_STATE`.
    FilterState {
        /// Of the upstream connection rather than of the stream.
        upstream: bool,
        /// Object name.
        key: String,
        /// How it is written.
        form: FilterStateForm,
    },
    /// `ENVIRONMENT(name)`: the value when the format was parsed.
    Environment(Option<String>),
    /// `XFCC_VALUE(key)`.
    XfccValue(XfccKey),
    /// `CEL(expression)`.
    Cel(String),
    /// `COALESCE({"operators": [...]})`: the first that has a value.
    Coalesce(Vec<Coalesced>),
}

/// One of a `COALESCE`.
pub type Coalesced = super::Operator;

/// Which header list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderSource {
    /// `REQ`
    Request,
    /// `RESP`
    Response,
    /// `TRAILER`
    ResponseTrailer,
}

/// A header as a format names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderKey {
    /// An ordinary header.
    Name(HeaderName),
    /// `:method`
    Method,
    /// `:path`
    Path,
    /// `:authority` or `host`
    Authority,
    /// `:scheme`
    Scheme,
    /// `:status`
    Status,
    /// A pseudo header that no message carries, or no name at all.
    Unknown(String),
}

/// Which moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSource {
    /// The request began.
    Start,
    /// The line is written.
    Emit,
}

/// Whose connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Downstream,
    /// The host's.
    Upstream,
}

/// End of a certificate's validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertTime {
    /// Not before.
    Start,
    /// Not after.
    End,
}

/// Addresses that can be printed without their port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalAddress {
    /// `DOWNSTREAM_REMOTE_ADDRESS`
    DownstreamRemote,
    /// `DOWNSTREAM_DIRECT_REMOTE_ADDRESS`
    DownstreamDirectRemote,
    /// `DOWNSTREAM_LOCAL_ADDRESS`
    DownstreamLocal,
    /// `DOWNSTREAM_DIRECT_LOCAL_ADDRESS`
    DownstreamDirectLocal,
    /// `UPSTREAM_LOCAL_ADDRESS`
    UpstreamLocal,
    /// `UPSTREAM_REMOTE_ADDRESS`
    UpstreamRemote,
}

/// A moment in a request's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationPoint {
    /// `DS_RX_BEG`
    DownstreamRxBegin,
    /// `DS_RX_END`
    DownstreamRxEnd,
    /// `US_CX_BEG`
    UpstreamConnectBegin,
    /// `US_CX_END`
    UpstreamConnectEnd,
    /// `US_HS_END`
    UpstreamHandshakeEnd,
    /// `US_TX_BEG`
    UpstreamTxBegin,
    /// `US_TX_END`
    UpstreamTxEnd,
    /// `US_RX_BEG`
    UpstreamRxBegin,
    /// `US_RX_END`
    UpstreamRxEnd,
    /// `DS_TX_BEG`
    DownstreamTxBegin,
    /// `DS_TX_END`
    DownstreamTxEnd,
    /// A name of an extension's own; never set here.
    Custom(String),
}

/// Unit of a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// `ms`
    Milliseconds,
    /// `us`
    Microseconds,
    /// `ns`
    Nanoseconds,
}

/// How a gRPC status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcStatusForm {
    /// `NotFound`
    Camel,
    /// `NOT_FOUND`
    Snake,
    /// `5`
    Number,
}

/// Where the requested server name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerNameSource {
    /// `SNI_ONLY`
    SniOnly,
    /// `SNI_FIRST`
    SniFirst,
    /// `HOST_FIRST`
    HostFirst,
}

/// With or without the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathQuery {
    /// `WQ`
    With,
    /// `NQ`
    Without,
}

/// Original or current value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathSource {
    /// `ORIG`: before rewriting.
    Original,
    /// `PATH`: as it is now.
    Current,
    /// `ORIG_OR_PATH`
    OriginalOrCurrent,
}

/// Whose metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataSource {
    /// The stream's.
    Dynamic,
    /// The cluster's.
    Cluster,
    /// The route's.
    Route,
    /// The upstream host's.
    UpstreamHost,
    /// The listener's.
    Listener,
    /// The virtual host's.
    VirtualHost,
    /// The listener filter chain's.
    ListenerFilterChain,
}

/// How filter state is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterStateForm {
    /// As JSON.
    Typed,
    /// `PLAIN`
    Plain,
    /// `FIELD:name`
    Field(String),
}

/// A key of x-forwarded-client-cert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XfccKey {
    /// `by`
    By,
    /// `hash`
    Hash,
    /// `cert`
    Cert,
    /// `chain`
    Chain,
    /// `subject`
    Subject,
    /// `uri`
    Uri,
    /// `dns`
    Dns,
}

impl Command {
    /// True when `:length` may follow.
    pub(super) fn takes_length(&self) -> bool {
        matches!(
            self,
            Self::Header { .. }
                | Self::Path { .. }
                | Self::QueryParam(_)
                | Self::QueryParams { .. }
                | Self::Metadata { .. }
                | Self::FilterState { .. }
                | Self::Environment(_)
                | Self::XfccValue(_)
                | Self::Cel(_)
                | Self::Coalesce(_)
        )
    }

    /// True when it evaluates an expression, which nothing here does yet.
    pub fn has_expression(&self) -> bool {
        match self {
            Self::Cel(_) => true,
            Self::Coalesce(all) => all.iter().any(|operator| operator.command.has_expression()),
            _ => false,
        }
    }

    /// True while nothing in the proxy can supply the value, so that the command prints `-`.
    pub fn is_always_absent(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.is_always_absent(),
            Self::CertificateTime { .. } | Self::FilterState { .. } | Self::Cel(_) => true,
            Self::Metadata { source, .. } => matches!(
                source,
                MetadataSource::Dynamic | MetadataSource::Listener | MetadataSource::ListenerFilterChain
            ),
            Self::Coalesce(all) => all.iter().all(|operator| operator.command.is_always_absent()),
            _ => false,
        }
    }
}
