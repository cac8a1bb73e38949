//! Reads a header that a route names, pseudo headers included.

use nuncio_api::RequestHead;
use nuncio_config::model::matcher::MatchedHeader;
use smallvec::SmallVec;

/// Every value under `name`, in order. An empty path or authority is none.
pub(crate) fn all<'a>(request: &'a RequestHead, name: &'a MatchedHeader) -> SmallVec<[&'a [u8]; 2]> {
    let one = |value: &'a [u8]| (!value.is_empty()).then_some(value).into_iter().collect();
    match name {
        MatchedHeader::Method => one(request.method.as_str().as_bytes()),
        MatchedHeader::Path => one(request.path.as_bytes()),
        MatchedHeader::Authority => one(request.authority.as_bytes()),
        MatchedHeader::Scheme => one(request.scheme.as_str().as_bytes()),
        MatchedHeader::Protocol => request
            .upgrade
            .as_ref()
            .filter(|_| request.method == http::Method::CONNECT)
            .map(|name| name.as_bytes())
            .into_iter()
            .collect(),
        MatchedHeader::Nothing => SmallVec::new(),
        MatchedHeader::Name(name) => request.headers.get_all(name).map(|value| value.as_bytes()).collect(),
    }
}

/// The first value under `name`, as text.
pub(crate) fn first<'a>(request: &'a RequestHead, name: &'a MatchedHeader) -> Option<&'a str> {
    all(request, name).first().and_then(|value| std::str::from_utf8(value).ok())
}
