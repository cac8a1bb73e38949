//! Requests and replies of the admin server.

use http::{HeaderValue, Method, StatusCode, header};
use nuncio_api::{Headers, RequestHead};
use nuncio_proxy::LocalAnswer;
use serde::Serialize as _;
use serde_json::Value;

/// A request, taken apart.
#[derive(Debug)]
pub(super) struct AdminRequest {
    pub(super) method: Method,
    pub(super) path: String,
    params: Vec<(String, String)>,
    form: Vec<(String, String)>,
}

impl AdminRequest {
    /// A request for `target`, a path with its query.
    pub(super) fn new(method: Method, target: &str) -> Self {
        let target = target.split_once('#').map_or(target, |(target, _)| target);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { method, path: path.to_owned(), params: pairs(query), form: Vec::new() }
    }

    /// The request with its form, if that is what the body is.
    pub(super) fn read(head: &RequestHead, body: &[u8]) -> Self {
        let request = Self::new(head.method.clone(), head.path.as_str());
        let is_form = head.headers.get(&header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == FORM);
        if !is_form {
            return request;
        }
        Self { form: pairs(&String::from_utf8_lossy(body)), ..request }
    }

    /// The first value of a query parameter; empty when it has none.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn params(&self) -> &[(String, String)] {
        &self.params
    }

    /// What was asked for, in the query or else in a form.
    pub(super) fn params_or_form(&self) -> &[(String, String)] {
        if self.params.is_empty() { &self.form } else { &self.params }
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let split = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    pairs.map(split).collect()
}

/// Undoes percent-encoding; what is none stays. A plus stays a plus: patterns need it.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const FORM: &[u8] = b"application/x-www-form-urlencoded";
const TEXT: &str = "text/plain; charset=UTF-8";
const HTML: &str = "text/html; charset=UTF-8";
const JSON: &str = "application/json";

/// A reply with the headers that every reply of the admin server has.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    /// The handler has said `nosniff` itself.
    says_nosniff: bool,
    body: String,
}

impl Reply {
    fn new(status: StatusCode, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, says_nosniff: false, body }
    }

    pub(super) fn text(body: impl Into<String>) -> Self {
        Self::new(StatusCode::OK, TEXT, body.into())
    }

    /// `OK`, which is what every POST answers.
    pub(super) fn ok() -> Self {
        Self::text("OK\n")
    }

    pub(super) fn error(status: StatusCode, body: impl Into<String>) -> Self {
        Self::new(status, TEXT, body.into())
    }

    pub(super) fn bad_request(body: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, body)
    }

    pub(super) fn html(body: impl Into<String>) -> Self {
        Self::new(StatusCode::OK, HTML, body.into())
    }

    /// Text that is JSON already.
    pub(super) fn raw_json(body: String) -> Self {
        Self::new(StatusCode::OK, JSON, body)
    }

    /// Printed as Envoy prints it: one space per level, a newline at the end.
    pub(super) fn json(value: &Value) -> Self {
        let mut body = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
        // Writing into a Vec cannot fail, nor can a Value.
        let _ = value.serialize(&mut serde_json::Serializer::with_formatter(&mut body, format));
        body.push(b'\n');
        Self::raw_json(String::from_utf8(body).unwrap_or_default())
    }

    /// An error of `/config_dump`, whose headers differ from all others.
    pub(super) fn dump_error(status: StatusCode, body: impl Into<String>) -> Self {
        Self { says_nosniff: true, ..Self::error(status, body).plain() }
    }

    /// The same with a content type that says no charset.
    pub(super) fn plain(self) -> Self {
        Self { content_type: "text/plain", ..self }
    }

    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    #[cfg(test)]
    pub(super) fn body(&self) -> &str {
        &self.body
    }

    pub(super) fn into_answer(self) -> LocalAnswer {
        let mut headers = Headers::with_capacity(6);
        if self.says_nosniff {
            headers.append(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        headers.append(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.append(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0"));
        headers.append(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        LocalAnswer { status: self.status, headers, body: self.body.into() }
    }
}
