//! `DirectResponseAction`.

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;
use http::StatusCode;

use super::super::{Context, route::TableRules};
use crate::model::{report::Path, route::DirectResponse};

impl Context<'_> {
    pub(super) fn direct_response(
        &mut self,
        path: &Path<'_>,
        message: pb::DirectResponseAction,
        rules: TableRules,
    ) -> Option<DirectResponse> {
        let status = u16::try_from(message.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let Some(status) = status else {
            let text = format!("{} is not an HTTP status", message.status);
            self.report.error(&path.field("status"), "bad-status", text);
            return None;
        };
        let body = message.body.and_then(|source| self.data_source(&path.field("body"), source)).unwrap_or_default();
        // 0 is no limit, as in Envoy.
        if rules.max_direct_response_body > 0 && body.len() > rules.max_direct_response_body {
            let text =
                format!("response body size is {} bytes; maximum is {}", body.len(), rules.max_direct_response_body);
            let help = "raise `max_direct_response_body_size_bytes` of the route table";
            self.report.error_with(&path.field("body"), "response-too-large", text, help);
        }
        let format = message.body_format.and_then(|format| self.body_format(&path.field("body_format"), format));
        Some(DirectResponse { status, body: body.into(), format: format.map(Arc::new) })
    }
}
