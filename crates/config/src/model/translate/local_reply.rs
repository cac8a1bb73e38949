//! `LocalReplyConfig`: how the proxy's own answers are dressed.

use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use http::StatusCode;

use super::{Context, header};
use crate::model::{
    local_reply::{LocalReplyConfig, ResponseMapper},
    report::Path,
};

impl Context<'_> {
    /// Mappers and the body's format; unusable mappers are reported and left out.
    pub(super) fn local_reply(&mut self, path: &Path<'_>, message: pb::LocalReplyConfig) -> LocalReplyConfig {
        let each = message.mappers.into_iter().enumerate();
        LocalReplyConfig {
            mappers: each.filter_map(|(index, mapper)| self.mapper(&path.item("mappers", index), mapper)).collect(),
            body_format: message.body_format.and_then(|format| self.body_format(&path.field("body_format"), format)),
        }
    }

    fn mapper(&mut self, path: &Path<'_>, message: pb::ResponseMapper) -> Option<ResponseMapper> {
        let filter = self.log_filter(&path.field("filter"), message.filter.unwrap_or_default());
        // The wire rules admit 200 to 599 only.
        let status = message.status_code.and_then(|status| StatusCode::from_u16(status.value.try_into().ok()?).ok());
        let body = message.body.and_then(|source| self.data_source(&path.field("body"), source));
        let over = message.body_format_override;
        let body_format = over.and_then(|format| self.body_format(&path.field("body_format_override"), format));
        let headers = self.mutation(path, header::ADDED, message.headers_to_add, Vec::new());
        Some(ResponseMapper { filter: filter?, status, body: body.map(Into::into), body_format, headers })
    }
}
