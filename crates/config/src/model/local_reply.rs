//! How the proxy's own answers are dressed (`LocalReplyConfig`, `SubstitutionFormatString`).

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::{
    access_log::{Filter, LogFormat},
    header::HeaderMutation,
};

/// `SubstitutionFormatString`: a body made from the stream.
#[derive(Clone, Debug)]
pub struct BodyFormat {
    /// How the body is written.
    pub body: LogFormat,
    /// `content_type`; `None` = `text/plain`, or `application/json` for JSON.
    pub content_type: Option<HeaderValue>,
}

/// `LocalReplyConfig`.
#[derive(Clone, Debug, Default)]
pub struct LocalReplyConfig {
    /// `mappers` in order; the first whose filter holds changes the answer.
    pub mappers: Vec<ResponseMapper>,
    /// `body_format`; `None` = the body as it is, `text/plain`.
    pub body_format: Option<BodyFormat>,
}

/// `ResponseMapper`.
#[derive(Clone, Debug)]
pub struct ResponseMapper {
    /// `filter`
    pub filter: Filter,
    /// `status_code`
    pub status: Option<StatusCode>,
    /// `body`, read at load.
    pub body: Option<Bytes>,
    /// `body_format_override`
    pub body_format: Option<BodyFormat>,
    /// `headers_to_add`
    pub headers: HeaderMutation,
}
