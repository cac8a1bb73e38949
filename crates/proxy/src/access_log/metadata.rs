//! `METADATA(ROUTE:…)`, `METADATA(VIRTUAL_HOST:…)`, `CLUSTER_METADATA`, `UPSTREAM_METADATA`: what the
//! configuration says beside a route, its virtual host, the cluster and the upstream host.
//!
//! A text is printed as it is, everything else as JSON; null is absent. The other sources
//! (dynamic, listener) are absent.

use nuncio_config::model::format::MetadataSource;
use serde_json::Value;

use super::values::{Written, text};
use crate::stream_info::StreamInfo;

/// Writes the value under `path` in a namespace.
pub(super) fn write(
    source: MetadataSource,
    namespace: &str,
    path: &[String],
    info: &StreamInfo,
    out: &mut Vec<u8>,
) -> Written {
    let fields = match source {
        MetadataSource::Route => info.route.as_ref().and_then(|route| route.metadata.as_ref()?.get(namespace)),
        MetadataSource::VirtualHost => {
            info.virtual_host.as_ref().and_then(|host| host.metadata.as_ref()?.get(namespace))
        }
        MetadataSource::UpstreamHost => {
            info.upstream.metadata.as_ref().and_then(|metadata| metadata.get(namespace)?.as_object())
        }
        MetadataSource::Cluster => {
            info.upstream.cluster_metadata.as_ref().and_then(|metadata| metadata.get(namespace)?.as_object())
        }
        MetadataSource::Dynamic | MetadataSource::Listener | MetadataSource::ListenerFilterChain => None,
    };
    let Some(fields) = fields else {
        return Written::Absent;
    };
    let Some((first, rest)) = path.split_first() else {
        return json(fields, out);
    };
    let found = rest.iter().try_fold(fields.get(first), |value, key| Some(value?.as_object()?.get(key)));
    match found.flatten() {
        None | Some(Value::Null) => Written::Absent,
        Some(Value::String(value)) => text(Some(value), out),
        Some(value) => json(value, out),
    }
}

fn json(value: &impl serde::Serialize, out: &mut Vec<u8>) -> Written {
    // Writing to memory cannot fail, and the keys are texts.
    match serde_json::to_writer(out, value) {
        Ok(()) => Written::Number,
        Err(_) => Written::Absent,
    }
}
