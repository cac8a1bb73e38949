//! `typed_per_filter_config`: what a table, a virtual host, a route or a weighted cluster says
//! about HTTP filters; and the metadata of the same levels.
//!
//! Keys are names of filters in the chain; Envoy does not mind one that no chain has. The type of
//! a value has to belong to a filter that is built in, unless it is optional.

use std::{collections::HashMap, sync::Arc};

use envoy_types::pb::{
    envoy::config::{core::v3 as core, route::v3 as pb},
    google::protobuf::Any,
};

use super::{Context, extension::type_name, json};
use crate::model::{
    metadata::Metadata,
    report::Path,
    route::{FilterOverride, PerFilter},
};

const FILTER_CONFIG: &str = "envoy.config.route.v3.FilterConfig";
const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";
const FIELD: &str = "typed_per_filter_config";

impl Context<'_> {
    /// Translates the overrides of one level.
    pub(super) fn per_filter(&mut self, path: &Path<'_>, configs: HashMap<String, Any>) -> PerFilter {
        let mut configs: Vec<_> = configs.into_iter().collect();
        configs.sort_by(|one, other| one.0.cmp(&other.0));
        let mut overrides = PerFilter::new();
        for (name, any) in configs {
            if let Some(said) = self.filter_override(&path.key(FIELD, &name), &name, any) {
                overrides.insert(name.clone(), said);
            }
        }
        overrides
    }

    fn filter_override(&mut self, path: &Path<'_>, name: &str, any: Any) -> Option<FilterOverride> {
        if type_name(&any) != FILTER_CONFIG {
            return self.filter_config(path, name, any, false);
        }
        let message: pb::FilterConfig = self.decode(path, &any.value)?;
        let bare = |disabled| FilterOverride {
            disabled,
            is_optional: message.is_optional,
            type_url: String::new(),
            config: bytes::Bytes::new(),
        };
        if message.disabled {
            return Some(bare(true));
        }
        let Some(config) = message.config.clone() else {
            let text = format!("nothing is said about filter `{name}`: neither `disabled` nor `config` is set");
            let help = "an empty `config: {}` turns the filter on";
            self.report.error_with(path, "empty-filter-config", text, help);
            return None;
        };
        if config.type_url.is_empty() {
            return Some(bare(false));
        }
        self.filter_config(&path.field("config"), name, config, message.is_optional)
    }

    fn filter_config(&mut self, path: &Path<'_>, name: &str, any: Any, is_optional: bool) -> Option<FilterOverride> {
        let kind = type_name(&any);
        if kind == ROUTER {
            let text = format!("the filter `{name}` is a router, which cannot be configured per virtual host or route");
            self.report.error(path, "not-per-route", text);
            return None;
        }
        // A filter's messages share a package: `BufferPerRoute` stands beside `Buffer`.
        let package = |name: &str| name.rsplit_once('.').map(|(package, _)| package.to_owned());
        let built = self.options.http_filters;
        if !built.iter().any(|filter| package(filter) == package(kind)) {
            if !is_optional {
                self.unknown_extension(path, "http filter", name, Some(&any), built);
                return None;
            }
            let text = format!("the optional filter `{name}` ({kind}) is not built in and left out here");
            self.report.warning(path, "optional-filter", text, None);
            return Some(FilterOverride {
                disabled: false,
                is_optional,
                type_url: String::new(),
                config: bytes::Bytes::new(),
            });
        }
        Some(FilterOverride { disabled: false, is_optional, type_url: any.type_url, config: any.value.into() })
    }
}

/// The metadata of a table, a virtual host or a route; `None` when there is none.
pub(super) fn metadata(message: Option<core::Metadata>) -> Option<Metadata> {
    let message = message.filter(|message| !message.filter_metadata.is_empty())?;
    let object = |fields| match json::object(fields) {
        serde_json::Value::Object(map) => map,
        _ => serde_json::Map::new(),
    };
    Some(Arc::new(message.filter_metadata.iter().map(|(name, fields)| (name.clone(), object(fields))).collect()))
}
