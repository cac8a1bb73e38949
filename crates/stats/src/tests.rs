use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::templates::{cluster_scope, cluster_stats, http_scope, http_stats};
use super::*;

stat_template! {
    /// Stats of the tests.
    pub mod door_stats {
        counters { opened, jammed => "lock.jammed" }
        gauges { open_now }
        histograms { open_time: Milliseconds }
        histograms_when_used { slam: Unspecified }
        texts { last_guest }
        codes { answer => "external.door_rq" }
        codes_with_completed { door_rq }
    }
}

fn door(store: &Store) -> Arc<Group> {
    store.group(&door_stats::TEMPLATE, ScopeName::root().part("door"))
}

fn number(snapshot: &StatsSnapshot, name: &str) -> Option<Number> {
    snapshot.numbers.iter().find(|number| number.name.dotted() == name).cloned()
}

fn value(snapshot: &StatsSnapshot, name: &str) -> u64 {
    number(snapshot, name).map_or(u64::MAX, |number| number.value)
}

#[test]
fn constants_index_their_template() {
    assert_eq!((door_stats::OPENED, door_stats::JAMMED), (Counter(0), Counter(1)));
    assert_eq!(door_stats::SLAM, Histogram(1));
    assert_eq!(door_stats::TEMPLATE.counters[1].name, "lock.jammed");
    assert_eq!(door_stats::DOOR_RQ, Dynamic(1));
    let index = usize::from(cluster_stats::UPSTREAM_RQ_TOTAL.0);
    assert_eq!(cluster_stats::TEMPLATE.counters[index].name, "upstream_rq_total");
}

#[test]
fn a_value_is_the_sum_over_the_workers() {
    let store = Store::new(2);
    let group = door(&store);
    for worker in 0..=2 {
        let shard = group.shard(worker);
        shard.inc(door_stats::OPENED);
        shard.add(door_stats::OPENED, 10);
        shard.gauge_inc(door_stats::OPEN_NOW);
    }
    group.shard(1).gauge_add(door_stats::OPEN_NOW, -2);
    assert_eq!(group.counter(door_stats::OPENED), 33);
    assert_eq!(group.gauge(door_stats::OPEN_NOW), 1);
}

#[test]
fn one_scope_is_one_group_until_its_last_owner_removes_it() {
    let store = Store::new(1);
    let first = door(&store);
    let second = door(&store);
    assert!(Arc::ptr_eq(&first, &second));
    store.remove(&first);
    assert_eq!(store.census().groups, 1);
    store.remove(&second);
    assert_eq!(store.census().groups, 0);
    assert!(!Arc::ptr_eq(&first, &door(&store)));
}

#[test]
fn an_unused_group_has_no_storage_and_is_listed_with_zeros() {
    let store = Store::new(4);
    let groups: Vec<Arc<Group>> =
        (0..1000).map(|n| store.group(&cluster_stats::TEMPLATE, cluster_scope(&format!("c{n}")))).collect();
    groups[7].shard(2).inc(cluster_stats::UPSTREAM_RQ_TOTAL);
    groups[7].shard(2).inc(cluster_stats::UPSTREAM_RQ_TOTAL);
    let census = store.census();
    assert_eq!((census.groups, census.blocks), (1000, 1));
    let flushed = store.flush();
    assert_eq!(flushed.numbers.len(), 1);
    let snapshot = store.snapshot();
    assert_eq!(store.census().blocks, 1);
    assert_eq!(value(&snapshot, "cluster.c7.upstream_rq_total"), 2);
    assert_eq!(value(&snapshot, "cluster.c8.upstream_rq_total"), 0);
    assert!(!number(&snapshot, "cluster.c8.upstream_rq_total").unwrap().used);
}

#[test]
fn a_gauge_that_went_back_to_zero_is_used() {
    let store = Store::new(1);
    let shard = door(&store).shard(1);
    shard.gauge_add(door_stats::OPEN_NOW, 1);
    shard.gauge_add(door_stats::OPEN_NOW, -1);
    shard.add(door_stats::JAMMED, 0);
    let snapshot = store.snapshot();
    let used = |name| number(&snapshot, name).map(|number| (number.value, number.used));
    assert_eq!(used("door.open_now"), Some((0, true)));
    assert_eq!(used("door.lock.jammed"), Some((0, true)));
    assert_eq!(used("door.opened"), Some((0, false)));
}

