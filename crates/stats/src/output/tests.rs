//! Shapes and orders, compared with lines that Envoy 1.40 printed.

use super::*;
use crate::templates::{cluster_scope, cluster_stats, endpoint_scope, endpoint_stats, http_scope, http_stats};
use crate::{ScopeName, Store, StoreSettings, Tag, stat_template};

stat_template! {
    /// A listener filter and a subscription in one.
    pub mod sample_stats {
        counters { misses, hits }
        gauges { depth }
        histograms { bytes_processed: Bytes, never: Bytes }
        texts { version_text }
    }
}

/// The `tls_inspector.bytes_processed` that was captured.
fn sample_store() -> std::sync::Arc<Store> {
    let store = Store::new(1);
    let group = store.group(&sample_stats::TEMPLATE, ScopeName::root().part("tls"));
    let shard = group.shard(1);
    shard.add(sample_stats::HITS, 3);
    shard.gauge_set(sample_stats::DEPTH, u64::MAX);
    shard.text_set(sample_stats::VERSION_TEXT, "say \"1\"");
    for value in [5, 510, 512, 517, 519] {
        shard.record(sample_stats::BYTES_PROCESSED, value);
    }
    store.flush();
    store
}

fn shown(
    store: &Store,
    print: fn(&crate::StatsSnapshot, &StatsQuery<'_>, &mut String),
    query: &StatsQuery<'_>,
) -> String {
    let mut out = String::new();
    print(&store.snapshot(), query, &mut out);
    out
}

fn only(kind: KindFilter, histograms: HistogramShape) -> StatsQuery<'static> {
    StatsQuery { kind, histograms, used_only: true, ..StatsQuery::default() }
}

const QUANTILES_AS_TEXT: &str = "P0(5.05,5.05) P25(511.99999999999994,511.99999999999994) P50(514,514) P75(516,516) \
    P90(518,518) P95(518,518) P99(518,518) P99.5(518,518) P99.9(518,518) P100(518,518)";

