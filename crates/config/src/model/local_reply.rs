//! How the proxy's own answers are dressed (`LocalReplyConfig`, `SubstitutionFormatString`).

use http::HeaderValue;

use super::access_log::LogFormat;

/// `SubstitutionFormatString`: a body made from the stream.
#[derive(Clone, Debug)]
pub struct BodyFormat {
    /// How the body is written.
    pub body: LogFormat,
    /// `content_type`; `None` = `text/plain`, or `application/json` for JSON.
    pub content_type: Option<HeaderValue>,
}