#[test]
fn a_worker_that_does_not_exist_counts_nothing() {
    let store = Store::new(1);
    let group = door(&store);
    let shard = group.shard(9);
    shard.inc(door_stats::OPENED);
    shard.record(door_stats::OPEN_TIME, 1);
    shard.dynamic_inc(door_stats::DOOR_RQ, 200);
    assert_eq!(group.counter(door_stats::OPENED), 0);
    assert_eq!(group.allocated_blocks(), 0);
}

#[test]
fn response_codes_make_their_counters_when_they_come() {
    let store = Store::new(1);
    let shard = door(&store).shard(1);
    let names = |snapshot: &StatsSnapshot| -> Vec<String> {
        let numbers = snapshot.numbers.iter().map(|number| format!("{}={}", number.name.dotted(), number.value));
        numbers.filter(|line| line.contains("_rq_")).collect()
    };
    assert_eq!(names(&store.snapshot()), ["door.door_rq_completed=0"]);
    shard.dynamic_inc(door_stats::DOOR_RQ, 503);
    shard.dynamic_inc(door_stats::ANSWER, 200);
    let expected = [
        "door.door_rq_503=1",
        "door.door_rq_5xx=1",
        "door.door_rq_completed=1",
        "door.external.door_rq_200=1",
        "door.external.door_rq_2xx=1",
        "door.external.door_rq_completed=1",
    ];
    assert_eq!(names(&store.snapshot()), expected);
    assert_eq!(shard.group().code(door_stats::DOOR_RQ, 503), 1);
}

#[test]
fn a_code_is_a_tag_in_front_of_the_scopes_own() {
    let store = Store::new(1);
    let group = store.group(&cluster_stats::TEMPLATE, cluster_scope("up"));
    group.shard(1).dynamic_inc(cluster_stats::UPSTREAM_RQ, 200);
    let snapshot = store.snapshot();
    let code = number(&snapshot, "cluster.up.upstream_rq_200").unwrap().name;
    assert_eq!(code.extracted(), "cluster.upstream_rq");
    let labels: Vec<(&str, &str)> = code.tags().collect();
    assert_eq!(labels, [("envoy.response_code", "200"), ("envoy.cluster_name", "up")]);
    let class = number(&snapshot, "cluster.up.upstream_rq_2xx").unwrap().name;
    assert_eq!(class.extracted(), "cluster.upstream_rq_xx");
    let http = store.group(&http_stats::TEMPLATE, http_scope("in")).scope().clone();
    assert_eq!((http.dotted(), http.extracted()), ("http.in.", "http."));
}

#[test]
fn a_flush_latches_counters_and_a_reset_does_not_disturb_it() {
    let store = Store::new(1);
    let shard = door(&store).shard(1);
    shard.add(door_stats::OPENED, 5);
    shard.dynamic_inc(door_stats::DOOR_RQ, 200);
    let first = store.flush();
    let both = |snapshot: &StatsSnapshot, name| number(snapshot, name).map(|number| (number.value, number.delta));
    assert_eq!(both(&first, "door.opened"), Some((5, 5)));
    assert_eq!(both(&first, "door.door_rq_200"), Some((1, 1)));
    shard.add(door_stats::OPENED, 2);
    store.reset_counters();
    shard.inc(door_stats::OPENED);
    let second = store.flush();
    assert_eq!(both(&second, "door.opened"), Some((1, 3)));
    assert_eq!(both(&second, "door.door_rq_200"), Some((0, 0)));
    assert_eq!(both(&store.flush(), "door.opened"), Some((1, 0)));
}

#[test]
fn a_histogram_shows_at_a_flush() {
    let store = Store::new(2);
    let group = door(&store);
    group.shard(1).record(door_stats::OPEN_TIME, 4);
    group.shard(2).record(door_stats::OPEN_TIME, 6);
    let counts = |snapshot: &StatsSnapshot| -> Vec<(String, u64, u64)> {
        let all = snapshot.histograms.iter();
        all.map(|sample| (sample.name.dotted(), sample.interval.count(), sample.cumulative.count())).collect()
    };
    assert_eq!(counts(&store.snapshot()), [("door.open_time".to_owned(), 0, 0)]);
    assert_eq!(counts(&store.flush()), [("door.open_time".to_owned(), 2, 2)]);
    assert_eq!(counts(&store.snapshot()), [("door.open_time".to_owned(), 2, 2)]);
    group.shard(1).record(door_stats::SLAM, 1);
    let third = [("door.open_time".to_owned(), 0, 2), ("door.slam".to_owned(), 1, 1)];
    assert_eq!(counts(&store.flush()), third);
    assert_eq!(group.distribution(door_stats::OPEN_TIME).count(), 2);
}

