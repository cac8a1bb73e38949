//! How long a request, each of its tries and its stream may take: pure functions of route, request
//! and settings.
//!
//! What an internal client asks for in headers (`x-envoy-upstream-rq-timeout-ms` and its like, which
//! external ones cannot send) goes before the route. Zero means no limit, as in Envoy. The same
//! functions say what the upstream is told: `x-envoy-expected-rq-timeout-ms` and `grpc-timeout`.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use nuncio_api::{Headers, RequestHead, Runtime, names};
use nuncio_config::model::{HttpConnectionManager, hcm::Router, route::Forward};
use tokio::time::Instant;

use super::told::told;

const COUNTS_TIME_USED: &str = "nuncio.expected_timeout_counts_time_used";

/// The limits of a request and of its tries. No limit is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// From the end of the request to the end of the response.
    pub global: Option<Duration>,
    /// The same for one try, up to its response head.
    pub per_try: Option<Duration>,
    /// Without anything from the upstream, in one try.
    pub per_try_idle: Option<Duration>,
    /// One try altogether, as the client asks.
    pub per_try_duration: Option<Duration>,
    /// A try that is late stays in the race.
    pub hedge: bool,
    /// A timeout is answered with 204.
    pub alternative: bool,
    /// The upstream learns the expected timeout from `grpc-timeout` too (`max_grpc_timeout`).
    tells_grpc: bool,
}

/// The limit of the whole stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamDuration {
    /// From the request head on; `None` = no limit.
    pub limit: Option<Duration>,
    /// What becomes of `grpc-timeout`.
    pub grpc_timeout: GrpcTimeout,
}

/// What becomes of the `grpc-timeout` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum GrpcTimeout {
    /// It stays.
    #[default]
    Keep,
    /// There is no limit to tell of.
    Remove,
    /// It says this.
    Set(Duration),
}

impl Timeouts {
    /// The limits of `request` on this route.
    pub(crate) fn of(forward: &Forward, router: &Router, request: &RequestHead, grpc: bool) -> Self {
        let expected = names::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS;
        let respected = router.respect_expected_rq_timeout;
        let headers = told(&request.headers, Some(&expected).filter(|_| !respected));
        let old_grpc = forward.max_stream.max_grpc_timeout.filter(|_| grpc && !forward.max_stream.is_newer);
        let configured = match old_grpc {
            Some(max) => old_grpc_timeout(&request.headers, max, forward.max_stream.grpc_timeout_offset),
            None if forward.max_stream.is_newer => Duration::ZERO,
            None => forward.timeout.unwrap_or(Duration::ZERO),
        };
        let expected = headers.get_str(&expected).filter(|_| respected).map(milliseconds);
        let asked = expected.unwrap_or_else(|| header_ms(headers, &names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS));
        let global = asked.unwrap_or(configured);
        let policy = forward.retry.as_deref();
        let per_try = header_ms(headers, &names::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS)
            .or_else(|| policy.and_then(|policy| policy.per_try_timeout))
            // One that is not shorter than the whole means nothing.
            .filter(|own| global.is_zero() || *own < global);
        Self {
            global: limit(global),
            per_try: per_try.and_then(limit),
            per_try_idle: policy.and_then(|policy| policy.per_try_idle_timeout).and_then(limit),
            per_try_duration: header_ms(headers, &names::X_ENVOY_UPSTREAM_STREAM_DURATION_MS),
            hedge: match headers.get_str(&names::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT) {
                Some("true") => true,
                Some("false") => false,
                _ => forward.hedge.on_per_try_timeout,
            },
            alternative: headers.contains(&names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE),
            tells_grpc: old_grpc.is_some(),
        }
    }

    /// How long the upstream may expect the client to wait, when `used` of the time is gone.
    pub(crate) fn expected(&self, used: Duration) -> Option<Duration> {
        let own = if self.hedge { self.global } else { self.per_try.or(self.global) }?;
        match self.global {
            // Nothing is left, but zero would mean no limit.
            Some(global) if used >= global => Some(Duration::from_millis(1)),
            Some(global) => Some(own.min(global - used)),
            None => Some(own),
        }
    }

    /// The part of the time that is gone when the request first goes up, as far as it is told.
    /// Envoy tells the whole; `nuncio.expected_timeout_counts_time_used` in the runtime subtracts
    /// what has passed since the request came.
    pub(crate) fn used_before(runtime: &Runtime, start: Instant) -> Duration {
        if runtime.bool(COUNTS_TIME_USED, false) { start.elapsed() } else { Duration::ZERO }
    }

