//! Tables against those of Envoy 1.40, which it writes to its log on the level `trace`.

use nuncio_config::model::{
    Address,
    cluster::{Cluster as Settings, Endpoint, EndpointHealth, HashFunction, Maglev, RingHash},
};
use nuncio_stats::Store;

use super::*;
use crate::{ClusterSource, testing};

const COMMON: ConsistentHashing = ConsistentHashing { use_hostname: false, balance_factor: None };

fn ring(minimum_size: u64, maximum_size: u64, function: HashFunction) -> LbPolicy {
    LbPolicy::RingHash(RingHash { minimum_size, maximum_size, function, common: COMMON })
}

fn maglev(table_size: u64) -> LbPolicy {
    LbPolicy::Maglev(Maglev { table_size, common: COMMON })
}

/// Hosts at 127.0.0.1 from `port` on, one for each weight.
fn cluster(lb: LbPolicy, port: u16, weights: &[u32], change: impl FnOnce(&mut Settings)) -> std::rc::Rc<ClusterSource> {
    let endpoints = (port..).zip(weights).map(|(port, weight)| {
        let address = Address::Ip(([127, 0, 0, 1], port).into());
        Endpoint { weight: *weight, ..testing::endpoint(address) }
    });
    let mut settings = testing::settings(endpoints.collect());
    settings.lb = lb;
    change(&mut settings);
    ClusterSource::new(Arc::new(settings), Store::new(2))
}

/// Port of the host for `hash`.
fn pick(source: &ClusterSource, hash: u64, attempt: u32) -> u16 {
    let hosts = source.hosts();
    let host = hosts.hash_table(0).unwrap().choose(hash, attempt, || 0).unwrap();
    host.address.ip().unwrap().port()
}

fn gauges(source: &ClusterSource) -> Vec<u64> {
    let hosts = source.hosts();
    let group = hosts.shared().lb_group().unwrap();
    let names = match &source.settings().lb {
        LbPolicy::RingHash(_) => {
            vec![ring_hash_stats::SIZE, ring_hash_stats::MIN_HASHES_PER_HOST, ring_hash_stats::MAX_HASHES_PER_HOST]
        }
        _ => vec![maglev_stats::MIN_ENTRIES_PER_HOST, maglev_stats::MAX_ENTRIES_PER_HOST],
    };
    names.into_iter().map(|gauge| group.gauge(gauge)).collect()
}

#[test]
fn a_ring_has_envoys_places() {
    let source = cluster(ring(12, 8 << 20, HashFunction::Xx), 90, &[1; 6], |_| ());
    assert_eq!(gauges(&source), [12, 2, 2]);
    for (place, port) in [
        (833_437_586_790_550_860, 94),
        (928_266_305_478_181_108, 92),
        (1_033_482_794_131_418_490, 90),
        (3_551_244_743_356_806_947, 95),
        (3_851_675_632_748_031_481, 93),
        (5_583_722_120_771_150_861, 91),
        (6_311_230_543_546_372_928, 91),
        (7_700_377_290_971_790_572, 93),
        (13_144_177_310_400_110_813, 95),
        (13_444_792_449_719_432_967, 92),
        (15_516_499_411_664_133_160, 94),
        (16_117_243_373_044_804_889, 90),
    ] {
        assert_eq!(pick(&source, place, 0), port, "{place}");
        assert_eq!(pick(&source, place - 1, 0), port, "before {place}");
    }
    assert_eq!(pick(&source, 0, 0), 94, "before the first place");
    assert_eq!(pick(&source, u64::MAX, 0), 94, "behind the last one");
    assert_eq!(pick(&source, 0, 1), 92, "another attempt goes to the next place");
    assert_eq!(pick(&source, u64::MAX, 12), 94, "as many attempts as places end at the same one");
}

#[test]
fn a_ring_of_murmur_hashes_has_envoys_places() {
    let source = cluster(ring(12, 8 << 20, HashFunction::Murmur2), 110, &[1; 3], |_| ());
    assert_eq!(gauges(&source), [12, 4, 4]);
    for (place, port) in [
        (27_311_196_848_642_599, 112),
        (6_574_516_308_838_186_286, 111),
        (7_829_735_723_630_446_856, 110),
        (9_039_202_526_763_144_338, 112),
        (15_641_325_289_717_815_218, 111),
        (18_010_796_050_425_347_033, 110),
    ] {
        assert_eq!(pick(&source, place, 0), port, "{place}");
    }
}

#[test]
fn heavier_hosts_have_more_places_on_a_ring() {
    let source = cluster(ring(10, 10, HashFunction::Xx), 100, &[1, 2, 4], |_| ());
    assert_eq!(gauges(&source), [10, 2, 5]);
    for (place, port) in [
        (128_946_376_553_631_233, 101),
        (3_675_921_179_777_384_853, 102),
        (6_257_336_627_882_087_477, 100),
        (7_688_326_844_448_880_242, 100),
        (16_187_651_447_929_930_354, 102),
    ] {
        assert_eq!(pick(&source, place, 0), port, "{place}");
    }
}