#[test]
fn text_readouts_keep_their_last_value() {
    let store = Store::new(1);
    let group = door(&store);
    let shard = group.shard(0);
    assert_eq!(group.text(door_stats::LAST_GUEST), None);
    shard.text_set(door_stats::LAST_GUEST, "Ann");
    shard.text_set(door_stats::LAST_GUEST, "Bob");
    let snapshot = store.snapshot();
    assert_eq!(snapshot.texts[0].value, "Bob");
    assert_eq!(snapshot.texts[0].name.dotted(), "door.last_guest");
}

#[test]
fn a_gauge_guard_gives_back_what_it_took() {
    let store = Store::new(1);
    let group = door(&store);
    let guard = group.shard(1).gauge_guard(door_stats::OPEN_NOW);
    assert_eq!(group.gauge(door_stats::OPEN_NOW), 1);
    drop(guard);
    assert_eq!(group.gauge(door_stats::OPEN_NOW), 0);
}

#[test]
fn a_reader_never_sees_a_counter_go_back() {
    let store = Store::new(1);
    let group = door(&store);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (shard, stop) = (group.shard(1), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut written = 0_u64;
            while !stop.load(Ordering::Relaxed) || written < 1000 {
                shard.inc(door_stats::OPENED);
                shard.record(door_stats::OPEN_TIME, written % 3000);
                shard.dynamic_inc(door_stats::DOOR_RQ, 200);
                written += 1;
            }
            written
        })
    };
    let mut last = (0, 0);
    for _ in 0..50 {
        let now = (group.counter(door_stats::OPENED), group.distribution(door_stats::OPEN_TIME).count());
        assert!(now.0 >= last.0 && now.1 >= last.1);
        last = now;
        store.flush();
    }
    stop.store(true, Ordering::Relaxed);
    let written = writer.join().unwrap();
    assert_eq!(group.counter(door_stats::OPENED), written);
    assert_eq!(group.distribution(door_stats::OPEN_TIME).count(), written);
    assert_eq!(group.code(door_stats::DOOR_RQ, 200), written);
}

#[test]
fn excluded_names_are_not_listed() {
    let store = Store::new(1);
    let settings = StoreSettings { included: Some(Box::new(|name| name != "door.opened")), ..StoreSettings::default() };
    assert!(store.configure(settings));
    door(&store).shard(1).inc(door_stats::OPENED);
    assert!(number(&store.snapshot(), "door.opened").is_none());
    assert!(number(&store.snapshot(), "door.open_now").is_some());
    assert!(!store.configure(StoreSettings::default()));
}

#[test]
fn the_metrics_facade_writes_into_the_store() {
    let store = Store::new(1);
    metrics::with_local_recorder(&store.recorder(), || {
        metrics::counter!("library.calls", "kind" => "slow").increment(3);
        metrics::gauge!("library.depth").set(2.0);
        metrics::histogram!("library.ms").record(5.4);
    });
    let snapshot = store.flush();
    let calls = number(&snapshot, "library.calls.slow").unwrap();
    assert_eq!((calls.value, calls.delta), (3, 3));
    assert_eq!(calls.name.extracted(), "library.calls");
    assert_eq!(calls.name.tags().collect::<Vec<_>>(), [("kind", "slow")]);
    assert_eq!(value(&snapshot, "library.depth"), 2);
    assert_eq!(snapshot.histograms[0].cumulative.count(), 1);
}

#[test]
fn the_facade_stops_at_its_limit() {
    let store = Store::new(1);
    metrics::with_local_recorder(&store.recorder(), || {
        for n in 0..facade::MAX_NAMES + 5 {
            metrics::counter!("many", "n" => n.to_string()).increment(1);
        }
    });
    let snapshot = store.snapshot();
    assert_eq!(snapshot.numbers.len(), facade::MAX_NAMES + 1);
    assert_eq!(value(&snapshot, "stats.facade_overflow"), 5);
    assert_eq!(store.census().facade_overflow, 5);
}
