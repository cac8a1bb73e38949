//! `/certs`: none, as long as there is no TLS.

use std::rc::Rc;

use serde_json::json;

use super::reply::{AdminRequest, Reply};
use crate::server::Server;

/// `/certs`
pub(super) fn certs(_: &Rc<Server>, _: &AdminRequest) -> Reply {
    Reply::json(&json!({ "certificates": [] }))
}
