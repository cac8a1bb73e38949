//! Requests and replies of the admin server.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, Uri, header};
use http_body_util::Full;
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
    pub(super) fn new(method: Method, uri: &Uri) -> Self {
        let params = pairs(uri.query().unwrap_or_default());
        Self { method, path: uri.path().to_owned(), params, form: Vec::new() }
    }

    /// The same with the fields of a form, which came as the body.
    pub(super) fn with_form(self, body: &[u8]) -> Self {
        Self { form: pairs(&String::from_utf8_lossy(body)), ..self }
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

const TEXT: &str = "text/plain; charset=UTF-8";
const HTML: &str = "text/html; charset=UTF-8";
const JSON: &str = "application/json";

/// A reply with the headers that every reply of the admin server has.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    body: String,
}

impl Reply {
    pub(super) fn text(body: impl Into<String>) -> Self {
        Self { status: StatusCode::OK, content_type: TEXT, body: body.into() }
    }

    /// `OK`, which is what every POST answers.
    pub(super) fn ok() -> Self {
        Self::text("OK\n")
    }

    pub(super) fn error(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, content_type: TEXT, body: body.into() }
    }

    pub(super) fn bad_request(body: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, body)
    }

    pub(super) fn html(body: impl Into<String>) -> Self {
        Self { status: StatusCode::OK, content_type: HTML, body: body.into() }
    }

    /// Text that is JSON already.
    pub(super) fn raw_json(body: String) -> Self {
        Self { status: StatusCode::OK, content_type: JSON, body }
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

    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    #[cfg(test)]
    pub(super) fn body(&self) -> &str {
        &self.body
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // Tools that ask whether this is an Envoy get the answer that makes them work.
        headers.insert(header::SERVER, HeaderValue::from_static("envoy"));
        response
    }
}