#[test]
fn a_maglev_table_has_envoys_places() {
    let source = cluster(maglev(7), 90, &[1; 6], |_| ());
    assert_eq!(gauges(&source), [1, 2]);
    let table: Vec<_> = (0..7).map(|place| pick(&source, place, 0)).collect();
    assert_eq!(table, [92, 94, 90, 91, 95, 90, 93]);
    let source = cluster(maglev(17), 100, &[1, 2, 4], |_| ());
    assert_eq!(gauges(&source), [3, 9]);
    let table: Vec<_> = (0..17).map(|place| pick(&source, place, 0)).collect();
    assert_eq!(table, [102, 102, 102, 102, 101, 101, 102, 100, 102, 102, 102, 100, 101, 102, 101, 100, 101]);
    assert_eq!(pick(&source, 0, 1), pick(&source, u64::MAX, 0), "another attempt turns the bits");
}

#[test]
fn the_usual_maglev_table_is_envoys_place_for_place() {
    let source = cluster(maglev(65537), 110, &[1, 2, 3, 4, 5], |_| ());
    assert_eq!(gauges(&source), [4370, 21845]);
    let digest = (0..65537).fold(0xcbf2_9ce4_8422_2325_u64, |digest, place| {
        (digest ^ u64::from(pick(&source, place, 0) - 110)).wrapping_mul(0x0100_0000_01b3)
    });
    assert_eq!(digest, 0x1bbf_b6c0_86ec_6d9c);
}

#[test]
fn the_key_of_a_host_is_its_address_its_name_or_what_its_metadata_says() {
    let keys = |use_hostname, metadata: &str| {
        let source = cluster(maglev(7), 90, &[1], |settings| {
            let endpoint = &mut settings.endpoints[0].endpoints[0];
            endpoint.hostname = "one".to_owned();
            let lb = [("hash_key".to_owned(), metadata.into())];
            let lb = serde_json::Value::Object(lb.into_iter().collect());
            endpoint.metadata = Arc::new([("envoy.lb".to_owned(), lb)].into_iter().collect());
        });
        let hosts = source.hosts();
        key(hosts.hosts().next().unwrap(), ConsistentHashing { use_hostname, ..COMMON })
    };
    assert_eq!(keys(false, ""), "127.0.0.1:90");
    assert_eq!(keys(true, ""), "one");
    assert_eq!(keys(true, "mine"), "mine");
}

#[test]
fn only_healthy_hosts_have_places_unless_in_panic() {
    let sick = |count: usize| {
        cluster(maglev(7), 90, &[1; 4], move |settings| {
            for endpoint in settings.endpoints[0].endpoints.iter_mut().take(count) {
                endpoint.health = EndpointHealth::Unhealthy;
            }
        })
    };
    let ports = |source: &ClusterSource| {
        let mut ports: Vec<_> = (0..7).map(|place| pick(source, place, 0)).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    };
    assert_eq!(ports(&sick(1)), [91, 92, 93]);
    assert_eq!(ports(&sick(3)), [90, 91, 92, 93]);
}

#[test]
fn a_host_above_its_part_of_the_load_is_passed_over() {
    let common = ConsistentHashing { balance_factor: Some(150), ..COMMON };
    let source = cluster(LbPolicy::Maglev(Maglev { table_size: 17, common }), 90, &[1; 4], |_| ());
    let hosts = source.hosts();
    let table = hosts.hash_table(0).unwrap();
    let chosen = table.choose(3, 0, || 0).unwrap();
    for _ in 0..4 {
        chosen.description.tally.inc(1, HostStat::RqActive);
    }
    // Of 4 active requests and this one a host may have half more than a quarter, which is 2.
    let other = table.choose(3, 0, || 4).unwrap();
    assert!(!Arc::ptr_eq(chosen, other));
    assert!(Arc::ptr_eq(other, table.choose(3, 0, || 4).unwrap()), "the same other host each time");
    assert!(Arc::ptr_eq(chosen, table.choose(3, 0, || 9).unwrap()), "with more load in all it has room");
    for host in hosts.hosts() {
        for _ in 0..9 {
            host.description.tally.inc(1, HostStat::RqActive);
        }
    }
    let least = table.choose(3, 0, || 4).unwrap();
    assert_eq!(least.description.stat(HostStat::RqActive), 9, "all are above: the least loaded");
}

#[test]
fn no_hosts_is_no_host() {
    for lb in [maglev(7), ring(12, 12, HashFunction::Xx)] {
        let source = cluster(lb, 90, &[], |_| ());
        assert!(source.hosts().hash_table(0).unwrap().choose(1, 0, || 0).is_none());
    }
}
