//! OpenAPI documents, version 3 and 2, generated from the schema tables (spec kubernetes.md B4).

use http::{HeaderMap, Response};

use crate::http::respond::{Body, page_not_found};
use crate::http::route::Query;
use crate::registry::Registry;

/// `/openapi/v3`: the list of documents.
pub(crate) fn v3_index(_registry: &Registry, _headers: &HeaderMap) -> Response<Body> {
    page_not_found()
}

/// `/openapi/v3/PATH`: the document of one group version.
pub(crate) fn v3(
    _registry: &Registry,
    _path: &str,
    _query: &Query,
    _headers: &HeaderMap,
) -> Response<Body> {
    page_not_found()
}

/// `/openapi/v2`: one document for everything, as old clients read it.
pub(crate) fn v2(_registry: &Registry, _headers: &HeaderMap) -> Response<Body> {
    page_not_found()
}
