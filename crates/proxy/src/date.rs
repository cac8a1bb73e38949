//! The `date` header, formatted once a second.
//!
//! The wall clock is read when a second is over by the monotonic one, so that a response costs no
//! clock of its own; a wall clock that is set shows within a second.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;
use tokio::time::Instant;

/// The last second's text.
#[derive(Default)]
pub(crate) struct DateCache {
    last: RefCell<Option<Second>>,
}

struct Second {
    ends: Instant,
    text: HeaderValue,
}

impl DateCache {
    /// The date at `now`, as RFC 9110 section 5.6.7 writes it.
    pub(crate) fn value(&self, now: Instant) -> HeaderValue {
        let mut last = self.last.borrow_mut();
        match &*last {
            Some(second) if now < second.ends => second.text.clone(),
            _ => last.insert(Second::at(now)).text.clone(),
        }
    }
}

impl Second {
    fn at(now: Instant) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let left = Duration::from_secs(1).saturating_sub(Duration::from_nanos(since.subsec_nanos().into()));
        let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(since.as_secs()));
        let epoch = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT");
        Self { ends: now + left, text: HeaderValue::from_str(&text).unwrap_or(epoch) }
    }
}
