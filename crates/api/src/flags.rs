//! Response flags: why a response is what it is, as access logs print it (`%RESPONSE_FLAGS%`).

/// One flag; names and short forms are Envoy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ResponseFlag {
    /// LH
    FailedLocalHealthCheck,
    /// UH
    NoHealthyUpstream,
    /// UT
    UpstreamRequestTimeout,
    /// LR
    LocalReset,
    /// UR
    UpstreamRemoteReset,
    /// UF
    UpstreamConnectionFailure,
    /// UC
    UpstreamConnectionTermination,
    /// UO
    UpstreamOverflow,
    /// NR
    NoRouteFound,
    /// DI
    DelayInjected,
    /// FI
    FaultInjected,
    /// RL
    RateLimited,
    /// UAEX
    UnauthorizedExternalService,
    /// RLSE
    RateLimitServiceError,
    /// DC
    DownstreamConnectionTermination,
    /// URX
    UpstreamRetryLimitExceeded,
    /// SI
    StreamIdleTimeout,
    /// IH
    InvalidEnvoyRequestHeaders,
    /// DPE
    DownstreamProtocolError,
    /// UMSDR
    UpstreamMaxStreamDurationReached,
    /// RFCF
    ResponseFromCacheFilter,
    /// NFCF
    NoFilterConfigFound,
    /// DT
    DurationTimeout,
    /// UPE
    UpstreamProtocolError,
    /// NC
    NoClusterFound,
    /// OM
    OverloadManagerTerminated,
    /// DF
    DnsResolutionFailed,
    /// DO
    DropOverLoad,
    /// DR
    DownstreamRemoteReset,
    /// UDO
    UnconditionalDropOverload,
}

impl ResponseFlag {
    /// Short form (`%RESPONSE_FLAGS%`).
    pub fn short(self) -> &'static str {
        self.names().0
    }

    /// Long form (`%RESPONSE_FLAGS_LONG%`).
    pub fn long(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        use ResponseFlag as F;
        match self {
            F::FailedLocalHealthCheck => ("LH", "FailedLocalHealthCheck"),
            F::NoHealthyUpstream => ("UH", "NoHealthyUpstream"),
            F::UpstreamRequestTimeout => ("UT", "UpstreamRequestTimeout"),
            F::LocalReset => ("LR", "LocalReset"),
            F::UpstreamRemoteReset => ("UR", "UpstreamRemoteReset"),
            F::UpstreamConnectionFailure => ("UF", "UpstreamConnectionFailure"),
            F::UpstreamConnectionTermination => ("UC", "UpstreamConnectionTermination"),
            F::UpstreamOverflow => ("UO", "UpstreamOverflow"),
            F::NoRouteFound => ("NR", "NoRouteFound"),
            F::DelayInjected => ("DI", "DelayInjected"),
            F::FaultInjected => ("FI", "FaultInjected"),
            F::RateLimited => ("RL", "RateLimited"),
            F::UnauthorizedExternalService => ("UAEX", "UnauthorizedExternalService"),
            F::RateLimitServiceError => ("RLSE", "RateLimitServiceError"),
            F::DownstreamConnectionTermination => ("DC", "DownstreamConnectionTermination"),
            F::UpstreamRetryLimitExceeded => ("URX", "UpstreamRetryLimitExceeded"),
            F::StreamIdleTimeout => ("SI", "StreamIdleTimeout"),
            F::InvalidEnvoyRequestHeaders => ("IH", "InvalidEnvoyRequestHeaders"),
            F::DownstreamProtocolError => ("DPE", "DownstreamProtocolError"),
            F::UpstreamMaxStreamDurationReached => ("UMSDR", "UpstreamMaxStreamDurationReached"),
            F::ResponseFromCacheFilter => ("RFCF", "ResponseFromCacheFilter"),
            F::NoFilterConfigFound => ("NFCF", "NoFilterConfigFound"),
            F::DurationTimeout => ("DT", "DurationTimeout"),
            F::UpstreamProtocolError => ("UPE", "UpstreamProtocolError"),
            F::NoClusterFound => ("NC", "NoClusterFound"),
            F::OverloadManagerTerminated => ("OM", "OverloadManagerTerminated"),
            F::DnsResolutionFailed => ("DF", "DnsResolutionFailed"),
            F::DropOverLoad => ("DO", "DropOverLoad"),
            F::DownstreamRemoteReset => ("DR", "DownstreamRemoteReset"),
            F::UnconditionalDropOverload => ("UDO", "UnconditionalDropOverload"),
        }
    }
}

/// The flags of one stream in the order they were set, as Envoy prints them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseFlags {
    set: [Option<ResponseFlag>; 4],
}

impl ResponseFlags {
    /// Adds `flag` once. A stream never earns more than a few; past four the rest is left out.
    pub fn insert(&mut self, flag: ResponseFlag) {
        if self.contains(flag) {
            return;
        }
        if let Some(free) = self.set.iter_mut().find(|f| f.is_none()) {
            *free = Some(flag);
        }
    }

    /// True when `flag` was set.
    pub fn contains(&self, flag: ResponseFlag) -> bool {
        self.iter().any(|f| f == flag)
    }

    /// True when no flag was set.
    pub fn is_empty(&self) -> bool {
        self.set.iter().all(Option::is_none)
    }

    /// In the order set.
    pub fn iter(&self) -> impl Iterator<Item = ResponseFlag> + '_ {
        self.set.iter().flatten().copied()
    }
}
