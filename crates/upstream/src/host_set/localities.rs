//! The hosts of one priority by locality, the own locality first.
//!
//! The order of the others is that of their names, as in Envoy, where it decides ties.

use std::{collections::BTreeMap, sync::Arc};

use nuncio_config::model::{
    bootstrap::Locality,
    cluster::{Cluster as Settings, EndpointHealth},
};

use super::{HostEntry, priority::HostSource};

/// Hosts of one locality.
#[derive(Debug)]
struct Group {
    locality: Arc<Locality>,
    /// Places of the hosts in the priority's list.
    hosts: Vec<usize>,
    healthy: usize,
    degraded: usize,
}

/// All localities of one priority.
#[derive(Debug)]
pub(crate) struct Localities {
    groups: Vec<Group>,
    /// The first group is the own locality.
    has_local: bool,
}

impl Localities {
    pub(crate) fn new(entries: &[Arc<HostEntry>], local: &Locality) -> Self {
        let mut by_name: BTreeMap<(bool, &str, &str, &str), Group> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            let Locality { region, zone, sub_zone } = &*entry.locality;
            let key = (*entry.locality != *local, region.as_str(), zone.as_str(), sub_zone.as_str());
            let group = by_name.entry(key).or_insert_with(|| Group {
                locality: Arc::clone(&entry.locality),
                hosts: Vec::new(),
                healthy: 0,
                degraded: 0,
            });
            group.hosts.push(at);
            group.healthy += usize::from(entry.health == EndpointHealth::Healthy);
            group.degraded += usize::from(entry.health == EndpointHealth::Degraded);
        }
        let groups: Vec<_> = by_name.into_values().collect();
        let has_local = groups.first().is_some_and(|group| *group.locality == *local);
        Self { groups, has_local }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are hosts in the own locality.
    pub(crate) fn has_local(&self) -> bool {
        self.has_local
    }

    /// Places of a locality's hosts in the priority's list.
    pub(crate) fn hosts(&self, locality: usize) -> &[usize] {
        self.groups.get(locality).map_or(&[], |group| &group.hosts)
    }

    /// Healthy hosts of a locality.
    pub(crate) fn healthy(&self, locality: usize) -> usize {
        self.groups.get(locality).map_or(0, |group| group.healthy)
    }

    /// Healthy hosts of the locality that `other` has at `index`.
    pub(crate) fn healthy_as_in(&self, other: &Self, index: usize) -> usize {
        let wanted = other.groups.get(index).map(|group| &group.locality);
        self.groups.iter().find(|group| Some(&group.locality) == wanted).map_or(0, |group| group.healthy)
    }

    /// Hosts in all: total, healthy, degraded.
    pub(crate) fn totals(&self) -> (usize, usize, usize) {
        self.groups.iter().fold((0, 0, 0), |(total, healthy, degraded), group| {
            (total + group.hosts.len(), healthy + group.healthy, degraded + group.degraded)
        })
    }

    /// The weight of a locality, less if too few of its hosts can be used.
    pub(crate) fn effective_weight(
        &self,
        locality: usize,
        priority: usize,
        source: HostSource,
        settings: &Settings,
        overprovisioning: u32,
    ) -> f64 {
        let Some(group) = self.groups.get(locality).filter(|group| !group.hosts.is_empty()) else { return 0.0 };
        let usable = match source {
            HostSource::Healthy => group.healthy,
            HostSource::Degraded => group.degraded,
            HostSource::Panic => group.hosts.len(),
        };
        #[expect(clippy::cast_precision_loss, reason = "numbers of hosts")]
        let available = usable as f64 / group.hosts.len() as f64;
        let available = (f64::from(overprovisioning) / 100.0 * available).min(1.0);
        f64::from(weight(settings, &group.locality, priority)) * available
    }
}

/// `load_balancing_weight` of a locality in a priority; the last one that says something counts.
pub(crate) fn weight(settings: &Settings, locality: &Locality, priority: usize) -> u32 {
    let of_it = |group: &&nuncio_config::model::cluster::LocalityEndpoints| {
        group.locality == *locality && usize::try_from(group.priority).is_ok_and(|at| at == priority)
    };
    settings.endpoints.iter().rev().find(of_it).map_or(0, |group| group.weight)
}
