//! DNS discovery against a scripted resolver, on a paused clock.

use std::{cell::RefCell, collections::VecDeque, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use nuncio_config::model::{
    Address,
    cluster::{Cluster as Settings, Discovery, DnsFamily},
};
use nuncio_stats::{Store, templates::cluster_stats as stats};
use tokio::time::Instant;

use super::*;
use crate::testing::{endpoint, paused, settings};

/// Answers from a list; the last one is repeated. Remembers when it was asked.
#[derive(Default)]
struct Script {
    answers: RefCell<VecDeque<Result<Resolution, ResolveError>>>,
    asked: RefCell<Vec<(Instant, String, DnsFamily)>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<Resolution, ResolveError>>) -> Rc<Self> {
        Rc::new(Self { answers: RefCell::new(answers.into_iter().collect()), asked: RefCell::default() })
    }

    /// Seconds between the lookups so far.
    fn gaps(&self) -> Vec<u64> {
        let asked = self.asked.borrow();
        asked.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs()).collect()
    }
}

impl Resolve for Script {
    fn resolve<'a>(&'a self, name: &'a str, family: DnsFamily) -> Resolving<'a> {
        self.asked.borrow_mut().push((Instant::now(), name.to_owned(), family));
        let mut answers = self.answers.borrow_mut();
        let answer = match answers.len() {
            1 => answers.front().cloned(),
            _ => answers.pop_front(),
        };
        Box::pin(async move { answer.unwrap_or_else(|| Err(ResolveError("no answer".into()))) })
    }
}

fn found(addresses: &[&str]) -> Result<Resolution, ResolveError> {
    Ok(Resolution { addresses: addresses.iter().map(|a| a.parse::<IpAddr>().unwrap()).collect(), ttl: None })
}

fn failed() -> Result<Resolution, ResolveError> {
    Err(ResolveError("timed out".into()))
}

fn cluster(discovery: Discovery, change: impl FnOnce(&mut Settings)) -> Rc<ClusterSource> {
    let name = Address::Name { host: "db".into(), port: 80 };
    let mut settings = settings(vec![endpoint(name)]);
    settings.discovery = discovery;
    change(&mut settings);
    ClusterSource::new(Arc::new(settings), Store::new(1))
}

type Published = Rc<RefCell<Vec<Vec<String>>>>;

/// Runs discovery for `duration` and returns what it published.
async fn run_for(source: &Rc<ClusterSource>, script: &Rc<Script>, duration: Duration) -> Vec<Vec<String>> {
    let published = Published::default();
    let sink = Rc::clone(&published);
    let publish = move |hosts: Arc<HostSet>| {
        sink.borrow_mut().push(hosts.hosts().map(|host| host.address.to_string()).collect());
    };
    let discovery = run_discovery(Rc::clone(source), Rc::clone(script) as Rc<dyn Resolve>, publish);
    let _ = tokio::time::timeout(duration, discovery).await;
    published.take()
}

fn count(source: &ClusterSource, counter: nuncio_stats::Counter) -> u64 {
    source.shared.group().counter(counter)
}

#[test]
fn every_address_of_a_strict_name_is_a_host() {
    paused(async {
        let source = cluster(Discovery::StrictDns, |_| ());
        assert!(!source.is_initialized());
        let script = Script::new([found(&["10.0.0.1", "10.0.0.2", "10.0.0.1"])]);
        let published = run_for(&source, &script, Duration::from_secs(11)).await;
        assert_eq!(published, [["10.0.0.1:80", "10.0.0.2:80"]]);
        assert!(source.wait_initialized(Duration::ZERO).await);
        assert_eq!(script.gaps(), [5, 5]);
        assert_eq!(count(&source, stats::UPDATE_ATTEMPT), 3);
        assert_eq!(count(&source, stats::UPDATE_SUCCESS), 3);
        assert_eq!(count(&source, stats::UPDATE_NO_REBUILD), 2);
        assert_eq!(count(&source, stats::DEFAULT_TOTAL_MATCH_COUNT), 6);
        assert_eq!(count(&source, stats::MEMBERSHIP_CHANGE), 1);
        let gauge = |gauge| source.shared.group().gauge(gauge);
        assert_eq!((gauge(stats::MEMBERSHIP_TOTAL), gauge(stats::MEMBERSHIP_HEALTHY)), (2, 2));
        assert_eq!(gauge(stats::MAX_HOST_WEIGHT), 1);
        assert_eq!(source.hosts().hosts().next().unwrap().description.hostname(), "db");
    });
}

#[test]
fn hosts_that_stay_keep_their_description() {
    paused(async {
        let source = cluster(Discovery::StrictDns, |_| ());
        let script = Script::new([found(&["10.0.0.1", "10.0.0.2"]), found(&["10.0.0.2", "10.0.0.3"])]);
        let sets: Rc<RefCell<Vec<Arc<HostSet>>>> = Rc::default();
        let sink = Rc::clone(&sets);
        let publish = move |hosts| sink.borrow_mut().push(hosts);
        let discovery = run_discovery(Rc::clone(&source), script, publish);
        let _ = tokio::time::timeout(Duration::from_secs(6), discovery).await;
        let sets = sets.borrow();
        let (old, new) = (sets[0].hosts().nth(1).unwrap(), sets[1].hosts().next().unwrap());
        assert!(Arc::ptr_eq(&old.description, &new.description));
        assert_eq!(count(&source, stats::MEMBERSHIP_CHANGE), 2);
    });
}

