//! `/stats?format=html`: the stats as a page with a form for the parameters, and
//! `/stats?format=active-html`: the same list, the busiest first, asked for anew again and again.

use nuncio_stats::{
    KindFilter, StatsQuery, StatsSnapshot,
    output::{self, HistogramShape},
};

use super::{
    page::escaped,
    reply::{AdminRequest, Reply},
};

const ACTIVE: &str = include_str!("stats_page.html");

/// Where the form goes in [`ACTIVE`].
const PLACE: &str = "<!-- form -->";

/// The page of the present stats.
pub(super) fn page(request: &AdminRequest, snapshot: &StatsSnapshot, query: &StatsQuery<'_>) -> Reply {
    let wanted = |kinds: &[KindFilter]| -> String {
        let printed = kinds.iter().filter(|kind| query.kind == KindFilter::All || query.kind == **kind);
        printed.map(|kind| section(*kind, snapshot, query)).collect()
    };
    let texts = wanted(&[KindFilter::TextReadouts]);
    let numbers = wanted(&[KindFilter::Counters, KindFilter::Gauges]);
    let mut numbers: Vec<&str> = numbers.split_inclusive('\n').collect();
    numbers.sort_unstable();
    let numbers = numbers.concat();
    let histograms = wanted(&[KindFilter::Histograms]);
    let mut body = String::new();
    for (name, text) in [("text readouts", texts), ("counters or gauges", numbers), ("Histograms", histograms)] {
        if text.is_empty() {
            body.push_str(&format!("<br/><i>No {name} found</i><br/>\n"));
        } else {
            body.push_str(&format!("<pre>\n{}</pre>\n", escaped(&text)));
        }
    }
    let head = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>stats</title></head>\n<body>\n";
    Reply::html(format!("{head}{}{body}</body>\n</html>\n", form(request)))
}

/// The page that watches the stats.
pub(super) fn active(request: &AdminRequest) -> Reply {
    Reply::html(ACTIVE.replacen(PLACE, &form(request), 1))
}

fn section(kind: KindFilter, snapshot: &StatsSnapshot, query: &StatsQuery<'_>) -> String {
    let mut text = String::new();
    output::text(snapshot, &StatsQuery { kind, histograms: HistogramShape::Quantiles, ..*query }, &mut text);
    text
}

/// The parameters as they were given, to be changed and sent again.
fn form(request: &AdminRequest) -> String {
    let given = |name: &str| escaped(request.param(name).unwrap_or_default());
    let text = |name: &str| format!("<input name=\"{name}\" placeholder=\"{name}\" value=\"{}\">", given(name));
    let flag = |name: &str| {
        let checked = if request.param(name).is_some() { " checked" } else { "" };
        format!("<label><input type=\"checkbox\" name=\"{name}\"{checked}>{name}</label>")
    };
    let choice = |name: &str, values: &[&str]| {
        let option = |value: &&str| {
            let selected = if given(name) == *value { " selected" } else { "" };
            format!("<option{selected}>{value}</option>")
        };
        format!("<select name=\"{name}\">{}</select>", values.iter().map(option).collect::<String>())
    };
    format!(
        "<form action=\"/stats\" method=\"get\">{}{}{}{}{}<button>stats</button></form>\n",
        text("filter"),
        flag("usedonly"),
        flag("invert_filter"),
        choice("format", &["html", "active-html", "text", "json"]),
        choice("type", &["All", "Counters", "Histograms", "Gauges", "TextReadouts"]),
    )
}
