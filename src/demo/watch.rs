//! One line a second on the terminal: requests by status class, and latency.

use std::{fmt::Write as _, rc::Rc, sync::Arc, time::Duration};

use nuncio_stats::{
    Counter, Group,
    templates::{http_scope, http_stats},
};

use crate::{exit::say, server::Server};

const CLASSES: [(&str, Counter); 4] = [
    ("2xx", http_stats::DOWNSTREAM_RQ_2XX),
    ("3xx", http_stats::DOWNSTREAM_RQ_3XX),
    ("4xx", http_stats::DOWNSTREAM_RQ_4XX),
    ("5xx", http_stats::DOWNSTREAM_RQ_5XX),
];

/// The `stat_prefix` in the demo's configuration.
const PREFIX: &str = "demo";

/// Prints until the process ends. The line is rewritten in place.
pub(super) async fn watch(server: Rc<Server>) {
    let group = server.store.group(&http_stats::TEMPLATE, http_scope(PREFIX));
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut before = counts(&group);
    loop {
        ticks.tick().await;
        let now = counts(&group);
        let mut line = format!("\r\x1b[K  {:>6} req/s ", now.iter().sum::<u64>().wrapping_sub(before.iter().sum()));
        for (((name, _), now), before) in CLASSES.iter().zip(now).zip(before) {
            // Writing into a String cannot fail.
            let _ = write!(line, "  {name} {:>5}", now.wrapping_sub(before));
        }
        if let Some((median, tail)) = latency(&server) {
            let _ = write!(line, "   p50 {}  p99 {}", millis(median), millis(tail));
        }
        say(&line);
        before = now;
    }
}

/// Latencies are whole milliseconds: below one they are only known to be below one.
fn millis(value: f64) -> String {
    if value < 1.0 { "< 1 ms".to_owned() } else { format!("{value:.0} ms") }
}

fn counts(group: &Arc<Group>) -> [u64; 4] {
    CLASSES.map(|(_, counter)| group.counter(counter))
}

/// Median and 99th percentile of the last flush interval.
fn latency(server: &Server) -> Option<(f64, f64)> {
    let snapshot = server.store.snapshot();
    let wanted = format!("http.{PREFIX}.downstream_rq_time");
    let sample = snapshot.histograms.iter().find(|sample| sample.name.dotted() == wanted)?;
    Some((sample.interval.quantile(0.5)?, sample.interval.quantile(0.99)?))
}
