use super::*;

fn of(samples: &[(u64, u64)]) -> Distribution {
    let bins = Bins::new();
    for &(value, times) in samples {
        for _ in 0..times {
            bins.record(value, 0);
        }
    }
    Distribution::merged(bins.counts())
}

fn quantiles(distribution: &Distribution) -> Vec<String> {
    QUANTILES.iter().filter_map(|q| distribution.quantile(q / 100.0)).map(|value| value.to_string()).collect()
}

/// Every line was printed by Envoy for these samples.
#[test]
fn quantiles_print_what_envoy_prints() {
    let three_small = ["4.05", "4.05", "6.05", "7.05", "7.05", "7.05", "7.05", "7.05", "7.05", "7.05"];
    assert_eq!(quantiles(&of(&[(4, 1), (6, 1), (7, 1)])), three_small);
    let refresh = [(240, 38), (250, 335), (260, 12), (270, 5), (280, 1)];
    let expected = [
        "240.25641025641025",
        "251.78571428571428",
        "254.70238095238096",
        "257.6190476190476",
        "259.3452380952381",
        "259.9404761904762",
        "275",
        "278.3333333333333",
        "285",
        "285",
    ];
    assert_eq!(quantiles(&of(&refresh)), expected);
    let hello = ["5.05", "511.99999999999994", "514", "516", "518", "518", "518", "518", "518", "518"];
    assert_eq!(quantiles(&of(&[(5, 1), (517, 4)])), hello);
    let ones = [
        "1.0166666666666666",
        "1.0333333333333334",
        "1.05",
        "1.0666666666666667",
        "1.0833333333333333",
        "1.0833333333333333",
        "1.0833333333333333",
        "1.0833333333333333",
        "1.0833333333333333",
        "1.0833333333333333",
    ];
    assert_eq!(quantiles(&of(&[(1, 5)])), ones);
    let mixed = ["0", "0", "0", "0", "1.042857142857143", "1.0857142857142856", "1066.6666666666667"];
    assert_eq!(quantiles(&of(&[(0, 46), (1, 6), (1010, 2)]))[..7], mixed);
}

#[test]
fn sums_are_those_of_envoy() {
    assert_eq!(of(&[(5, 1), (517, 4)]).sum().to_string(), "2064.8553301932134");
    assert_eq!(
        of(&[(0, 11), (65, 1), (66, 1), (100, 1), (1000, 1), (2000, 1)]).sum().to_string(),
        "3333.1538639934415"
    );
    assert_eq!(of(&[(240, 38), (250, 335), (260, 12), (270, 5), (280, 1)]).sum().to_string(), "99536.6049715002");
    assert_eq!(of(&[(4, 1), (6, 1), (7, 1)]).sum().to_string(), "17.14861488297981");
    let mixed = [(1, 16), (2, 4), (4, 2), (5, 2), (6, 2), (8, 1), (11, 2)];
    assert_eq!(of(&mixed).sum().to_string(), "86.26018678005637");
    assert_eq!(of(&[(0, 3)]).sum().to_string(), "0");
}

#[test]
fn a_bin_that_begins_at_the_bound_counts() {
    let refresh = of(&[(240, 38), (250, 335), (260, 18)]);
    assert_eq!(refresh.count_up_to(100.0), 0);
    assert_eq!(refresh.count_up_to(250.0), 373);
    assert_eq!(refresh.count_up_to(500.0), 391);
    assert_eq!(of(&[(510, 1)]).count_up_to(510.0), 1);
}

#[test]
fn every_value_falls_into_the_bin_of_its_two_digits() {
    for value in [1, 9, 10, 99, 100, 101, 12_345, 999_999, u64::from(u32::MAX), u64::MAX] {
        let one = of(&[(value, 1)]);
        let (lower, width, count) = one.bins().next().unwrap();
        #[allow(clippy::cast_precision_loss)]
        let value = value as f64;
        assert!(lower <= value && value < lower + width, "{value} is outside [{lower}, {lower}+{width})");
        assert_eq!(count, 1);
    }
}

#[test]
fn a_percentage_is_recorded_in_millionths() {
    let bins = Bins::new();
    bins.record(500_000, 6);
    bins.record(1, 6);
    let distribution = Distribution::merged(bins.counts());
    let lowers: Vec<String> = distribution.bins().map(|(lower, width, _)| format!("{lower} {width}")).collect();
    assert_eq!(lowers, ["0.000001 0.0000001", "0.5 0.01"]);
}

#[test]
fn an_interval_holds_only_what_was_added() {
    let before = of(&[(1, 2), (50, 1)]);
    let after = of(&[(0, 1), (1, 2), (50, 4), (70, 1)]);
    assert_eq!(after.since(&before), of(&[(0, 1), (50, 3), (70, 1)]));
    assert!(after.since(&after).is_empty());
}

#[test]
fn nothing_recorded_has_no_quantiles() {
    assert_eq!(Distribution::default().quantile(0.5), None);
    assert_eq!(Distribution::default().count(), 0);
}
