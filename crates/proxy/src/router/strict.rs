//! `strict_check_headers` of the router: what clients ask for in these headers has to make sense.

use nuncio_api::{HeaderName, RequestHead, names};
use nuncio_config::model::{hcm::Router, route::RetryOn};

/// The first header that is there and has no proper value, with that value.
pub(crate) fn improper(router: &Router, request: &RequestHead) -> Option<(HeaderName, String)> {
    router.strict_check_headers.iter().find_map(|name| {
        let value = request.headers.get(name)?;
        let text = value.to_str().unwrap_or_default();
        let is_proper = if *name == names::X_ENVOY_RETRY_ON {
            all_known(text, RetryOn::from_names)
        } else if *name == names::X_ENVOY_RETRY_GRPC_ON {
            all_known(text, RetryOn::from_grpc_names)
        } else {
            text.trim_ascii().parse::<u64>().is_ok()
        };
        (!is_proper).then(|| (name.clone(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    })
}

fn all_known(list: &str, meaning: impl Fn(&str) -> RetryOn) -> bool {
    list.split(',').filter(|name| !name.is_empty()).all(|name| !meaning(name).is_empty())
}
