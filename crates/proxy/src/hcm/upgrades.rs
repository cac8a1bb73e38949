//! Whether an upgrade is enabled: a pure function of the manager's and the route's `upgrade_configs`.
//!
//! CONNECT is an upgrade too, of the type `CONNECT`. A route that names the type decides; else the
//! manager does; what neither names is not enabled. Types are compared in any case, and a list of
//! protocols (`websocket, h2c`) is one type that nobody enables.

use http::Method;
use nuncio_api::RequestHead;
use nuncio_config::model::{hcm::UpgradeConfig, route::Upgrade};

/// The type of upgrade that a request asks for.
pub(crate) fn wanted(request: &RequestHead) -> Option<&str> {
    match &request.upgrade {
        Some(kind) => Some(kind.as_str()),
        None => (request.method == Method::CONNECT).then_some("connect"),
    }
}

/// True for CONNECT to a host and port, which has no path.
pub(crate) fn is_connect(request: &RequestHead) -> bool {
    request.method == Method::CONNECT && request.upgrade.is_none()
}

/// True for the one type whose handshake is headers alone (RFC 6455).
pub(crate) fn is_websocket(request: &RequestHead) -> bool {
    request.upgrade.as_ref().is_some_and(|kind| kind.eq_ignore_ascii_case("websocket"))
}

/// Whether `kind` is enabled; `route` is what the route says, if it forwards.
pub(crate) fn is_enabled(manager: &[UpgradeConfig], route: &[Upgrade], kind: &str) -> bool {
    let own = route.iter().find(|upgrade| upgrade.kind.eq_ignore_ascii_case(kind)).map(|upgrade| upgrade.enabled);
    own.unwrap_or_else(|| manager.iter().any(|upgrade| upgrade.enabled && upgrade.kind.eq_ignore_ascii_case(kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_decides_before_the_manager() {
        let manager = |enabled| UpgradeConfig { kind: "websocket".into(), enabled, filters: None };
        let route = |enabled| Upgrade { kind: "websocket".into(), enabled, connect: None };
        for (manager, route, wanted, enabled) in [
            (vec![], vec![], "websocket", false),
            (vec![manager(true)], vec![], "WebSocket", true),
            (vec![manager(true)], vec![], "websocket, foo", false),
            (vec![manager(true)], vec![], "", false),
            (vec![manager(false)], vec![], "websocket", false),
            (vec![manager(true)], vec![route(false)], "websocket", false),
            (vec![manager(false)], vec![route(true)], "websocket", true),
            (vec![], vec![route(true)], "WEBSOCKET", true),
            (vec![manager(true)], vec![route(true)], "connect", false),
        ] {
            assert_eq!(is_enabled(&manager, &route, wanted), enabled, "{manager:?} {route:?} {wanted}");
        }
    }
}
