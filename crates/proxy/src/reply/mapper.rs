//! `local_reply_config`: what becomes of the answers that the proxy gives itself.
//!
//! Every one of them comes by here, whoever gives it: the connection manager, a direct response or
//! redirect of a route, the router, the codec. The first mapper whose filter holds may change
//! status, body and headers; then the body is written by the format of that mapper, or of the
//! configuration. Without either it stays as it is.
//!
//! The order is Envoy's: the mapper's headers are made while the old status still holds and without
//! the body, the body's format sees the new one. [`Rewritten`] is completed by [`super::complete`].

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use nuncio_api::Runtime;
use nuncio_config::model::{
    HeaderMutation,
    access_log::{Filter, LogFormat, LogType},
    local_reply::{BodyFormat, LocalReplyConfig},
};

use crate::{
    access_log::{
        Line,
        filter::{Asked, holds},
    },
    headers,
    stream_info::StreamInfo,
};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A configuration made ready.
#[derive(Default)]
pub(crate) struct Mappers {
    mappers: Vec<Mapper>,
    format: Option<Body>,
}

struct Mapper {
    filter: Filter,
    status: Option<StatusCode>,
    body: Option<Bytes>,
    format: Option<Body>,
    headers: HeaderMutation,
}

/// A format of bodies made ready.
pub(crate) struct Body {
    line: Line,
    content_type: HeaderValue,
}

/// The body of a local reply, and what its head has to say of it.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub(crate) body: Bytes,
    pub(crate) content_type: HeaderValue,
    /// The body is not the one that was given, and no mapper has set a content type for it.
    pub(crate) retyped: bool,
}

impl Rewritten {
    /// A body as it is.
    pub(crate) fn unchanged(body: Bytes) -> Self {
        Self { body, content_type: TEXT, retyped: false }
    }
}

impl Body {
    /// Makes `format` ready.
    pub(crate) fn new(format: &BodyFormat) -> Self {
        let default = if matches!(format.body, LogFormat::Json { .. }) { JSON } else { TEXT };
        Self { line: Line::new(&format.body), content_type: format.content_type.clone().unwrap_or(default) }
    }

    fn render(&self, info: &StreamInfo) -> Bytes {
        let mut out = Vec::with_capacity(128);
        self.line.render(info, &mut out);
        out.into()
    }
}

impl Mappers {
    /// Makes `config` ready.
    pub(crate) fn new(config: &LocalReplyConfig) -> Self {
        let mapper = |mapper: &nuncio_config::model::local_reply::ResponseMapper| Mapper {
            filter: mapper.filter.clone(),
            status: mapper.status,
            body: mapper.body.clone(),
            format: mapper.body_format.as_ref().map(Body::new),
            headers: mapper.headers.clone(),
        };
        Self {
            mappers: config.mappers.iter().map(mapper).collect(),
            format: config.body_format.as_ref().map(Body::new),
        }
    }

    /// Changes the response in `info` and `body` as configured.
    pub(crate) fn rewrite(&self, info: &mut StreamInfo, runtime: &Runtime, body: Bytes) -> Rewritten {
        if self.mappers.is_empty() && self.format.is_none() {
            return Rewritten::unchanged(body);
        }
        let Some(response) = &info.response else { return Rewritten::unchanged(body) };
        let code = response.status.as_u16();
        let type_before = response.headers.get(&header::CONTENT_TYPE).cloned();
        info.local_reply_code = Some(code);
        let asked = Asked { info, runtime, log_type: LogType::NotSet };
        let mapper = self.mappers.iter().find(|mapper| holds(&mapper.filter, asked));
        let left = mapper.and_then(|mapper| mapper.body.clone()).unwrap_or_else(|| body.clone());
        if let Some(mapper) = mapper {
            mapper.apply(info);
        }
        let format = mapper.and_then(|mapper| mapper.format.as_ref()).or(self.format.as_ref());
        let written = format.map(|format| {
            info.local_reply_body = Some(Box::from(&*left));
            (format.render(info), format.content_type.clone())
        });
        info.local_reply_body = None;
        info.local_reply_code = None;
        let (new, content_type) = written.unwrap_or((left, TEXT));
        let type_after = info.response.as_ref().and_then(|response| response.headers.get(&header::CONTENT_TYPE));
        let retyped = new != body && type_after == type_before.as_ref();
        Rewritten { body: new, content_type, retyped }
    }
}

impl Mapper {
    fn apply(&self, info: &mut StreamInfo) {
        headers::apply(&self.headers, info, headers::Target::Response);
        let Some(status) = self.status else { return };
        if let Some(response) = &mut info.response {
            response.status = status;
        }
        info.local_reply_code = Some(status.as_u16());
    }
}
