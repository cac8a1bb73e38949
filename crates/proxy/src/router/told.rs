//! Whether a request tells the router anything in `x-envoy-*` headers, which few do.

use nuncio_api::{HeaderName, Headers, names};

static NOTHING: Headers = Headers::new();

/// The proxy sets these for others to read: the router itself learns nothing from them.
static SAY_NOTHING: [HeaderName; 2] = [names::X_ENVOY_INTERNAL, names::X_ENVOY_EXTERNAL_ADDRESS];

/// `headers` where one of them may tell the router something, else an empty list: the many names
/// that are looked up in it then cost one look at each header altogether. `but` names one more that
/// is not asked for.
pub(crate) fn told<'a>(headers: &'a Headers, but: Option<&HeaderName>) -> &'a Headers {
    let tells =
        |name: &HeaderName| name.as_str().starts_with("x-envoy-") && !SAY_NOTHING.contains(name) && Some(name) != but;
    if headers.iter().any(|(name, _)| tells(name)) { headers } else { &NOTHING }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_what_may_tell_something_is_looked_through() {
        let list = |names: &[HeaderName]| {
            let mut headers = Headers::new();
            names.iter().for_each(|name| headers.append(name.clone(), HeaderValue::from_static("1")));
            headers
        };
        let plain = [http::header::ACCEPT, names::X_ENVOY_INTERNAL, names::X_ENVOY_EXTERNAL_ADDRESS];
        assert!(told(&list(&plain), None).is_empty());
        let expected = names::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS;
        let telling = list(&[http::header::ACCEPT, expected.clone()]);
        assert_eq!(told(&telling, None).len(), 2);
        assert!(told(&telling, Some(&expected)).is_empty());
        assert_eq!(told(&list(&[expected.clone(), names::X_ENVOY_RETRY_ON]), Some(&expected)).len(), 2);
    }
}
