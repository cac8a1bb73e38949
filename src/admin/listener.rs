//! The listener and the connection manager of the admin server.
//!
//! Written as configuration, so that every default is the one of all other listeners; what Envoy's
//! admin server does otherwise stands in [`CONFIG`].

use std::{sync::Arc, time::Duration};

use nuncio_config::{
    Format, Source,
    model::{self, Listener, bootstrap::Admin, listener::TerminalFilter},
};

/// The listener's name, its stat prefix, and its connection manager's.
pub(super) const NAME: &str = "admin";

/// A client that does not finish its request head by then is dropped.
const HEAD_LIMIT: Duration = Duration::from_secs(15);

/// The address is none: the socket is bound before.
const CONFIG: &str = r#"
static_resources:
  listeners:
  - name: admin
    stat_prefix: admin
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: admin
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: admin
          use_remote_address: true
          generate_request_id: false
          normalize_path: true
          merge_slashes: true
          route_config: {name: admin}
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
"#;

/// Settings of the admin server's listener; `None` when [`CONFIG`] is not one.
pub(super) fn settings(admin: &Admin) -> Option<Arc<Listener>> {
    let source = Source { name: NAME.to_owned(), text: CONFIG.to_owned(), format: Format::Yaml };
    let (bootstrap, _) = model::load_bootstrap(vec![source], &model::Options::default()).ok()?;
    let mut settings = Listener::clone(bootstrap.listeners.first()?);
    settings.ignore_global_conn_limit = admin.ignore_global_conn_limit;
    for chain in &mut settings.filter_chains {
        let TerminalFilter::Http(manager) = &mut chain.terminal;
        let manager = Arc::make_mut(manager);
        manager.request_headers_timeout = Some(HEAD_LIMIT);
        manager.access_log.clone_from(&admin.access_log);
    }
    Some(Arc::new(settings))
}
