//! Understands the parameters of the commands.
//!
//! The verdicts (which parameter is needed, refused or ignored) were taken one by one from Envoy
//! 1.40; `operators.tsv` holds them for the tests.

use http::HeaderName;

use super::{
    CertTime, Coalesced, Command, DurationPoint, FilterStateForm, FormatError, GrpcStatusForm, HeaderKey, HeaderSource,
    LocalAddress, MetadataSource, PathQuery, PathSource, Precision, ServerNameSource, Side, TimeSource, XfccKey,
};

impl Command {
    /// Understands `name(parameter)`; an absent parameter is the empty text.
    pub(super) fn parse(name: &str, parameter: &str) -> Result<Self, FormatError> {
        let call = Call { name, parameter };
        let text = || (!parameter.is_empty()).then(|| parameter.to_owned());
        let time = |source, local| Self::Time { source, local, format: text() };
        let certificate = |side, time| Self::CertificateTime { side, time, format: text() };
        if let Some(address) = address_without_port(name) {
            return Ok(Self::AddressWithoutPort { address, mask: parameter.parse().ok() });
        }
        Ok(match name {
            "REQ" | "REQUEST_HEADER" => call.header(HeaderSource::Request)?,
            "RESP" | "RESPONSE_HEADER" => call.header(HeaderSource::Response)?,
            "TRAILER" | "RESPONSE_TRAILER" => call.header(HeaderSource::ResponseTrailer)?,
            "START_TIME" => time(TimeSource::Start, false),
            "START_TIME_LOCAL" => time(TimeSource::Start, true),
            "EMIT_TIME" => time(TimeSource::Emit, false),
            "EMIT_TIME_LOCAL" => time(TimeSource::Emit, true),
            "DOWNSTREAM_PEER_CERT_V_START" => certificate(Side::Downstream, CertTime::Start),
            "DOWNSTREAM_PEER_CERT_V_END" => certificate(Side::Downstream, CertTime::End),
            "UPSTREAM_PEER_CERT_V_START" => certificate(Side::Upstream, CertTime::Start),
            "UPSTREAM_PEER_CERT_V_END" => certificate(Side::Upstream, CertTime::End),
            "COMMON_DURATION" => call.common_duration()?,
            "RESPONSE_CODE_DETAILS" => Self::ResponseCodeDetails { allow_whitespace: parameter == "ALLOW_WHITESPACES" },
            "GRPC_STATUS" => call.grpc_status()?,
            "REQUESTED_SERVER_NAME" => call.server_name()?,
            "PATH" => call.path()?,
            "QUERY_PARAM" => Self::QueryParam(call.required()?.to_owned()),
            "QUERY_PARAMS" => Self::QueryParams { decoded: call.query_params()? },
            "DYNAMIC_METADATA" => call.metadata(MetadataSource::Dynamic, call.required()?),
            "CLUSTER_METADATA" => call.metadata(MetadataSource::Cluster, call.required()?),
            "UPSTREAM_METADATA" => call.metadata(MetadataSource::UpstreamHost, call.required()?),
            "METADATA" => call.any_metadata()?,
            "FILTER_STATE" => call.filter_state(false)?,
            "UPSTREAM_FILTER_STATE" => call.filter_state(true)?,
            "ENVIRONMENT" => Self::Environment(std::env::var(call.required()?).ok()),
            "XFCC_VALUE" => call.xfcc()?,
            "CEL" => Self::Cel(call.required()?.to_owned()),
            "COALESCE" => call.coalesce()?,
            _ => return Err(FormatError::UnknownCommand(name.to_owned())),
        })
    }
}

/// The addresses that may be written as the network they belong to.
fn address_without_port(name: &str) -> Option<LocalAddress> {
    Some(match name {
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => LocalAddress::DownstreamRemote,
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => LocalAddress::DownstreamDirectRemote,
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => LocalAddress::DownstreamLocal,
        "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT" => LocalAddress::DownstreamDirectLocal,
        "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => LocalAddress::UpstreamLocal,
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => LocalAddress::UpstreamRemote,
        _ => return None,
    })
}

/// A command as spelled, while it is being understood.
struct Call<'t> {
    name: &'t str,
    parameter: &'t str,
}

