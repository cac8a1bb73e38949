//! `/stats` and `/stats/prometheus`.

use std::rc::Rc;

use nuncio_stats::output::{self, HistogramShape, KindFilter, StatsQuery};
use regex::Regex;

use super::{
    reply::{AdminRequest, Reply},
    stats_page,
};
use crate::server::Server;

/// Formats of `/stats`.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Text,
    Json,
    Prometheus,
    Html,
    ActiveHtml,
}

/// `/stats`
pub(super) fn stats(server: &Rc<Server>, request: &AdminRequest) -> Reply {
    let format = match request.param("format") {
        None | Some("" | "text") => Format::Text,
        Some("json") => Format::Json,
        Some("prometheus") => Format::Prometheus,
        Some("html") => Format::Html,
        Some("active-html") => Format::ActiveHtml,
        Some(_) => {
            return Reply::bad_request("usage: /stats?format=(html|active-html|json|prometheus|text)\n\n");
        }
    };
    print(server, request, format)
}

/// `/stats/prometheus`
pub(super) fn prometheus(server: &Rc<Server>, request: &AdminRequest) -> Reply {
    print(server, request, Format::Prometheus)
}

fn print(server: &Rc<Server>, request: &AdminRequest, format: Format) -> Reply {
    let pattern = match request.param("filter").filter(|pattern| !pattern.is_empty()).map(Regex::new).transpose() {
        Ok(pattern) => pattern,
        Err(error) => {
            return Reply::bad_request(format!("Invalid re2 regex: {}", last_line(&error)));
        }
    };
    let (kind, histograms) = match (kind(request), shape(request)) {
        (Some(kind), Some(histograms)) => (kind, histograms),
        (None, _) => return Reply::bad_request("invalid &type= param"),
        (_, None) => {
            let usage = "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary|prometheusnative)\n";
            return Reply::bad_request(usage);
        }
    };
    let is_inverted = request.param("invert_filter").is_some();
    let filter = |name: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(name) != is_inverted);
    if format == Format::ActiveHtml {
        return stats_page::active(request);
    }
    let query = StatsQuery {
        used_only: request.param("usedonly").is_some(),
        filter: &filter,
        kind,
        histograms,
        text_readouts: request.param("text_readouts").is_some(),
    };
    server.refresh_stats();
    let snapshot = server.store.snapshot();
    let mut out = String::new();
    match format {
        Format::Text => {
            output::text(&snapshot, &query, &mut out);
            Reply::text(out)
        }
        Format::Json => {
            output::json(&snapshot, &query, &mut out);
            Reply::raw_json(out)
        }
        Format::Html | Format::ActiveHtml => stats_page::page(request, &snapshot, &query),
        Format::Prometheus => {
            output::prometheus(&snapshot, &query, &mut out);
            Reply::text(out)
        }
    }
}

fn kind(request: &AdminRequest) -> Option<KindFilter> {
    Some(match request.param("type") {
        None | Some("" | "All") => KindFilter::All,
        Some("Counters") => KindFilter::Counters,
        Some("Gauges") => KindFilter::Gauges,
        Some("Histograms") => KindFilter::Histograms,
        Some("TextReadouts") => KindFilter::TextReadouts,
        Some(_) => return None,
    })
}

fn shape(request: &AdminRequest) -> Option<HistogramShape> {
    Some(match request.param("histogram_buckets") {
        None | Some("" | "none") => HistogramShape::Quantiles,
        Some("cumulative") => HistogramShape::Cumulative,
        Some("disjoint") => HistogramShape::Disjoint,
        Some("detailed") => HistogramShape::Detailed,
        Some("summary") => HistogramShape::Summary,
        Some(_) => return None,
    })
}

/// The sentence of a regular expression's error, without its drawing.
pub(super) fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