#[test]
fn text_lists_readouts_then_numbers_then_histograms() {
    let text = shown(&sample_store(), text, &StatsQuery::default());
    let expected = format!(
        "tls.version_text: \"say \"1\"\"\ntls.depth: 18446744073709551615\ntls.hits: 3\ntls.misses: 0\n\
         tls.bytes_processed: {QUANTILES_AS_TEXT}\ntls.never: No recorded values\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn used_only_hides_what_was_never_written() {
    let query = StatsQuery { used_only: true, ..StatsQuery::default() };
    let text = shown(&sample_store(), text, &query);
    assert!(text.contains("tls.hits: 3") && !text.contains("misses") && !text.contains("never"));
    let mut cheap = String::new();
    super::text(&sample_store().snapshot_used(), &StatsQuery::default(), &mut cheap);
    assert_eq!(cheap, text);
}

#[test]
fn a_filter_sees_the_dotted_name() {
    let query = StatsQuery { filter: &|name| name == "tls.hits", ..StatsQuery::default() };
    assert_eq!(shown(&sample_store(), text, &query), "tls.hits: 3\n");
    assert_eq!(shown(&sample_store(), json, &query), "{\"stats\":[{\"name\":\"tls.hits\",\"value\":3}]}");
    let nothing = StatsQuery { filter: &|_| false, ..StatsQuery::default() };
    assert_eq!(shown(&sample_store(), json, &nothing), "{\"stats\":[]}");
}

#[test]
fn text_shows_buckets_in_three_ways() {
    let store = sample_store();
    let of = |shape| shown(&store, text, &only(KindFilter::Histograms, shape));
    let cumulative = "tls.bytes_processed: B0.5(0,0) B1(0,0) B5(1,1) B10(1,1) B25(1,1) B50(1,1) B100(1,1) B250(1,1) \
        B500(1,1) B1000(5,5) B2500(5,5) B5000(5,5) B10000(5,5) B30000(5,5) B60000(5,5) B300000(5,5) B600000(5,5) \
        B1.8e+06(5,5) B3.6e+06(5,5)\n";
    assert_eq!(of(HistogramShape::Cumulative), cumulative);
    let disjoint = of(HistogramShape::Disjoint);
    assert!(disjoint.contains(" B1(0,0) B5(1,1) B10(0,0) ") && disjoint.contains(" B500(0,0) B1000(4,4) B2500(0,0) "));
    let detailed = format!(
        "tls.bytes_processed:\n  totals=5,0.1:1, 510,10:4\n  intervals=5,0.1:1, 510,10:4\n  summary={QUANTILES_AS_TEXT}\n"
    );
    assert_eq!(of(HistogramShape::Detailed), detailed);
}

#[test]
fn an_empty_interval_has_no_quantiles() {
    let store = sample_store();
    store.flush();
    let text = shown(&store, text, &only(KindFilter::Histograms, HistogramShape::Detailed));
    assert!(text.contains("\n  intervals=\n  summary=P0(nan,5.05) P25(nan,511.99999999999994)"));
    let json = shown(&store, json, &only(KindFilter::Histograms, HistogramShape::Quantiles));
    assert!(json.contains("\"values\":[{\"cumulative\":5.05,\"interval\":null},"));
}

#[test]
fn json_has_numbers_and_one_element_of_histograms() {
    let json = shown(&sample_store(), json, &StatsQuery::default());
    let start = "{\"stats\":[{\"name\":\"tls.version_text\",\"value\":\"say \\\"1\\\"\"},\
        {\"name\":\"tls.depth\",\"value\":18446744073709551615},{\"name\":\"tls.hits\",\"value\":3},\
        {\"name\":\"tls.misses\",\"value\":0},{\"histograms\":{\"supported_quantiles\":\
        [0,25,50,75,90,95,99,99.5,99.9,100],\"computed_quantiles\":[{\"name\":\"tls.bytes_processed\",\"values\":\
        [{\"cumulative\":5.05,\"interval\":5.05},{\"cumulative\":511.99999999999994,\"interval\":511.99999999999994},";
    assert!(json.starts_with(start), "{json}");
    assert!(json.ends_with("{\"cumulative\":null,\"interval\":null}]}]}}]}"));
    serde_json::from_str::<serde_json::Value>(&json).unwrap();
}

#[test]
fn json_shows_buckets_in_three_ways() {
    let store = sample_store();
    let of = |shape| shown(&store, json, &only(KindFilter::Histograms, shape));
    let cumulative = of(HistogramShape::Cumulative);
    let start = "{\"stats\":[{\"histograms\":[{\"name\":\"tls.bytes_processed\",\"buckets\":[{\"upper_bound\":0.5,\
        \"interval\":0,\"cumulative\":0},{\"upper_bound\":1,";
    assert!(cumulative.starts_with(start), "{cumulative}");
    assert!(cumulative.contains("{\"upper_bound\":3e+05,\"interval\":5,\"cumulative\":5}"));
    assert!(cumulative.ends_with("{\"upper_bound\":3600000,\"interval\":5,\"cumulative\":5}]}]}]}"));
    let detailed = of(HistogramShape::Detailed);
    assert!(detailed.contains("{\"supported_percentiles\":[0,25,"));
    assert!(detailed.contains(
        "\"details\":[{\"name\":\"tls.bytes_processed\",\"totals\":[{\"lower_bound\":5,\"width\":0.1,\"count\":1},"
    ));
    for json in [cumulative, detailed, of(HistogramShape::Disjoint)] {
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
    }
}

#[test]
fn prometheus_groups_by_the_extracted_name() {
    let store = Store::new(1);
    for cluster in ["up", "noconn"] {
        let shard = store.group(&cluster_stats::TEMPLATE, cluster_scope(cluster)).shard(1);
        shard.dynamic_inc(cluster_stats::EXTERNAL_UPSTREAM_RQ, 503);
        shard.dynamic_inc(cluster_stats::EXTERNAL_UPSTREAM_RQ, 200);
    }
    store.group(&http_stats::TEMPLATE, http_scope("in")).shard(1).inc(http_stats::DOWNSTREAM_RQ_2XX);
    let query = StatsQuery { used_only: true, ..StatsQuery::default() };
    let expected = "\
# TYPE envoy_cluster_external_upstream_rq counter
envoy_cluster_external_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"noconn\"} 1
envoy_cluster_external_upstream_rq{envoy_response_code=\"503\",envoy_cluster_name=\"noconn\"} 1
envoy_cluster_external_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"up\"} 1
envoy_cluster_external_upstream_rq{envoy_response_code=\"503\",envoy_cluster_name=\"up\"} 1
# TYPE envoy_cluster_external_upstream_rq_completed counter
envoy_cluster_external_upstream_rq_completed{envoy_cluster_name=\"noconn\"} 2
envoy_cluster_external_upstream_rq_completed{envoy_cluster_name=\"up\"} 2
# TYPE envoy_cluster_external_upstream_rq_xx counter
envoy_cluster_external_upstream_rq_xx{envoy_response_code_class=\"2\",envoy_cluster_name=\"noconn\"} 1
envoy_cluster_external_upstream_rq_xx{envoy_response_code_class=\"5\",envoy_cluster_name=\"noconn\"} 1
envoy_cluster_external_upstream_rq_xx{envoy_response_code_class=\"2\",envoy_cluster_name=\"up\"} 1
envoy_cluster_external_upstream_rq_xx{envoy_response_code_class=\"5\",envoy_cluster_name=\"up\"} 1
# TYPE envoy_http_downstream_rq_xx counter
envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\",envoy_http_conn_manager_prefix=\"in\"} 1
";
    assert_eq!(shown(&store, prometheus, &query), expected);
}

#[test]
fn prometheus_prints_a_histogram_as_envoy_does() {
    let query = StatsQuery { used_only: true, text_readouts: true, ..StatsQuery::default() };
    let text = shown(&sample_store(), prometheus, &query);
    let start = "# TYPE envoy_tls_hits counter\nenvoy_tls_hits{} 3\n# TYPE envoy_tls_depth gauge\n\
        envoy_tls_depth{} 18446744073709551615\n# TYPE envoy_tls_version_text gauge\n\
        envoy_tls_version_text{text_value=\"say \\\"1\\\"\"} 0\n# TYPE envoy_tls_bytes_processed histogram\n\
        envoy_tls_bytes_processed_bucket{le=\"0.5\"} 0\n";
    assert!(text.starts_with(start), "{text}");
    let end = "envoy_tls_bytes_processed_bucket{le=\"3600000\"} 5\nenvoy_tls_bytes_processed_bucket{le=\"+Inf\"} 5\n\
        envoy_tls_bytes_processed_sum{} 2064.8553301932133763330057263374\nenvoy_tls_bytes_processed_count{} 5\n";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn a_summary_speaks_about_the_interval() {
    let store = sample_store();
    let query = only(KindFilter::Histograms, HistogramShape::Summary);
    assert!(shown(&store, prometheus, &query).contains("envoy_tls_bytes_processed{quantile=\"0.5\"} 514\n"));
    store.flush();
    let text = shown(&store, prometheus, &query);
    assert!(
        text.starts_with("# TYPE envoy_tls_bytes_processed summary\nenvoy_tls_bytes_processed{quantile=\"0\"} nan\n")
    );
    assert!(text.ends_with("envoy_tls_bytes_processed_sum{} 0\nenvoy_tls_bytes_processed_count{} 0\n"));
}

#[test]
fn fixed_tags_stand_behind_the_code_and_before_the_scope() {
    let store = Store::new(1);
    let tag = |name: &'static str, value: &str| Tag { name: name.into(), value: value.to_owned() };
    let fixed_tags = vec![tag("cli", "tagv"), tag("fixed.one", "v\"1\\x")];
    store.configure(StoreSettings { fixed_tags, ..StoreSettings::default() });
    let shard = store.group(&http_stats::TEMPLATE, http_scope("in:g")).shard(1);
    shard.add(http_stats::DOWNSTREAM_RQ_2XX, 4);
    let text = shown(&store, prometheus, &only(KindFilter::Counters, HistogramShape::Quantiles));
    let expected = "envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\",cli=\"tagv\",fixed_one=\"v\\\"1\\\\x\",\
        envoy_http_conn_manager_prefix=\"in_g\"} 4\n";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn endpoints_come_last() {
    let store = Store::new(1);
    let endpoint = store.group(&endpoint_stats::TEMPLATE, endpoint_scope("c", "127.0.0.1:1", "h")).shard(1);
    endpoint.inc(endpoint_stats::CX_TOTAL);
    endpoint.gauge_set(endpoint_stats::HEALTHY, 1);
    let _server = store.group(&sample_stats::TEMPLATE, ScopeName::root().part("zone"));
    let text = shown(&store, text, &StatsQuery { kind: KindFilter::All, ..StatsQuery::default() });
    let numbers: Vec<&str> = text.lines().filter(|line| line.contains(['1', '0'])).collect();
    assert_eq!(
        numbers[..4],
        ["zone.depth: 0", "zone.hits: 0", "zone.misses: 0", "cluster.c.endpoint.127.0.0.1_1.cx_connect_fail: 0"]
    );
    let exposed = shown(&store, prometheus, &only(KindFilter::Gauges, HistogramShape::Quantiles));
    let expected = "# TYPE envoy_cluster_endpoint_healthy gauge\nenvoy_cluster_endpoint_healthy{envoy_cluster_name=\"c\",\
        envoy_endpoint_address=\"127.0.0.1:1\",envoy_endpoint_hostname=\"h\"} 1\n";
    assert_eq!(exposed, expected);
}

#[test]
fn configured_buckets_replace_the_default_ones() {
    let store = Store::new(1);
    let buckets: crate::BucketChoice =
        Box::new(|name| (name == "tls.bytes_processed").then(|| [1.0, 10.5, 510.0].into()));
    store.configure(StoreSettings { buckets: Some(buckets), ..StoreSettings::default() });
    store
        .group(&sample_stats::TEMPLATE, ScopeName::root().part("tls"))
        .shard(1)
        .record(sample_stats::BYTES_PROCESSED, 7);
    store.flush();
    let text = shown(&store, text, &only(KindFilter::Histograms, HistogramShape::Cumulative));
    assert_eq!(text, "tls.bytes_processed: B1(0,0) B10.5(1,1) B510(1,1)\n");
}
