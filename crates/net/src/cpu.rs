//! How many processors this process may use: the default of `--concurrency`.
//!
//! A container with a CPU limit of 2 on a 64-core host must not start 64 workers: they would be
//! throttled together. So the cgroup limit counts first (rounded down, at least 1, as Envoy does
//! since 1.37), never more than the affinity mask allows. Both cgroup versions are read, and every
//! level up to the root, for a limit of a parent holds for its children. Nothing here fails: what
//! cannot be read does not limit.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Processors in the affinity mask (`--cpuset-threads`), at least 1.
pub fn affinity_count() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| usize::try_from(set.count()).unwrap_or(1)).max(1)
}

/// Workers to start when nobody says how many.
pub fn default_concurrency() -> usize {
    let cores = affinity_count();
    cgroup_limit(Path::new("/")).map_or(cores, |limit| limit.min(cores))
}

/// Whole processors that the cgroup of this process grants; `None` = no limit.
fn cgroup_limit(root: &Path) -> Option<usize> {
    let membership = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = membership.lines().flat_map(|line| limits_of(root, line));
    let lowest = limits.fold(f64::INFINITY, f64::min);
    // The quotient is finite and positive here; a saturating cast is what is wanted.
    lowest.is_finite().then(|| (lowest.floor() as usize).max(1))
}

/// The limits of one hierarchy, from the group itself up to the root.
fn limits_of(root: &Path, line: &str) -> Vec<f64> {
    let mut parts = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
    let group = group.trim_start_matches('/');
    if controllers.is_empty() {
        return levels(&root.join("sys/fs/cgroup"), group).iter().filter_map(|level| version_2(level)).collect();
    }
    if !controllers.split(',').any(|controller| controller == "cpu") {
        return Vec::new();
    }
    let mounts = [root.join("sys/fs/cgroup").join(controllers), root.join("sys/fs/cgroup/cpu")];
    mounts.iter().flat_map(|mount| levels(mount, group)).filter_map(|level| version_1(&level)).collect()
}

/// The folder of the group and of each of its parents. Inside a container the path may be the
/// host's; then only the mount itself exists, and that is the container's own group.
fn levels(mount: &Path, group: &str) -> Vec<PathBuf> {
    let mut all = vec![mount.to_path_buf()];
    let mut here = mount.to_path_buf();
    for part in group.split('/').filter(|part| !part.is_empty() && *part != "..") {
        here.push(part);
        all.push(here.clone());
    }
    all
}

fn version_2(level: &Path) -> Option<f64> {
    let text = fs::read_to_string(level.join("cpu.max")).ok()?;
    let mut words = text.split_whitespace();
    quotient(words.next()?, words.next()?)
}

fn version_1(level: &Path) -> Option<f64> {
    let quota = fs::read_to_string(level.join("cpu.cfs_quota_us")).ok()?;
    let period = fs::read_to_string(level.join("cpu.cfs_period_us")).ok()?;
    quotient(quota.trim(), period.trim())
}

fn quotient(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("nuncio-cpu-{name}-{}", std::process::id()));
            for (path, text) in files {
                let file = root.join(path);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_limit_is_rounded_down_and_never_below_one() {
        for (max, limit) in [("250000 100000", 2), ("50000 100000", 1), ("400000 100000", 4)] {
            let root = Root::new("v2", &[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", max)]);
            assert_eq!(cgroup_limit(&root.0), Some(limit), "{max}");
        }
    }

    #[test]
    fn the_tightest_level_counts() {
        let root = Root::new(
            "nested",
            &[
                ("proc/self/cgroup", "0::/a/b\n"),
                ("sys/fs/cgroup/a/cpu.max", "200000 100000\n"),
                ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ],
        );
        assert_eq!(cgroup_limit(&root.0), Some(2));
    }

    #[test]
    fn version_one_is_read_too() {
        let root = Root::new(
            "v1",
            &[
                ("proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/x\n"),
                ("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "300000"),
                ("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000"),
            ],
        );
        assert_eq!(cgroup_limit(&root.0), Some(3));
    }

    #[test]
    fn no_limit_is_no_limit() {
        let root = Root::new("none", &[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", "max 100000\n")]);
        assert_eq!(cgroup_limit(&root.0), None);
        assert_eq!(cgroup_limit(Path::new("/nonexistent")), None);
    }

    #[test]
    fn this_machine_has_at_least_one() {
        assert!(affinity_count() >= 1);
        assert!((1..=affinity_count()).contains(&default_concurrency()));
    }
}