#[test]
fn a_failed_lookup_keeps_the_last_good_answer() {
    paused(async {
        let source = cluster(Discovery::StrictDns, |_| ());
        let script = Script::new([found(&["10.0.0.1"]), failed()]);
        let published = run_for(&source, &script, Duration::from_secs(20)).await;
        assert_eq!(published.len(), 1);
        assert_eq!(source.hosts().hosts().count(), 1);
        assert_eq!(count(&source, stats::UPDATE_FAILURE), 3);
    });
}

#[test]
fn an_answer_without_addresses_empties_a_strict_cluster() {
    paused(async {
        let source = cluster(Discovery::StrictDns, |_| ());
        let script = Script::new([found(&["10.0.0.1"]), found(&[])]);
        let published = run_for(&source, &script, Duration::from_secs(6)).await;
        assert_eq!(published, [vec!["10.0.0.1:80".to_owned()], vec![]]);
        assert_eq!((count(&source, stats::UPDATE_SUCCESS), count(&source, stats::UPDATE_EMPTY)), (2, 0));
    });
}

#[test]
fn an_answer_without_addresses_is_a_failure_of_a_logical_cluster() {
    paused(async {
        let source = cluster(Discovery::LogicalDns, |_| ());
        let script = Script::new([found(&["10.0.0.1"]), found(&[])]);
        let published = run_for(&source, &script, Duration::from_secs(6)).await;
        assert_eq!(published, [vec!["10.0.0.1:80".to_owned()]]);
        assert_eq!((count(&source, stats::UPDATE_SUCCESS), count(&source, stats::UPDATE_FAILURE)), (1, 1));
    });
}

#[test]
fn the_first_failure_initializes_too() {
    paused(async {
        let source = cluster(Discovery::StrictDns, |_| ());
        let waiter = Rc::clone(&source);
        let waiting = tokio::task::spawn_local(async move { waiter.wait_initialized(Duration::from_secs(9)).await });
        assert!(run_for(&source, &Script::new([failed()]), Duration::from_secs(1)).await.is_empty());
        assert!(waiting.await.unwrap());
    });
}

#[test]
fn failures_back_off_and_a_success_resets_them() {
    paused(async {
        let source = cluster(Discovery::LogicalDns, |s| {
            s.dns.refresh_rate = Duration::from_secs(100);
            s.dns.failure_refresh = (Duration::from_secs(2), Duration::from_secs(8));
        });
        let script = Script::new([failed(), failed(), failed(), failed(), found(&["10.0.0.1"])]);
        run_for(&source, &script, Duration::from_secs(130)).await;
        let gaps = script.gaps();
        for (gap, bound) in gaps.iter().zip([2, 4, 8, 8]) {
            assert!(*gap <= bound, "{gaps:?}");
        }
        assert_eq!(gaps.get(4), Some(&100));
    });
}

#[test]
fn the_ttl_is_respected_when_asked_for() {
    paused(async {
        let source = cluster(Discovery::StrictDns, |s| s.dns.respect_ttl = true);
        let addresses = vec!["10.0.0.1".parse().unwrap()];
        let script = Script::new([Ok(Resolution { addresses, ttl: Some(Duration::from_secs(30)) })]);
        run_for(&source, &script, Duration::from_secs(65)).await;
        assert_eq!(script.gaps(), [30, 30]);
    });
}

#[test]
fn a_logical_host_stays_the_same_host_when_its_address_moves() {
    paused(async {
        let source = cluster(Discovery::LogicalDns, |_| ());
        let script = Script::new([found(&["10.0.0.1", "10.0.0.9"]), found(&["10.0.0.2"]), found(&[])]);
        let published = run_for(&source, &script, Duration::from_secs(12)).await;
        assert_eq!(published, [["10.0.0.1:80"], ["10.0.0.2:80"]]);
        assert_eq!(count(&source, stats::MEMBERSHIP_CHANGE), 1);
    });
}

#[test]
fn a_logical_host_has_all_addresses_of_the_answer_families_by_turns() {
    paused(async {
        let source = cluster(Discovery::LogicalDns, |_| ());
        let script = Script::new([found(&["10.0.0.1", "10.0.0.2", "::1"])]);
        run_for(&source, &script, Duration::from_secs(1)).await;
        let hosts = source.hosts();
        let attempts: Vec<_> = hosts.hosts().next().unwrap().attempts.iter().map(ToString::to_string).collect();
        assert_eq!(attempts, ["10.0.0.1:80", "[::1]:80", "10.0.0.2:80"]);
    });
}

#[test]
fn a_static_cluster_is_ready_at_once() {
    paused(async {
        let mut settings = settings(vec![endpoint(Address::Ip("10.0.0.1:80".parse().unwrap()))]);
        settings.endpoints[0].endpoints[0].hostname = "one".into();
        let store = Store::new(1);
        let source = ClusterSource::new(Arc::new(settings), Arc::clone(&store));
        assert!(source.is_initialized());
        assert_eq!(count(&source, stats::MEMBERSHIP_CHANGE), 1);
        let status = source.status();
        assert_eq!(status.hosts[0].host.description.hostname(), "one");
        assert_eq!(status.hosts[0].health_flags(), "healthy");
        drop(source);
        assert_eq!(store.census().groups, 0);
    });
}
