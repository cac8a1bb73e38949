//! The commands of the substitution format language that take neither a parameter nor a length.
//!
//! The list is what Envoy 1.40 accepts; a command that Envoy refuses is not here.

macro_rules! plain_commands {
    ($($name:ident = $text:literal,)*) => {
        /// A command without parameters, named as in the format text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Plain {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl Plain {
            /// All of them, in the order of their names.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The command's name in the format text.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The command called `name`.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

plain_commands! {
    AccessLogType = "ACCESS_LOG_TYPE",
    BytesReceived = "BYTES_RECEIVED",
    BytesRetransmitted = "BYTES_RETRANSMITTED",
    BytesSent = "BYTES_SENT",
    ConnectionId = "CONNECTION_ID",
    ConnectionTerminationDetails = "CONNECTION_TERMINATION_DETAILS",
    CustomFlags = "CUSTOM_FLAGS",
    DownstreamCxRtt = "DOWNSTREAM_CX_RTT",
    DownstreamDecompressedHeaderBytesReceived = "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    DownstreamDecompressedHeaderBytesSent = "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    DownstreamDetectedCloseType = "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    DownstreamDirectLocalAddress = "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    DownstreamDirectLocalAddressEndpointId = "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
    DownstreamDirectLocalPort = "DOWNSTREAM_DIRECT_LOCAL_PORT",
    DownstreamDirectRemoteAddress = "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    DownstreamDirectRemotePort = "DOWNSTREAM_DIRECT_REMOTE_PORT",
    DownstreamHandshakeDuration = "DOWNSTREAM_HANDSHAKE_DURATION",
    DownstreamHeaderBytesReceived = "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    DownstreamHeaderBytesSent = "DOWNSTREAM_HEADER_BYTES_SENT",
    DownstreamLocalAddress = "DOWNSTREAM_LOCAL_ADDRESS",
    DownstreamLocalAddressEndpointId = "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
    DownstreamLocalCloseReason = "DOWNSTREAM_LOCAL_CLOSE_REASON",
    DownstreamLocalDnsSan = "DOWNSTREAM_LOCAL_DNS_SAN",
    DownstreamLocalEmailSan = "DOWNSTREAM_LOCAL_EMAIL_SAN",
    DownstreamLocalIpSan = "DOWNSTREAM_LOCAL_IP_SAN",
    DownstreamLocalOthernameSan = "DOWNSTREAM_LOCAL_OTHERNAME_SAN",
    DownstreamLocalPort = "DOWNSTREAM_LOCAL_PORT",
    DownstreamLocalSubject = "DOWNSTREAM_LOCAL_SUBJECT",
    DownstreamLocalUriSan = "DOWNSTREAM_LOCAL_URI_SAN",
    DownstreamPeerCert = "DOWNSTREAM_PEER_CERT",
    DownstreamPeerChainFingerprints1 = "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
    DownstreamPeerChainFingerprints256 = "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    DownstreamPeerChainSerials = "DOWNSTREAM_PEER_CHAIN_SERIALS",
    DownstreamPeerDnsSan = "DOWNSTREAM_PEER_DNS_SAN",
    DownstreamPeerEmailSan = "DOWNSTREAM_PEER_EMAIL_SAN",
    DownstreamPeerFingerprint1 = "DOWNSTREAM_PEER_FINGERPRINT_1",
    DownstreamPeerFingerprint256 = "DOWNSTREAM_PEER_FINGERPRINT_256",
    DownstreamPeerIpSan = "DOWNSTREAM_PEER_IP_SAN",
    DownstreamPeerIssuer = "DOWNSTREAM_PEER_ISSUER",
    DownstreamPeerIssuerFingerprint256 = "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256",
    DownstreamPeerIssuerSerial = "DOWNSTREAM_PEER_ISSUER_SERIAL",
    DownstreamPeerOthernameSan = "DOWNSTREAM_PEER_OTHERNAME_SAN",
    DownstreamPeerSerial = "DOWNSTREAM_PEER_SERIAL",
    DownstreamPeerSubject = "DOWNSTREAM_PEER_SUBJECT",
    DownstreamPeerUriSan = "DOWNSTREAM_PEER_URI_SAN",
    DownstreamRemoteAddress = "DOWNSTREAM_REMOTE_ADDRESS",
    DownstreamRemotePort = "DOWNSTREAM_REMOTE_PORT",
    DownstreamTlsCipher = "DOWNSTREAM_TLS_CIPHER",
    DownstreamTlsGroup = "DOWNSTREAM_TLS_GROUP",
    DownstreamTlsSessionId = "DOWNSTREAM_TLS_SESSION_ID",
    DownstreamTlsVersion = "DOWNSTREAM_TLS_VERSION",
    DownstreamTransportFailureReason = "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    DownstreamWireBytesReceived = "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    DownstreamWireBytesSent = "DOWNSTREAM_WIRE_BYTES_SENT",
    Duration = "DURATION",
    FilterChainName = "FILTER_CHAIN_NAME",
    GrpcStatusNumber = "GRPC_STATUS_NUMBER",
    Hostname = "HOSTNAME",
    ListenerName = "LISTENER_NAME",
    LocalReplyBody = "LOCAL_REPLY_BODY",
    PacketsRetransmitted = "PACKETS_RETRANSMITTED",
    Protocol = "PROTOCOL",
    RequestDuration = "REQUEST_DURATION",
    RequestHeadersBytes = "REQUEST_HEADERS_BYTES",
    RequestTxDuration = "REQUEST_TX_DURATION",
    ResponseCode = "RESPONSE_CODE",
    ResponseDuration = "RESPONSE_DURATION",
    ResponseFlags = "RESPONSE_FLAGS",
    ResponseFlagsLong = "RESPONSE_FLAGS_LONG",
    ResponseHeadersBytes = "RESPONSE_HEADERS_BYTES",
    ResponseTrailersBytes = "RESPONSE_TRAILERS_BYTES",
    ResponseTxDuration = "RESPONSE_TX_DURATION",
    RouteName = "ROUTE_NAME",
    RouteResolutionCount = "ROUTE_RESOLUTION_COUNT",
    RouteResolutionTimeUs = "ROUTE_RESOLUTION_TIME_US",
    SpanId = "SPAN_ID",
    StreamId = "STREAM_ID",
    TlsJa3Fingerprint = "TLS_JA3_FINGERPRINT",
    TlsJa4Fingerprint = "TLS_JA4_FINGERPRINT",
    TraceId = "TRACE_ID",
    UniqueId = "UNIQUE_ID",
    UpstreamCluster = "UPSTREAM_CLUSTER",
    UpstreamClusterRaw = "UPSTREAM_CLUSTER_RAW",
    UpstreamConnectionId = "UPSTREAM_CONNECTION_ID",
    UpstreamConnectionIdsAttempted = "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
    UpstreamConnectionPoolReadyDuration = "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    UpstreamDecompressedHeaderBytesReceived = "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    UpstreamDecompressedHeaderBytesSent = "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    UpstreamDetectedCloseType = "UPSTREAM_DETECTED_CLOSE_TYPE",
    UpstreamHeaderBytesReceived = "UPSTREAM_HEADER_BYTES_RECEIVED",
    UpstreamHeaderBytesSent = "UPSTREAM_HEADER_BYTES_SENT",
    UpstreamHost = "UPSTREAM_HOST",
    UpstreamHostsAttempted = "UPSTREAM_HOSTS_ATTEMPTED",
    UpstreamHostsAttemptedWithoutPort = "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT",
    UpstreamHostName = "UPSTREAM_HOST_NAME",
    UpstreamHostNamesAttempted = "UPSTREAM_HOST_NAMES_ATTEMPTED",
    UpstreamHostNamesAttemptedWithoutPort = "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
    UpstreamHostNameWithoutPort = "UPSTREAM_HOST_NAME_WITHOUT_PORT",
    UpstreamLocalAddress = "UPSTREAM_LOCAL_ADDRESS",
    UpstreamLocalCloseReason = "UPSTREAM_LOCAL_CLOSE_REASON",
    UpstreamLocalDnsSan = "UPSTREAM_LOCAL_DNS_SAN",
    UpstreamLocalIpSan = "UPSTREAM_LOCAL_IP_SAN",
    UpstreamLocalPort = "UPSTREAM_LOCAL_PORT",
    UpstreamLocalUriSan = "UPSTREAM_LOCAL_URI_SAN",
    UpstreamPeerCert = "UPSTREAM_PEER_CERT",
    UpstreamPeerDnsSan = "UPSTREAM_PEER_DNS_SAN",
    UpstreamPeerIpSan = "UPSTREAM_PEER_IP_SAN",
    UpstreamPeerIssuer = "UPSTREAM_PEER_ISSUER",
    UpstreamPeerSubject = "UPSTREAM_PEER_SUBJECT",
    UpstreamPeerUriSan = "UPSTREAM_PEER_URI_SAN",
    UpstreamProtocol = "UPSTREAM_PROTOCOL",
    UpstreamRemoteAddress = "UPSTREAM_REMOTE_ADDRESS",
    UpstreamRemoteAddressEndpointId = "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
    UpstreamRemotePort = "UPSTREAM_REMOTE_PORT",
    UpstreamRequestAttemptCount = "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    UpstreamServerName = "UPSTREAM_SERVER_NAME",
    UpstreamTlsCipher = "UPSTREAM_TLS_CIPHER",
    UpstreamTlsGroup = "UPSTREAM_TLS_GROUP",
    UpstreamTlsSessionId = "UPSTREAM_TLS_SESSION_ID",
    UpstreamTlsVersion = "UPSTREAM_TLS_VERSION",
    UpstreamTransportFailureReason = "UPSTREAM_TRANSPORT_FAILURE_REASON",
    UpstreamWireBytesReceived = "UPSTREAM_WIRE_BYTES_RECEIVED",
    UpstreamWireBytesSent = "UPSTREAM_WIRE_BYTES_SENT",
    VirtualClusterName = "VIRTUAL_CLUSTER_NAME",
}

impl Plain {
    /// True while nothing in the proxy can supply the value, so that the command prints `-`:
    /// what belongs to TLS, tracing, virtual clusters and transport-level statistics.
    pub fn is_always_absent(self) -> bool {
        let name = self.name();
        let tls = ["_SAN", "_SUBJECT", "_ISSUER", "_CERT", "_SERIAL", "_SERIALS", "_SERVER_NAME"];
        let parts = ["_TLS_", "TLS_JA", "_FINGERPRINT", "RETRANSMITTED", "_ENDPOINT_ID", "_TRACE", "ROUTE_RESOLUTION"];
        tls.iter().any(|end| name.ends_with(end))
            || parts.iter().any(|part| name.contains(part))
            || matches!(
                self,
                Self::CustomFlags
                    | Self::DownstreamCxRtt
                    | Self::DownstreamHandshakeDuration
                    | Self::SpanId
                    | Self::TraceId
                    | Self::VirtualClusterName
            )
    }
}