impl<'t> Call<'t> {
    fn required(&self) -> Result<&'t str, FormatError> {
        if self.parameter.is_empty() {
            return Err(FormatError::MissingParameter(self.name.to_owned()));
        }
        Ok(self.parameter)
    }

    fn bad(&self, reason: impl Into<String>) -> FormatError {
        FormatError::BadParameter {
            command: self.name.to_owned(),
            parameter: self.parameter.to_owned(),
            reason: reason.into(),
        }
    }

    fn header(&self, source: HeaderSource) -> Result<Command, FormatError> {
        let mut names = self.required()?.split('?');
        let name = self.header_key(names.next().unwrap_or_default())?;
        let alternative = names.next().filter(|n| !n.is_empty()).map(|n| self.header_key(n)).transpose()?;
        if names.next().is_some() {
            return Err(self.bad("only one alternative header may follow a `?`"));
        }
        Ok(Command::Header { source, name, alternative })
    }

    fn header_key(&self, name: &str) -> Result<HeaderKey, FormatError> {
        let lower = name.to_ascii_lowercase();
        Ok(match lower.as_str() {
            ":method" => HeaderKey::Method,
            ":path" => HeaderKey::Path,
            ":authority" | "host" => HeaderKey::Authority,
            ":scheme" => HeaderKey::Scheme,
            ":status" => HeaderKey::Status,
            pseudo if pseudo.is_empty() || pseudo.starts_with(':') => HeaderKey::Unknown(lower),
            plain => HeaderKey::Name(
                HeaderName::try_from(plain).map_err(|_| self.bad(format!("`{name}` is not a header name")))?,
            ),
        })
    }

    fn common_duration(&self) -> Result<Command, FormatError> {
        let mut parts = self.required()?.split(':');
        let (Some(from), Some(to), precision, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(self.bad("it is `from:to` or `from:to:precision`, such as `DS_RX_BEG:DS_TX_END:ms`"));
        };
        let precision = match precision {
            None | Some("ms") => Precision::Milliseconds,
            Some("us") => Precision::Microseconds,
            Some("ns") => Precision::Nanoseconds,
            Some(_) => return Err(self.bad("the precision is `ms`, `us` or `ns`")),
        };
        Ok(Command::CommonDuration { from: DurationPoint::named(from), to: DurationPoint::named(to), precision })
    }

    fn grpc_status(&self) -> Result<Command, FormatError> {
        Ok(Command::GrpcStatus(match self.parameter {
            "" | "CAMEL_STRING" => GrpcStatusForm::Camel,
            "SNAKE_STRING" => GrpcStatusForm::Snake,
            "NUMBER" => GrpcStatusForm::Number,
            _ => return Err(self.bad("it is `CAMEL_STRING`, `SNAKE_STRING` or `NUMBER`")),
        }))
    }

    /// The first two of the words between colons; Envoy reads no further.
    fn two_choices(&self) -> (&'t str, &'t str) {
        let mut words = self.parameter.split(':');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    fn server_name(&self) -> Result<Command, FormatError> {
        let (source, host) = self.two_choices();
        let source = match source {
            "" | "SNI_ONLY" => ServerNameSource::SniOnly,
            "SNI_FIRST" => ServerNameSource::SniFirst,
            "HOST_FIRST" => ServerNameSource::HostFirst,
            _ => return Err(self.bad("it is `SNI_ONLY`, `SNI_FIRST` or `HOST_FIRST`")),
        };
        let host = match host {
            "" | "ORIG_OR_HOST" => PathSource::OriginalOrCurrent,
            "ORIG" => PathSource::Original,
            "HOST" => PathSource::Current,
            _ => return Err(self.bad("after the colon stands `ORIG`, `HOST` or `ORIG_OR_HOST`")),
        };
        Ok(Command::RequestedServerName { source, host })
    }

    fn path(&self) -> Result<Command, FormatError> {
        let (query, source) = self.two_choices();
        let query = match query {
            "" | "WQ" => PathQuery::With,
            "NQ" => PathQuery::Without,
            _ => return Err(self.bad("it is `WQ` (with the query) or `NQ` (without)")),
        };
        let source = match source {
            "" | "ORIG_OR_PATH" => PathSource::OriginalOrCurrent,
            "ORIG" => PathSource::Original,
            "PATH" => PathSource::Current,
            _ => return Err(self.bad("after the colon stands `ORIG`, `PATH` or `ORIG_OR_PATH`")),
        };
        Ok(Command::Path { query, source })
    }

    fn query_params(&self) -> Result<bool, FormatError> {
        match self.parameter {
            "" | "ORIG" => Ok(false),
            "DECODED" => Ok(true),
            _ => Err(self.bad("it is `ORIG` or `DECODED`")),
        }
    }

    fn metadata(&self, source: MetadataSource, path: &str) -> Command {
        let mut keys = path.split(':').map(str::to_owned);
        let namespace = keys.next().unwrap_or_default();
        Command::Metadata { source, namespace, path: keys.collect() }
    }

    fn any_metadata(&self) -> Result<Command, FormatError> {
        let (source, path) = self.parameter.split_once(':').unwrap_or((self.parameter, ""));
        let source = match source {
            "DYNAMIC" => MetadataSource::Dynamic,
            "CLUSTER" => MetadataSource::Cluster,
            "ROUTE" => MetadataSource::Route,
            "UPSTREAM_HOST" => MetadataSource::UpstreamHost,
            "LISTENER" => MetadataSource::Listener,
            "VIRTUAL_HOST" => MetadataSource::VirtualHost,
            "LISTENER_FILTER_CHAIN" => MetadataSource::ListenerFilterChain,
            _ => {
                return Err(self.bad(
                    "it starts with `DYNAMIC`, `CLUSTER`, `ROUTE`, `UPSTREAM_HOST`, `LISTENER`, `VIRTUAL_HOST` or \
                     `LISTENER_FILTER_CHAIN`",
                ));
            }
        };
        Ok(self.metadata(source, path))
    }

    fn filter_state(&self, upstream: bool) -> Result<Command, FormatError> {
        let mut parts = self.required()?.splitn(3, ':');
        let key = parts.next().filter(|key| !key.is_empty()).map(str::to_owned);
        let key = key.ok_or_else(|| self.bad("the key is empty"))?;
        let form = match (parts.next(), parts.next()) {
            (None | Some("TYPED"), None) => FilterStateForm::Typed,
            (Some("PLAIN"), None) => FilterStateForm::Plain,
            (Some("FIELD"), Some(field)) if !field.is_empty() => FilterStateForm::Field(field.to_owned()),
            _ => return Err(self.bad("after the key stands `PLAIN`, `TYPED` or `FIELD:name`")),
        };
        Ok(Command::FilterState { upstream, key, form })
    }

    fn xfcc(&self) -> Result<Command, FormatError> {
        Ok(Command::XfccValue(match self.required()?.to_ascii_lowercase().as_str() {
            "by" => XfccKey::By,
            "hash" => XfccKey::Hash,
            "cert" => XfccKey::Cert,
            "chain" => XfccKey::Chain,
            "subject" => XfccKey::Subject,
            "uri" => XfccKey::Uri,
            "dns" => XfccKey::Dns,
            _ => {
                return Err(self.bad("it is `by`, `hash`, `cert`, `chain`, `subject`, `uri` or `dns`"));
            }
        }))
    }

    fn coalesce(&self) -> Result<Command, FormatError> {
        let config: serde_json::Value =
            serde_json::from_str(self.required()?).map_err(|e| self.bad(format!("it is not JSON ({e})")))?;
        let Some(operators) = config.get("operators").and_then(|o| o.as_array()).filter(|o| !o.is_empty()) else {
            return Err(self.bad("it has to hold an array `operators`"));
        };
        operators.iter().map(|entry| self.coalesced(entry)).collect::<Result<_, _>>().map(Command::Coalesce)
    }

    fn coalesced(&self, entry: &serde_json::Value) -> Result<Coalesced, FormatError> {
        if let Some(name) = entry.as_str() {
            return super::Operator::parse(name, None, None);
        }
        let field = |key| entry.get(key).and_then(serde_json::Value::as_str);
        let Some(name) = field("command") else {
            return Err(self.bad("an operator is a name or an object with `command`"));
        };
        let length = entry.get("max_length").and_then(serde_json::Value::as_u64);
        super::Operator::parse(name, field("param"), length.and_then(|n| usize::try_from(n).ok()))
    }
}

impl DurationPoint {
    fn named(name: &str) -> Self {
        match name {
            "DS_RX_BEG" => Self::DownstreamRxBegin,
            "DS_RX_END" => Self::DownstreamRxEnd,
            "US_CX_BEG" => Self::UpstreamConnectBegin,
            "US_CX_END" => Self::UpstreamConnectEnd,
            "US_HS_END" => Self::UpstreamHandshakeEnd,
            "US_TX_BEG" => Self::UpstreamTxBegin,
            "US_TX_END" => Self::UpstreamTxEnd,
            "US_RX_BEG" => Self::UpstreamRxBegin,
            "US_RX_END" => Self::UpstreamRxEnd,
            "DS_TX_BEG" => Self::DownstreamTxBegin,
            "DS_TX_END" => Self::DownstreamTxEnd,
            other => Self::Custom(other.to_owned()),
        }
    }
}