    /// Tells the upstream.
    pub(crate) fn tell(&self, used: Duration, suppress_envoy_headers: bool, headers: &mut Headers) {
        let Some(expected) = self.expected(used) else { return };
        if !suppress_envoy_headers {
            headers.set(names::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, HeaderValue::from(whole_ms(expected)));
        }
        if self.tells_grpc {
            headers.set(names::GRPC_TIMEOUT, grpc_timeout_value(expected));
        }
    }
}

impl StreamDuration {
    /// The limit of the stream of `request` on this route.
    pub(crate) fn of(forward: &Forward, manager: &HttpConnectionManager, request: &RequestHead, grpc: bool) -> Self {
        let own = &forward.max_stream;
        let longest = match own.grpc_max.and_then(|max| Some((grpc_timeout(&request.headers)?, max))) {
            Some((asked, max)) => {
                let capped = if max.is_zero() { asked } else { asked.min(max) };
                Some(capped.saturating_sub(own.grpc_offset.unwrap_or(Duration::ZERO)))
            }
            None => own.limit.or(manager.common.max_stream_duration).and_then(limit),
        };
        let grpc_timeout = match longest {
            _ if !(own.is_newer && grpc) => GrpcTimeout::Keep,
            Some(longest) => GrpcTimeout::Set(longest),
            None => GrpcTimeout::Remove,
        };
        Self { limit: longest, grpc_timeout }
    }
}

/// `max_grpc_timeout` (deprecated): what the client asks, within what the route allows.
fn old_grpc_timeout(headers: &Headers, max: Duration, offset: Option<Duration>) -> Duration {
    let mut asked = grpc_timeout(headers).unwrap_or(Duration::ZERO);
    if let Some(offset) = offset.filter(|offset| *offset < asked) {
        asked -= offset;
    }
    if !max.is_zero() && (asked.is_zero() || asked > max) { max } else { asked }
}

/// `grpc-timeout` (gRPC over HTTP/2: up to eight digits and a unit), in whole milliseconds.
pub(crate) fn grpc_timeout(headers: &Headers) -> Option<Duration> {
    let text = headers.get_str(&names::GRPC_TIMEOUT)?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        // Rounded up: shorter than a millisecond is not nothing.
        "u" => Duration::from_millis(count.div_ceil(1_000)),
        "n" => Duration::from_millis(count.div_ceil(1_000_000)),
        _ => return None,
    })
}

/// The finest unit that holds it in eight digits.
pub(crate) fn grpc_timeout_value(timeout: Duration) -> HeaderValue {
    const MOST: u64 = 99_999_999;
    let ms = whole_ms(timeout);
    let units = [(ms, 'm'), (ms / 1000, 'S'), (ms / 60_000, 'M')];
    let fits = units.into_iter().find(|(count, _)| *count <= MOST);
    let (count, unit) = fits.unwrap_or(((ms / 3_600_000).min(MOST), 'H'));
    HeaderValue::try_from(format!("{count}{unit}")).unwrap_or(HeaderValue::from_static("0m"))
}

fn limit(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

fn header_ms(headers: &Headers, name: &HeaderName) -> Option<Duration> {
    headers.get_str(name).and_then(milliseconds)
}

fn milliseconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_millis)
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn headers(list: &[(HeaderName, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in list {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn grpc_timeouts_are_read_in_every_unit() {
        for (text, want) in [
            ("1H", Some(ms(3_600_000))),
            ("2M", Some(ms(120_000))),
            ("3S", Some(ms(3000))),
            ("4m", Some(ms(4))),
            ("1500u", Some(ms(2))),
            ("1n", Some(ms(1))),
            ("99999999m", Some(ms(99_999_999))),
            ("123456789m", None),
            ("m", None),
            ("", None),
            ("5", None),
            ("-5m", None),
            ("5 m", None),
        ] {
            assert_eq!(grpc_timeout(&headers(&[(names::GRPC_TIMEOUT, text)])), want, "{text}");
        }
    }

    #[test]
    fn grpc_timeouts_are_written_in_eight_digits() {
        for (timeout, want) in [(ms(5), "5m"), (ms(99_999_999), "99999999m"), (ms(100_000_000), "100000S")] {
            assert_eq!(grpc_timeout_value(timeout), want);
        }
    }

    #[test]
    fn the_upstream_is_told_what_is_left() {
        let timeouts = Timeouts { global: Some(ms(100)), per_try: Some(ms(40)), ..Timeouts::default() };
        for (used, want) in [(0, 40), (50, 40), (80, 20), (100, 1), (1000, 1)] {
            assert_eq!(timeouts.expected(ms(used)), Some(ms(want)), "{used}");
        }
        assert_eq!(Timeouts { hedge: true, ..timeouts }.expected(ms(10)), Some(ms(90)));
        assert_eq!(Timeouts { global: None, ..timeouts }.expected(ms(1000)), Some(ms(40)));
        assert_eq!(Timeouts::default().expected(ms(1)), None);
    }
}
