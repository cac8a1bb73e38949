//! Stats of TLS contexts, below a listener's or a cluster's scope.

use crate::scope::{ScopeName, tags};
use crate::stat_template;

stat_template! {
    /// `ssl.`
    pub mod ssl_stats {
        counters {
            connection_error, fail_verify_cert_hash, fail_verify_error, fail_verify_no_cert, fail_verify_san,
            handshake, no_certificate, ocsp_staple_failed, ocsp_staple_omitted, ocsp_staple_requests,
            ocsp_staple_responses, session_reused,
        }
    }
}

stat_template! {
    /// `server_ssl_socket_factory.` and `client_ssl_socket_factory.`
    pub mod ssl_socket_factory_stats {
        counters {
            downstream_context_secrets_not_ready, ssl_context_update_by_sds,
            upstream_context_secrets_not_ready,
        }
    }
}

stat_template! {
    /// One cipher, version, curve or signature algorithm that was negotiated: the
    /// scope from `negotiated_scope` is the whole name.
    pub mod negotiated_stats {
        counters {
            handshakes => "",
        }
    }
}

stat_template! {
    /// One certificate: scope from `certificate_scope`.
    pub mod certificate_stats {
        gauges {
            expiration_unix_time_seconds,
        }
    }
}

stat_template! {
    /// Listener filter `tls_inspector.`
    pub mod tls_inspector_stats {
        counters {
            alpn_found, alpn_not_found, client_hello_too_large, sni_found, sni_not_found, tls_found,
            tls_not_found,
        }
        histograms {
            bytes_processed: Bytes,
        }
    }
}

/// `<scope>ssl.certificate.<name>.`
#[must_use]
pub fn certificate_scope(scope: ScopeName, name: &str) -> ScopeName {
    scope.part("ssl").part("certificate").tag(tags::TLS_CERTIFICATE, name)
}

/// What two TLS peers agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Negotiated {
    /// `ssl.ciphers.<value>`
    Cipher,
    /// `ssl.versions.<value>`
    Version,
    /// `ssl.curves.<value>`
    Curve,
    /// `ssl.sigalgs.<value>`
    SignatureAlgorithm,
}

/// `<scope>ssl.<what>.<value>`, for [`negotiated_stats`]. Values must be names of
/// the TLS library, not bytes of a peer.
#[must_use]
pub fn negotiated_scope(scope: ScopeName, what: Negotiated, value: &str) -> ScopeName {
    let (part, tag) = match what {
        Negotiated::Cipher => ("ciphers", tags::SSL_CIPHER),
        Negotiated::Version => ("versions", tags::SSL_VERSION),
        Negotiated::Curve => ("curves", tags::SSL_CURVE),
        Negotiated::SignatureAlgorithm => ("sigalgs", tags::SSL_SIGALG),
    };
    scope.part("ssl").part(part).tag(tag, value)
}
