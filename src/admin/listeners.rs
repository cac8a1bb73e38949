//! `/listeners`: names and addresses.

use std::{fmt::Write as _, rc::Rc};

use nuncio_net::SocketAddress;
use serde_json::{Value, json};

use super::reply::{AdminRequest, Reply};
use crate::server::{ActiveListener, Server};

/// `/listeners`
pub(super) fn listeners(server: &Rc<Server>, request: &AdminRequest) -> Reply {
    let shown = server.listeners.iter().filter(|listener| listener.accepting.get());
    if request.param("format") == Some("json") {
        let statuses: Vec<Value> = shown.map(status).collect();
        return Reply::json(&json!({ "listener_statuses": statuses }));
    }
    let mut text = String::new();
    for listener in shown {
        for address in &listener.addresses {
            let _ = writeln!(text, "{}::{address}", listener.settings.name);
        }
    }
    Reply::text(text)
}

fn status(listener: &ActiveListener) -> Value {
    let mut addresses = listener.addresses.iter().map(address_json);
    let mut status = json!({ "name": listener.settings.name });
    if let Some(first) = addresses.next() {
        status["local_address"] = first;
    }
    let additional: Vec<Value> = addresses.collect();
    if !additional.is_empty() {
        status["additional_local_addresses"] = additional.into();
    }
    status
}

/// `envoy.config.core.v3.Address`
pub(super) fn address_json(address: &SocketAddress) -> Value {
    match address {
        SocketAddress::Ip(ip) => {
            json!({ "socket_address": { "address": ip.ip().to_string(), "port_value": ip.port() } })
        }
        SocketAddress::Pipe(path) => json!({ "pipe": { "path": path.display().to_string() } }),
    }
}
