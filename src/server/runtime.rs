//! Loading and changing the runtime; stats `runtime.`.
//!
//! The main thread keeps the layers and publishes a new snapshot for every change; what reads it
//! is [`nuncio_api::Runtime`]. Only the admin layer changes so far.

use std::sync::Arc;

use nuncio_api::{RuntimeLayer, RuntimeSnapshot, RuntimeSource};
use nuncio_config::model::{self, Bootstrap, bootstrap::RuntimeLayerSource};
use nuncio_proxy::{runtime_layers, runtime_value};
use nuncio_stats::{ScopeName, Shard, Store, templates::runtime_stats as stats};

/// Why values were not taken; the text is for the operator.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotTaken(pub(crate) String);

/// The writer of the runtime.
pub(crate) struct RuntimeLoader {
    source: Arc<RuntimeSource>,
    /// Which layer `/runtime_modify` writes to.
    admin_layer: Option<usize>,
    stats: Shard,
}

impl RuntimeLoader {
    /// Publishes the layers of the bootstrap.
    pub(super) fn new(bootstrap: &Bootstrap, store: &Store) -> Self {
        let is_admin = |layer: &model::bootstrap::RuntimeLayer| layer.source == RuntimeLayerSource::Admin;
        let loader = Self {
            source: RuntimeSource::new(Vec::new()),
            admin_layer: bootstrap.runtime_layers.iter().position(is_admin),
            stats: store.group(&stats::TEMPLATE, ScopeName::root().part("runtime")).shard(0),
        };
        // Envoy loads the layers, and once more when those of a control plane could have come.
        loader.publish(runtime_layers(bootstrap));
        loader.publish(runtime_layers(bootstrap));
        loader
    }

    /// Where readers look.
    pub(crate) fn source(&self) -> &Arc<RuntimeSource> {
        &self.source
    }

    /// The present snapshot.
    pub(crate) fn snapshot(&self) -> Arc<RuntimeSnapshot> {
        self.source.snapshot()
    }

    /// Writes values into the admin layer, all or none; an empty one takes its key out of it.
    pub(crate) fn modify(&self, values: &[(String, String)]) -> Result<(), NotTaken> {
        let mut layers = self.snapshot().layers().to_vec();
        let layer = self.admin_layer.and_then(|index| layers.get_mut(index));
        let layer = layer.ok_or_else(|| NotTaken("No admin layer specified".to_owned()))?;
        for (key, text) in values {
            layer.values.remove(key);
            if !text.is_empty() {
                let value = model::runtime_value(text).map_err(NotTaken)?;
                layer.values.insert(key.clone(), runtime_value(&value).written(text));
            }
        }
        self.stats.gauge_set(stats::ADMIN_OVERRIDES_ACTIVE, u64::from(!layer.values.is_empty()));
        self.publish(layers);
        Ok(())
    }

    fn publish(&self, layers: Vec<RuntimeLayer>) {
        let snapshot = RuntimeSnapshot::new(layers);
        self.stats.gauge_set(stats::NUM_KEYS, snapshot.key_count() as u64);
        self.stats.gauge_set(stats::NUM_LAYERS, snapshot.layers().len() as u64);
        self.stats.inc(stats::LOAD_SUCCESS);
        // There are no layers on disk.
        self.stats.inc(stats::OVERRIDE_DIR_NOT_EXISTS);
        self.source.replace(snapshot);
    }
}

#[cfg(test)]
mod tests {
    use nuncio_api::Runtime;

    use super::*;

    fn loader(layers: &str) -> (RuntimeLoader, Arc<Store>) {
        let text = format!("layered_runtime: {{layers: [{layers}]}}");
        let source = nuncio_config::Source { name: "t".into(), text, format: nuncio_config::Format::Yaml };
        let (bootstrap, _) = model::load_bootstrap(vec![source], &model::Options::default()).unwrap();
        let store = Store::new(1);
        (RuntimeLoader::new(&bootstrap, &store), store)
    }

    fn modify(loader: &RuntimeLoader, values: &[(&str, &str)]) -> Result<(), NotTaken> {
        let values: Vec<_> = values.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        loader.modify(&values)
    }

    #[test]
    fn the_admin_layer_overrides_until_it_is_emptied() {
        let (loader, _store) = loader("{name: a, static_layer: {k: 1, e: 2}}, {name: admin, admin_layer: {}}");
        let runtime = Runtime::new(loader.source());
        modify(&loader, &[("k", "7"), ("new", "{numerator: 0}")]).unwrap();
        assert_eq!((runtime.u64("k", 0), runtime.u64("e", 0)), (7, 2));
        assert!(!runtime.feature_enabled("new", 1, 1, 0));
        assert_eq!(runtime.text("new").as_deref(), Some("{numerator: 0}"));
        assert_eq!(loader.stats.group().gauge(stats::ADMIN_OVERRIDES_ACTIVE), 1);
        assert_eq!(loader.stats.group().gauge(stats::NUM_KEYS), 3);
        modify(&loader, &[("k", ""), ("new", ""), ("never", "")]).unwrap();
        assert_eq!(runtime.u64("k", 0), 1);
        assert_eq!(loader.stats.group().gauge(stats::ADMIN_OVERRIDES_ACTIVE), 0);
        assert_eq!(loader.stats.group().counter(stats::LOAD_SUCCESS), 4);
    }

    #[test]
    fn a_text_that_is_no_yaml_changes_nothing() {
        let (loader, _store) = loader("{name: admin, admin_layer: {}}");
        assert!(modify(&loader, &[("good", "1"), ("bad", "[")]).is_err());
        assert!(loader.snapshot().value("good").is_none());
    }

    #[test]
    fn without_an_admin_layer_nothing_is_taken() {
        let (loader, _store) = loader("{name: a, static_layer: {k: 1}}");
        assert_eq!(modify(&loader, &[("k", "2")]), Err(NotTaken("No admin layer specified".to_owned())));
    }
}
