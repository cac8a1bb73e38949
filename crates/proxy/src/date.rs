//! The `date` header, formatted once a second.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;

/// The last second's text.
pub(crate) struct DateCache {
    last: RefCell<(u64, HeaderValue)>,
}

impl Default for DateCache {
    fn default() -> Self {
        Self { last: RefCell::new((0, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))) }
    }
}

impl DateCache {
    /// Now, as RFC 9110 section 5.6.7 writes it.
    pub(crate) fn value(&self) -> HeaderValue {
        let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let mut last = self.last.borrow_mut();
        if last.0 != second {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            if let Ok(value) = HeaderValue::from_str(&text) {
                *last = (second, value);
            }
        }
        last.1.clone()
    }
}
